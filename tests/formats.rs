//! Every format that comes in, as every format that may leave.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{
    Filter, Noise, alpha_of, caps, embedded, fixture, info, init, picture, samples, video, video_in,
};
use gst::prelude::*;
use gst_check::Harness;

const YUV: [&str; 11] =
    ["I420", "YV12", "NV12", "NV21", "NV16", "YUY2", "UYVY", "Y42B", "Y444", "AYUV", "A420"];
const RGB: [&str; 10] =
    ["RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR"];

/// Of more than 8 bits.
const DEEP_YUV: [&str; 15] = [
    "I420_10LE",
    "I422_10LE",
    "Y444_10LE",
    "P010_10LE",
    "A420_10LE",
    "A422_10LE",
    "A444_10LE",
    "v210",
    "Y210",
    "Y410",
    "UYVP",
    "I420_12LE",
    "I422_12LE",
    "Y444_12LE",
    "P012_LE",
];
const DEEP_RGB: [&str; 4] = ["GBR_10LE", "GBRA_10LE", "ARGB64", "RGBA64_LE"];

fn sink_formats() -> impl Iterator<Item = &'static str> {
    YUV.into_iter().chain(RGB).chain(["GRAY8"]).chain(deep_formats())
}

fn deep_formats() -> impl Iterator<Item = &'static str> {
    DEEP_YUV.into_iter().chain(DEEP_RGB).chain(["GRAY16_LE"])
}

/// A width, odd where frames of the format can be so: GStreamer's rows of UYVP do not hold a last pixel alone.
fn width_of(format: &str, odd: usize) -> usize {
    if format == "UYVP" { odd + 1 } else { odd }
}

fn is_deep(format: &str) -> bool {
    deep_formats().any(|deep| deep == format)
}

/// The planes with alpha that a deep frame's are handed on in.
fn with_alpha(sink: &str) -> Option<&'static str> {
    Some(match sink {
        "I420_10LE" | "P010_10LE" | "A420_10LE" => "A420_10LE",
        "I422_10LE" | "A422_10LE" | "v210" | "Y210" | "UYVP" => "A422_10LE",
        "Y444_10LE" | "A444_10LE" | "Y410" => "A444_10LE",
        "GBR_10LE" | "GBRA_10LE" => "GBRA_10LE",
        _ => return None,
    })
}

/// What interface.md promises for a sink format.
fn src_formats(output: &str, sink: &'static str) -> Vec<&'static str> {
    match output {
        "alpha" if is_deep(sink) => {
            let deep = ["GRAY16_LE", "I420_10LE", "I422_10LE", "P010_10LE", "v210"];
            deep.into_iter().chain(["GRAY8", "I420", "NV12", "YUY2", "BGRx"]).collect()
        }
        "composite" if is_deep(sink) && !sink.ends_with("64") && sink != "RGBA64_LE" => {
            vec![sink, "ARGB64", "RGBA64_LE"]
        }
        _ if is_deep(sink) => with_alpha(sink)
            .filter(|_| output == "cutout")
            .into_iter()
            .chain(["ARGB64", "RGBA64_LE"])
            .collect(),
        "composite" if RGB.contains(&sink) => RGB.to_vec(),
        "composite" => [sink].into_iter().chain(RGB).collect(),
        "cutout" if ["I420", "YV12", "NV12", "NV21", "A420"].contains(&sink) => {
            vec!["RGBA", "BGRA", "ARGB", "ABGR", "AYUV", "A420"]
        }
        "cutout" => vec!["RGBA", "BGRA", "ARGB", "ABGR", "AYUV"],
        _ => vec!["GRAY8", "GRAY16_LE", "I420", "NV12", "YUY2", "BGRx"],
    }
}

/// BT.601: limited-range codes of an 8-bit RGB colour.
fn to_yuv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    let code = |middle: f64, span: f64, value: f64| middle + span * value / 255.0;
    [code(16.0, 219.0, y), code(128.0, 224.0, (b - y) / 1.772), code(128.0, 224.0, (r - y) / 1.402)]
}

