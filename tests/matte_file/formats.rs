//! What is written in each format, and what is told beside the frames.

use std::path::{Path, PathBuf};
use std::process::Command;

use gst::prelude::*;

use crate::common::{self, fixture, pipeline};
use crate::examples::{failure_of, files_in, skip, stdout};
use crate::files::*;

#[test]
fn ffv1_is_what_the_element_gave() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mkv"));
    let text = done(&mut matte(&input, &out));
    assert!(text.contains("24 frames"), "{text}");
    let expected = by_element(&input, "output=cutout", "BGRA");
    let found = decode(&out, "! video/x-raw,format=BGRA");
    for component in 0..4 {
        assert_eq!(found.component(component), expected.component(component));
    }
    assert_times(&found, &expected, MILLISECOND);
    assert_eq!(audio(&out), audio(&input));
    assert_eq!(folder.files(), ["in.mp4", "out.mkv"]);
}

#[test]
fn prores_has_alpha_color_and_audio() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mov"));
    done(&mut matte(&input, &out));
    let expected = by_element(&input, "output=cutout", "AYUV");
    let found = decode(&out, "! video/x-raw,format=AYUV");
    // Its alpha is coded without loss, in more bits than come.
    assert_eq!(found.component(3), expected.component(3));
    // Its luma is not; where the colour bars meet it errs most.
    assert!(largest_difference(&found.component(0), &expected.component(0)) <= 8);
    assert_times(&found, &expected, NEARLY);
    assert_eq!(audio(&out), audio(&input));
    assert_eq!(decode(&out, "").info.colorimetry().to_string(), "bt709");
}

#[test]
fn composites_have_the_same_frames() {
    let folder = Folder::new();
    let input = folder.clip();
    let before = decode(&input, "");
    for (name, tolerance) in [("out.mp4", NEARLY), ("out.webm", MILLISECOND)] {
        let out = folder.path(name);
        done(matte(&input, &out).args(["--background-color", "#0000ff", "--no-audio"]));
        let found = decode(&out, "! video/x-raw,format=I420");
        assert_times(&found, &before, tolerance);
        let blue = "background=color background-color=0xff0000ff";
        let expected = by_element(&input, blue, "I420");
        for component in 0..3 {
            let (found, expected) = (found.component(component), expected.component(component));
            let off = found.iter().flatten().zip(expected.iter().flatten());
            let off: u64 = off.map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
            let mean = off as f64 / found.iter().map(Vec::len).sum::<usize>() as f64;
            assert!(mean < 1.5, "{name}: component {component} is off by {mean} in the mean");
        }
    }
}

#[test]
fn pictures_are_numbered() {
    let folder = Folder::new();
    let input = folder.clip();
    let expected = by_element(&input, "output=cutout", "RGBA");
    for (out, first) in [("folder", "00000.png"), ("there/is/none/100%_%03d.png", "100%_000.png")] {
        let text = done(&mut matte(&input, &folder.path(out)));
        assert!(text.contains("no audio"), "{text}");
        let made = if out == "folder" { out } else { "there/is/none" };
        let names = files_in(&folder.path(made));
        assert_eq!((names.len(), names[0].as_str()), (24, first));
        for (at, name) in names.iter().enumerate() {
            let picture = image::open(folder.path(made).join(name)).unwrap().into_rgba8();
            let samples = common::samples(&expected.frames[at], &expected.caps());
            let interleaved: Vec<u8> = (0..samples[0].len())
                .flat_map(|pixel| samples.iter().map(move |component| component[pixel]))
                .collect();
            assert_eq!(picture.into_raw(), interleaved, "{name}");
        }
    }
}

