// SPDX-License-Identifier: MIT

//! Pad templates, and what caps become on the other side: pure functions.

use std::cmp::Ordering;

use gst_video::VideoFormat;

use super::video::{self, pixel_format, video_format};
use crate::matting::frame::pixel_format::{Family, PixelFormat};
use crate::matting::prelude::Output;

/// Fields that hold only for the colours they come with.
const COLOR_FIELDS: [&str; 2] = ["colorimetry", "chroma-site"];

/// Every format that comes in, and that goes out, whatever the settings. Samples of 16 bits are read as the
/// machine's own, and are all little-endian.
fn formats() -> impl Iterator<Item = PixelFormat> {
    let is_known =
        |format: &PixelFormat| cfg!(target_endian = "little") || format.sample_bytes() == 1;
    PixelFormat::ALL.into_iter().filter(is_known)
}

fn template(formats: impl Iterator<Item = PixelFormat>) -> gst::Caps {
    gst_video::VideoCapsBuilder::new().format_list(formats.map(video_format)).build()
}

/// Caps of the sink pad's template.
pub fn sink_template() -> gst::Caps {
    template(formats())
}

/// Caps of the source pad's template.
pub fn src_template() -> gst::Caps {
    template(formats())
}

/// What `caps` on the pad of `direction` may become on the other, the cheapest first: for each structure
/// one with the formats that keep its colours as they are, and one with the rest. Linear in the
/// structures, and in their order.
pub fn transform(direction: gst::PadDirection, caps: &gst::Caps, output: Output) -> gst::Caps {
    let mut transformed = gst::Caps::new_empty();
    let across = transformed.make_mut();
    for (structure, features) in caps.iter_with_features() {
        let Some(structure) = &stacked(structure, direction, output) else { continue };
        let mut keeping = Vec::new();
        let mut converting = Vec::new();
        for format in formats_of(structure) {
            for other in counterparts(direction, format, output) {
                if !divides(structure, direction, output, [format, other]) {
                    continue;
                }
                let list = if keeps_colors(format, other, output) {
                    &mut keeping
                } else {
                    &mut converting
                };
                if !list.contains(&other) {
                    list.push(other);
                }
            }
        }
        let has_colors = COLOR_FIELDS.iter().any(|&field| structure.has_field(field));
        if !has_colors {
            // They differ in nothing but their order.
            converting.retain(|format| !keeping.contains(format));
            keeping.append(&mut converting);
        }
        for (formats, keeps) in [(keeping, true), (converting, false)] {
            if formats.is_empty() {
                continue;
            }
            let mut structure = structure.to_owned();
            if !keeps {
                structure.remove_fields(COLOR_FIELDS);
            }
            set_formats(&mut structure, &formats);
            across.append_structure_full(structure, Some(features.to_owned()));
        }
    }
    transformed
}

/// A structure with the height of the other side; none where no height fits.
fn stacked(
    structure: &gst::StructureRef,
    direction: gst::PadDirection,
    output: Output,
) -> Option<gst::Structure> {
    let mut structure = structure.to_owned();
    let pictures = i32::try_from(output.pictures()).ok().filter(|&pictures| pictures > 1);
    let (Some(pictures), true) = (pictures, structure.has_field("height")) else {
        return Some(structure);
    };
    let leaves = direction == gst::PadDirection::Sink;
    let other = |height: i32| match leaves {
        true => height.checked_mul(pictures),
        false => (height % pictures == 0).then_some(height / pictures),
    };
    if let Ok(height) = structure.get::<i32>("height") {
        structure.set("height", other(height)?);
    } else if let Ok(range) = structure.get::<gst::IntRange<i32>>("height") {
        let (least, most) = match leaves {
            true => {
                let most = range.max().saturating_mul(pictures);
                (range.min().saturating_mul(pictures), most - most % pictures)
            }
            false => {
                let least = range.min().max(1).saturating_add(pictures - 1);
                (least / pictures, range.max() / pictures)
            }
        };
        let step = if leaves { pictures } else { 1 };
        match least.cmp(&most) {
            Ordering::Less => {
                structure.set("height", gst::IntRange::with_step(least, most, step));
            }
            Ordering::Equal => structure.set("height", least),
            Ordering::Greater => return None,
        }
    } else if let Ok(list) = structure.get::<gst::List>("height") {
        let heights = list.iter().filter_map(|height| other(height.get().ok()?));
        structure.set("height", gst::List::new(heights));
    }
    Some(structure)
}

