//! Files that have their name only when they are complete.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::Error;

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
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, target: target.to_owned(), file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: target.to_owned() }),
            Err(TryLockError::Error(reason)) => Err(fail(reason)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
        self.file = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed is written over the next time.
            let _ = std::fs::remove_file(&self.path);
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