#[test]
fn one_picture_becomes_one_picture() {
    let folder = Folder::new();
    let still = |name: &str, encoder: &str| {
        folder.make(
            name,
            &format!("videotestsrc num-buffers=1 ! video/x-raw,width=75,height=43 ! {encoder}"),
        )
    };
    for input in [still("in.jpg", "jpegenc"), still("in.png", "pngenc")] {
        let out = folder.path("out.png");
        done(matte(&input, &out).arg("--force"));
        let picture = image::open(&out).unwrap();
        assert_eq!((picture.width(), picture.height()), (75, 43));
        assert!(picture.color().has_alpha());
        done(matte(&input, &folder.path("out.mp4")).arg("--force"));
        // H.264 has even sizes.
        assert_eq!(decode(&folder.path("out.mp4"), "").size(), (74, 42));
    }
    let message =
        failure_of(USAGE, &matte(&folder.clip(), &folder.path("x.png")).output().unwrap());
    assert!(message.contains("more than one frame") && message.contains("%05d"), "{message}");
}

#[test]
fn the_matte_may_be_had_as_well() {
    let folder = Folder::new();
    let input = folder.clip();
    let expected = by_element(&input, "output=alpha", "GRAY8");
    for (name, matte_name) in [("out.mkv", "matte.mkv"), ("out.mov", "m"), ("out.mp4", "m.mkv")] {
        let (out, beside) = (folder.path(name), folder.path(matte_name));
        done(matte(&input, &out).arg("--matte").arg(&beside));
        let found = if matte_name == "m" {
            let open = |name: &String| image::open(beside.join(name)).unwrap().into_luma8();
            files_in(&beside).iter().map(|name| open(name).into_raw()).collect()
        } else {
            decode(&beside, "! video/x-raw,format=GRAY8").component(0)
        };
        assert_eq!(found, expected.component(0), "{matte_name}");
        assert_eq!(decode(&out, "").frames.len(), 24);
    }
}

/// Unless that is left out; other networks, as in all these tests, are not.
#[test]
fn the_built_in_network_is_refined_by_detail() {
    let folder = Folder::new();
    let clip = crate::common::root().join("examples/media/person.mp4");
    let alpha = |name: &str, options: &[&str]| {
        let out = folder.path(name);
        let mut command = crate::examples::example("matte_file");
        let always = ["--device", "cpu", "--output", "alpha", "--range", "0..1"];
        done(command.arg(&clip).arg(&out).args(always).args(options));
        decode(&out, "! video/x-raw,format=GRAY8").component(0)
    };
    let expected = |refine: &str| {
        let filter = format!(
            "! davidmatte device=cpu pacing=exact output=alpha refine={refine} ! identity eos-after=3"
        );
        decode(&clip, &filter).component(0)[..2].to_vec() // all that are on their way leave before the end
    };
    let (detail, none) = (expected("detail"), expected("none"));
    assert!(detail != none);
    assert!(alpha("default.mkv", &[]) == detail);
    assert!(alpha("asked.mkv", &["--model", "builtin", "--refine", "none"]) == none);
}

// -- What is told beside the frames ----------------------------------------------------------------

#[test]
fn frames_are_turned_upright() {
    let folder = Folder::new();
    let input = folder.clip();
    // A quarter turn clockwise, in the track's header.
    let mut bytes = std::fs::read(&input).unwrap();
    let video = bytes.windows(4).position(|name| name == b"vmhd").unwrap();
    let header = bytes[..video].windows(4).rposition(|name| name == b"tkhd").unwrap();
    let matrix: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 90 << 16, 0, 1 << 30];
    for (at, value) in matrix.iter().enumerate() {
        let at = header + 44 + 4 * at;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(&input, bytes).unwrap();
    let out = folder.path("out.mkv");
    done(&mut matte(&input, &out));
    let expected = by_element_upright(&input);
    let found = decode(&out, "! video/x-raw,format=BGRA");
    assert_eq!(found.size(), (90, 160));
    assert_eq!(found.component(3), expected.component(3));
}

