// SPDX-License-Identifier: MIT

//! What the element does on its streaming thread, and what others may do to that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::enums::BackgroundKind;
use super::failure::{self, Failure};
use super::imp::{Active, CAT, DavidMatte};
use super::loading::{self, Loaded, Named, Outcome};
use super::streaming::{Left, Networks, Processed, Streaming};
use super::video;
use crate::matting::error::Error;
use crate::matting::stream::{Interrupter, Notice, Stats};

/// Locks are held only to copy; a panic elsewhere leaves what they guard whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends what the streaming thread waits for, whenever that begins.
#[derive(Default)]
pub struct Interrupts(Mutex<(bool, Vec<Interrupter>)>);

impl Interrupts {
    /// Ends waiting, or allows it again.
    pub fn set(&self, interrupted: bool) {
        let (state, interrupters) = &mut *lock(&self.0);
        *state = interrupted;
        interrupters.iter().for_each(|interrupter| interrupter.interrupt(interrupted));
    }

    /// Takes in another network's; one that comes late is interrupted all the same.
    fn add(&self, interrupter: Interrupter) {
        let (interrupted, interrupters) = &mut *lock(&self.0);
        interrupters.retain(|interrupter| !interrupter.is_obsolete());
        interrupter.interrupt(*interrupted);
        interrupters.push(interrupter);
    }

    fn clear(&self) {
        *lock(&self.0) = (false, Vec::new());
    }
}

impl DavidMatte {
    /// Makes ready for frames.
    pub(super) fn begin(&self) -> Result<(), Error> {
        let settings = lock(&self.settings).clone();
        let picture = match (&settings.background, &settings.background_image) {
            (BackgroundKind::Image, path) => Some(open_picture(path.as_ref())?),
            _ => None,
        };
        let keeps_pace = settings.keeps_pace(false);
        let loaded = loading::load_apart(&settings, keeps_pace, &self.clock)?;
        *lock(&self.stats) = Stats::default();
        *lock(&self.earliest) = None;
        self.interrupts.clear();
        let networks = self.introduce(loaded, keeps_pace);
        *lock(&self.streaming) =
            Some(Streaming::new(networks, self.clock.clone(), &settings, picture));
        // Whatever was set meanwhile.
        self.request_model();
        let shows_other = {
            let now = lock(&self.settings);
            (now.background, &now.background_image)
                != (settings.background, &settings.background_image)
        };
        if shows_other {
            self.request_picture();
        }
        Ok(())
    }

    /// Forgets all that belongs to a stream.
    pub(super) fn end(&self) {
        lock(&self.active).take();
        lock(&self.preceding).take();
        self.loader.stop();
        self.interrupts.clear();
        let streaming = lock(&self.streaming).take();
        drop(streaming);
        self.notify_active();
        let stats = super::stats::structure(&lock(&self.stats));
        gst::info!(CAT, imp = self, "stopped; {stats}");
    }

    fn notify_active(&self) {
        self.obj().notify("active-device");
        self.obj().notify("active-model");
    }

    /// Has the model loaded that the settings name, if another one is at work.
    pub(super) fn request_model(&self) {
        let settings = lock(&self.settings).clone();
        let active = lock(&self.active).clone();
        if let Some(active) = active.filter(|active| active.model != settings.model) {
            self.loader.request_model(settings, active.keeps_pace, &self.clock);
        }
    }

    /// Has the picture loaded that the settings name.
    pub(super) fn request_picture(&self) {
        let (background, path) = {
            let settings = lock(&self.settings);
            (settings.background, settings.background_image.clone())
        };
        if background != BackgroundKind::Image || lock(&self.active).is_none() {
            return;
        }
        match path.filter(|path| !path.is_empty()) {
            Some(path) => self.loader.request_picture(path, &self.clock),
            None => gst::element_imp_warning!(
                self,
                gst::ResourceError::Settings,
                ("The background stays as it was, until background-image names a picture")
            ),
        }
    }