/// Whether pictures of the height that `structure`, of the other side by now, tells can lie below each other
/// in the format on the side where they do.
fn divides(
    structure: &gst::StructureRef,
    direction: gst::PadDirection,
    output: Output,
    [format, other]: [PixelFormat; 2],
) -> bool {
    let Ok(height) = structure.get::<i32>("height") else { return true };
    let Ok(height) = usize::try_from(height) else { return false };
    match direction {
        gst::PadDirection::Sink => output.divides(other, height / output.pictures()),
        _ => output.divides(format, height),
    }
}

fn set_formats(structure: &mut gst::Structure, formats: &[PixelFormat]) {
    let name = |format: &PixelFormat| video_format(*format).to_str();
    match formats {
        [format] => structure.set("format", name(format)),
        formats => structure.set("format", gst::List::new(formats.iter().map(name))),
    }
}

/// Whether colours are handed on as they are from one format to the other, so that what is said of them
/// stays true: the same format, or planes of the same sizes.
fn keeps_colors(format: PixelFormat, other: PixelFormat, output: Output) -> bool {
    let are_alike = format == other || format.has_planes_of(other) || other.has_planes_of(format);
    output != Output::Alpha && are_alike
}

/// The formats across the element, the cheapest first.
fn counterparts(
    direction: gst::PadDirection,
    format: PixelFormat,
    output: Output,
) -> Vec<PixelFormat> {
    match direction {
        gst::PadDirection::Sink => output.formats(format),
        _ => {
            let mut sinks: Vec<_> =
                formats().filter(|&sink| output.formats(sink).contains(&format)).collect();
            // The same format first, as it costs least.
            sinks.sort_by_key(|&sink| sink != format);
            sinks
        }
    }
}

/// The formats that a structure allows.
fn formats_of(structure: &gst::StructureRef) -> Vec<PixelFormat> {
    let known = |name: &str| pixel_format(VideoFormat::from_string(name));
    if let Ok(name) = structure.get::<&str>("format") {
        return known(name).into_iter().collect();
    }
    match structure.get::<gst::List>("format") {
        Ok(list) => list.iter().filter_map(|value| known(value.get::<&str>().ok()?)).collect(),
        Err(_) => formats().collect(),
    }
}

/// Whether caps that come in can become, as an output, something of what is taken downstream.
pub fn suits(taken: &gst::Caps, caps: &gst::Caps, output: Output) -> bool {
    taken.can_intersect(&transform(gst::PadDirection::Sink, caps, output))
}

/// What caps name that is never matted, and what to put before the element for that.
pub fn refusal(caps: &gst::CapsRef) -> Option<String> {
    let (structure, features) = caps.iter_with_features().next()?;
    let before = |what: &str, element: &str| {
        Some(format!("{what} not matted; put {element} before davidmatte"))
    };
    if structure.name() != "video/x-raw" {
        return before(&format!("{} is", structure.name()), "the element decodebin");
    }
    if features.contains("format:Interlaced") {
        return before("Interlaced frames are", "the element deinterlace");
    }
    let mut others = features.iter().filter(|feature| {
        feature.starts_with("memory:") && *feature != gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY
    });
    if let Some(memory) = others.next() {
        let element = "an element that brings them to the system's memory, such as gldownload, cudadownload or nvvidconv,";
        return before(&format!("Frames in {memory} are"), element);
    }
    let format = structure.get::<&str>("format").ok()?;
    let is_known = formats_of(structure).iter().any(|known| formats().any(|own| own == *known));
    if is_known {
        return None;
    }
    before(&format!("Frames of the format {format} are"), "the element videoconvert")
}

