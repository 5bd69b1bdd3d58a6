//! Pictures, each of which has its name only when it is complete.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::format::{Pattern, Target};
use crate::part::{Part, beside};
use crate::survey::lock;

/// Writes pictures, and takes back what it wrote unless that is kept.
#[derive(Debug)]
pub struct Pictures {
    input: PathBuf,
    target: Target,
    /// The number of the first picture.
    number: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Of the pictures to come, counted from 0.
    next: u64,
    /// The only picture, which gets its name at the end; of a sequence, what keeps other runs from
    /// it, and never gets a name.
    part: Option<Part>,
    /// Pictures that were not there before.
    written: Vec<PathBuf>,
    /// What they are to replace.
    replaced: Option<Aside>,
    /// Folders that were made, the outermost first.
    folders: Vec<PathBuf>,
    is_kept: bool,
}

impl Pictures {
    /// Pictures of an input's frames, numbered from `number` on. No other run writes them while this lives.
    ///
    /// # Errors
    /// [`Error::Write`] where the folder cannot be made, [`Error::Busy`].
    pub fn new(input: &Path, target: &Target, number: u64) -> Result<Arc<Self>, Error> {
        let pictures = Self {
            input: input.to_owned(),
            target: target.clone(),
            number,
            state: Mutex::new(State {
                next: 0,
                part: None,
                written: Vec::new(),
                replaced: None,
                folders: Vec::new(),
                is_kept: false,
            }),
        };
        let mut state = lock(&pictures.state);
        if let Target::Sequence(_, pattern) = target {
            state.folders = make_folders(&pattern.folder)?;
        }
        state.part = Some(Part::new(&target.own_path())?);
        drop(state);
        Ok(Arc::new(pictures))
    }

    /// The path as it is shown to the user.
    pub fn path(&self) -> PathBuf {
        self.target.path()
    }

    /// Lets so many pictures be there already.
    pub fn go_on_from(&self, first: u64) {
        lock(&self.state).next = first;
    }

    /// Puts pictures that are there out of the way, to be removed once they are replaced.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn replace(&self) -> Result<(), Error> {
        if let Target::Sequence(_, pattern) = &self.target {
            lock(&self.state).replaced = Some(Aside::put(pattern)?);
        }
        Ok(())
    }

    /// Writes the next picture.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::OnePicture`].
    pub fn write(&self, png: &[u8]) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        match (&self.target, &state.part) {
            (Target::Sequence(_, pattern), _) => {
                let path = pattern.path(self.number + number);
                let part = Part::new(&path)?;
                part.fill(png)?;
                let is_new = path.symlink_metadata().is_err();
                part.become_file()?;
                state.written.extend(is_new.then_some(path));
                Ok(())
            }
            (target, Some(_)) if number > 0 => {
                Err(Error::OnePicture { path: self.input.clone(), target: target.path() })
            }
            (_, Some(part)) => part.fill(png),
            (_, None) => Ok(()),
        }
    }

    /// Keeps what was written, which is all there is if `complete`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn keep(&self, complete: bool) -> Result<(), Error> {
        let mut state = lock(&self.state);
        match &self.target {
            Target::Sequence(_, pattern) => {
                if complete {
                    remove_from(pattern, self.number + state.next)?;
                }
                // Also what a run that was killed has put aside.
                Aside::of(pattern).remove();
            }
            _ => {
                if let Some(part) = state.part.take() {
                    part.sync()?;
                    part.become_file()?;
                }
            }
        }
        state.is_kept = true;
        Ok(())
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        let part = state.part.take();
        if state.is_kept {
            return;
        }
        // Nothing that cannot be removed does harm, and folders with other things in them stay.
        for path in &state.written {
            let _ = std::fs::remove_file(path);
        }
        if let Some(replaced) = state.replaced.take() {
            replaced.put_back();
        }
        // It lies in one of the folders.
        drop(part);
        for folder in state.folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Whether a run that was killed has put pictures aside, to replace them.
pub fn are_aside(pattern: &Pattern) -> bool {
    Aside::of(pattern).folder.exists()
}

/// A folder beside pictures, for those that are being replaced.
#[derive(Debug)]
struct Aside {
    pattern: Pattern,
    folder: PathBuf,
}

impl Aside {
    /// Of a sequence, whether it is there or not.
    fn of(pattern: &Pattern) -> Self {
        Self { pattern: pattern.clone(), folder: beside(&pattern.own_path(), "before") }
    }

    /// Puts pictures aside.
    fn put(pattern: &Pattern) -> Result<Self, Error> {
        let aside = Self::of(pattern);
        if aside.folder.exists() {
            // A run was killed that had put pictures there. What has come since is unfinished.
            remove_from(pattern, 0)?;
            return Ok(aside);
        }
        let numbers = numbers(pattern)?;
        if numbers.is_empty() {
            return Ok(aside);
        }
        let folder = &aside.folder;
        let fail = |reason| Error::Write { path: folder.clone(), reason };
        std::fs::create_dir(folder).map_err(fail)?;
        for number in numbers {
            let from = pattern.path(number);
            let to = folder.join(from.file_name().unwrap_or_default());
            if let Err(reason) = std::fs::rename(from, to) {
                aside.put_back();
                return Err(fail(reason));
            }
        }
        Ok(aside)
    }

    /// Gives pictures their places back. What cannot be moved stays where it is found.
    fn put_back(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _ = std::fs::rename(entry.path(), self.pattern.folder.join(entry.file_name()));
        }
        let _ = std::fs::remove_dir(&self.folder);
    }

    /// Removes what was put aside; what cannot be removed does no harm.
    fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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
/// [`Error::Write`], as it is the output that cannot be looked at.
pub fn numbers(pattern: &Pattern) -> Result<Vec<u64>, Error> {
    let fail = |reason| Error::Write { path: pattern.folder.clone(), reason };
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

/// How many pictures there are from number `first` on without a gap.
///
/// # Errors
/// [`Error::Write`], as it is the output that cannot be looked at.
pub fn present(pattern: &Pattern, first: u64) -> Result<u64, Error> {
    let numbers = numbers(pattern)?;
    let numbers = numbers.iter().skip_while(|number| **number < first);
    Ok((first..).zip(numbers).take_while(|(at, number)| at == *number).count() as u64)
}

/// Removes pictures of a longer sequence that this one replaces.
fn remove_from(pattern: &Pattern, first: u64) -> Result<(), Error> {
    for number in numbers(pattern)?.into_iter().filter(|&number| number >= first) {
        let path = pattern.path(number);
        std::fs::remove_file(&path).map_err(|reason| Error::Write { path, reason })?;
    }
    Ok(())
}
