//! A part of the input: the same frames as in the whole, with their sound.

use gst::prelude::*;

use crate::common::{pipeline, run};
use crate::examples::{failure_of, files_in};
use crate::files::*;

/// Of a run that depends on nothing before: exactly the same.
#[test]
fn a_range_is_the_same_frames_of_the_whole() {
    let folder = Folder::new();
    let input = folder.clip();
    let alone = ["--temporal", "0", "--region", "frame"];
    for name in ["out.mkv", "out.mov"] {
        let whole = folder.path(&format!("whole-{name}"));
        done(matte(&input, &whole).args(alone));
        let whole = decode(&whole, "").component(0);
        let ranges = [("0..0", 0..1), ("7..15", 7..16), ("20..", 20..24), ("..23", 0..24)];
        for (number, (range, frames)) in ranges.into_iter().enumerate() {
            for preroll in ["0", "5"] {
                let out = folder.path(&format!("{number}-{preroll}-{name}"));
                let options = ["--range", range, "--preroll", preroll];
                done(matte(&input, &out).args(alone).args(options));
                let found = decode(&out, "");
                assert_eq!(found.times[0], Some(gst::ClockTime::ZERO), "{range}");
                assert_eq!(found.component(0), whole[frames.clone()], "{name} {range}");
            }
        }
    }
}

/// With all defaults: what came before the preroll is not missed, neither by `temporal` nor by the region that is
/// followed.
#[test]
fn a_range_is_nearly_the_same_where_mattes_depend_on_those_before() {
    let folder = Folder::new();
    let clip = crate::common::root().join("examples/media/person.mp4");
    // Slowed down, so that it is long enough for regions to have been chosen anew.
    let input = folder.path("slow.avi");
    let slow = pipeline(
        "filesrc name=clip ! decodebin ! videoconvert ! capssetter caps=video/x-raw,framerate=10/1 ! \
         jpegenc ! avimux ! filesink name=file",
    );
    slow.by_name("clip").unwrap().set_property("location", &clip);
    slow.by_name("file").unwrap().set_property("location", &input);
    run(&slow).unwrap();
    let run = |name: &str, range: &str| {
        let out = folder.path(name);
        let mut command = crate::examples::example("matte_file");
        let options = ["--device", "cpu", "--output", "alpha", "--range", range];
        done(command.arg(&input).arg(&out).args(options));
        decode(&out, "! video/x-raw,format=GRAY8").component(0)
    };
    let (whole, part) = (run("whole.mkv", "0..119"), run("part.mkv", "112..119"));
    let pairs = || whole[112..].iter().flatten().zip(part.iter().flatten());
    let off = pairs().filter(|(a, b)| a.abs_diff(**b) > 2).count();
    assert!(off * 1000 <= pairs().count(), "{off} of {}", pairs().count());
}

#[test]
fn times_and_sound_are_cut_alike() {
    let folder = Folder::new();
    let input = folder.clip();
    let all = audio(&input);
    // 24 frames a second, and 1024 samples of 48000.
    for (from, to, frames) in
        [("0.25", "0:00.75", 6..18), ("0.5", "9", 12..24), ("0", "0.5", 0..12)]
    {
        for name in ["out.mp4", "out.mov", "out.mkv"] {
            let out = folder.path(&format!("{from}-{name}"));
            done(matte(&input, &out).args(["--from", from, "--to", to]));
            let found = decode(&out, "");
            assert_eq!(found.frames.len(), frames.len(), "{name}");
            assert_eq!(found.times[0], Some(gst::ClockTime::ZERO), "{name}");
            let sound = audio(&out);
            let first = all.iter().position(|packet| *packet == sound[0]).unwrap();
            assert_eq!(sound, all[first..first + sound.len()], "{name}");
            let seconds = |packets: usize| packets as f64 * 1024.0 / 48000.0;
            let (begin, end) = (frames.start as f64 / 24.0, frames.end as f64 / 24.0);
            // A packet of priming comes before everything.
            assert!((seconds(first) - begin).abs() < 0.05, "{name}: {first} for {begin}");
            assert!((seconds(first + sound.len()) - end).abs() < 0.07, "{name}: {end}");
        }
    }
}

