//! The note that lies beside what was interrupted, for going on with it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::arguments::Stills;
use crate::error::Error;
use crate::own_file;
use crate::part::{Part, beside};
use crate::plan::Job;
use crate::selection::Selection;
use crate::settings::Settings;

/// What was done, of what, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    version: String,
    input: Input,
    settings: BTreeMap<String, String>,
    /// Frames that every output has; none is told where only the pictures themselves tell it.
    pub frames: Option<u64>,
    /// The caps of each output's video; pictures have none.
    pub streams: Vec<Option<String>>,
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    bytes: u64,
    modified: u128,
}

impl Note {
    /// Of a job that has not begun.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn new(
        job: &Job,
        settings: &Settings,
        selection: &Selection,
        stills: &Stills,
    ) -> Result<Self, Error> {
        let fail = |reason| Error::Read { path: job.input.clone(), reason };
        let metadata = std::fs::metadata(&job.input).map_err(fail)?;
        let modified = metadata.modified().map_err(fail)?.duration_since(UNIX_EPOCH);
        let mut all: BTreeMap<_, _> =
            settings.show().map(|(name, value)| (format!("--{name}"), value)).collect();
        let first = Some(selection.number - selection.frames.start).filter(|first| *first > 0);
        all.extend(selection.show().map(|range| ("--range".to_owned(), range)));
        all.extend(first.map(|first| ("--first".to_owned(), first.to_string())));
        all.extend((stills.depth != 8).then(|| ("--depth".to_owned(), stills.depth.to_string())));
        all.extend(stills.premultiplied.then(|| ("--premultiplied".to_owned(), String::new())));
        for (option, output) in ["--output", "--matte"].iter().zip(&job.outputs) {
            let (kind, path) = (output.kind.name(), output.target.path());
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.insert((*option).to_owned(), format!("{kind} in {name}"));
        }
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            input: Input {
                bytes: metadata.len(),
                modified: modified.unwrap_or_default().as_nanos(),
            },
            settings: all,
            frames: None,
            streams: Vec::new(),
        })
    }

    /// Where a job's note lies.
    pub fn path(job: &Job) -> PathBuf {
        let target = job.outputs.first().map(|output| output.target.own_path());
        beside(&target.unwrap_or_default(), "resume")
    }

    /// The note at a path, if there is one.
    ///
    /// # Errors
    /// [`Error::Resume`] for what is no note, or cannot be read; [`Error::Write`] where none could be.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let fail = |reason| Error::Resume { path: path.to_owned(), reason };
        let bytes = own_file::read(path).map_err(|error| match error.kind() {
            ErrorKind::InvalidFilename => Error::Write { path: path.to_owned(), reason: error },
            _ => fail(error.to_string()),
        })?;
        let Some(bytes) = bytes else { return Ok(None) };
        let note = serde_json::from_slice(&bytes);
        note.map(Some).map_err(|_| fail("it is not a note of matte_file's".into()))
    }

    /// Writes the note, in one step.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Busy`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let fail = |reason| Error::Write { path: path.to_owned(), reason };
        let text = serde_json::to_vec_pretty(self).map_err(|error| fail(error.into()))?;
        let part = Part::new(path)?;
        part.fill(&text)?;
        part.become_file()
    }

    /// Why a run that would write `self` cannot go on with what `earlier` tells of.
    pub fn differs(&self, earlier: &Self) -> Option<String> {
        if self.version != earlier.version {
            return Some(format!("it was begun by version {}", earlier.version));
        }
        if self.input != earlier.input {
            return Some("the input is another file, or has changed".into());
        }
        let names = self.settings.keys().chain(earlier.settings.keys());
        for name in names {
            let (now, then) = (self.settings.get(name), earlier.settings.get(name));
            if now != then {
                return Some(match then {
                    Some(then) => format!("it was begun with {name} {then}"),
                    None => format!("it was begun without {name}"),
                });
            }
        }
        None
    }
}
