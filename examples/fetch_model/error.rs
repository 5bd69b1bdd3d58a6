//! What can go wrong, each with a sentence that says what failed and what to do.

use std::io;
use std::path::PathBuf;

use gstdavidmatte::matting::error::Error as MattingError;

/// Any failure of fetching a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Matting(#[from] MattingError),

    #[error(
        "there is no folder for models of this user; set HOME or XDG_DATA_HOME, or name one with --folder"
    )]
    NoFolder,

    #[error(
        "nobody publishes the file of {name}; docs/models.md tells how to get it, and --url takes an address of yours"
    )]
    NoAddress { name: String },

    #[error("{} could not be written ({reason}); check permissions and free space, or name another folder with --folder", path.display())]
    Write { path: PathBuf, reason: io::Error },

    #[error("{} could not be read ({reason}); check its permissions", path.display())]
    Read { path: PathBuf, reason: io::Error },

    #[error("another fetch_model is writing {}; wait for it to end", path.display())]
    Busy { path: PathBuf },

    #[error("{} has {} free, and {} are needed; free some space, or name another folder with --folder",
        folder.display(), indicatif::DecimalBytes(*free), indicatif::DecimalBytes(*needed))]
    Space { folder: PathBuf, free: u64, needed: u64 },

    #[error(
        "{url} could not be fetched ({reason}); check the network and proxy settings, or name a mirror with --url"
    )]
    Fetch { url: String, reason: String },

    #[error("{url} broke off {times} times ({reason}); run the same command again to go on from {}",
        indicatif::DecimalBytes(*got))]
    BrokenOff { url: String, times: u32, reason: String, got: u64 },

    #[error(
        "{url} gave {got} bytes where {expected} were expected; try again later, or name a mirror with --url"
    )]
    Length { url: String, got: u64, expected: u64 },

    #[error(
        "{url} gives {found} where {expected}; it was not kept: name another source with --url, or take it nevertheless with --any-size"
    )]
    Size { url: String, found: String, expected: String },

    #[error(
        "{what} has SHA-256 {found} where {expected} {origin}; it was not used: name another source with --url, or {remedy}"
    )]
    Checksum { what: String, found: String, expected: String, origin: String, remedy: String },

    #[error("{url} gave no matting network, and it was not kept: {reason}")]
    NotAModel { url: String, reason: MattingError },

    #[error("the standard output could not be written ({0}); check where it leads")]
    Print(#[source] io::Error),
}
