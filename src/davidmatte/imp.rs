//! The element's implementation: traits that delegate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{
    BaseTransformMode, GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess,
};
use gst_base::subclass::prelude::*;
use once_cell::sync::Lazy;

use super::loading::{self, Loaded};
use super::output::{Failure, Negotiated};
use super::settings::{self, RefineKind, Settings};
use super::stats::Stats;
use super::streaming::{Outcome, Processed, Streaming};
use super::{caps, frame};
use crate::matting::compose::composer::Output;
use crate::matting::error::Error;
use crate::matting::inference::worker::Interrupter;

static CAT: Lazy<gst::DebugCategory> = Lazy::new(|| {
    gst::DebugCategory::new("davidmatte", gst::DebugColorFlags::empty(), Some("People matting"))
});

/// Locks are held only to copy; a panic elsewhere leaves what they guard whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
pub struct DavidMatte {
    settings: Mutex<Settings>,
    stats: Mutex<Stats>,
    active_device: Mutex<Option<String>>,
    /// Taken out while a frame is matted, so that no lock is held across inference.
    streaming: Mutex<Option<Streaming>>,
    /// What the streaming thread may wait for, to end that from other threads.
    interrupters: Mutex<Vec<Interrupter>>,
    /// A network that is to replace the one at work.
    successor: loading::Background,
    latency: Mutex<gst::ClockTime>,
    /// Frames of an earlier running time are late, as far as downstream has told.
    earliest: Mutex<Option<gst::ClockTime>>,
}

#[glib::object_subclass]
impl ObjectSubclass for DavidMatte {
    const NAME: &'static str = "GstDavidMatte";
    type Type = super::DavidMatte;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for DavidMatte {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        gst::debug!(CAT, imp = self, "{} = {value:?}", pspec.name());
        let changes_caps = lock(&self.settings).set(pspec.name(), value);
        if changes_caps {
            self.obj().reconfigure_src();
        }
        let is_started = lock(&self.active_device).is_some();
        if pspec.name() == "model" && is_started {
            self.successor.begin(lock(&self.settings).clone());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "active-device" => lock(&self.active_device).to_value(),
            "stats" => lock(&self.stats).structure().to_value(),
            name => {
                let value = lock(&self.settings).get(name);
                value.unwrap_or_else(|| pspec.default_value().clone())
            }
        }
    }
}

impl GstObjectImpl for DavidMatte {}