fn to_rgb([y, u, v]: [f64; 3]) -> [f64; 3] {
    let y = (y - 16.0) / 219.0 * 255.0;
    let (u, v) = ((u - 128.0) / 224.0 * 255.0, (v - 128.0) / 224.0 * 255.0);
    let (r, b) = (y + 1.402 * v, y + 1.772 * u);
    [r, (y - 0.299 * r - 0.114 * b) / 0.587, b]
}

fn luma([r, g, b]: [f64; 3]) -> f64 {
    0.299 * r + 0.587 * g + 0.114 * b
}

enum Family {
    Gray,
    Rgb,
    Yuv,
}

fn family(format: &str) -> Family {
    match format {
        _ if YUV.contains(&format) || DEEP_YUV.contains(&format) => Family::Yuv,
        _ if format.starts_with("GRAY") => Family::Gray,
        _ => Family::Rgb,
    }
}

const PERSON: [f64; 3] = [200.0, 90.0, 40.0];
const BACKGROUND: [f64; 3] = [20.0, 60.0, 220.0];

/// The sample values of an opaque colour in a format, and the colour that they mean, which
/// rounding makes another.
fn encode(format: &str, color: [f64; 3]) -> ([u8; 4], [f64; 3]) {
    let round = |codes: [f64; 3]| codes.map(f64::round);
    let (codes, meant) = match family(format) {
        Family::Rgb => (color, color),
        Family::Yuv => (round(to_yuv(color)), to_rgb(round(to_yuv(color)))),
        Family::Gray => {
            let gray = luma(color).round();
            ([gray; 3], [gray; 3])
        }
    };
    let [a, b, c] = codes.map(|code| code as u8);
    ([a, b, c, 255], meant)
}

/// What every sample of the output should be.
fn expected(output: &str, format: &str, color: [f64; 3], opacity: f64) -> Vec<f64> {
    let codes = |color: [f64; 3], alpha: f64| {
        let [a, b, c] = match family(format) {
            Family::Rgb => color,
            Family::Yuv => to_yuv(color),
            Family::Gray => [luma(color); 3],
        };
        vec![a, b, c, alpha]
    };
    match output {
        "composite" => {
            let mixed: [f64; 3] =
                std::array::from_fn(|i| opacity * color[i] + (1.0 - opacity) * BACKGROUND[i]);
            codes(mixed, 255.0)
        }
        "cutout" => codes(color, 255.0 * opacity),
        _ => codes([255.0 * opacity; 3], 255.0),
    }
}

/// Uniform frames, so that every pixel has one right value whatever the size: a matte of luma
/// over a background, in every format.
fn check_all(output: &str) {
    let mut filter = Filter::luma(&[("output", output), ("background-color", "0xff143cdc")]);
    for sink in sink_formats() {
        for (width, height) in [(1, 1), (2, 2), (3, 5), (17, 9)] {
            let width = if width % 2 == 1 { width_of(sink, width) } else { width };
            let sink_caps = video(sink, width, height);
            let (codes, color) = encode(sink, PERSON);
            let opacity = luma(color) / 255.0;
            for src in src_formats(output, sink) {
                filter.negotiate(&sink_caps, &format!("video/x-raw,format={src}"));
                let out = filter.matte(picture(&sink_caps, |c, _, _| codes[c]));
                let case = format!("{output} of {sink} {width}x{height} as {src}");
                assert_eq!(filter.format(), src, "{case}");
                let src_info = info(&filter.src_caps());
                assert_eq!(
                    (src_info.width(), src_info.height()),
                    (width as u32, height as u32),
                    "{case}"
                );
                let values = expected(output, src, color, opacity);
                for (component, (samples, value)) in out.iter().zip(values).enumerate() {
                    check_samples(&case, src, component, samples, value);
                }
            }
        }
    }
    assert_eq!(filter.messages(), []);
}

