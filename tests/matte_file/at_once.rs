//! Two runs at once onto the same output, and what a failure leaves of what was there before.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::examples::{failure_of, files_in};
use crate::files::*;

/// Two clips of different sizes in one file, which cannot be matted into one sequence.
fn clip_that_changes(folder: &Folder) -> std::path::PathBuf {
    let one = |name: &str, video: &str| {
        let encoder = "x264enc bframes=0 ! video/x-h264,stream-format=byte-stream";
        std::fs::read(folder.make(name, &format!("{video} ! {encoder}"))).unwrap()
    };
    let mut bytes = one("a.h264", VIDEO);
    bytes.extend(one("b.h264", &VIDEO.replace("width=160", "width=320")));
    let both = folder.path("changes.h264");
    std::fs::write(&both, bytes).unwrap();
    both
}

#[test]
fn a_sequence_is_written_by_one_run() {
    let folder = Folder::new();
    let (input, out) = (folder.long_clip(), folder.path("out"));
    let first = slowly(&input, &out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let first = first.unwrap();
    let begun = Instant::now();
    while !out.join("00003.png").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    for option in ["--force", "--resume"] {
        let message = failure_of(OUTPUT, &slowly(&input, &out).arg(option).output().unwrap());
        assert!(message.contains("another matte_file is writing"), "{option}: {message}");
    }
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = files_in(&out);
    assert_eq!((names.len(), names[399].as_str()), (400, "00399.png"));
}

#[test]
fn what_was_there_outlives_a_failure() {
    let folder = Folder::new();
    let (input, bad, out) = (folder.clip(), clip_that_changes(&folder), folder.path("out"));
    done(&mut matte(&input, &out));
    std::fs::write(out.join("mine.txt"), "mine").unwrap();
    let read = || -> Vec<_> {
        let names = files_in(&out);
        names.into_iter().map(|name| (std::fs::read(out.join(&name)).unwrap(), name)).collect()
    };
    let before = read();
    assert_eq!(before.len(), 25);
    let message = failure_of(INPUT, &matte(&bad, &out).arg("--force").output().unwrap());
    assert!(message.contains("changes its picture"), "{message}");
    assert!(read() == before, "{:?}", files_in(&out));
    // What replaces it well leaves nothing of it.
    let short = folder.make("short.mkv", &format!("{} ! x264enc ! matroskamux", short_video()));
    done(matte(&short, &out).arg("--force"));
    assert_eq!(files_in(&out), ["00000.png", "00001.png", "00002.png", "mine.txt"]);
    let message = failure_of(INPUT, &matte(&bad, &folder.path("new/folder")).output().unwrap());
    assert!(message.contains("changes its picture"), "{message}");
    assert!(!folder.path("new").exists());
}

/// Three frames.
fn short_video() -> String {
    VIDEO.replace("num-buffers=24", "num-buffers=3")
}

#[test]
#[cfg(unix)]
fn a_sequence_that_was_being_replaced_is_gone_on_with() {
    let folder = Folder::new();
    let (input, out) = (folder.long_clip(), folder.path("out"));
    std::fs::create_dir(&out).unwrap();
    for number in 0..400 {
        std::fs::write(out.join(format!("{number:05}.png")), "old").unwrap();
    }
    let is_begun = || std::fs::read(out.join("00020.png")).is_ok_and(|bytes| bytes != b"old");
    let output = interrupt(slowly(&input, &out).arg("--force"), "-KILL", is_begun);
    assert_eq!(output.status.code(), None);
    done(slowly(&input, &out).arg("--resume"));
    let names = files_in(&out);
    assert_eq!((names.len(), names[399].as_str()), (400, "00399.png"));
    for name in names {
        assert!(std::fs::read(out.join(&name)).unwrap() != b"old", "{name}");
    }
}

/// What a run that fails would have replaced is as it was, with its note.
#[test]
#[cfg(unix)]
fn a_sequence_whose_replacement_failed_is_gone_on_with() {
    let folder = Folder::new();
    let (input, out) = (folder.long_clip(), folder.path("out"));
    let is_begun = || out.join("00020.png").exists();
    let killed = |command: &mut Command| {
        let output = interrupt(command, "-KILL", is_begun);
        assert_eq!(output.status.code(), None);
    };
    let fails = || {
        let mut command = slowly(&input, &out);
        command.args(["--force", "--invert", "--model", "nowhere.onnx"]);
        failure_of(MODEL, &command.output().unwrap());
    };
    killed(&mut slowly(&input, &out));
    fails();
    done(slowly(&input, &out).arg("--resume"));
    assert_eq!(files_in(&out).len(), 400);
    // What is whole was put aside by a run that was killed, and comes back as such.
    let whole = std::fs::read(out.join("00000.png")).unwrap();
    let is_begun =
        || std::fs::read(out.join("00020.png")).is_ok_and(|_| out.join("%05d.png.before").exists());
    let output = interrupt(slowly(&input, &out).args(["--force", "--invert"]), "-KILL", is_begun);
    assert_eq!(output.status.code(), None);
    fails();
    assert_eq!(std::fs::read(out.join("00000.png")).unwrap(), whole);
    let text = done(slowly(&input, &out).args(["--resume", "--invert"]));
    assert!(text.contains("nothing is left to resume"), "{text}");
    assert_eq!(files_in(&out).len(), 400);
}