impl ElementImpl for DavidMatte {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: Lazy<gst::subclass::ElementMetadata> = Lazy::new(|| {
            gst::subclass::ElementMetadata::new(
                "David Matte",
                "Filter/Effect/Video",
                env!("CARGO_PKG_DESCRIPTION"),
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            // The streaming thread must come home before its pads can be closed.
            self.interrupt(true);
        }
        self.parent_change_state(transition)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: Lazy<Vec<gst::PadTemplate>> = Lazy::new(|| {
            let template = |name, direction, caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
            };
            [
                template("sink", gst::PadDirection::Sink, caps::sink_template()),
                template("src", gst::PadDirection::Src, caps::src_template()),
            ]
            .into_iter()
            .flatten()
            .collect()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for DavidMatte {
    // Whether a frame is written in place is decided frame by frame in `generate_output`.
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let loaded = loading::load(&settings).map_err(|error| error_message(&error))?;
        *lock(&self.stats) = Stats::default();
        *lock(&self.earliest) = None;
        let engine = self.introduce(loaded);
        *lock(&self.streaming) = Some(Streaming::new(engine));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.successor.cancel();
        lock(&self.interrupters).clear();
        let streaming = lock(&self.streaming).take();
        drop(streaming);
        lock(&self.active_device).take();
        self.obj().notify("active-device");
        gst::info!(CAT, imp = self, "stopped");
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let drains = matches!(query.view(), gst::QueryView::Drain(_));
        if direction == gst::PadDirection::Sink && drains && self.drain().is_err() {
            return false;
        }
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if let (true, gst::PadDirection::Src, gst::QueryViewMut::Latency(latency)) =
            (answered, direction, query.view_mut())
        {
            let (is_live, min, max) = latency.result();
            let own = *lock(&self.latency);
            latency.set(is_live, min + own, max.map(|max| max + own));
        }
        answered
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.interrupt(true),
            gst::EventView::FlushStop(_) => {
                self.interrupt(false);
                *lock(&self.earliest) = None;
                if let Some(streaming) = lock(&self.streaming).as_mut() {
                    streaming.flush();
                }
            }
            _ if event.is_serialized() => {
                // What comes after frames leaves after them.
                if let Err(error) = self.drain() {
                    gst::debug!(CAT, imp = self, "frames before {:?}: {error}", event.type_());
                }
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, _, jitter, time) = qos.get();
            *lock(&self.earliest) = time.and_then(|time| earliest(time, jitter));
        }
        self.parent_src_event(event)
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let output = lock(&self.settings).output.into();
        let transformed = caps::transform(direction, caps, output);
        gst::debug!(CAT, imp = self, "{direction:?} {caps} becomes {transformed}");
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&transformed, gst::CapsIntersectMode::First),
            None => transformed,
        })
    }

    fn fixate_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        othercaps: gst::Caps,
    ) -> gst::Caps {
        caps::fixate(direction, caps, othercaps)
    }

    fn set_caps(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "{incaps} to {outcaps}");
        let negotiated = self.negotiated(incaps, outcaps).ok_or_else(|| {
            gst::loggable_error!(CAT, "caps {incaps} to {outcaps} are not understood")
        })?;
        self.drain().map_err(|error| gst::loggable_error!(CAT, "frames before caps: {error}"))?;
        let is_live = self.upstream_is_live();
        let settings = lock(&self.settings).clone();
        let (latency, refines) = {
            let mut streaming = lock(&self.streaming);
            let streaming = streaming
                .as_mut()
                .ok_or_else(|| gst::loggable_error!(CAT, "caps came to a stopped element"))?;
            streaming
                .negotiate(negotiated, &settings, is_live)
                .map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
            let latency = gst::ClockTime::try_from(streaming.latency()).unwrap_or_default();
            (latency, streaming.refines())
        };
        if settings.refine != RefineKind::None && !refines {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Settings,
                ("Mattes are not refined, since no frame waits for its own; set pacing=exact, or refine=none")
            );
        }
        self.tell_latency(latency);
        Ok(())
    }

    fn unit_size(&self, caps: &gst::Caps) -> Option<usize> {
        gst_video::VideoInfo::from_caps(caps).ok().map(|info| info.size())
    }

    fn transform_size(
        &self,
        _direction: gst::PadDirection,
        _caps: &gst::Caps,
        _size: usize,
        othercaps: &gst::Caps,
    ) -> Option<usize> {
        // Whatever padding a frame has, the other side's frame has the size of its caps.
        self.unit_size(othercaps)
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        let (caps, need_pool) = query.get_owned();
        let info = caps.as_ref().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        if let (true, Some(info)) = (need_pool && decide_query.is_some(), info) {
            let pool = gst_video::VideoBufferPool::new();
            let size = u32::try_from(info.size()).unwrap_or(0);
            let kept = lock(&self.settings).frames_in_flight;
            query.add_allocation_pool(Some(&pool), size, kept, 0);
        }
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        Ok(())
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        let takes_video_meta = query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            streaming.writer.downstream_takes_video_meta = takes_video_meta;
        }
        self.parent_decide_allocation(query)
    }

    fn transform_meta<'a>(
        &self,
        outbuf: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        inbuf: &'a gst::BufferRef,
    ) -> bool {
        // Size and orientation stay, so that what speaks of them stays true. A crop does not: what
        // leaves is cropped.
        let still_true = meta.tags_contain_only(&["video", "size", "orientation"])
            && meta.api() != <gst_video::VideoCropMeta as gst::MetaAPI>::meta_api();
        still_true || self.parent_transform_meta(outbuf, meta, inbuf)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        if let Some(buffer) = self.take_queued_buffer() {
            self.adopt_successor()?;
            self.adopt_output()?;
            self.sync_controlled_properties(&buffer);
            let settings = lock(&self.settings).clone();
            let late = self.is_late(&buffer);
            self.with_streaming(|streaming, stats| {
                streaming.accept(buffer, settings, late, stats)
            })?;
        }
        let finished = self.with_streaming(|streaming, stats| match streaming.is_full() {
            true => streaming.finish(stats, |buffer| self.allocate(buffer)),
            false => Ok(None),
        })?;
        finished.map_or(Ok(GenerateOutputSuccess::NoOutput), |processed| self.hand_on(processed))
    }
}

