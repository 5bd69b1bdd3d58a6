//! What cannot be done, and what is said of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, fixture};
use crate::examples::{ended, example, failure_of, files_in, full_disk, skip, stdout};
use crate::files::*;

/// Fails with this exit code and in a sentence with these words, and leaves nothing behind.
fn fails(folder: &Folder, code: i32, command: &mut Command, words: &[&str]) {
    let before = folder.files();
    let message = failure_of(code, &command.output().unwrap());
    assert!(message.starts_with("matte_file: "), "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` in {message}");
    }
    assert_eq!(folder.files(), before, "{message}");
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = Folder::new();
    let input = folder.clip();
    let out = |name: &str| matte(&input, &folder.path(name));
    fails(&folder, USAGE, &mut out("x.avi"), &["x.avi", ".mov"]);
    fails(
        &folder,
        USAGE,
        out("x.mp4").args(["--output", "cutout"]),
        &["cannot hold alpha", ".mov"],
    );
    fails(
        &folder,
        USAGE,
        &mut out("x.webm"),
        &["cannot hold the audio", "audio/mpeg", "--no-audio"],
    );
    fails(&folder, OUTPUT, &mut out("nowhere/x.mov"), &["nowhere", "could not be written"]);
    fails(&folder, USAGE, out("x.mkv").args(["--feather", "99"]), &["--feather", "99", "0 to 20"]);
    fails(&folder, USAGE, out("x.mkv").args(["--feather", "nan"]), &["--feather", "0 to 20"]);
    fails(&folder, USAGE, out("x.mkv").args(["--device-id", "4000000000"]), &["--device-id"]);
    fails(&folder, USAGE, out("x.mkv").args(["--background", "image"]), &["--background-image"]);
    fails(&folder, INPUT, out("x.mkv").args(["--background-image", "no.png"]), &["no.png"]);
    let both = ["--background", "blur", "--background-color", "#123456"];
    fails(&folder, USAGE, out("x.mkv").args(both), &["--background-color has no effect"]);
    let both = ["--output", "cutout", "--background", "blur"];
    fails(&folder, USAGE, out("x.mkv").args(both), &["--background has no effect"]);
    fails(
        &folder,
        USAGE,
        out("x.mkv").args(["--output", "alpha", "--matte", "y.mkv"]),
        &["--matte"],
    );
    let same = folder.path("x.mkv");
    fails(&folder, USAGE, out("x.mkv").arg("--matte").arg(&same), &["written twice"]);
    fails(&folder, USAGE, &mut matte(&input, &input), &["would overwrite"]);
    let long = format!("{}.mkv", "x".repeat(248));
    fails(&folder, OUTPUT, &mut out(&long), &["could not be written", "name too long"]);
    let mut no_model = example("matte_file");
    no_model.arg(&input).arg(&same).args(["--model", "no.onnx"]);
    fails(&folder, MODEL, &mut no_model, &["no.onnx", "was not found"]);
    let mut several = example("matte_file");
    several.args([&input, &input, &same]);
    fails(&folder, USAGE, &mut several, &["several inputs", "{}"]);
    std::fs::write(&same, "mine").unwrap();
    fails(&folder, OUTPUT, &mut out("x.mkv"), &["already there", "--force"]);
    assert_eq!(std::fs::read(&same).unwrap(), b"mine");
    done(out("x.mkv").arg("--force"));
    assert_eq!(decode(&same, "").frames.len(), 24);
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_is() {
    let folder = Folder::new();
    let (input, out) = (folder.clip(), folder.path("x.mkv"));
    let help = done(example("matte_file").arg("--help"));
    for code in ["0", "1", "2", "3", "4", "5", "130"] {
        assert!(help.contains(&format!("\n  {code} ")), "{code} in {help}");
    }
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(matte(&input, &out).arg("--no-such-option")), Some(USAGE));
    assert_eq!(code(&mut example("matte_file")), Some(USAGE));
    let model = |path: &str| {
        let mut command = example("matte_file");
        command.arg(&input).arg(&out).args(["--model", path]);
        command
    };
    let readme = common::root().join("README.md");
    fails(&folder, MODEL, &mut model(readme.to_str().unwrap()), &["README.md"]);
    fails(&folder, MODEL, &mut model(&fixture("two_inputs.onnx")), &["two_inputs.onnx"]);
    fails(&folder, 1, &mut model(&fixture("nan.onnx")), &["not a matte"]);
    let unusable = ["--device", "directml"];
    if cfg!(not(windows)) {
        fails(&folder, MODEL, model("builtin").args(unusable), &["directml"]);
    }
    let mut command = model("builtin");
    command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    fails(&folder, MODEL, &mut command, &["ONNX Runtime"]);
    let picture = ["--background-image", readme.to_str().unwrap()];
    fails(&folder, INPUT, matte(&input, &out).args(picture), &["background picture"]);
    // Of several failures the first one counts.
    let mut command = example("matte_file");
    command.args([&folder.path("missing.mp4"), &input]).arg(folder.path("nowhere/{}.mkv"));
    assert_eq!(code(&mut command), Some(INPUT));
    // What is not an output that could be written is not replaced.
    #[cfg(unix)]
    {
        assert!(Command::new("mkfifo").arg(&out).status().unwrap().success());
        let output = ended(matte(&input, &out).arg("--force"));
        let message = failure_of(OUTPUT, &output);
        assert!(message.contains("x.mkv could not be written"), "{message}");
        assert!(!out.metadata().unwrap().is_file());
    }
    if let Some(full) = full_disk() {
        let out = folder.path("y.mkv");
        let output = matte(&input, &out).stdout(full).output().unwrap();
        let message = failure_of(OUTPUT, &output);
        assert!(message.contains("standard output"), "{message}");
    }
}

