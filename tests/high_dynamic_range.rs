//! PQ and HLG: what the network sees, what leaves, and where colours of standard range land.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Filter, caps, info, picture, samples};

const TOLD: &str = "mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:1,\
                    content-light-level=(string)1000:400";

fn video(format: &str, colorimetry: &str) -> gst::Caps {
    caps(&format!(
        "video/x-raw,format={format},width=18,height=8,framerate=25/1,colorimetry={colorimetry},{TOLD}"
    ))
}

/// SMPTE ST 2084: the signal of so many cd/m².
fn pq(light: f64) -> f64 {
    let power = (light / 10_000.0).powf(2610.0 / 16384.0);
    let over = 3424.0 / 4096.0 + 2413.0 / 128.0 * power;
    (over / (1.0 + 2392.0 / 128.0 * power)).powf(2523.0 / 32.0)
}

/// ARIB STD-B67, on a display of 1000 cd/m²: the signal of a gray of so many.
fn hlg(light: f64) -> f64 {
    let scene = (light / 1000.0).powf(1.0 / 1.2);
    if scene <= 1.0 / 12.0 {
        (3.0 * scene).sqrt()
    } else {
        0.178_832_77 * (12.0 * scene - 0.284_668_92).ln() + 0.559_910_73
    }
}

fn signal(colorimetry: &str, light: f64) -> f64 {
    if colorimetry == "bt2100-pq" { pq(light) } else { hlg(light) }
}

/// The light of a gray of sRGB, whose white is the reference white.
fn light(srgb: f64) -> f64 {
    203.0 * ((srgb + 0.055) / 1.055).powf(2.4)
}

/// The nearest 8-bit code of luma in limited range.
fn luma(signal: f64) -> u8 {
    (16.0 + 219.0 * signal).round() as u8
}

#[test]
fn the_network_sees_a_face_as_in_standard_range() {
    for colorimetry in ["bt2100-pq", "bt2100-hlg"] {
        for format in ["P010_10LE", "I420_10LE", "v210", "Y444_12LE"] {
            let sink = video(format, colorimetry);
            let mut filter = Filter::luma(&[("output", "alpha")]);
            filter.negotiate(&sink, "video/x-raw,format=GRAY8");
            for srgb in [0.2f64, 0.45, 0.7] {
                let code = luma(signal(colorimetry, light(srgb)));
                let frame = picture(&sink, |c, _, _| if c == 0 { code } else { 128 });
                let matte = filter.matte(frame).remove(0);
                let off = matte.iter().map(|&m| (f64::from(m) / 255.0 - srgb).abs());
                let off = off.fold(0.0, f64::max);
                // A code of 8 bits is coarse for PQ.
                assert!(off < 0.025, "{format} {colorimetry}: {srgb} is off by {off}");
            }
        }
    }
}

#[test]
fn what_leaves_keeps_its_colours_and_what_is_told_of_them() {
    for colorimetry in ["bt2100-pq", "bt2100-hlg"] {
        for (output, src) in
            [("composite", "P010_10LE"), ("cutout", "A420_10LE"), ("cutout", "ARGB64")]
        {
            let sink = video("P010_10LE", colorimetry);
            let mut filter = Filter::luma(&[("output", output)]);
            filter.negotiate(&sink, &format!("video/x-raw,format={src}"));
            filter.push(picture(&sink, |_, _, _| 128));
            let left = filter.src_caps();
            let structure = left.structure(0).unwrap();
            for field in ["mastering-display-info", "content-light-level"] {
                let came = sink.structure(0).unwrap().get::<&str>(field);
                assert_eq!(structure.get::<&str>(field), came, "{output} as {src}");
            }
            let (came, left) = (info(&sink).colorimetry(), info(&left).colorimetry());
            assert_eq!(left.transfer(), came.transfer());
            assert_eq!(left.primaries(), came.primaries());
        }
    }
}

#[test]
fn white_behind_the_person_is_the_reference_white() {
    for colorimetry in ["bt2100-pq", "bt2100-hlg"] {
        let sink = video("P010_10LE", colorimetry);
        let mut filter = Filter::luma(&[("background-color", "0xffffffff")]);
        filter.negotiate(&sink, "video/x-raw,format=P010_10LE");
        // Black, so that all is background.
        let out = filter.push(picture(&sink, |c, _, _| if c == 0 { 16 } else { 128 }));
        let out = samples(&out, &filter.src_caps());
        let want = 64.0 + 876.0 * signal(colorimetry, 203.0);
        for luma in out[0].as_chunks().0 {
            let code = f64::from(u16::from_ne_bytes(*luma) >> 6);
            assert!((code - want).abs() < 2.5, "{colorimetry}: {code}, not {want}");
        }
    }
}
