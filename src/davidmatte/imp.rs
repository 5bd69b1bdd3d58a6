// SPDX-License-Identifier: MIT

//! The element's implementation: traits that delegate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{
    BaseTransformMode, GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess,
};
use gst_base::subclass::prelude::*;
use once_cell::sync::Lazy;

use super::flow::{Interrupts, lock};
use super::loading::Loader;
use super::properties::{self, Settings};
use super::streaming::{Left, Streaming};
use super::{attached, caps, failure, stats, video};
use crate::matting::stream::{Clock, Stats, SystemClock};

pub(super) static CAT: Lazy<gst::DebugCategory> = Lazy::new(|| {
    gst::DebugCategory::new("davidmatte", gst::DebugColorFlags::empty(), Some("People matting"))
});

pub struct DavidMatte {
    pub(super) settings: Mutex<Settings>,
    pub(super) stats: Mutex<Stats>,
    /// What is at work, between start and stop.
    pub(super) active: Mutex<Option<Active>>,
    /// What was at work before, until what succeeds it has shown that it can.
    pub(super) preceding: Mutex<Option<Active>>,
    /// Taken out while a frame is matted, so that no lock is held across inference.
    pub(super) streaming: Mutex<Option<Streaming>>,
    /// What the streaming thread may wait for, to end that from other threads.
    pub(super) interrupts: Interrupts,
    /// Loads networks and pictures while frames go on.
    pub(super) loader: Loader,
    pub(super) latency: Mutex<gst::ClockTime>,
    /// Frames of an earlier running time are late, as far as downstream has told.
    pub(super) earliest: Mutex<Option<gst::ClockTime>>,
    /// Whether the frame that leaves is itself marked as discontinuous.
    pub(super) leaves_marked: AtomicBool,
    /// Whether the stream is live, by what upstream answered last.
    pub(super) told_live: AtomicBool,
    pub(super) clock: Arc<dyn Clock>,
}

/// The network at work.
#[derive(Clone)]
pub(super) struct Active {
    pub model: Arc<str>,
    pub device: String,
    /// The side of its input, where that was chosen.
    pub side: Option<usize>,
    /// It was chosen for a stream in which frames do not wait.
    pub keeps_pace: bool,
}

