//! Frames of more than 8 bits keep what they have, in every file that can hold it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use exr::prelude::{ReadChannels as _, ReadLayers as _, f16};
use gst::prelude::*;
use gst_video::VideoTransferFunction;

use crate::common::{caps, info, pipeline, run};
use crate::examples::failure_of;
use crate::files::*;

const WIDTH: usize = 1024;
const HEIGHT: usize = 32;

/// A film of two frames, in which luma is every code once and chroma the middle.
fn ramp(folder: &Folder, format: &str, colorimetry: &str) -> PathBuf {
    let input = folder.path(&format!("{format}-{colorimetry}.mkv"));
    let text = format!(
        "video/x-raw,format={format},width={WIDTH},height={HEIGHT},framerate=24/1,\
         colorimetry={colorimetry}"
    );
    let writer = pipeline(&format!(
        "appsrc name=in format=time caps=\"{text}\" ! avenc_ffv1 ! matroskamux ! filesink name=file"
    ));
    writer.by_name("file").unwrap().set_property("location", &input);
    let source: gst_app::AppSrc = writer.by_name("in").unwrap().downcast().unwrap();
    let info = info(&caps(&text));
    let depth = info.comp_depth(0);
    for number in 0..2u64 {
        let picture = crate::common::deep::paint(&info, |c, x, _| match c {
            0 => (x << (16 - depth)) as u16,
            _ => 1 << 15,
        });
        let mut buffer = gst::Buffer::from_mut_slice(picture);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * number));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    run(&writer).unwrap();
    input
}

fn with_colors(input: &Path, out: &Path) -> std::process::Command {
    let mut command = matte(input, out);
    command.args(["--temporal", "0", "--region", "frame"]);
    command
}

/// 16-bit samples of a component of the first frame.
fn codes(decoded: &Decoded, component: usize) -> Vec<u16> {
    let bytes = &decoded.component(component)[0];
    bytes.as_chunks().0.iter().map(|code| u16::from_ne_bytes(*code)).collect()
}

#[test]
fn a_ramp_keeps_its_levels_in_ffv1_and_prores() {
    let folder = Folder::new();
    for (format, cutout) in
        [("I420_10LE", "A420_10LE"), ("I422_10LE", "A422_10LE"), ("Y444_10LE", "A444_10LE")]
    {
        let input = ramp(&folder, format, "bt709");
        let name = |ending: &str| folder.path(&format!("{format}{ending}"));
        done(
            with_colors(&input, &name(".mkv"))
                .args(["--decontaminate", "false"])
                .args(["--matte".as_ref(), name("-matte.mkv").as_os_str()]),
        );
        let before = decode(&input, &format!("! video/x-raw,format={format}"));
        let after = decode(&name(".mkv"), "");
        assert_eq!(after.info.format().to_str(), cutout);
        for component in 0..3 {
            assert_eq!(after.component(component), before.component(component), "{format}");
        }
        // The matte is luma, and as deep as that.
        let alpha = codes(&after, 3);
        let levels: BTreeSet<_> = alpha.iter().map(|code| code >> 6).collect();
        assert!(levels.len() > 840, "{format}: {}", levels.len());
        let beside = codes(&decode(&name("-matte.mkv"), ""), 0);
        assert!(alpha.iter().zip(&beside).all(|(a, b)| a >> 6 == b >> 6), "{format}");

        done(with_colors(&input, &name(".mov")).args(["--decontaminate", "false"]));
        let prores = decode(&name(".mov"), "");
        assert_eq!(prores.info.comp_depth(0), 10, "{format}");
        let near = |component: usize, most: u16| {
            let pairs = codes(&prores, component).into_iter().zip(codes(&after, component));
            pairs.map(|(a, b)| (a >> 6).abs_diff(b >> 6)).max().unwrap() <= most
        };
        assert!(near(0, 4), "{format}: luma is as good as ProRes is");
        assert!(near(3, 0), "{format}: alpha is lossless");
    }
}

#[test]
fn what_has_twelve_bits_is_kept_with_twelve() {
    let folder = Folder::new();
    let input = ramp(&folder, "Y444_12LE", "bt709");
    let out = folder.path("out.mkv");
    done(with_colors(&input, &out).args(["--decontaminate", "false"]));
    let after = decode(&out, "");
    assert_eq!(after.info.format().to_str(), "GBRA_12LE");
    // A quarter of the codes of 12 bits, of which those below black are black.
    let levels: BTreeSet<_> = codes(&after, 1).into_iter().collect();
    assert!(levels.len() > 740, "{}", levels.len());
}