/// Chooses what is left open in `other`, which `caps` on the pad of `direction` become: the first
/// format, and the colorimetry and place of chroma that keep the colours' meaning, unless they are meant anyway.
pub fn fixate(direction: gst::PadDirection, caps: &gst::Caps, mut other: gst::Caps) -> gst::Caps {
    other.truncate();
    other.fixate();
    let (Some(info), Some(other_info)) = (video::info(caps), video::info(&other)) else {
        return other;
    };
    let has = |field: &str| other.structure(0).is_some_and(|s| s.has_field(field));
    let (has_colorimetry, has_site) = (has("colorimetry"), has("chroma-site"));
    if direction != gst::PadDirection::Sink || has_colorimetry {
        return other;
    }
    let Some(colorimetry) = converted_colorimetry(&info, &other_info) else { return other };
    let site = info.chroma_site();
    // Whoever tells colours has to tell where chroma lies as well, else nobody takes what is usual at that height.
    let keeps_site = is_subsampled(&info) && is_subsampled(&other_info);
    let moves_site = keeps_site && site != other_info.chroma_site();
    if colorimetry == other_info.colorimetry() && !moves_site {
        return other;
    }
    let told = other.make_mut();
    told.set("colorimetry", colorimetry.to_string());
    if keeps_site && !has_site && !site.is_empty() {
        told.set("chroma-site", site.to_str());
    }
    other
}

/// Whether chroma has fewer samples than luma, which lie somewhere between them.
fn is_subsampled(info: &gst_video::VideoInfo) -> bool {
    let format = info.format_info();
    format.w_sub().iter().chain(format.h_sub()).any(|shift| *shift > 0)
}