impl Default for DavidMatte {
    fn default() -> Self {
        Self {
            settings: Mutex::default(),
            stats: Mutex::default(),
            active: Mutex::default(),
            preceding: Mutex::default(),
            streaming: Mutex::default(),
            interrupts: Interrupts::default(),
            loader: Loader::default(),
            latency: Mutex::default(),
            earliest: Mutex::default(),
            leaves_marked: AtomicBool::default(),
            told_live: AtomicBool::default(),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DavidMatte {
    const NAME: &'static str = "GstDavidMatte";
    type Type = super::DavidMatte;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for DavidMatte {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::properties()
    }

    fn constructed(&self) {
        self.parent_constructed();
        // As for every filter of video; what it does about it is to skip inference, and no frame.
        self.obj().set_qos(true);
        // Caps that the pad's template does not have are refused before any function here hears of them.
        let element = self.obj().downgrade();
        self.obj().sink_pad().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let (Some(element), Some(event)) = (element.upgrade(), info.event())
                && let gst::EventView::Caps(event) = event.view()
            {
                element.imp().tell_of_refused(event.caps());
            }
            gst::PadProbeReturn::Ok
        });
        let element = self.obj().downgrade();
        self.obj().src_pad().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(element), Some(buffer)) = (element.upgrade(), info.buffer_mut()) {
                element.imp().correct_mark(buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        gst::debug!(CAT, imp = self, "{} = {value:?}", pspec.name());
        let (before, now) = {
            let mut settings = lock(&self.settings);
            let before = settings.output;
            settings.set(pspec.name(), value);
            (before, settings.output)
        };
        if now != before {
            self.renegotiate(before);
        }
        match pspec.name() {
            "model" => self.request_model(),
            "background" | "background-image" => self.request_picture(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let active = || lock(&self.active).clone();
        match pspec.name() {
            "active-device" => active().map(|active| active.device).to_value(),
            "active-model" => active().map(|active| active.model.to_string()).to_value(),
            "stats" => stats::structure(&lock(&self.stats)).to_value(),
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
            self.interrupts.set(true);
        }
        self.parent_change_state(transition)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: Lazy<Vec<gst::PadTemplate>> = Lazy::new(|| {
            let template = |name, direction, caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
            };
            let templates = [
                template("sink", gst::PadDirection::Sink, caps::sink_template()),
                template("src", gst::PadDirection::Src, caps::src_template()),
            ];
            let made = |template: Result<_, glib::BoolError>| {
                template.inspect_err(|error| gst::error!(CAT, "no pad template: {error}")).ok()
            };
            templates.into_iter().filter_map(made).collect()
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
        self.begin().map_err(|error| failure::message(&error))
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.end();
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let drains = matches!(query.view(), gst::QueryView::Drain(_));
        if direction == gst::PadDirection::Sink && drains && self.drain().is_err() {
            return false;
        }
        let answered =
            self.with_one_output(|| BaseTransformImplExt::parent_query(self, direction, query));
        if let (true, gst::PadDirection::Src, gst::QueryViewMut::Latency(latency)) =
            (answered, direction, query.view_mut())
        {
            let (is_live, min, max) = latency.result();
            self.told_live.store(is_live, Ordering::Relaxed);
            let own = *lock(&self.latency);
            latency.set(is_live, min + own, max.map(|max| max + own));
        }
        answered
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.interrupts.set(true),
            gst::EventView::FlushStop(_) => {
                self.interrupts.set(false);
                *lock(&self.earliest) = None;
                self.begin_anew();
            }
            _ if event.is_serialized() => {
                // What comes after frames leaves after them.
                if let Err(error) = self.drain() {
                    gst::debug!(CAT, imp = self, "frames before {:?}: {error}", event.type_());
                }
                self.break_off(&event);
            }
            _ => {}
        }
        match event.view() {
            gst::EventView::Caps(caps) => {
                let caps = caps.caps_owned();
                self.with_output_for(&caps, || self.parent_sink_event(event))
            }
            _ => self.parent_sink_event(event),
        }
    }

    fn src_event(&self, event: gst::Event) -> bool {
        let gst::EventView::Qos(qos) = event.view() else { return self.parent_src_event(event) };
        if self.obj().is_qos() {
            let (kind, _, jitter, time) = qos.get();
            // Whoever throttles wants fewer frames, and says nothing of lateness.
            if kind != gst::QOSType::Throttle {
                *lock(&self.earliest) = time.and_then(|time| earliest(time, jitter));
            }
        }
        // Not by way of the base class, which would drop late frames.
        self.obj().sink_pad().push_event(event)
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let transformed = caps::transform(direction, caps, self.output());
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
        self.negotiate(incaps, outcaps)
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
        if let (true, Some(info)) = (decide_query.is_some(), info) {
            let pool = need_pool.then(gst_video::VideoBufferPool::new);
            let size = u32::try_from(info.size()).unwrap_or(0);
            // Frames that are held back, and the one that comes.
            let kept = lock(&self.settings).frames_in_flight + 1;
            query.add_allocation_pool(pool.as_ref(), size, kept, 0);
        }
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
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
        let crop = inbuf.meta::<gst_video::VideoCropMeta>().map(|crop| crop.rect());
        if let (Some((x, y, ..)), Some(roi)) =
            (crop, meta.downcast_ref::<gst_video::VideoRegionOfInterestMeta>())
        {
            video::add_cropped_roi(outbuf, roi, (x, y));
            return false;
        }
        if crop.is_some() && attached::is_kind(meta.api()) {
            // It is of all that the frame holds.
            return false;
        }
        // Size and orientation stay, so that what speaks of them stays true. A crop does not: what
        // leaves is cropped.
        let still_true = meta.tags_contain_only(&["video", "size", "orientation"])
            && meta.api() != <gst_video::VideoCropMeta as gst::MetaAPI>::meta_api();
        still_true || self.parent_transform_meta(outbuf, meta, inbuf)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        inbuf: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let submit = || self.parent_submit_input_buffer(is_discont, inbuf);
        match self.obj().sink_pad().current_caps() {
            // Caps are negotiated anew.
            Some(caps) if self.obj().src_pad().needs_reconfigure() => {
                self.with_output_for(&caps, submit)
            }
            _ => submit(),
        }
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let left = match self.take_queued_buffer() {
            Some(buffer) => self.take_in(buffer)?,
            None => None,
        };
        let left = match left {
            Some(left) => Some(left),
            None => self.leave_if_full()?,
        };
        Ok(match left {
            None => GenerateOutputSuccess::NoOutput,
            Some(Left::Buffer(buffer)) => {
                self.note_mark(&buffer);
                GenerateOutputSuccess::Buffer(buffer)
            }
            Some(Left::Withheld) => GenerateOutputSuccess::Dropped,
        })
    }
}

impl DavidMatte {
    /// A buffer for the output of a frame.
    pub(super) fn allocate(&self, buffer: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        match self.parent_prepare_output_buffer(InputBuffer::Readable(buffer))? {
            PrepareOutputBufferSuccess::Buffer(buffer) => Ok(buffer),
            PrepareOutputBufferSuccess::InputBuffer => {
                Ok(buffer.copy_deep().map_err(|_| gst::FlowError::Error)?)
            }
        }
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
