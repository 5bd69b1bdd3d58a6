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

use super::matting::{Failure, Negotiated, Outcome, Processed, Streaming};
use super::settings::{self, Settings};
use super::stats::Stats;
use super::{caps, frame};
use crate::matting::compose::Output;
use crate::matting::error::Error;
use crate::matting::model::ModelSource;
use crate::matting::session::Session;

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
        let session = load(&settings).map_err(|error| error_message(&error))?;
        gst::info!(CAT, imp = self, "model {} on {}", settings.model, session.active_device());
        if let Some(reason) = session.fallback() {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::OpenRead,
                ("Inference runs on {} instead: {reason}", session.active_device())
            );
        }
        *lock(&self.active_device) = Some(session.active_device().to_owned());
        *lock(&self.stats) = Stats::default();
        *lock(&self.streaming) = Some(Streaming::new(Box::new(session)));
        self.obj().notify("active-device");
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.streaming).take();
        lock(&self.active_device).take();
        self.obj().notify("active-device");
        gst::info!(CAT, imp = self, "stopped");
        Ok(())
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
        match lock(&self.streaming).as_mut() {
            Some(streaming) => streaming
                .negotiate(negotiated)
                .map_err(|error| gst::loggable_error!(CAT, "{error}")),
            None => Err(gst::loggable_error!(CAT, "caps came to a stopped element")),
        }
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
            query.add_allocation_pool(Some(&pool), size, 0, 0);
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
            streaming.downstream_takes_video_meta = takes_video_meta;
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
        let Some(buffer) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        self.sync_controlled_properties(&buffer);
        let settings = lock(&self.settings).clone();
        let mut stats = *lock(&self.stats);
        let Some(mut streaming) = lock(&self.streaming).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let processed =
            streaming.process(buffer, &settings, &mut stats, |buffer| self.allocate(buffer));
        *lock(&self.streaming) = Some(streaming);
        *lock(&self.stats) = stats;
        self.hand_on(processed)
    }
}

impl DavidMatte {
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

    fn hand_on(
        &self,
        processed: Result<Processed, Failure>,
    ) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let processed = match processed {
            Ok(processed) => processed,
            Err(failure) => {
                match failure {
                    Failure::Matting(error) => self.post_error_message(error_message(&error)),
                    Failure::Buffer(reason) => {
                        gst::element_imp_error!(self, gst::StreamError::Format, ("{reason}"));
                    }
                }
                return Err(gst::FlowError::Error);
            }
        };
        if let Some(error) = processed.warning {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{error}"));
        }
        if let Some(error) = processed.failure {
            self.post_error_message(error_message(&error));
            // The frame that is covered still leaves, so that nothing downstream waits for it.
            if let Outcome::Frame(buffer) = processed.outcome {
                self.obj().src_pad().push(buffer)?;
            }
            return Err(gst::FlowError::Error);
        }
        Ok(match processed.outcome {
            Outcome::Frame(buffer) => GenerateOutputSuccess::Buffer(buffer),
            Outcome::Withheld => GenerateOutputSuccess::Dropped,
        })
    }
}

fn load(settings: &Settings) -> Result<Session, Error> {
    Session::load(&ModelSource::find(&settings.model)?, &settings.session())
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