#[test]
fn what_is_no_input_is_told() {
    let folder = Folder::new();
    let whole = std::fs::read(folder.clip()).unwrap();
    let matroska = folder.make("in.mkv", &format!("{VIDEO} ! x264enc ! matroskamux"));
    let matroska = std::fs::read(matroska).unwrap();
    let picture = folder.make("in.jpg", "videotestsrc num-buffers=1 ! jpegenc");
    let picture = std::fs::read(picture).unwrap();
    folder.make("sound.mp4", &format!("{SOUND} ! avenc_aac ! mp4mux"));
    folder.make(
        "fields.ts",
        "videotestsrc num-buffers=8 ! interlace ! x264enc interlaced=true ! mpegtsmux",
    );
    folder.make("none.mkv", "videotestsrc num-buffers=0 ! x264enc ! matroskamux");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path(name), bytes).unwrap();
    write("empty.mp4", b"");
    write("text.mp4", b"no video at all");
    write("cut.mp4", &whole[..whole.len() * 2 / 3]);
    write("cut.mkv", &matroska[..matroska.len() / 2]);
    write("cut.jpg", &picture[..picture.len() / 2]);
    for (name, words) in [
        ("missing.mp4", ["missing.mp4", "could not be read"]),
        ("empty.mp4", ["empty.mp4", "is empty"]),
        ("text.mp4", ["text.mp4", "could not be decoded"]),
        ("cut.mp4", ["cut.mp4", "cut off"]),
        ("cut.mkv", ["cut.mkv", "cut off"]),
        ("cut.jpg", ["cut.jpg", "could not be decoded"]),
        ("sound.mp4", ["sound.mp4", "only audio"]),
        ("none.mkv", ["none.mkv", "none.mkv"]),
        (".", ["is a folder", "name a video"]),
        ("in.%04d.png", ["a sequence of pictures", "ffmpeg"]),
        ("fields.ts", ["fields.ts is interlaced", "ffmpeg"]),
    ] {
        fails(&folder, INPUT, &mut matte(&folder.path(name), &folder.path("out.mov")), &words);
        fails(&folder, INPUT, &mut matte(&folder.path(name), &folder.path("pictures")), &words);
    }
}

#[test]
fn files_that_do_not_tell_their_length_are_whole() {
    let folder = Folder::new();
    for (name, muxer) in [
        ("live.mkv", "matroskamux streamable=true"),
        ("fragments.mp4", "mp4mux fragment-duration=200"),
        ("stream.ts", "mpegtsmux"),
    ] {
        let input = folder.make(name, &format!("{VIDEO} ! x264enc bframes=0 ! {muxer}"));
        let text = done(matte(&input, &folder.path("out.mkv")).arg("--force"));
        assert!(text.contains("24 frames"), "{name}: {text}");
        assert_eq!(decode(&folder.path("out.mkv"), "").frames.len(), 24);
    }
}

#[test]
fn frames_that_do_not_come_are_told() {
    let folder = Folder::new();
    // mp4mux tells a fragmented file's length too short for frames that are reordered.
    let input = folder.make(
        "in.mp4",
        &format!("{VIDEO} ! x264enc bframes=2 b-adapt=false ! mp4mux fragment-duration=200"),
    );
    let before = decode(&input, "").frames.len();
    let output = matte(&input, &folder.path("out.mkv")).output().unwrap();
    assert!(stdout(&output).contains(&format!("{before} frames")));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.contains("of 24 stored frames"), before < 24, "{before}: {message}");
    assert_eq!(decode(&folder.path("out.mkv"), "").frames.len(), before);
}

