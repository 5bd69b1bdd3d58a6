//! A filter that lets only the alpha of its frames through, as gray.

use gst::glib;
use gst_base::prelude::*;

glib::wrapper! {
    /// The filter.
    pub struct AlphaOnly(ObjectSubclass<imp::AlphaOnly>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// A new filter.
pub fn alpha_only() -> gst::Element {
    glib::Object::new::<AlphaOnly>().upcast()
}

mod imp {
    use std::sync::{LazyLock, Mutex, PoisonError};

    use gst::glib;
    use gst::subclass::prelude::*;
    use gst_base::subclass::BaseTransformMode;
    use gst_base::subclass::prelude::*;
    use gst_video::{VideoCapsBuilder, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

    /// The formats of cut-outs.
    const CUTOUTS: [VideoFormat; 3] = [VideoFormat::Ayuv, VideoFormat::Bgra, VideoFormat::Rgba];
    /// The component that is alpha, in all of them.
    const ALPHA: u32 = 3;

    #[derive(Default)]
    pub struct AlphaOnly {
        /// Of what comes, and of what leaves.
        infos: Mutex<Option<(VideoInfo, VideoInfo)>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for AlphaOnly {
        const NAME: &'static str = "MatteFileAlphaOnly";
        type Type = super::AlphaOnly;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for AlphaOnly {}
    impl GstObjectImpl for AlphaOnly {}

    impl ElementImpl for AlphaOnly {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Alpha only",
                    "Filter/Video",
                    "Lets only the alpha of frames through, as gray",
                    env!("CARGO_PKG_AUTHORS"),
                )
            });
            Some(&*METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction, formats: &[VideoFormat]| {
                    let caps = VideoCapsBuilder::new().format_list(formats.iter().copied()).build();
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                };
                [
                    template("sink", gst::PadDirection::Sink, &CUTOUTS),
                    template("src", gst::PadDirection::Src, &[VideoFormat::Gray8]),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for AlphaOnly {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut other = caps.clone();
            for structure in other.make_mut().iter_mut() {
                structure.remove_fields(["colorimetry", "chroma-site"]);
                match direction {
                    gst::PadDirection::Sink => structure.set("format", VideoFormat::Gray8.to_str()),
                    _ => {
                        let formats = CUTOUTS.map(|format| format.to_str().as_str());
                        structure.set("format", gst::List::new(formats));
                    }
                }
            }
            Some(match filter {
                Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
                None => other,
            })
        }

        fn unit_size(&self, caps: &gst::Caps) -> Option<usize> {
            VideoInfo::from_caps(caps).ok().map(|info| info.size())
        }

        fn set_caps(
            &self,
            incaps: &gst::Caps,
            outcaps: &gst::Caps,
        ) -> Result<(), gst::LoggableError> {
            let infos = (VideoInfo::from_caps(incaps)?, VideoInfo::from_caps(outcaps)?);
            *self.infos.lock().unwrap_or_else(PoisonError::into_inner) = Some(infos);
            Ok(())
        }

        fn transform(
            &self,
            inbuf: &gst::Buffer,
            outbuf: &mut gst::BufferRef,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let infos = self.infos.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (from, to) = infos.ok_or(gst::FlowError::NotNegotiated)?;
            let unmappable = |_| gst::FlowError::Error;
            let from = VideoFrameRef::from_buffer_ref_readable(inbuf, &from).map_err(unmappable)?;
            let mut to =
                VideoFrameRef::from_buffer_ref_writable(outbuf, &to).map_err(unmappable)?;
            let (offset, step) = (from.comp_poffset(ALPHA), from.comp_pstride(ALPHA));
            let (stride, row_length) = (from.comp_stride(ALPHA), to.width() as usize);
            let (offset, step, stride) = (offset as usize, step as usize, stride as usize);
            let to_stride = to.comp_stride(0) as usize;
            let pixels = from.plane_data(0).map_err(unmappable)?;
            let gray = to.plane_data_mut(0).map_err(unmappable)?;
            for (from, to) in pixels.chunks(stride).zip(gray.chunks_mut(to_stride)) {
                let alphas = from.iter().skip(offset).step_by(step).take(row_length);
                for (to, alpha) in to.iter_mut().zip(alphas) {
                    *to = *alpha;
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