fn check_samples(case: &str, format: &str, component: usize, samples: &[u8], value: f64) {
    // Opacity, background and blend each round by up to half a code, and conversion by one.
    const TOLERANCE: f64 = 2.5;
    let value = value.clamp(0.0, 255.0);
    assert!(!samples.is_empty(), "{case}");
    if (format, component) == ("Y410", 3) {
        // All of two bits.
        return assert!(
            value > 254.0 && samples.iter().skip(1).step_by(2).all(|&byte| byte == 0xc0)
        );
    }
    let widened: Vec<f64> = match is_deep(format) {
        true => samples
            .chunks_exact(2)
            .map(|b| f64::from(u16::from_ne_bytes([b[0], b[1]])) / 256.0)
            .collect(),
        false => samples.iter().map(|sample| f64::from(*sample)).collect(),
    };
    for sample in widened {
        assert!(
            (sample - value).abs() <= TOLERANCE,
            "{case}: component {component} is {sample}, not {value:.1}"
        );
    }
}

/// What the tests here go through is all that is offered.
#[test]
fn what_is_offered_is_what_is_tested() {
    for output in ["composite", "cutout", "alpha"] {
        let mut filter = Filter::luma(&[("output", output)]);
        for sink in sink_formats() {
            filter.harness.set_src_caps(video(sink, 16, 16));
            let offered = filter.element.static_pad("src").unwrap().query_caps(None);
            for src in sink_formats() {
                assert_eq!(
                    offered.can_intersect(&caps(&format!("video/x-raw,format={src}"))),
                    src_formats(output, sink).contains(&src),
                    "{output} of {sink} as {src}"
                );
            }
        }
    }
}

#[test]
fn composites_of_every_format() {
    check_all("composite");
}

#[test]
fn cutouts_of_every_format() {
    check_all("cutout");
}

#[test]
fn mattes_of_every_format() {
    check_all("alpha");
}

/// A frame's own alpha is that of the person as well.
#[test]
fn transparent_frames_stay_transparent() {
    let deep = ["A420_10LE", "A422_10LE", "A444_10LE", "GBRA_10LE", "ARGB64", "RGBA64_LE"];
    for sink in ["RGBA", "BGRA", "ARGB", "ABGR", "AYUV", "A420"].into_iter().chain(deep) {
        let caps = video(sink, 17, 9);
        let (codes, color) = encode(sink, PERSON);
        let mut filter = Filter::luma(&[("output", "alpha")]);
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        let out = filter.matte(picture(&caps, |c, _, _| if c == 3 { 100 } else { codes[c] }));
        check_samples(sink, "GRAY8", 0, &out[0], luma(color) * 100.0 / 255.0);
    }
}

fn convert(from: &gst::Caps, to: &gst::Caps, frame: gst::Buffer) -> (gst::Buffer, gst::Caps) {
    let mut harness = Harness::new("videoconvert");
    harness.set_sink_caps(to.clone());
    harness.set_src_caps(from.clone());
    let out = harness.push_and_pull(frame).unwrap();
    let pad = harness.element().unwrap().static_pad("src").unwrap();
    (out, pad.current_caps().unwrap())
}