#[test]
fn ranges_make_up_a_sequence() {
    let folder = Folder::new();
    let input = folder.clip();
    let (out, whole) = (folder.path("x/p-%04d.png"), folder.path("whole/p-%04d.png"));
    let alone = ["--temporal", "0", "--region", "frame", "--first", "1001"];
    done(matte(&input, &whole).args(alone));
    let part = |range: &str| {
        let mut command = matte(&input, &out);
        command.args(alone).args(["--range", range]);
        command
    };
    // At once, as on a farm.
    let runs: Vec<_> =
        ["16..23", "0..7", "8..15"].iter().map(|range| part(range).spawn().unwrap()).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    let names = files_in(&folder.path("x"));
    assert_eq!((names.len(), &names[0][..], &names[23][..]), (24, "p-1001.png", "p-1024.png"));
    for name in &names {
        let [found, expected] = ["x", "whole"].map(|made| folder.path(made).join(name));
        assert_eq!(std::fs::read(found).unwrap(), std::fs::read(expected).unwrap(), "{name}");
    }
    // What is there is no other range's business.
    let text = failure_of(OUTPUT, &part("7..8").output().unwrap());
    assert!(text.contains("--force"), "{text}");
    std::fs::remove_file(folder.path("x/p-1008.png")).unwrap();
    done(&mut part("7..7"));
    done(part("7..9").arg("--force"));
    assert_eq!(files_in(&folder.path("x")), names);
    // One frame is one picture.
    done(matte(&input, &folder.path("one.png")).args(["--range", "3..3"]));
}

#[test]
#[cfg(unix)]
fn an_interrupted_range_is_gone_on_with() {
    let folder = Folder::new();
    let input = folder.long_clip();
    for (name, whole) in [("out.mkv", "whole.mkv"), ("out.mov", "whole.mov")] {
        let (out, whole) = (folder.path(name), folder.path(whole));
        let part = || {
            let mut command = slowly(&input, &out);
            command.args(["--range", "100..299"]);
            command
        };
        let file = folder.path(&format!("{name}.part"));
        let is_begun = || file.metadata().is_ok_and(|metadata| metadata.len() > 100_000);
        let output = interrupt(&mut part(), "-INT", is_begun);
        assert_eq!(output.status.code(), Some(INTERRUPTED), "{output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("of 200 frames"), "{message}");
        let other = slowly(&input, &out).arg("--resume").output().unwrap();
        assert!(failure_of(OUTPUT, &other).contains("--range 100..299"), "{other:?}");
        done(part().arg("--resume"));
        done(slowly(&input, &whole).args(["--range", "100..299"]));
        let (found, expected) = (decode(&out, ""), decode(&whole, ""));
        assert_eq!(found.component(0), expected.component(0), "{name}");
        assert_times(&found, &expected, 0);
        assert_eq!(audio(&out), audio(&whole), "{name}");
    }
}

#[test]
fn a_part_that_is_not_there_is_refused() {
    let folder = Folder::new();
    let input = folder.clip();
    let out = folder.path("x.mkv");
    for (options, words) in [
        (&["--range", "20..24"][..], &["0 to 23", "20 to 24"][..]),
        (&["--range", "30.."], &["0 to 23"]),
        (&["--range", "5..4"], &["--range", "5"]),
        (&["--range", "x"], &["FIRST..LAST"]),
        (&["--from", "2"], &["no frame lies there", "0.958"]),
        (&["--from", "0.5", "--to", "0.5"], &["no frame lies there"]),
        (&["--from", "1:2:3:4"], &["HH:MM:SS"]),
        (&["--range", "0..1", "--to", "1"], &["--range", "--to"]),
    ] {
        let output = matte(&input, &out).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{options:?}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.iter().all(|word| text.contains(word)), "{options:?}: {text}");
        assert_eq!(folder.files(), ["in.mp4"], "{text}");
    }
}
