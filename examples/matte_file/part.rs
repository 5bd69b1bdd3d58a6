//! Files that have their name only when they are complete.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::own_file::{check_place, open_locked};

/// A file that is being written, beside the place it is for; removed unless it becomes that file.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    target: PathBuf,
    /// Holds the lock.
    file: Option<File>,
}

impl Part {
    /// Begins a file, over what a run that was killed may have left.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process writes it, [`Error::Write`].
    pub fn new(target: &Path) -> Result<Self, Error> {
        let path = beside(target, "part");
        // The name that the user knows is what the user is told.
        let fail = |reason| Error::Write { path: target.to_owned(), reason };
        check_place(target).map_err(fail)?;
        match open_locked(&path).map_err(fail)? {
            Some(file) => Ok(Self { path, target: target.to_owned(), file: Some(file) }),
            None => Err(Error::Busy { path: target.to_owned() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all that it is to hold.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn fill(&self, bytes: &[u8]) -> Result<(), Error> {
        let fail = |reason| Error::Write { path: self.target.clone(), reason };
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(fail)
    }

    /// Changes what it holds.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn change(&self, change: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), Error> {
        change(&self.path).map_err(|reason| Error::Write { path: self.target.clone(), reason })
    }

    /// Makes sure that all of it is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn sync(&self) -> Result<(), Error> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_all);
        synced.map_err(|reason| Error::Write { path: self.target.clone(), reason })
    }

    /// Gives the file its name, in one step.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn become_file(mut self) -> Result<(), Error> {
        std::fs::rename(&self.path, &self.target)
            .map_err(|reason| Error::Write { path: self.target.clone(), reason })?;
        // It is not removed, and others may have it.
        self.file = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(locked) = self.file.take() {
            // What cannot be removed is written over the next time. While it is locked it is nobody
            // else's.
            let _ = std::fs::remove_file(&self.path);
            drop(locked);
        }
    }
}

/// A file with another ending after its own.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