/// "Within 2/255 on 99.5 % of pixels of videoconvert-to-RGB followed by the same element", which
/// leaves room for another interpolation of chroma at edges, and for another rounding.
///
/// The conversion goes by way of ARGB64, where videoconvert calculates with 16 bits. Its shortcut
/// from 8 bits to 8 cuts off instead of rounding, and makes a picture 3.6 levels darker on average
/// than the one that it converted to YUV itself (GStreamer 1.22, limited range, every format); so the shortcut
/// is only required to be no nearer to that picture than the element.
fn check_against_videoconvert(format: &str, colorimetry: &str) {
    init();
    let (width, height) = (160, 120);
    let case = format!("{format} {colorimetry}");
    // Smooth in space, and with all of its chroma in motion.
    let wave = |c: usize, x: usize, y: usize| {
        let phase = 0.05 * x as f64 + 0.03 * y as f64 + 2.1 * c as f64;
        (128.0 + 100.0 * phase.sin()) as u8
    };
    let source = video("RGB", width, height);
    let to_yuv = video_in(format, width, height, colorimetry);
    let (frame, yuv) = convert(&source, &to_yuv, picture(&source, wave));
    let (deep, deep_caps) = convert(&yuv, &caps("video/x-raw,format=ARGB64"), frame.clone());
    let (rounded, rounded_caps) = convert(&deep_caps, &caps("video/x-raw,format=RGB"), deep);
    let (quick, quick_caps) = convert(&yuv, &caps("video/x-raw,format=RGB"), frame.clone());

    let model = fixture("luma.onnx");
    let own = alpha_of(&model, &yuv, frame);
    let reference = alpha_of(&model, &rounded_caps, rounded);
    assert_eq!(own.len(), width * height);
    let near = own.iter().zip(&reference).filter(|(a, b)| a.abs_diff(**b) <= 2).count();
    assert!(near * 1000 >= own.len() * 995, "{case}: only {near} of {} are near", own.len());

    let truth = alpha_of(&model, &source, picture(&source, wave));
    let error = |matte: &[u8]| -> u64 {
        matte.iter().zip(&truth).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    // From more bits there is no such shortcut.
    let quick = error(&alpha_of(&model, &quick_caps, quick));
    assert!(is_deep(format) || error(&own) <= quick, "{case}");
    let spread = truth.iter().max().unwrap() - truth.iter().min().unwrap();
    assert!(spread > 60, "{case}: a flat matte proves nothing");
}

#[test]
fn yuv_is_matted_as_videoconvert_would_show_it() {
    for format in YUV.into_iter().chain(DEEP_YUV) {
        // Limited BT.601, limited BT.709, limited BT.2020, and JPEG's full-range BT.601.
        for colorimetry in ["bt601", "bt709", "bt2020", "1:4:0:0"] {
            check_against_videoconvert(format, colorimetry);
        }
    }
}

/// Rubbish around the picture must not leak in, and the picture must not shift.
fn check_embedded(corner: (usize, usize)) {
    let mut noise = Noise::new(7);
    let table: Vec<u8> = (0..4096).map(|_| noise.next() as u8).collect();
    let value = |c: usize, x: usize, y: usize| table[(c * 1031 + y * 67 + x) % table.len()];
    for output in ["composite", "cutout", "alpha"] {
        let mut filter = Filter::luma(&[("output", output)]);
        for sink in sink_formats() {
            let caps = video(sink, width_of(sink, 17), 9);
            for src in src_formats(output, sink) {
                filter.negotiate(&caps, &format!("video/x-raw,format={src}"));
                let tight = filter.matte(picture(&caps, value));
                let other = filter.push(embedded(&caps, corner, value));
                let crop = other.meta::<gst_video::VideoCropMeta>();
                assert!(crop.is_none(), "{output} of {sink} as {src}: the crop is done");
                let other = samples(&other, &filter.src_caps());
                assert!(tight == other, "{output} of {sink} as {src} from {corner:?}");
            }
        }
    }
}

#[test]
fn padding_makes_no_difference() {
    check_embedded((0, 0));
}

#[test]
fn a_crop_is_the_picture() {
    // Where groups of packed pixels begin as well.
    check_embedded((12, 2));
}

/// Also where downstream understands padded frames, so that planes are passed on as they are.
#[test]
fn padding_makes_no_difference_where_planes_are_shared() {
    for corner in [(0, 0), (4, 2)] {
        let value = |c: usize, x: usize, y: usize| (c * 90 + x * 9 + y * 5) as u8;
        let caps = video("I420", 17, 9);
        let mut filter = Filter::luma(&[("output", "cutout"), ("decontaminate", "false")]);
        filter.take_video_meta();
        filter.negotiate(&caps, "video/x-raw,format=A420");
        let tight = filter.matte(picture(&caps, value));
        let other = filter.push(embedded(&caps, corner, value));
        // The frame's memory and that of the alpha plane; a crop is copied.
        assert_eq!(other.n_memory(), if corner == (0, 0) { 2 } else { 1 });
        assert!(tight == samples(&other, &filter.src_caps()), "{corner:?}");
    }
}

/// One that begins within a group of more packed pixels cannot be taken.
#[test]
fn a_crop_within_packed_pixels_is_an_error_that_says_so() {
    let caps = video("v210", 16, 8);
    let mut filter = Filter::luma(&[]);
    filter.negotiate(&caps, "video/x-raw,format=v210");
    let frame = embedded(&caps, (4, 2), |_, _, _| 0);
    assert_eq!(filter.harness.push(frame), Err(gst::FlowError::Error));
    let messages = filter.messages();
    assert!(messages[0].1.message().contains("multiples of 6"), "{messages:?}");
}

/// Whatever is said of a buffer's rows, it is refused or read where its samples are.
#[test]
fn samples_at_odd_addresses_are_an_error_that_says_so() {
    let caps = video("I420_10LE", 16, 8);
    let mut filter = Filter::luma(&[]);
    filter.negotiate(&caps, "video/x-raw,format=I420_10LE");
    let mut frame = gst::Buffer::from_mut_slice(vec![0u8; 4096]);
    gst_video::VideoMeta::add_full(
        frame.make_mut(),
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::I42010le,
        16,
        8,
        &[0, 1000, 2000],
        &[33, 17, 17],
    )
    .unwrap();
    assert_eq!(filter.harness.push(frame), Err(gst::FlowError::Error));
    let messages = filter.messages();
    assert!(messages[0].1.matches(gst::StreamError::Format), "{messages:?}");
    assert!(messages[0].1.message().contains("odd"), "{messages:?}");
}

/// A matte of 1 is the frame, whatever its codes are.
#[test]
fn what_is_all_person_leaves_as_it_came() {
    for format in deep_formats() {
        let caps = video(format, 38, 10);
        let mut filter = Filter::luma(&[("until-ready", "passthrough"), ("threshold", "0.0001")]);
        filter.set("decontaminate", "false");
        filter.negotiate(&caps, &format!("video/x-raw,format={format}"));
        // As bright as can be at the left, where nobody doubts the matte, and any colour.
        let frame =
            picture(
                &caps,
                |c, x, y| if c == 3 { 255 } else { (100 + 7 * x + 3 * y + c) as u8 % 99 + 100 },
            );
        let kept = samples(&frame, &caps);
        let other = filter.push(frame);
        assert!(samples(&other, &filter.src_caps()) == kept, "{format}");
    }
}

/// A format that is not known is refused with a sentence that helps.
#[test]
fn an_unknown_format_is_refused_with_a_word_on_videoconvert() {
    let filter = Filter::luma(&[]);
    for format in ["I420_10BE", "Y444_16LE", "GRAY16_BE", "NV12_10LE32", "r210"] {
        let caps = caps(&format!("video/x-raw,format={format},width=16,height=8,framerate=25/1"));
        let pad = filter.element.static_pad("sink").unwrap();
        pad.send_event(gst::event::StreamStart::new("test"));
        assert!(!pad.send_event(gst::event::Caps::new(&caps)), "{format}");
        let messages = filter.messages();
        assert_eq!(messages.len(), 1, "{format}: {messages:?}");
        let text = messages[0].1.message();
        assert!(text.contains(format) && text.contains("videoconvert"), "{text}");
    }
}

/// What leaves of a bright picture that lost five rows at the top and `left` columns, by a filter's hands.
fn cropped(format: &str, left: usize, filter: &str) -> Vec<Vec<u8>> {
    let right = 4 - left;
    let pipeline = common::pipeline(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 ! \
         videobalance brightness=0.3 ! videoconvert ! video/x-raw,format={format} ! \
         videocrop left={left} right={right} top=5 bottom=3 ! {filter} ! appsink name=out"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let sample = sink.pull_sample().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    samples(sample.buffer().unwrap(), &sample.caps_owned().unwrap())
}

/// A crop that begins within a chroma sample has that for its first one, as where videocrop copies; of packed pairs
/// of pixels it begins with the pair.
#[test]
fn a_crop_between_chroma_samples_is_taken() {
    let model = fixture("luma.onnx");
    let ours = format!("davidmatte device=cpu model={model} threshold=0.0001 decontaminate=false");
    for (format, left) in [("I420", 3), ("NV12", 3), ("Y42B", 3), ("YUY2", 2), ("UYVY", 2)] {
        let copied = cropped(format, left, "identity drop-allocation=true");
        assert!(cropped(format, 3, &ours) == copied, "{format}");
    }
}

fn address(buffer: &gst::BufferRef) -> usize {
    buffer.map_readable().unwrap().as_ptr() as usize
}

#[test]
fn a_composite_is_the_same_in_place_and_beside() {
    for sink in sink_formats() {
        let value = |c: usize, x: usize, y: usize| (c * 70 + x * 11 + y * 13) as u8;
        let caps = video(sink, width_of(sink, 41), 23);
        let mut filter = Filter::luma(&[("background", "checkerboard")]);
        filter.negotiate(&caps, &format!("video/x-raw,format={sink}"));

        let ours = picture(&caps, value);
        let before = address(&ours);
        let in_place = filter.push(ours);
        assert_eq!(address(&in_place), before, "{sink} is written in place");

        let shared = picture(&caps, value);
        let beside = filter.push(shared.clone());
        assert_ne!(address(&beside), address(&shared), "{sink}: what others hold is left alone");
        assert!(samples(&shared, &caps) == samples(&picture(&caps, value), &caps), "{sink}");
        let src = filter.src_caps();
        assert!(samples(&in_place, &src) == samples(&beside, &src), "{sink}");
        assert!(samples(&in_place, &src) != samples(&shared, &caps), "{sink} is composed");
    }
}

/// What caps say nothing of is what is usual at the frame's height; of 720 lines and more that is other than of 480.
#[test]
fn colours_that_caps_leave_open_are_kept() {
    for format in ["I420", "YV12", "NV12", "I420_10LE"] {
        for (width, height) in [(32, 480), (32, 576), (32, 720), (16, 1080)] {
            let open = format!("video/x-raw,format={format},width={width},height={height}");
            for output in ["composite", "cutout", "alpha", "key-fill"] {
                let mut filter = Filter::luma(&[("output", output)]);
                let sink = caps(&format!("{open},framerate=25/1,pixel-aspect-ratio=1/1"));
                filter.negotiate(&sink, "video/x-raw");
                let out = filter.push(picture(&sink, |c, x, y| (100 + c + x + y) as u8));
                let (from, to) = (info(&sink), info(&filter.src_caps()));
                assert_eq!(out.size(), to.size(), "{open} as {output}");
                if to.is_yuv() {
                    assert_eq!(to.colorimetry(), from.colorimetry(), "{open} as {output}");
                }
                if to.format() == from.format() && output == "composite" {
                    assert_eq!(to, from, "{open}");
                }
                if to.format_info().w_sub().iter().any(|shift| *shift > 0) {
                    assert_eq!(to.chroma_site(), from.chroma_site(), "{open} as {output}");
                }
            }
        }
    }
}

/// Whoever does not ask where planes lie goes by caps.
#[test]
fn planes_lie_where_caps_say_for_whoever_does_not_ask() {
    for format in ["I420", "NV12", "YUY2", "RGB", "I420_10LE"] {
        for nothing_changes in [false, true] {
            let radius = if nothing_changes { "0" } else { "0.05" };
            let settings =
                [("background", "blur"), ("blur-radius", radius), ("until-ready", "passthrough")];
            let caps = video(format, 38, 10);
            let value = |c: usize, x: usize, y: usize| (90 + 20 * c + 3 * x + 5 * y) as u8;
            let out = |takes_meta: bool| {
                let mut filter = Filter::luma(&settings);
                if takes_meta {
                    filter.take_video_meta();
                }
                filter.negotiate(&caps, &format!("video/x-raw,format={format}"));
                (filter.push(embedded(&caps, (0, 0), value)), filter.src_caps())
            };
            let ((plain, caps), (asked, _)) = (out(false), out(true));
            assert_eq!(plain.size(), info(&caps).size(), "{format}");
            let mut bare = gst::Buffer::from_slice(plain.map_readable().unwrap().to_vec());
            assert!(bare.get_mut().unwrap().meta::<gst_video::VideoMeta>().is_none());
            assert!(samples(&bare, &caps) == samples(&asked, &caps), "{format}, radius {radius}");
        }
    }
}
