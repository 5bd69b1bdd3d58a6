//! Running the programs in `examples/`.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, missing_docs)]

pub mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program that `cargo test` has built beside this test, without the settings of whoever runs it.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program =
        profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --example {name}`",
        program.display()
    );
    let mut command = Command::new(program);
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("build/onnxruntime");
        assert!(folder.exists(), "{} is missing: run `make setup`", folder.display());
        command.env("ORT_DYLIB_PATH", folder);
    }
    for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command.env_remove("DAVIDMATTE_MODEL_PATH");
    command
}

/// What a program sets of its element, by the element's own log.
pub struct Heard(tempfile::TempDir);

impl Heard {
    /// Of a program that is not yet begun.
    pub fn of(program: &mut Command) -> Self {
        let heard = Self(tempfile::tempdir().unwrap());
        let settings = [("GST_DEBUG", "davidmatte:5"), ("GST_DEBUG_NO_COLOR", "1")];
        program.envs(settings).env("GST_DEBUG_FILE", heard.file());
        heard
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("log")
    }

    /// How often a property was set so.
    pub fn times(&self, property: &str, value: &str) -> usize {
        let log = std::fs::read_to_string(self.file()).unwrap_or_default();
        let property = format!("> {property} = ");
        let values = log.lines().filter_map(|line| Some(line.split_once(&property)?.1));
        values.filter(|set| set.contains(value)).count()
    }
}

/// A device that has no space, where there is one. As root, a program could have put a file there.
pub fn full_disk() -> Option<std::fs::File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let full = std::fs::File::options().write(true).open("/dev/full").ok()?;
        full.metadata().ok()?.file_type().is_char_device().then_some(full)
    }
    #[cfg(not(unix))]
    None
}

/// Runs a program that might wait for something without end.
pub fn ended(command: &mut Command) -> Output {
    /// Longer than anything takes that is run so, on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(60);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let begun = Instant::now();
    let waiting = std::thread::spawn(move || {
        // What it prints is read meanwhile: a pipe holds only so much.
        child.wait_with_output().unwrap()
    });
    while !waiting.is_finished() {
        if begun.elapsed() > TIMEOUT {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
            panic!("the program does not end: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    waiting.join().unwrap()
}

pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The message of a program that failed as it should: with exit code 1, and in one line.
pub fn failure(output: &Output) -> String {
    failure_of(1, output)
}

/// As [`failure`], with another exit code.
pub fn failure_of(code: i32, output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    message
}

/// Names of all files in a folder, in order.
pub fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}