/// A picture with Exif data that say how to turn it.
fn turned_jpeg(folder: &Folder, orientation: u8) -> PathBuf {
    let input = folder.make(
        "turned.jpg",
        "videotestsrc num-buffers=1 ! video/x-raw,width=75,height=43 ! jpegenc quality=98",
    );
    let mut bytes = std::fs::read(&input).unwrap();
    // After the start of image: one entry, a short, of big-endian TIFF.
    let mut exif =
        b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes.splice(2..2, exif);
    std::fs::write(&input, bytes).unwrap();
    input
}

#[test]
fn pictures_are_turned_as_their_exif_data_say() {
    use image::ImageDecoder;
    let folder = Folder::new();
    for orientation in 1..=8 {
        let input = turned_jpeg(&folder, orientation);
        let mut decoder = image::ImageReader::open(&input).unwrap().into_decoder().unwrap();
        let turn = decoder.orientation().unwrap();
        assert_eq!(turn.to_exif(), orientation);
        let mut expected = image::DynamicImage::from_decoder(decoder).unwrap();
        expected.apply_orientation(turn);
        let expected = expected.into_rgb8();
        for name in ["out.png", "out.mov", "out.mkv"] {
            let out = folder.path(name);
            // A picture over itself is as it was.
            let look = ["--background", "blur", "--blur-radius", "0", "--decontaminate", "false"];
            done(matte(&input, &out).arg("--force").args(look));
            let found = decode(&out, "! videoflip video-direction=auto ! video/x-raw,format=RGB");
            assert_eq!(found.size(), expected.dimensions(), "{name}, {orientation}");
            let found = [0, 1, 2].map(|number| found.component(number).remove(0));
            let off = expected.pixels().enumerate().map(|(at, pixel)| {
                let off = |number: usize| u64::from(pixel.0[number].abs_diff(found[number][at]));
                off(0) + off(1) + off(2)
            });
            let mean = off.sum::<u64>() as f64 / (3 * 75 * 43) as f64;
            assert!(mean < 16.0, "{name}, {orientation}: off by {mean} in the mean");
        }
    }
}