/// What an EXR file holds: pixels, and the attributes by name.
fn read_exr(path: &Path) -> (Vec<[f32; 4]>, Option<String>) {
    let image = exr::prelude::read()
        .no_deep_data()
        .largest_resolution_level()
        .rgba_channels(
            |size, _| vec![[0.0f32; 4]; size.0 * size.1],
            |pixels: &mut Vec<_>, at, (r, g, b, a): (f16, f16, f16, f16)| {
                pixels[at.1 * WIDTH + at.0] = [r, g, b, a].map(f16::to_f32);
            },
        )
        .first_valid_layer()
        .all_attributes()
        .from_file(path)
        .unwrap();
    let alpha =
        image.layer_data.attributes.other.get(&exr::prelude::Text::from("alpha")).map(|value| {
            match value {
                exr::prelude::attribute::AttributeValue::Text(text) => text.to_string(),
                other => panic!("{other:?}"),
            }
        });
    (image.layer_data.channel_data.pixels, alpha)
}

#[test]
fn pictures_have_sixteen_bits_or_linear_light() {
    let folder = Folder::new();
    for (colorimetry, transfer, white) in [
        ("bt709", VideoTransferFunction::Bt709, 1.0),
        ("bt2100-pq", VideoTransferFunction::Smpte2084, 203.0 / 10_000.0),
        (
            "bt2100-hlg",
            VideoTransferFunction::AribStdB67,
            VideoTransferFunction::AribStdB67.decode(0.75),
        ),
    ] {
        let input = ramp(&folder, "Y444_10LE", colorimetry);
        let out = |name: &str| folder.path(&format!("{colorimetry}{name}"));
        let plain = ["--decontaminate", "false", "--depth", "16"];
        done(with_colors(&input, &out("-%02d.png")).args(plain));
        done(with_colors(&input, &out(".%04d.exr")).args(&plain[..2]).args(["--first", "1001"]));
        let multiplied = [plain[0], plain[1], "--premultiplied"];
        done(with_colors(&input, &out("-p.%04d.exr")).args(multiplied));
        let png = image::open(out("-00.png")).unwrap();
        assert_eq!(png.color(), image::ColorType::Rgba16);
        let png = png.into_rgba16();
        let levels: BTreeSet<_> = png.pixels().map(|pixel| pixel[1]).collect();
        assert!(levels.len() > 850, "{}", levels.len());
        let (straight, said) = read_exr(&out(".1001.exr"));
        assert_eq!(said.as_deref(), Some("straight"));
        let (premultiplied, said) = read_exr(&out("-p.0000.exr"));
        assert_eq!(said.as_deref(), Some("premultiplied"));
        for ((png, straight), premultiplied) in png.pixels().zip(straight).zip(premultiplied) {
            let alpha = f32::from(png[3]) / 65535.0;
            assert!((straight[3] - alpha).abs() < 1e-3);
            for c in 0..3 {
                let light = transfer.decode(f64::from(png[c]) / 65535.0) / white;
                let near = |found: f32, light: f64| {
                    (f64::from(found) - light).abs() <= 1e-3 * light.max(0.01)
                };
                assert!(near(straight[c], light), "{colorimetry}: {} for {light}", straight[c]);
                let light = light * f64::from(alpha);
                assert!(near(premultiplied[c], light), "{colorimetry}: {light}");
            }
        }
    }
    // The matte alone is one channel, and a composite's alpha is whole.
    let input = ramp(&folder, "I420_10LE", "bt709");
    let options = ["--output", "alpha", "--range", "0..0"];
    done(with_colors(&input, &folder.path("matte.exr")).args(options));
    let image = exr::prelude::read_first_flat_layer_from_file(folder.path("matte.exr")).unwrap();
    let channels = &image.layer_data.channel_data.list;
    assert_eq!(channels.len(), 1);
    assert_eq!(channels[0].name.to_string(), "Y");
    let options = ["--background-color", "#ffffff", "--range", "0..0"];
    done(with_colors(&input, &folder.path("over.exr")).args(options));
    let (pixels, said) = read_exr(&folder.path("over.exr"));
    assert!(said.is_none() && pixels.iter().all(|pixel| pixel[3] == 1.0));
}

#[test]
fn pictures_of_frames_of_eight_bits_may_be_deep() {
    let folder = Folder::new();
    let input = folder.clip();
    let one = |out: &str, options: &[&str]| {
        done(matte(&input, &folder.path(out)).args(["--range", "0..0"]).args(options));
        image::open(folder.path(out)).unwrap()
    };
    for (name, options) in [
        ("cutout", &[][..]),
        ("matte", &["--output", "alpha"]),
        ("over", &["--background", "checkerboard"]),
    ] {
        let narrow = one(&format!("{name}.png"), options);
        let wide = one(&format!("{name}-16.png"), &[options, &["--depth", "16"]].concat());
        assert_eq!(
            u16::from(wide.color().bytes_per_pixel()),
            2 * u16::from(narrow.color().bytes_per_pixel())
        );
        assert_eq!(wide.into_rgba8(), narrow.into_rgba8(), "{name}");
    }
    // A folder of EXR.
    done(matte(&input, &folder.path("f")).args(["--format", "exr", "--range", "..2"]));
    assert_eq!(
        crate::examples::files_in(&folder.path("f")),
        ["00000.exr", "00001.exr", "00002.exr"]
    );
    for (out, options, words) in [
        ("x.png", &["--premultiplied"][..], ["--premultiplied", "EXR"]),
        ("x.exr", &["--premultiplied", "--output", "alpha"], ["--premultiplied", "EXR"]),
        ("x.png", &["--depth", "12"], ["--depth", "16"]),
    ] {
        let output = matte(&input, &folder.path(out)).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(USAGE));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let several = matte(&input, &folder.path("x.exr")).output().unwrap();
    assert!(failure_of(USAGE, &several).contains("more than one frame"));
}

