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
    use gst_video::{
        VideoFormat, VideoFormatFlags, VideoFormatInfo, VideoFrameExt, VideoFrameRef, VideoInfo,
    };

    use crate::filters::{self, GRAYS};

    /// The formats of cut-outs.
    const CUTOUTS: [VideoFormat; 8] = [
        VideoFormat::Ayuv,
        VideoFormat::Bgra,
        VideoFormat::Rgba,
        VideoFormat::A42010le,
        VideoFormat::A42210le,
        VideoFormat::A44410le,
        VideoFormat::Argb64,
        VideoFormat::Rgba64Le,
    ];
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
                filters::metadata("Alpha only", "Lets only the alpha of frames through, as gray")
            });
            Some(&*METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                filters::templates(&filters::formats(&CUTOUTS), &filters::formats(&GRAYS))
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
            Some(filters::transformed(caps, filter, |structure| match direction {
                gst::PadDirection::Sink => others(structure, CUTOUTS, GRAYS),
                _ => others(structure, GRAYS, CUTOUTS),
            }))
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
            let (plane, depth) = (from.comp_plane(ALPHA), from.comp_depth(ALPHA));
            let is_big = !from.info().format_info().flags().contains(VideoFormatFlags::LE);
            let pixels = from.plane_data(plane).map_err(unmappable)?;
            let gray = to.plane_data_mut(0).map_err(unmappable)?;
            for (from, to) in pixels.chunks(stride).zip(gray.chunks_mut(to_stride)) {
                if depth == 8 {
                    let alphas = from.iter().skip(offset).step_by(step).take(row_length);
                    to.iter_mut().zip(alphas).for_each(|(to, alpha)| *to = *alpha);
                    continue;
                }
                let pixels = from[offset..].chunks(step).take(row_length);
                for (to, pixel) in to.as_chunks_mut().0.iter_mut().zip(pixels) {
                    let &[a, b, ..] = pixel else { break };
                    let code = if is_big { [b, a] } else { [a, b] };
                    *to = widened(u16::from_le_bytes(code), depth).to_le_bytes();
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// Lets a structure offer the formats that its own become, of `from` and `to`, by depth.
    fn others<const N: usize, const M: usize>(
        structure: &mut gst::StructureRef,
        from: [VideoFormat; N],
        to: [VideoFormat; M],
    ) {
        let is_deep = |format: &VideoFormat| VideoFormatInfo::from_format(*format).depth()[0] > 8;
        let own = gst::Caps::builder_full().structure(structure.to_owned()).build();
        let offered = |deep: bool| {
            from.iter().filter(|format| is_deep(format) == deep).any(|format| {
                let one = gst::Caps::builder("video/x-raw").field("format", format.to_str());
                own.can_intersect(&one.build())
            })
        };
        let [narrow, wide] = [offered(false), offered(true)];
        let formats = to.iter().filter(|format| if is_deep(format) { wide } else { narrow });
        let formats: Vec<_> = formats.map(|format| format.to_str().as_str()).collect();
        structure.set("format", gst::List::new(formats));
    }

    /// A code of `depth` bits in 16.
    fn widened(code: u16, depth: u32) -> u16 {
        let shifted = code << (16 - depth);
        shifted | shifted.checked_shr(depth).unwrap_or(0)
    }
}