impl DavidMatte {
    /// Lends out what the streaming thread owns, without a lock; posts what goes wrong.
    fn with_streaming<T>(
        &self,
        work: impl FnOnce(&mut Streaming, &mut Stats) -> Result<T, Failure>,
    ) -> Result<T, gst::FlowError> {
        let Some(mut streaming) = lock(&self.streaming).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let mut stats = *lock(&self.stats);
        let result = work(&mut streaming, &mut stats);
        *lock(&self.stats) = stats;
        *lock(&self.streaming) = Some(streaming);
        result.map_err(|failure| match failure {
            Failure::Interrupted => gst::FlowError::Flushing,
            Failure::Matting(error) => {
                self.post_error_message(error_message(&error));
                gst::FlowError::Error
            }
            Failure::Buffer(reason) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{reason}"));
                gst::FlowError::Error
            }
        })
    }

    /// Lets all frames leave that are still worked on.
    fn drain(&self) -> Result<(), gst::FlowError> {
        loop {
            let is_empty = lock(&self.streaming).as_ref().is_none_or(Streaming::is_empty);
            if is_empty {
                return Ok(());
            }
            let finished = self.with_streaming(|streaming, stats| {
                streaming.finish(stats, |buffer| self.allocate(buffer))
            })?;
            let Some(processed) = finished else { return Ok(()) };
            if let GenerateOutputSuccess::Buffer(buffer) = self.hand_on(processed)? {
                self.obj().src_pad().push(buffer)?;
            }
        }
    }

    /// Tells of a network that was loaded.
    fn introduce(&self, loaded: Loaded) -> super::engine::Engine {
        let Loaded { engine, interrupter, active_device, fallback } = loaded;
        gst::info!(CAT, imp = self, "model {} on {active_device}", lock(&self.settings).model);
        if let Some(reason) = fallback {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::OpenRead,
                ("Inference runs on {active_device} instead: {reason}")
            );
        }
        let mut interrupters = lock(&self.interrupters);
        interrupters.retain(|interrupter| !interrupter.is_obsolete());
        interrupters.push(interrupter);
        drop(interrupters);
        *lock(&self.active_device) = Some(active_device);
        self.obj().notify("active-device");
        engine
    }

    /// Goes on with the network that was loaded meanwhile, if there is one.
    fn adopt_successor(&self) -> Result<(), gst::FlowError> {
        let loaded = match self.successor.take() {
            None => return Ok(()),
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => {
                let message = error_message(&error);
                gst::element_imp_warning!(self, gst::StreamError::Failed, ("{message}"));
                return Ok(());
            }
        };
        self.drain()?;
        let engine = self.introduce(loaded);
        self.with_streaming(|streaming, _| Ok(streaming.succeed(engine)?))
    }

    /// Ends the streaming thread's waiting, or allows it again.
    fn interrupt(&self, interrupted: bool) {
        for interrupter in &*lock(&self.interrupters) {
            interrupter.interrupt(interrupted);
        }
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// Remembers the latency, and has it collected anew where it is another one.
    fn tell_latency(&self, latency: gst::ClockTime) {
        let before = std::mem::replace(&mut *lock(&self.latency), latency);
        if before != latency {
            gst::debug!(CAT, imp = self, "latency {latency}");
            let message = gst::message::Latency::builder().src(&*self.obj()).build();
            // Outside any bin nobody listens.
            let _ = self.obj().post_message(message);
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

    /// Goes on with another `output` where the caps stay, such as a matte in the format of the
    /// composite before it: the base class hands on only caps that are new.
    fn adopt_output(&self) -> Result<(), gst::FlowError> {
        let wanted = Output::from(lock(&self.settings).output);
        let current = lock(&self.streaming).as_ref().and_then(Streaming::output);
        if current.is_none_or(|current| current == wanted) {
            return Ok(());
        }
        let element = self.obj();
        let (sink, src) = (element.sink_pad().current_caps(), element.src_pad().current_caps());
        let (Some(incaps), Some(outcaps)) = (sink, src) else { return Ok(()) };
        let allowed = self.negotiated(&incaps, &outcaps);
        if allowed.is_none_or(|negotiated| negotiated.output != wanted) {
            // Other caps are on their way.
            return Ok(());
        }
        self.set_caps(&incaps, &outcaps).map_err(|error| {
            error.log_with_object(&*element);
            gst::FlowError::NotNegotiated
        })
    }

    fn negotiated(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Option<Negotiated> {
        let sink = gst_video::VideoInfo::from_caps(incaps).ok()?;
        let src = gst_video::VideoInfo::from_caps(outcaps).ok()?;
        let (from, to) = (frame::layout(&sink)?, frame::layout(&src)?);
        // The setting may have changed since these caps were offered; they are negotiated anew
        // then, and until that is done frames leave as the caps allow.
        let wanted = Output::from(lock(&self.settings).output);
        let last = lock(&self.streaming).as_ref().and_then(Streaming::output);
        let output = [Some(wanted), last]
            .into_iter()
            .flatten()
            .find(|output| output.formats(from.format).contains(&to.format))?;
        Some(Negotiated { sink, src, from, to, output })
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

    fn allocate(&self, buffer: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        match self.parent_prepare_output_buffer(InputBuffer::Readable(buffer))? {
            PrepareOutputBufferSuccess::Buffer(buffer) => Ok(buffer),
            PrepareOutputBufferSuccess::InputBuffer => {
                Ok(buffer.copy_deep().map_err(|_| gst::FlowError::Error)?)
            }
        }
    }

    /// Tells what is to be told about a frame, and hands it on.
    fn hand_on(&self, processed: Processed) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Processed { outcome, report } = processed;
        if let Some(error) = report.warning {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{error}"));
        }
        if let Some(error) = report.failure {
            self.post_error_message(error_message(&error));
            // The frame that is covered still leaves, so that nothing downstream waits for it.
            if let Outcome::Frame(buffer) = outcome {
                self.obj().src_pad().push(buffer)?;
            }
            return Err(gst::FlowError::Error);
        }
        Ok(match outcome {
            Outcome::Frame(buffer) => GenerateOutputSuccess::Buffer(buffer),
            Outcome::Withheld => GenerateOutputSuccess::Dropped,
        })
    }
}

/// The running time from which on frames are in time again, by what a sink tells of a frame: as
/// [`BaseTransform`](gst_base::BaseTransform) reckons for frames that it drops itself.
fn earliest(time: gst::ClockTime, jitter: i64) -> Option<gst::ClockTime> {
    let lateness = gst::ClockTime::from_nseconds(jitter.unsigned_abs());
    match jitter {
        1.. => time.checked_add(lateness * 2),
        _ => time.checked_sub(lateness),
    }
}

/// The message that applications expect for an error.
fn error_message(error: &Error) -> gst::ErrorMessage {
    match error {
        Error::RuntimeMissing { .. } => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
        Error::ModelNotFound { .. } | Error::Background { missing: true, .. } => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
        }
        Error::ModelUnreadable { .. } | Error::Background { .. } => {
            gst::error_msg!(gst::ResourceError::Read, ("{error}"))
        }
        Error::Description { .. } => gst::error_msg!(gst::ResourceError::Settings, ("{error}")),
        Error::DeviceUnavailable { .. } => {
            gst::error_msg!(gst::ResourceError::OpenRead, ("{error}"))
        }
        Error::Inference { .. } | Error::NotAMatte { .. } => {
            gst::error_msg!(gst::StreamError::Failed, ("{error}"))
        }
        Error::ModelContract { .. } | Error::FrameTooSmall { .. } | Error::Conversion { .. } => {
            gst::error_msg!(gst::StreamError::Format, ("{error}"))
        }
    }
}