    /// Tells of a network that was loaded.
    fn introduce(&self, loaded: Loaded, keeps_pace: bool) -> Networks {
        let Loaded { runner, tiles, interrupter, model, active_device, side, library, .. } = loaded;
        gst::info!(CAT, imp = self, "model {model} on {active_device}, by {library}");
        if let Some(uncaptured) = loaded.uncaptured {
            gst::debug!(CAT, imp = self, "runs are not captured and replayed: {uncaptured}");
        }
        if let Some(measured) = loaded.measured {
            gst::debug!(CAT, imp = self, "measured: {measured}");
        }
        if let Some(licence) = loaded.noncommercial {
            gst::element_imp_info!(
                self,
                gst::ResourceError::Settings,
                ("Model {model} is licensed under {licence}, which does not allow commercial use")
            );
        }
        if let Some(reason) = loaded.fallback {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::OpenRead,
                ("Inference runs on {active_device} instead: {reason}")
            );
        }
        self.interrupts.add(interrupter);
        *lock(&self.active) = Some(Active { model, device: active_device, side, keeps_pace });
        self.notify_active();
        Networks { runner, tiles }
    }

    /// Goes on with what was loaded meanwhile.
    fn adopt_loaded(&self) -> Result<(), gst::FlowError> {
        while let Some(outcome) = self.loader.result() {
            match outcome {
                Outcome::Model(model, loaded) if model != lock(&self.settings).model => {
                    gst::debug!(CAT, imp = self, "{model} is not wanted any more");
                    if let Ok(loaded) = loaded {
                        self.loader.retire(vec![Box::new(loaded)], &self.clock);
                    }
                }
                Outcome::Model(_, Ok(loaded)) => {
                    // Where that ends otherwise, the frames are of no use any more, and the network is.
                    let drained = self.drain();
                    self.succeed(loaded)?;
                    drained?;
                }
                Outcome::Model(model, Err(error)) => {
                    let at_work = lock(&self.active).as_ref().map(|active| active.model.clone());
                    let at_work = at_work.unwrap_or_default();
                    let reason = failure::sentence(&error);
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Failed,
                        ("Model `{model}` is not used, `{at_work}` goes on: {reason}")
                    );
                }
                Outcome::Picture(Ok(picture)) => {
                    self.with_streaming(|streaming| {
                        streaming.take_picture(picture);
                        Ok(())
                    })?;
                }
                Outcome::Picture(Err(error)) => {
                    let reason = failure::sentence(&error);
                    gst::element_imp_warning!(
                        self,
                        gst::ResourceError::Read,
                        ("The background stays as it was: {reason}")
                    );
                }
            }
        }
        Ok(())
    }

    pub(super) fn succeed(&self, loaded: Loaded) -> Result<(), gst::FlowError> {
        let before = lock(&self.active).clone();
        let keeps_pace = before.as_ref().is_some_and(|active| active.keeps_pace);
        let networks = self.introduce(loaded, keeps_pace);
        if let Some(before) = &before {
            // One that has not yet succeeded another was never at work.
            lock(&self.preceding).get_or_insert_with(|| before.clone());
        }
        self.with_streaming(|streaming| {
            if !streaming.is_empty() {
                streaming.flush();
            }
            streaming.succeed(networks);
            Ok(())
        })?;
        if let Some(before) = before {
            gst::debug!(CAT, imp = self, "instead of {}", before.model);
        }
        Ok(())
    }

    /// Lends out what the streaming thread owns, without a lock; posts what goes wrong.
    fn with_streaming<T>(
        &self,
        work: impl FnOnce(&mut Streaming) -> Result<T, Failure>,
    ) -> Result<T, gst::FlowError> {
        let Some(mut streaming) = lock(&self.streaming).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let result = work(&mut streaming);
        *lock(&self.stats) = streaming.stats();
        let mut notices = Vec::new();
        while let Some(notice) = streaming.notice() {
            notices.push(notice);
        }
        let retired = streaming.take_retired();
        *lock(&self.streaming) = Some(streaming);
        self.loader.retire(retired, &self.clock);
        notices.into_iter().for_each(|notice| self.tell(notice));
        result.map_err(|failure| match failure {
            Failure::Flow(error) => error,
            Failure::Matting(error) => {
                self.post_error_message(failure::message(&error));
                gst::FlowError::Error
            }
            Failure::Buffer(reason) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{reason}"));
                gst::FlowError::Error
            }
        })
    }

    fn tell(&self, notice: Notice) {
        match notice {
            Notice::Failed(error) => {
                if let Error::DeviceLost { active, .. } = &error {
                    if let Some(known) = &mut *lock(&self.active) {
                        known.device.clone_from(active);
                    }
                    self.notify_active();
                }
                let reason = failure::sentence(&error);
                gst::element_imp_warning!(self, gst::StreamError::Failed, ("{reason}"));
            }
            Notice::Refused(error) => {
                if let Some(before) = lock(&self.preceding).take() {
                    *lock(&self.active) = Some(before);
                    self.notify_active();
                }
                let reason = failure::sentence(&error);
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Failed,
                    ("The new model is not used, the one before goes on: {reason}")
                );
            }
            Notice::Succeeded => {
                lock(&self.preceding).take();
                gst::info!(CAT, imp = self, "another network is at work");
            }
        }
    }

    /// Lets all frames leave that are still worked on.
    pub(super) fn drain(&self) -> Result<(), gst::FlowError> {
        loop {
            let is_empty = lock(&self.streaming).as_ref().is_none_or(Streaming::is_empty);
            if is_empty {
                return Ok(());
            }
            let processed =
                self.with_streaming(|streaming| streaming.finish(|buffer| self.allocate(buffer)))?;
            let Some(processed) = processed else { return Ok(()) };
            if let Left::Buffer(buffer) = self.hand_on(processed)? {
                self.push(buffer)?;
            }
        }
    }

    /// Pushes a frame past the base class.
    fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.note_mark(&buffer);
        self.obj().src_pad().push(buffer).map(drop)
    }

    /// Remembers whether the frame that leaves is marked as discontinuous.
    pub(super) fn note_mark(&self, buffer: &gst::BufferRef) {
        let is_marked = buffer.flags().contains(gst::BufferFlags::DISCONT);
        self.leaves_marked.store(is_marked, Ordering::Relaxed);
    }

    /// Takes a mark away that is another frame's: the base class marks the next one that leaves by its hands, also
    /// where the frame itself did not.
    pub(super) fn correct_mark(&self, buffer: &mut gst::Buffer) {
        if buffer.flags().contains(gst::BufferFlags::DISCONT)
            && !self.leaves_marked.load(Ordering::Relaxed)
        {
            buffer.make_mut().unset_flags(gst::BufferFlags::DISCONT);
        }
    }

    /// Takes notice of an event after which frames do not follow those before it.
    pub(super) fn break_off(&self, event: &gst::Event) {
        match event.view() {
            gst::EventView::Gap(_) => self.miss_frames(),
            gst::EventView::Segment(segment) => {
                let (now, next) = (self.obj().segment(), segment.segment());
                let place = |segment: &gst::Segment| {
                    let [base, start, time] = [segment.base(), segment.start(), segment.time()];
                    (segment.rate(), base.value(), start.value(), time.value())
                };
                if place(&now) != place(next) {
                    self.begin_anew();
                }
            }
            _ => {}
        }
    }

    /// Frames are missing before the next one.
    fn miss_frames(&self) {
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            streaming.miss_frames();
        }
    }

    /// Forgets what was seen so far: nothing of it is known of the next frame.
    pub(super) fn begin_anew(&self) {
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            streaming.flush();
        }
    }

    /// Takes a frame in, and lets another one leave where it is ready.
    pub(super) fn take_in(&self, buffer: gst::Buffer) -> Result<Option<Left>, gst::FlowError> {
        self.adopt_loaded()?;
        self.adopt_liveness()?;
        self.adopt_output()?;
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            // The mark is this frame's.
            self.drain()?;
            self.miss_frames();
        }
        self.sync_controlled_properties(&buffer);
        let settings = lock(&self.settings).clone();
        let late = self.is_late(&buffer);
        let processed = self.with_streaming(|streaming| {
            if let Some(most) = video::pool_size(&buffer) {
                // One is filled while the others are held.
                streaming.hold_at_most(most - 1);
            }
            streaming.accept(buffer, settings, late, |buffer| self.allocate(buffer))
        })?;
        processed.map(|processed| self.hand_on(processed)).transpose()
    }

    /// Lets the oldest frame leave, if there are as many as may be held back.
    pub(super) fn leave_if_full(&self) -> Result<Option<Left>, gst::FlowError> {
        let processed = self.with_streaming(|streaming| match streaming.is_full() {
            true => streaming.finish(|buffer| self.allocate(buffer)),
            false => Ok(None),
        })?;
        processed.map(|processed| self.hand_on(processed)).transpose()
    }

    /// Tells what is to be told about a frame, and hands it on.
    fn hand_on(&self, processed: Processed) -> Result<Left, gst::FlowError> {
        let Processed { left, failure } = processed;
        let Some(error) = failure else { return Ok(left) };
        self.post_error_message(failure::message(&error));
        // The frame that is covered still leaves, so that nothing downstream waits for it.
        if let Left::Buffer(buffer) = left {
            self.push(buffer)?;
        }
        Err(gst::FlowError::Error)
    }

    /// Says what to do about frames that are never matted.
    pub(super) fn tell_of_refused(&self, caps: &gst::CapsRef) {
        if let Some(refusal) = super::caps::refusal(caps) {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{refusal}"));
        }
    }

    fn is_late(&self, buffer: &gst::BufferRef) -> bool {
        let segment = self.obj().segment();
        let time = segment
            .downcast_ref::<gst::ClockTime>()
            .and_then(|segment| segment.to_running_time(buffer.pts()));
        let earliest = *lock(&self.earliest);
        time.zip(earliest).is_some_and(|(time, earliest)| time < earliest)
    }

    fn sync_controlled_properties(&self, buffer: &gst::BufferRef) {
        let segment = self.obj().segment();
        let time = segment
            .downcast_ref::<gst::ClockTime>()
            .and_then(|segment| segment.to_stream_time(buffer.pts()));
        if let Some(time) = time
            && let Err(error) = self.obj().sync_values(time)
        {
            gst::trace!(CAT, imp = self, "nothing to control: {error}");
        }
    }
}

fn open_picture(path: Option<&Arc<str>>) -> Result<Named, Error> {
    match path.filter(|path| !path.is_empty()) {
        Some(path) => Named::open(path.clone()),
        None => Err(Error::Background {
            path: "(none)".into(),
            missing: true,
            reason: "background=image needs a file".into(),
        }),
    }
}
