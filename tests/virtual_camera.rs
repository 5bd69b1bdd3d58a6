//! The example `virtual_camera`: what it finds, what it sends, its keys, and how it ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "common/examples.rs"]
mod examples;
#[path = "../examples/virtual_camera/keys.rs"]
#[allow(dead_code)]
mod keys;
#[path = "../examples/virtual_camera/loopback.rs"]
mod loopback;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use examples::{Heard, example, failure, full_disk, skip, stdout};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything here takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The program where there is nothing to send frames to.
fn camera(arguments: &[&str]) -> Command {
    let mut command = example("virtual_camera");
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    command.env("XDG_RUNTIME_DIR", "/nowhere").stdin(Stdio::null());
    command.args(["--size", "64x48", "--device", "cpu"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    camera(arguments).output().unwrap()
}

fn media(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/media").join(name);
    path.to_str().unwrap().to_owned()
}

// -- What is there ---------------------------------------------------------------------------------

#[test]
fn loopback_devices_are_told_from_cameras() {
    let listed = tempfile::tempdir().unwrap();
    let device = |name: &str, label: &str, attributes: &[&str]| {
        let folder = listed.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("name"), format!("{label}\n")).unwrap();
        for attribute in attributes {
            std::fs::write(folder.join(attribute), "").unwrap();
        }
    };
    let of_the_module = ["buffers", "format", "max_openers"];
    device("video0", "HD Webcam", &["index", "dev"]);
    device("video10", "OBS Cam", &of_the_module);
    device("video2", "Dummy video device (0x0000)", &of_the_module);
    device("v4l-subdev0", "sensor", &of_the_module);
    device("videoX", "no device", &of_the_module);
    let found: Vec<_> = loopback::devices(listed.path())
        .into_iter()
        .map(|device| (device.path, device.label))
        .collect();
    assert_eq!(
        found,
        [
            (PathBuf::from("/dev/video2"), "Dummy video device (0x0000)".to_owned()),
            (PathBuf::from("/dev/video10"), "OBS Cam".to_owned()),
        ]
    );
    assert_eq!(loopback::devices(Path::new("/nowhere")), []);
    assert_eq!(loopback::VIDEO_DEVICES, "/sys/class/video4linux");
}

// -- Frames ----------------------------------------------------------------------------------------

#[test]
fn as_many_frames_are_sent_as_were_asked_for() {
    let said = stdout(&run(&["--source", "test", "--sink", "none", "--frames", "20"]));
    assert!(said.starts_with("From GStreamer's test picture to nowhere\n"), "{said}");
    let end = said.lines().last().unwrap();
    assert!(end.starts_with("20 frames in "), "{said}");
    assert!(end.contains(" frames a second, cpu ("), "{said}");
    assert!(end.contains(" inference ") && end.ends_with(" ms"), "{said}");
    assert!(!said.contains(['\r', '\x1b']), "no terminal is there: {said:?}");
}

/// The clip has fewer frames.
#[test]
fn a_file_is_played_again_and_again() {
    let clip = media("person.mp4");
    let said = stdout(&run(&["--source", &clip, "--sink", "none", "--frames", "400"]));
    assert!(said.lines().last().unwrap().starts_with("400 frames in "), "{said}");
}

#[test]
fn each_output_and_background_can_be_had() {
    for output in ["composite", "cutout", "alpha"] {
        for background in ["color", "blur", "checkerboard"] {
            let look = ["--output", output, "--background", background];
            let arguments = [&look[..], &["--source", "test", "--sink", "none", "--frames", "3"]];
            let mut program = camera(&arguments.concat());
            let heard = Heard::of(&mut program);
            stdout(&program.output().unwrap());
            for (property, value) in [("output", output), ("background", background)] {
                // Such as `Cutout` of `cutout`.
                let value = value[..1].to_uppercase() + &value[1..];
                assert!(heard.times(property, &value) > 0, "{property} = {value}");
            }
        }
    }
    let image = media("person.jpg");
    let arguments = ["--image", &image, "--source", "test", "--sink", "none", "--frames", "3"];
    stdout(&run(&arguments));
}

// -- Bad input -------------------------------------------------------------------------------------

#[test]
fn what_is_not_there_is_told() {
    let (picture, readme) = (media("person.jpg"), media("../../README.md"));
    for (arguments, part) in [
        (&["--sink", "auto"][..], "no v4l2loopback device, no PipeWire and no display"),
        (&["--sink", "window"], "no display"),
        (&["--sink", "pipewire"], "no PipeWire daemon"),
        (&["--source", "pipewire"], "no PipeWire daemon"),
        (&["--sink", "/dev/video-none"], "/dev/video-none could not be opened"),
        (&["--source", "nowhere.mp4"], "nowhere.mp4 could not be opened"),
        (&["--source", "/"], "is a directory"),
        (&["--source", &picture, "--sink", "none"], "no more than one picture"),
        (&["--image", "nowhere.png"], "nowhere.png could not be opened"),
        (&["--image", &readme, "--source", "test", "--sink", "none"], "background picture"),
        (&["--background", "image"], "--image"),
        (&["--model", "nowhere.onnx", "--source", "test", "--sink", "none"], "nowhere.onnx"),
    ] {
        let message = failure(&run(arguments));
        assert!(message.starts_with("virtual_camera: "), "{message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn what_is_no_video_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // A second of silence: 8000 samples of one byte.
    let mut sound =
        b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0"
            .to_vec();
    sound.extend_from_slice(b"data\x40\x1f\0\0");
    sound.resize(sound.len() + 8000, 128);
    for (name, bytes, part) in [
        ("empty.mp4", &b""[..], "could not be played"),
        ("text.mp4", b"this is no video\n", "could not be played"),
        ("sound.wav", &sound, "has no video"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let message = failure(&run(&["--source", path.to_str().unwrap(), "--sink", "none"]));
        assert!(message.starts_with("virtual_camera: "), "{message}");
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn arguments_that_mean_nothing_are_told() {
    for (name, value) in [
        ("--size", "64"),
        ("--size", "0x0"),
        ("--size", "99999x2"),
        ("--framerate", "0"),
        ("--color", "red"),
        ("--color", "+0b140"),
        ("--device", "abacus"),
        ("--output", "nothing"),
        ("--background", "sky"),
        ("--frames", "-1"),
    ] {
        let mut command = example("virtual_camera");
        let output = command.args([&format!("{name}={value}"), "--sink=none"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(name));
    }
}

#[test]
fn a_full_disk_is_told() {
    let Some(full) = full_disk() else {
        skip::impossible("this system has no /dev/full");
        return;
    };
    let mut command = camera(&["--source", "test", "--sink", "none", "--frames", "3"]);
    let message = failure(&command.stdout(full).output().unwrap());
    assert!(message.contains("standard output could not be written"), "{message}");
}

// -- A terminal ------------------------------------------------------------------------------------

/// A terminal and its other end, where somebody types and reads.
struct Terminal {
    near: OwnedFd,
    far: File,
    shown: String,
}

impl Terminal {
    fn new() -> Self {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let name = ptsname(&far, Vec::new()).unwrap();
        let near = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&near, size).unwrap();
        Self { near: near.into(), far: far.into(), shown: String::new() }
    }

    fn spawn(&self, command: &mut Command) -> Child {
        let end = || Stdio::from(self.near.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    fn settings(&self) -> String {
        let Termios { input_modes, output_modes, control_modes, local_modes, .. } =
            tcgetattr(&self.near).unwrap();
        format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?}")
    }

    fn press(&mut self, keys: &str) {
        self.far.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `text` is shown.
    fn wait_for(&mut self, text: &str) {
        let begin = Instant::now();
        self.shown.clear();
        while !self.shown.contains(text) {
            assert!(begin.elapsed() < TIMEOUT, "`{text}` did not come: {:?}", self.shown);
            let mut ready = [rustix::event::PollFd::new(&self.far, rustix::event::PollFlags::IN)];
            let timeout = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            if rustix::event::poll(&mut ready, Some(&timeout)).unwrap() > 0 {
                let mut bytes = [0; 4096];
                let count = self.far.read(&mut bytes).unwrap();
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    }
}

fn wait(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > TIMEOUT {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn keys_change_what_is_sent() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut program = camera(&["--source", "test", "--sink", "none"]);
    let heard = Heard::of(&mut program);
    let mut child = terminal.spawn(&mut program);
    terminal.wait_for("Keys: ");
    terminal.wait_for("over blur to nowhere");
    assert_ne!(terminal.settings(), before, "keys come one by one");
    for (key, text, set) in [
        ("k", "over a checkerboard to nowhere", Some(("background", "Checkerboard"))),
        ("m", "matte to nowhere", Some(("output", "Alpha"))),
        ("i", "no picture: start with --image FILE; matte", None),
        ("x", "cut-out to nowhere", Some(("output", "Cutout"))),
        ("c", "over a colour to nowhere", Some(("background", "Color"))),
        ("b", "over blur to nowhere", Some(("background", "Blur"))),
    ] {
        let times = || set.map_or(0, |(property, value)| heard.times(property, value));
        let before = times();
        terminal.press(key);
        terminal.wait_for(text);
        assert!(set.is_none() || times() > before, "{key} sets {set:?}");
    }
    terminal.press("q");
    terminal.wait_for("frames in ");
    assert_eq!(wait(&mut child), Some(0));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn an_error_gives_the_terminal_back() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let image = media("../../README.md");
    let arguments = ["--source", "test", "--sink", "none", "--image", &image];
    let mut child = terminal.spawn(&mut camera(&arguments));
    terminal.wait_for("virtual_camera: background picture");
    assert_eq!(wait(&mut child), Some(1));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn interrupts_end_it_as_q_does() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut child = terminal.spawn(&mut camera(&["--source", "test", "--sink", "none"]));
    terminal.wait_for("over blur to nowhere");
    terminal.press("\x03"); // Ctrl-C
    terminal.wait_for("frames in ");
    assert_eq!(wait(&mut child), Some(0));
    assert_eq!(terminal.settings(), before);

    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut child = terminal.spawn(&mut camera(&["--source", "test", "--sink", "none"]));
        terminal.wait_for("over blur to nowhere");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        terminal.wait_for("frames in ");
        assert_eq!(wait(&mut child), Some(0));
        assert_eq!(terminal.settings(), before);
    }
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "panics_while_keys_are_read"]);
    let mut child = terminal.spawn(&mut command);
    // Both may come at once, and what was waited for is forgotten.
    terminal.wait_for("test result");
    assert!(terminal.shown.contains("as it should"), "{:?}", terminal.shown);
    assert_eq!(wait(&mut child), Some(101));
    assert_eq!(terminal.settings(), before);
}

/// What [`a_panic_gives_the_terminal_back`] runs in a process of its own.
#[test]
#[ignore = "panics; another test runs it"]
fn panics_while_keys_are_read() {
    let keys = keys::Keys::listen().expect("there is a terminal");
    assert_eq!(keys.next(), None);
    // Kept, so that the terminal is given back before the message comes, and not after it.
    std::mem::forget(keys);
    panic!("as it should");
}

// -- Sinks of this machine -------------------------------------------------------------------------

/// A server of the test's own, that ends with it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_window_is_opened_where_there_is_a_display() {
    let mut xvfb = Command::new("Xvfb");
    // Otherwise it starts anew when the first sink that autovideosink tries has left, and refuses
    // the second meanwhile.
    xvfb.args(["-noreset", "-displayfd", "1", "-screen", "0", "320x240x24"]);
    let Ok(mut server) = xvfb.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        skip::missing("Xvfb", "install xvfb");
        return;
    };
    let mut number = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
    let _server = Server(server);
    let mut command = camera(&["--source", "test", "--frames", "10"]);
    let said = stdout(&command.env("DISPLAY", format!(":{}", number.trim())).output().unwrap());
    assert!(said.contains("to a window\n"), "{said}");
    assert!(said.lines().last().unwrap().starts_with("10 frames in "), "{said}");
}

#[test]
fn pipewire_is_taken_where_it_answers() {
    let has_sink = Command::new("gst-inspect-1.0")
        .arg("pipewiresink")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let folder = tempfile::tempdir().unwrap();
    let mut pipewire = Command::new("pipewire");
    pipewire.env("XDG_RUNTIME_DIR", folder.path()).env_remove("PIPEWIRE_RUNTIME_DIR");
    let server = pipewire.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let (Ok(server), true) = (server, has_sink) else {
        skip::missing(
            "PipeWire or its GStreamer plugin",
            "install pipewire and gstreamer1.0-pipewire",
        );
        return;
    };
    let _server = Server(server);
    let begin = Instant::now();
    while !folder.path().join("pipewire-0").exists() {
        assert!(begin.elapsed() < TIMEOUT, "PipeWire did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut command = camera(&["--source", "test", "--frames", "10"]);
    let said = stdout(&command.env("XDG_RUNTIME_DIR", folder.path()).output().unwrap());
    assert!(said.contains("to PipeWire, as the camera davidmatte\n"), "{said}");
    assert!(said.lines().last().unwrap().starts_with("10 frames in "), "{said}");
}