#[test]
fn a_bad_input_does_not_stop_the_others() {
    let folder = Folder::new();
    let good = folder.clip();
    let mut command = example("matte_file");
    command.args([&folder.path("missing.mp4"), &good]).arg(folder.path("{}-cut.mkv"));
    let output = command.args(["--matte"]).arg(folder.path("{}-matte.mkv")).output().unwrap();
    assert!(failure_of(INPUT, &output).contains("missing.mp4"));
    assert_eq!(folder.files(), ["in-cut.mkv", "in-matte.mkv", "in.mp4"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_missing_encoder_is_named_with_its_package() {
    let folder = Folder::new();
    let input = folder.clip();
    let x264 = gst::Registry::get().find_plugin("x264").expect("x264 is there");
    let system = x264.filename().unwrap().parent().unwrap().to_owned();
    let plugins = folder.path("plugins");
    std::fs::create_dir(&plugins).unwrap();
    for entry in std::fs::read_dir(system).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() && name != "libgstx264.so" {
            std::os::unix::fs::symlink(&path, plugins.join(name)).unwrap();
        }
    }
    let mut command = matte(&input, &folder.path("out.mp4"));
    command.env("GST_PLUGIN_SYSTEM_PATH", &plugins).env_remove("GST_PLUGIN_PATH");
    command.env("GST_REGISTRY", plugins.join("registry.bin"));
    fails(&folder, 1, &mut command, &["x264enc", "gstreamer1.0-plugins-ugly"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let folder = Folder::new();
    let (input, disk) = (folder.clip(), folder.path("disk"));
    std::fs::create_dir(&disk).unwrap();
    for out in ["out.mkv", "out.mov", "pictures/"] {
        let program = matte(&input, &disk.join(out));
        // The disk is there only for what runs in the namespace.
        let script = "mount -t tmpfs -o size=100k tmpfs \"$0\" || exit 42
            \"$@\"; code=$?; ls -A \"$0\"; exit $code";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&disk);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = match command.output() {
            Ok(output) if output.status.code() != Some(42) => output,
            _ => {
                skip::impossible("no disk can be mounted here");
                return;
            }
        };
        if String::from_utf8_lossy(&output.stderr).contains("unshare") {
            skip::impossible("no namespace can be made here");
            return;
        }
        let message = failure_of(OUTPUT, &output);
        assert!(message.contains("could not be written"), "{message}");
        assert!(message.contains("storage") || message.contains("space"), "{message}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is left");
    }
}

#[test]
#[cfg(unix)]
fn missing_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let input = folder.clip();
    let closed = folder.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(closed.join("probe"), "").is_ok() {
        skip::impossible("this user may write everywhere");
        return;
    }
    for out in ["out.mov", "new/", "%05d.png"] {
        fails(&folder, OUTPUT, &mut matte(&input, &closed.join(out)), &["closed", "permission"]);
    }
    std::fs::set_permissions(&input, std::fs::Permissions::from_mode(0o000)).unwrap();
    fails(&folder, INPUT, &mut matte(&input, &folder.path("out.mov")), &["in.mp4", "permission"]);
}

#[test]
#[cfg(unix)]
fn what_lies_in_the_way_is_not_written_into() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let (input, precious) = (folder.clip(), folder.path("precious.txt"));
    std::fs::write(&precious, "mine").unwrap();
    std::fs::create_dir(folder.path("pictures")).unwrap();
    for (out, part) in [
        ("x.mkv", "x.mkv.part"),
        ("x.png", "x.png.part"),
        ("pictures", "pictures/%05d.png.part"),
        ("pictures", "pictures/00003.png.part"),
        ("pictures", "pictures/%05d.png.resume.part"),
    ] {
        let (out, part) = (folder.path(out), folder.path(part));
        for (is_link, words) in [(true, "is a link"), (false, "another name")] {
            match is_link {
                true => symlink(&precious, &part).unwrap(),
                false => std::fs::hard_link(&precious, &part).unwrap(),
            }
            let output = ended(&mut matte(&still(&folder, &out, &input), &out));
            let message = failure_of(OUTPUT, &output);
            assert!(message.contains(words) && message.contains(".part"), "{message}");
            assert_eq!(std::fs::read(&precious).unwrap(), b"mine", "{message}");
            assert_eq!(part.is_symlink(), is_link);
            std::fs::remove_file(&part).unwrap();
        }
        // A pipe is not waited for.
        assert!(Command::new("mkfifo").arg(&part).status().unwrap().success());
        let message = failure_of(OUTPUT, &ended(&mut matte(&still(&folder, &out, &input), &out)));
        assert!(message.contains("no regular file"), "{message}");
        std::fs::remove_file(part).unwrap();
    }
    assert_eq!(files_in(&folder.path("pictures")), [""; 0]);
}

/// One frame for one picture.
#[cfg(unix)]
fn still(folder: &Folder, out: &Path, clip: &Path) -> PathBuf {
    match out.extension() {
        Some(ending) if ending == "png" => {
            folder.make("in.jpg", "videotestsrc num-buffers=1 ! jpegenc")
        }
        _ => clip.to_owned(),
    }
}
