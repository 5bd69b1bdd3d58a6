//! A filter that lets only the mattes through that are attached to its frames.

use gst::glib;
use gst_base::prelude::*;

glib::wrapper! {
    /// The filter.
    pub struct AttachedMatte(ObjectSubclass<imp::AttachedMatte>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// A new filter.
pub fn attached_matte() -> gst::Element {
    glib::Object::new::<AttachedMatte>().upcast()
}

mod imp {
    use std::sync::LazyLock;

    use gst::glib;
    use gst::subclass::prelude::*;
    use gst_base::subclass::BaseTransformMode;
    use gst_base::subclass::base_transform::PrepareOutputBufferSuccess;
    use gst_base::subclass::prelude::*;
    use gst_video::{VideoCapsBuilder, VideoFormat, VideoFormatInfo};

    use crate::filters::{self, GRAYS};

    /// The meta of `davidmatte attach-matte=true`, and its field.
    const META: &str = "DavidMatteMatteMeta";
    const FIELD: &str = "matte";

    #[derive(Default)]
    pub struct AttachedMatte;

    #[glib::object_subclass]
    impl ObjectSubclass for AttachedMatte {
        const NAME: &'static str = "MatteFileAttachedMatte";
        type Type = super::AttachedMatte;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for AttachedMatte {}
    impl GstObjectImpl for AttachedMatte {}

    impl ElementImpl for AttachedMatte {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                filters::metadata(
                    "Attached matte",
                    "Lets only the mattes through that are attached to frames",
                )
            });
            Some(&*METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                filters::templates(&VideoCapsBuilder::new().build(), &filters::formats(&GRAYS))
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for AttachedMatte {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            Some(filters::transformed(caps, filter, |structure| {
                match (direction, structure.get::<&str>("format").map(gray_of)) {
                    (gst::PadDirection::Sink, Ok(gray)) => structure.set("format", gray.to_str()),
                    _ => structure.remove_field("format"),
                }
            }))
        }

        fn prepare_output_buffer(
            &self,
            frame: gst_base::subclass::base_transform::InputBuffer<'_>,
        ) -> Result<PrepareOutputBufferSuccess, gst::FlowError> {
            let frame: &gst::BufferRef = match &frame {
                gst_base::subclass::base_transform::InputBuffer::Readable(frame) => frame,
                gst_base::subclass::base_transform::InputBuffer::Writable(frame) => frame,
            };
            let meta = gst::meta::CustomMeta::from_buffer(frame, META);
            let matte = meta.ok().and_then(|meta| meta.structure().get::<gst::Sample>(FIELD).ok());
            let Some(mut matte) = matte.and_then(|matte| matte.buffer_owned()) else {
                gst::element_imp_error!(self, gst::StreamError::Failed, ("A frame has no matte"));
                return Err(gst::FlowError::Error);
            };
            let flags = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
            frame.copy_into(matte.make_mut(), flags, ..).map_err(|_| gst::FlowError::Error)?;
            Ok(PrepareOutputBufferSuccess::Buffer(matte))
        }

        fn transform(
            &self,
            _: &gst::Buffer,
            _: &mut gst::BufferRef,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            // The matte that was prepared is all.
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// What mattes of frames of a format are.
    fn gray_of(format: &str) -> VideoFormat {
        let format = VideoFormat::from_string(format);
        match VideoFormatInfo::from_format(format).depth().first() {
            Some(9..) => VideoFormat::Gray16Le,
            _ => VideoFormat::Gray8,
        }
    }
}