#[test]
fn every_matrix_of_a_track_is_heeded() {
    let folder = Folder::new();
    let clip = std::fs::read(folder.clip()).unwrap();
    let video = clip.windows(4).position(|name| name == b"vmhd").unwrap();
    let header = clip[..video].windows(4).rposition(|name| name == b"tkhd").unwrap();
    let still = |path: &Path| {
        let found = decode(path, "! video/x-raw,format=GRAY8");
        let (width, height) = found.size();
        let gray = found.component(0).remove(0);
        image::DynamicImage::from(image::GrayImage::from_raw(width, height, gray).unwrap())
    };
    let input = folder.path("in.mp4");
    done(matte(&input, &folder.path("upright.mkv")).args(["--output", "alpha"]));
    let upright = still(&folder.path("upright.mkv"));
    for (exif, [a, b, c, d]) in [
        (2, [-1, 0, 0, 1]),
        (3, [-1, 0, 0, -1]),
        (4, [1, 0, 0, -1]),
        (5, [0, 1, 1, 0]),
        (6, [0, 1, -1, 0]),
        (7, [0, -1, -1, 0]),
        (8, [0, -1, 1, 0]),
    ] {
        let mut bytes = clip.clone();
        let matrix: [i32; 9] = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
        for (at, value) in matrix.iter().enumerate() {
            let at = header + 44 + 4 * at;
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        std::fs::write(&input, bytes).unwrap();
        let out = folder.path("out.mkv");
        done(matte(&input, &out).args(["--output", "alpha", "--force"]));
        let mut expected = upright.clone();
        expected.apply_orientation(image::metadata::Orientation::from_exif(exif).unwrap());
        let (found, expected) = (still(&out).into_luma8(), expected.into_luma8());
        assert_eq!(found.dimensions(), expected.dimensions(), "{exif}");
        let off = found.iter().zip(expected.iter()).map(|(a, b)| u64::from(a.abs_diff(*b)));
        let mean = off.sum::<u64>() as f64 / found.len() as f64;
        assert!(mean < 4.0, "{exif}: off by {mean} in the mean");
    }
}

fn by_element_upright(path: &Path) -> Decoded {
    let model = fixture("luma.onnx");
    decode(
        path,
        &format!(
            "! videoflip video-direction=auto ! davidmatte device=cpu pacing=exact model={model} \
             output=cutout ! video/x-raw,format=BGRA"
        ),
    )
}

#[test]
fn pixels_that_are_not_square_stay_so() {
    let folder = Folder::new();
    let caps = "video/x-raw,width=160,height=90,pixel-aspect-ratio=4/3";
    let input = folder
        .make("in.mkv", &format!("videotestsrc num-buffers=3 ! {caps} ! x264enc ! matroskamux"));
    for name in ["out.mov", "out.mkv", "out.mp4", "out.webm"] {
        done(&mut matte(&input, &folder.path(name)));
        let info = decode(&folder.path(name), "").info;
        let par = f64::from(info.par().numer()) / f64::from(info.par().denom());
        // QuickTime tells the width on the screen as well, in whole pixels.
        assert!((par - 4.0 / 3.0).abs() < 0.005 && info.width() == 160, "{name}: {par}");
    }
    // PNG tells nothing of its pixels.
    done(&mut matte(&input, &folder.path("pictures")));
    let picture = image::open(folder.path("pictures/00000.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (213, 90));
}

#[test]
fn full_range_is_kept_or_converted() {
    let folder = Folder::new();
    let caps = "video/x-raw,format=I420,width=160,height=90,colorimetry=1:3:5:1";
    let input = folder.make(
        "in.mp4",
        &format!(
            "videotestsrc num-buffers=3 pattern=gradient ! video/x-raw,format=RGB ! videoconvert ! {caps} ! x264enc pass=qual quantizer=1 ! mp4mux"
        ),
    );
    for (name, expected) in [
        ("out.mkv", gst_video::VideoColorRange::Range0_255),
        // ProRes has no other.
        ("out.mov", gst_video::VideoColorRange::Range16_235),
    ] {
        // A frame that is put over itself is as it was.
        done(matte(&input, &folder.path(name)).args([
            "--background",
            "blur",
            "--blur-radius",
            "0",
        ]));
        let found = decode(&folder.path(name), "! video/x-raw,format=I420");
        assert_eq!(found.info.colorimetry().range(), expected, "{name}");
        let luma = found.component(0).concat();
        let (least, most) = (luma.iter().min().unwrap(), luma.iter().max().unwrap());
        // From black to white.
        match expected {
            gst_video::VideoColorRange::Range0_255 => assert!(*least < 8 && *most > 247),
            _ => assert!((12..20).contains(least) && (230..240).contains(most), "{least} {most}"),
        }
    }
}

/// A video of gray frames that last so many ticks of 90,000 in a second, and of which it is said that
/// they are 30 in a second.
fn clip_of_frames(
    folder: &Folder,
    writing: &str,
    count: u64,
    lasts: impl Fn(u64) -> u64,
) -> PathBuf {
    let input = folder.path("in");
    let writer = pipeline(&format!(
        "appsrc name=in format=time \
         caps=\"video/x-raw,format=I420,width=160,height=90,framerate=30/1\" ! \
         {writing} ! filesink name=file"
    ));
    writer.by_name("file").unwrap().set_property("location", &input);
    let source: gst_app::AppSrc = writer.by_name("in").unwrap().downcast().unwrap();
    let mut ticks = 0;
    for number in 0..count {
        let mut buffer = gst::Buffer::from_mut_slice(vec![100 + number as u8; 160 * 90 * 3 / 2]);
        let at = |ticks: u64| gst::ClockTime::from_nseconds(ticks * 1_000_000_000 / 90_000);
        buffer.get_mut().unwrap().set_pts(at(ticks));
        buffer.get_mut().unwrap().set_duration(at(lasts(number)));
        ticks += lasts(number);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    common::run(&writer).unwrap();
    input
}

#[test]
fn uneven_timestamps_are_kept() {
    let folder = Folder::new();
    let writing = "x264enc bframes=2 ! mp4mux trak-timescale=90000";
    let input = clip_of_frames(&folder, writing, 20, |number| 1501 + 997 * (number * number % 7));
    let before = decode(&input, "");
    assert_eq!(before.frames.len(), 20);
    for (name, tolerance) in [
        ("out.mov", NEARLY),
        ("out.mp4", NEARLY),
        ("out.mkv", MILLISECOND),
        ("out.webm", MILLISECOND),
    ] {
        done(&mut matte(&input, &folder.path(name)));
        assert_times(&decode(&folder.path(name), ""), &before, tolerance);
    }
}

#[test]
fn frames_far_apart_are_kept() {
    let folder = Folder::new();
    // Ten minutes each. Of MP4 with such frames GStreamer loses some, if they are reordered.
    let writing = "x264enc bframes=0 ! matroskamux";
    let input = clip_of_frames(&folder, writing, 6, |_| 600 * 90_000);
    for name in ["out.mov", "out.mp4", "out.mkv", "out.webm"] {
        done(&mut matte(&input, &folder.path(name)));
        let times = decode(&folder.path(name), "").times;
        let expected = (0..6).map(|number| Some(gst::ClockTime::from_seconds(600 * number)));
        assert_eq!(times, expected.collect::<Vec<_>>(), "{name}");
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=dts_time"]);
        let Ok(output) = ffprobe.arg(folder.path(name)).output() else {
            skip::missing("ffprobe", "install ffmpeg");
            return;
        };
        let times = stdout(&output);
        assert!(!times.contains('-'), "{name} begins before 0: {times}");
    }
}

#[test]
fn a_picture_can_be_seen_in_a_video() {
    let folder = Folder::new();
    let input = folder.make("in.png", "videotestsrc num-buffers=1 ! pngenc");
    for name in ["out.mov", "out.mp4", "out.mkv", "out.webm"] {
        let out = folder.path(name);
        done(&mut matte(&input, &out));
        let reader = pipeline("filesrc name=file ! decodebin ! fakesink name=sink");
        reader.by_name("file").unwrap().set_property("location", &out);
        reader.set_state(gst::State::Paused).unwrap();
        let (result, ..) = reader.state(gst::ClockTime::from_seconds(60));
        result.unwrap();
        let lasts = reader.query_duration::<gst::ClockTime>();
        reader.set_state(gst::State::Null).unwrap();
        assert_eq!(lasts, Some(gst::ClockTime::from_mseconds(40)), "{name}");
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-of", "csv=p=0", "-count_frames"]);
        ffprobe.args(["-show_entries", "stream=nb_read_frames"]).arg(&out);
        let Ok(output) = ffprobe.output() else {
            skip::missing("ffprobe", "install ffmpeg");
            return;
        };
        assert_eq!(stdout(&output).trim(), "1", "{name}");
    }
}

#[test]
fn ffprobe_agrees() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("out.mov"));
    done(&mut matte(&input, &out));
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "default=nw=1", "-count_frames", "-show_streams"]);
    let Ok(output) = ffprobe.arg(&out).output() else {
        skip::missing("ffprobe", "install ffmpeg");
        return;
    };
    let text = stdout(&output);
    for line in [
        "codec_name=prores",
        "profile=4444",
        "codec_tag_string=ap4h",
        "nb_read_frames=24",
        "color_primaries=bt709",
        "color_transfer=bt709",
        "color_space=bt709",
        "color_range=tv",
        "avg_frame_rate=24/1",
        "codec_name=aac",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` in {text}");
    }
    assert!(text.contains("pix_fmt=yuva444p"), "{text}");
}
