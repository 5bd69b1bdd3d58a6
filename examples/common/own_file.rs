//! Files that a program keeps for itself, such as those that grow beside their later place. Their
//! names are known beforehand, so anybody who may write there could have put something else in the
//! way: nothing is written through a link, nor into a file that has another name as well.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

/// Opens a file for reading and writing, made unless it is there, and locks it until it is closed.
/// `None` while another process has it.
///
/// Whoever removes or renames such a file does so before it is closed.
///
/// # Errors
/// Those of the system, and what lies in the way.
pub fn open_locked(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between the two, another process may have been done with it.
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Fails where a file that gets this name would take the place of a device or a pipe.
///
/// # Errors
/// What is there.
pub fn check_place(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(there) if !there.is_file() && !there.is_symlink() => {
            Err(io::Error::other("it is no regular file"))
        }
        _ => Ok(()),
    }
}

/// Replaces what a file holds, made unless it is there.
///
/// # Errors
/// Those of the system, and what lies in the way.
#[allow(dead_code, reason = "not every program has such files")]
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    file.set_len(0)?;
    file.write_all(bytes)
}

/// All that a file holds; nothing where there is none. Links to it do no harm.
///
/// # Errors
/// Those of the system, and what is no file: a pipe would be waited for without end.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match path.metadata() {
        Ok(there) if there.is_file() => std::fs::read(path).map(Some),
        Ok(_) => Err(io::Error::other("it is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file for writing, if it is one, of one name.
fn open(path: &Path) -> io::Result<File> {
    let in_the_way = |what: &str| io::Error::other(format!("{} is {what}", path.display()));
    // The usual case, told well; what comes in between is kept out below.
    match path.symlink_metadata() {
        Ok(there) if there.is_symlink() => {
            return Err(in_the_way("a link, which is not followed"));
        }
        Ok(there) if !there.is_file() => return Err(in_the_way("no regular file")),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.open(path)?;
    let opened = file.metadata()?;
    if !opened.is_file() {
        return Err(in_the_way("no regular file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&opened) > 1 {
        return Err(in_the_way("a file with another name as well"));
    }
    Ok(file)
}

/// Whether a path still leads to a file that was opened by it.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}
