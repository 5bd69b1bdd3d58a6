//! Pictures, each of which has its name only when it is complete.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::format::{Pattern, Target};
use crate::part::Part;
use crate::survey::lock;

/// Writes pictures, and takes back what it wrote unless that is kept.
#[derive(Debug)]
pub struct Pictures {
    input: PathBuf,
    target: Target,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// The only picture, which gets its name at the end.
    only: Option<Part>,
    written: Vec<PathBuf>,
    /// Folders that were made, the outermost first.
    folders: Vec<PathBuf>,
    is_kept: bool,
}

impl Pictures {
    /// Pictures of an input's frames from number `first` on.
    ///
    /// # Errors
    /// [`Error::Write`] where the folder cannot be made, [`Error::Busy`].
    pub fn new(input: &Path, target: &Target, first: u64) -> Result<Arc<Self>, Error> {
        let mut state = State {
            next: first,
            only: None,
            written: Vec::new(),
            folders: Vec::new(),
            is_kept: false,
        };
        match target {
            Target::Sequence(pattern) => state.folders = make_folders(&pattern.folder)?,
            Target::Picture(path) => state.only = Some(Part::new(path)?),
            Target::Video(..) => {}
        }
        Ok(Arc::new(Self {
            input: input.to_owned(),
            target: target.clone(),
            state: Mutex::new(state),
        }))
    }

    /// Writes the next picture.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::OnePicture`].
    pub fn write(&self, png: &[u8]) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        match (&self.target, &state.only) {
            (Target::Sequence(pattern), _) => {
                let path = pattern.path(number);
                let part = Part::new(&path)?;
                write(&part, &path, png)?;
                part.become_file()?;
                state.written.push(path);
                Ok(())
            }
            (target, Some(_)) if number > 0 => {
                Err(Error::OnePicture { path: self.input.clone(), target: target.path() })
            }
            (_, Some(part)) => write(part, &self.target.path(), png),
            (_, None) => Ok(()),
        }
    }

    /// Keeps what was written, which is all there is if `complete`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn keep(&self, complete: bool) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(part) = state.only.take() {
            part.sync()?;
            part.become_file()?;
        }
        if let (true, Target::Sequence(pattern)) = (complete, &self.target) {
            remove_from(pattern, state.next)?;
        }
        state.is_kept = true;
        Ok(())
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let state = lock(&self.state);
        if !state.is_kept {
            // Nothing that cannot be removed does harm, and folders with other things in them stay.
            for path in &state.written {
                let _ = std::fs::remove_file(path);
            }
            for folder in state.folders.iter().rev() {
                let _ = std::fs::remove_dir(folder);
            }
        }
    }
}

fn write(part: &Part, path: &Path, png: &[u8]) -> Result<(), Error> {
    std::fs::write(part.path(), png)
        .map_err(|reason| Error::Write { path: path.to_owned(), reason })
}

/// Makes a folder and those around it, and returns those that were not there.
fn make_folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing: Vec<_> = folder
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .take_while(|folder| !folder.exists())
        .map(Path::to_owned)
        .collect();
    std::fs::create_dir_all(folder)
        .map_err(|reason| Error::Write { path: folder.to_owned(), reason })?;
    Ok(missing.into_iter().rev().collect())
}

/// The numbers of a pattern's pictures that are there, in order.
///
/// # Errors
/// [`Error::Read`].
pub fn numbers(pattern: &Pattern) -> Result<Vec<u64>, Error> {
    let fail = |reason| Error::Read { path: pattern.folder.clone(), reason };
    if !pattern.folder.exists() {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(&pattern.folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        numbers.extend(name.to_str().and_then(|name| pattern.frame(name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// How many pictures there are from 0 on without a gap.
///
/// # Errors
/// [`Error::Read`].
pub fn first_missing(pattern: &Pattern) -> Result<u64, Error> {
    let numbers = numbers(pattern)?;
    Ok((0..).zip(&numbers).take_while(|(at, number)| at == *number).count() as u64)
}

/// Removes pictures of a longer sequence that this one replaces.
fn remove_from(pattern: &Pattern, first: u64) -> Result<(), Error> {
    for number in numbers(pattern)?.into_iter().filter(|&number| number >= first) {
        let path = pattern.path(number);
        std::fs::remove_file(&path).map_err(|reason| Error::Write { path, reason })?;
    }
    Ok(())
}