fn timecode(path: &Path) -> Option<String> {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "stream_tags=timecode"])
        .args(["-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(path)
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Drop-frame counts leave out two numbers at each full minute, and so at this hour's.
#[test]
fn timecode_goes_with_the_frames() {
    let folder = Folder::new();
    let input = folder.path("in.mov");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=160x90:rate=30000/1001:duration=1")
        .args(["-timecode", "00:59:59;20", "-c:v", "prores_ks"])
        .arg(&input)
        .status();
    if made.is_err() {
        return crate::examples::skip::missing("ffmpeg", "install ffmpeg");
    }
    assert!(made.unwrap().success());
    let out = folder.path("out.mov");
    for (options, expected) in [
        (&[][..], "00:59:59;20"),
        (&["--range", "9..20"], "00:59:59;29"),
        (&["--range", "10..20"], "01:00:00;00"),
        (&["--range", "15..29"], "01:00:00;05"),
    ] {
        done(matte(&input, &out).arg("--force").args(options));
        assert_eq!(timecode(&out).as_deref(), Some(expected), "{options:?}");
    }
    done(matte(&input, &folder.path("x.exr")).args(["--range", "15..15"]));
    let image = exr::prelude::read_first_flat_layer_from_file(folder.path("x.exr")).unwrap();
    let code = image.attributes.time_code.unwrap();
    assert_eq!((code.hours, code.minutes, code.seconds, code.frame), (1, 0, 0, 5));
    assert!(code.drop_frame);
    let rate = image.layer_data.attributes.frames_per_second;
    assert_eq!(rate, Some((30000, 1001)));
    // What has no such track tells none.
    done(matte(&folder.clip(), &out).arg("--force"));
    assert_eq!(timecode(&out).as_deref(), Some(""));
}

/// What HDR10 tells of its display and its brightest pixels, which GStreamer's muxer leaves out of these.
#[test]
fn light_levels_of_hdr10_are_told_in_quicktime_files() {
    let told = "mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:1,\
        content-light-level=(string)1000:400";
    let folder = Folder::new();
    let input = folder.make(
        "in.mkv",
        &format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format=I420_10LE,width=64,height=32,\
             framerate=24/1,colorimetry=bt2100-pq,{told} ! avenc_ffv1 ! matroskamux"
        ),
    );
    // In Matroska these are other numbers, which do not give all of them back.
    let caps = samples("filesrc name=file ! decodebin ! appsink name=out", &input)[0].caps_owned();
    let caps = caps.unwrap();
    let caps = caps.structure(0).unwrap();
    let numbers = |field: &str| -> Vec<u32> {
        let text = caps.get::<String>(field).unwrap();
        text.split(':').map(|number| number.parse().unwrap()).collect()
    };
    let (display, level) = (numbers("mastering-display-info"), numbers("content-light-level"));
    // Red comes last of the three colours, and luminances take four bytes.
    let points = [&display[2..6], &display[..2], &display[6..8]].concat();
    let short = |numbers: &[u32]| -> Vec<u8> {
        numbers.iter().flat_map(|number| (*number as u16).to_be_bytes()).collect()
    };
    let luminances = display[8..].iter().flat_map(|number| number.to_be_bytes()).collect();
    let expected = [
        [b"\0\0\0\x20mdcv".to_vec(), short(&points), luminances].concat(),
        [b"\0\0\0\x0cclli".to_vec(), short(&level)].concat(),
    ];
    for (name, options, is_told) in [
        ("cutout.mov", &[][..], true),
        ("composite.mov", &["--background", "blur"], true),
        ("composite.mp4", &["--background", "blur"], true),
        ("matte.mov", &["--output", "alpha"], false),
    ] {
        let out = folder.path(name);
        done(matte(&input, &out).args(options));
        let bytes = std::fs::read(&out).unwrap();
        let holds = |told: &Vec<u8>| bytes.windows(told.len()).any(|window| window == told);
        assert_eq!(expected.each_ref().map(holds), [is_told; 2], "{name}");
        assert_eq!(decode(&out, "").frames.len(), 3, "{name}");
    }
}
