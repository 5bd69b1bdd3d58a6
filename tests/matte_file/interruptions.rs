//! Runs that are interrupted, and gone on with.

use std::path::Path;

use crate::examples::{ended, failure_of, files_in};
use crate::files::*;

#[cfg(unix)]
fn is_longer(path: &Path, bytes: u64) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > bytes)
}

#[test]
#[cfg(unix)]
fn what_was_interrupted_plays_and_is_gone_on_with() {
    let folder = Folder::new();
    let input = folder.long_clip();
    for (name, tolerance) in [("out.mkv", 0), ("out.mov", 0), ("out.mp4", 0)] {
        let (out, whole) = (folder.path(name), folder.path(&format!("whole-{name}")));
        let beside = |ending: &str| folder.path(&format!("{name}.{ending}"));
        let bytes = if name == "out.mp4" { 1000 } else { 100_000 };
        let part = beside("part");
        let output = interrupt(&mut slowly(&input, &out), "-INT", || is_longer(&part, bytes));
        assert_eq!(output.status.code(), Some(INTERRUPTED), "{name}: {output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("of 400 frames") && message.contains("--resume"), "{message}");
        assert!(beside("resume").exists() && !beside("part").exists());
        let kept = decode(&out, "").frames.len();
        assert!(message.contains(&format!("first {kept} of")), "{kept}: {message}");
        assert!(kept > 0 && kept < 400, "{kept}");

        let message = failure_of(OUTPUT, &slowly(&input, &out).output().unwrap());
        assert!(message.contains("unfinished") && message.contains("--resume"), "{message}");
        let output = slowly(&input, &out).args(["--resume", "--invert"]).output();
        assert!(failure_of(OUTPUT, &output.unwrap()).contains("without --invert"));

        done(slowly(&input, &out).arg("--resume"));
        assert!(!beside("resume").exists() && !beside("part").exists());
        done(&mut slowly(&input, &whole));
        let (found, expected) = (decode(&out, ""), decode(&whole, ""));
        assert_times(&found, &expected, tolerance);
        assert_eq!(audio(&out), audio(&whole));
        if name != "out.mp4" {
            assert_eq!(found.component(0), expected.component(0), "{name}");
        }
        let text = done(slowly(&input, &out).arg("--resume"));
        assert!(text.contains("nothing is left to resume"), "{text}");
    }
}

#[test]
#[cfg(unix)]
fn pictures_are_gone_on_with_even_after_a_crash() {
    let folder = Folder::new();
    let (input, out, whole) = (folder.long_clip(), folder.path("out"), folder.path("whole"));
    let is_begun = || out.join("00020.png").exists();
    let output = interrupt(&mut slowly(&input, &out), "-KILL", is_begun);
    assert_eq!(output.status.code(), None);
    // Some other trouble.
    std::fs::remove_file(out.join("00015.png")).unwrap();
    let message = failure_of(OUTPUT, &slowly(&input, &out).output().unwrap());
    assert!(message.contains("--resume"), "{message}");
    done(slowly(&input, &out).arg("--resume"));
    done(&mut slowly(&input, &whole));
    assert_eq!(files_in(&out), files_in(&whole));
    for name in files_in(&whole) {
        let (found, expected) = (std::fs::read(out.join(&name)), std::fs::read(whole.join(&name)));
        assert_eq!(found.unwrap(), expected.unwrap(), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn with_a_matte_beside_both_are_gone_on_with() {
    let folder = Folder::new();
    let input = folder.long_clip();
    let (out, beside) = (folder.path("out.mov"), folder.path("matte.mkv"));
    let command = || {
        let mut command = slowly(&input, &out);
        command.arg("--matte").arg(&beside);
        command
    };
    let part = folder.path("out.mov.part");
    let output = interrupt(&mut command(), "-TERM", || is_longer(&part, 100_000));
    assert_eq!(output.status.code(), Some(INTERRUPTED), "{output:?}");
    let counts = [&out, &beside].map(|path| decode(path, "").frames.len());
    assert_eq!(counts[0], counts[1]);
    done(command().arg("--resume"));
    let cutout = decode(&out, "! video/x-raw,format=AYUV").component(3);
    assert_eq!(cutout.len(), 400);
    assert_eq!(decode(&beside, "! video/x-raw,format=GRAY8").component(0), cutout);
    // One alone cannot be made to fit the other.
    std::fs::remove_file(&beside).unwrap();
    let message = failure_of(OUTPUT, &command().arg("--resume").output().unwrap());
    for word in ["matte.mkv", "not there", "out.mov", "--force"] {
        assert!(message.contains(word), "`{word}` in {message}");
    }
}

#[test]
#[cfg(unix)]
fn what_is_no_video_any_more_is_not_gone_on_with() {
    let folder = Folder::new();
    let (input, out) = (folder.long_clip(), folder.path("out.mkv"));
    let part = folder.path("out.mkv.part");
    let output = interrupt(&mut slowly(&input, &out), "-INT", || is_longer(&part, 100_000));
    assert_eq!(output.status.code(), Some(INTERRUPTED), "{output:?}");
    let sound = folder.make("sound.mkv", &format!("{SOUND} ! flacenc ! matroskamux"));
    for other in [std::fs::read(sound).unwrap(), Vec::new(), vec![7; 5000]] {
        std::fs::write(&out, &other).unwrap();
        let output = ended(slowly(&input, &out).arg("--resume"));
        let message = failure_of(OUTPUT, &output);
        assert!(message.contains("not what the interrupted run left"), "{message}");
        assert!(std::fs::read(&out).unwrap() == other);
    }
}