/// The colorimetry of an output: the frame's primaries and transfer function; of matrix and range
/// too, where both are YUV, or else what the output's family has by default.
fn converted_colorimetry(
    from: &gst_video::VideoInfo,
    to: &gst_video::VideoInfo,
) -> Option<gst_video::VideoColorimetry> {
    let (from_family, to_family) =
        (pixel_format(from.format())?.family(), pixel_format(to.format())?.family());
    if to_family == Family::Gray {
        return None;
    }
    let source = from.colorimetry();
    let basis = if from_family == to_family { source } else { to.colorimetry() };
    Some(gst_video::VideoColorimetry::new(
        basis.range(),
        basis.matrix(),
        source.transfer(),
        source.primaries(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        text.parse().unwrap()
    }

    fn formats_in(caps: &gst::Caps) -> Vec<String> {
        caps.iter()
            .flat_map(formats_of)
            .map(|format| video_format(format).to_str().to_string())
            .collect()
    }

    #[test]
    fn a_composite_prefers_the_format_that_came() {
        let sink = caps("video/x-raw, format=I420, width=64, height=48, colorimetry=bt601");
        let src = transform(gst::PadDirection::Sink, &sink, Output::Composite);
        let first = src.structure(0).unwrap();
        assert_eq!(first.get::<&str>("format"), Ok("I420"));
        assert_eq!(first.get::<&str>("colorimetry"), Ok("bt601"));
        assert!(formats_in(&src).contains(&"BGRx".into()));
        let rgb = src.structure(1).unwrap();
        assert!(!rgb.has_field("colorimetry") && rgb.get::<i32>("width") == Ok(64));
    }

    #[test]
    fn every_offer_is_accepted_from_the_other_side() {
        for output in [Output::Composite, Output::Cutout, Output::Alpha, Output::KeyFill] {
            for sink in formats() {
                let sink = caps(&format!("video/x-raw, format={}", video_format(sink).to_str()));
                let offered = transform(gst::PadDirection::Sink, &sink, output);
                for index in 0..offered.size() {
                    let mut one = gst::Caps::new_empty();
                    let structure = offered.structure(index).unwrap().to_owned();
                    one.make_mut().append_structure(structure);
                    let back = transform(gst::PadDirection::Src, &one, output);
                    assert!(back.can_intersect(&sink), "{output:?}: {one} from {sink}");
                }
            }
        }
    }

    #[test]
    fn what_is_never_matted_is_told_with_what_helps() {
        for (text, word) in [
            ("image/jpeg", "decodebin"),
            ("video/x-raw(memory:NVMM), format=NV12", "memory:NVMM"),
            ("video/x-raw(memory:GLMemory), format=RGBA", "gldownload"),
            (
                "video/x-raw(format:Interlaced), format=I420, interlace-mode=alternate",
                "deinterlace",
            ),
            ("video/x-raw, format=RGB16", "videoconvert"),
        ] {
            let refusal = refusal(&caps(text)).unwrap_or_default();
            assert!(refusal.contains(word), "{text}: {refusal}");
        }
        for text in [
            "video/x-raw, format=I420",
            "video/x-raw(memory:SystemMemory), format=RGB",
            "video/x-raw(meta:GstVideoOverlayComposition), format=RGB",
        ] {
            assert_eq!(refusal(&caps(text)), None);
        }
    }

    #[test]
    fn fill_and_key_have_twice_the_height() {
        let height = |caps: &gst::Caps| {
            let structure = caps.structure(0)?;
            structure.value("height").ok().cloned()
        };
        let across = |direction, text: &str| transform(direction, &caps(text), Output::KeyFill);
        let (sink, src) = (gst::PadDirection::Sink, gst::PadDirection::Src);
        let twice = across(sink, "video/x-raw, format=I420, width=64, height=48");
        assert_eq!(height(&twice).unwrap().get::<i32>(), Ok(96));
        assert_eq!(formats_in(&twice), ["I420", "BGRx"]);
        let half = across(src, "video/x-raw, format=BGRx, width=64, height=96");
        assert_eq!(height(&half).unwrap().get::<i32>(), Ok(48));
        // Rows of chroma cannot be shared by a fill and its key.
        assert_eq!(formats_in(&across(sink, "video/x-raw, format=I420, height=47")), ["BGRx"]);
        assert!(across(src, "video/x-raw, format=I420, height=94").is_empty());
        assert!(across(src, "video/x-raw, format=BGRx, height=47").is_empty());
        let any = across(sink, "video/x-raw, format=I420, height=[ 1, 2147483647 ]");
        let range = height(&any).unwrap().get::<gst::IntRange<i32>>().unwrap();
        assert_eq!((range.min(), range.max(), range.step()), (2, i32::MAX - 1, 2));
        let back = across(src, "video/x-raw, format=I420, height=[ 3, 9 ]");
        let range = height(&back).unwrap().get::<gst::IntRange<i32>>().unwrap();
        assert_eq!((range.min(), range.max()), (2, 4));
        let one = across(src, "video/x-raw, format=I420, height=[ 7, 8 ]");
        assert_eq!(height(&one).unwrap().get::<i32>(), Ok(4));
    }

    #[test]
    fn what_is_deep_stays_deep_and_keeps_what_is_told_of_its_light() {
        let told = "mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:1, \
                    content-light-level=(string)1000:400";
        let sink = caps(&format!(
            "video/x-raw, format=P010_10LE, width=64, height=48, colorimetry=bt2100-pq, {told}"
        ));
        for output in [Output::Composite, Output::Cutout, Output::Alpha, Output::KeyFill] {
            let src = transform(gst::PadDirection::Sink, &sink, output);
            for structure in src.iter() {
                for field in ["mastering-display-info", "content-light-level"] {
                    let sink = sink.structure(0).unwrap();
                    assert_eq!(structure.get::<&str>(field), sink.get::<&str>(field));
                }
            }
            if output != Output::Alpha {
                let is_deep = |name: &String| name.contains("10LE") || name.contains("64");
                assert!(formats_in(&src).iter().all(is_deep), "{src}");
            }
            let fixed = fixate(gst::PadDirection::Sink, &sink, src);
            let info = gst_video::VideoInfo::from_caps(&fixed).unwrap();
            if info.is_yuv() {
                assert_eq!(info.colorimetry().to_string(), "bt2100-pq");
            }
        }
    }

    #[test]
    fn rgb_from_video_keeps_its_transfer_function() {
        let sink = caps(
            "video/x-raw, format=I420, width=64, height=48, framerate=30/1, colorimetry=bt709",
        );
        let src = transform(gst::PadDirection::Sink, &sink, Output::Cutout);
        let rgba = src.intersect(&caps("video/x-raw, format=RGBA"));
        let fixed = fixate(gst::PadDirection::Sink, &sink, rgba);
        let info = gst_video::VideoInfo::from_caps(&fixed).unwrap();
        let colorimetry = info.colorimetry();
        assert_eq!(colorimetry.transfer(), gst_video::VideoTransferFunction::Bt709);
        assert_eq!(colorimetry.matrix(), gst_video::VideoColorMatrix::Rgb);
        assert_eq!(colorimetry.range(), gst_video::VideoColorRange::Range0_255);
    }
}
