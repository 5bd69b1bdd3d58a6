//! What can go wrong, each with a sentence that says what failed and what to do.

use std::io;
use std::path::PathBuf;

use gstdavidmatte::matting::error::Error as MattingError;

/// Any failure of the evaluation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Matting(#[from] MattingError),

    #[error(transparent)]
    Stream(#[from] gstdavidmatte::matting::stream::Refused),

    #[error(transparent)]
    Interrupted(#[from] gstdavidmatte::matting::stream::Interrupted),

    #[error("the network gave no matte; check the model")]
    NoMatte,

    #[error("folder {} could not be read ({reason}); check the path and its permissions", path.display())]
    Folder { path: PathBuf, reason: io::Error },

    #[error(
        "folder {} has none of the layouts that are understood: P3M-10k, PPM-100 (image and matte), \
         VideoMatte (com and pha for each clip), pictures with their mattes as NAME.jpg and NAME.png, \
         or RGBA cut-outs with --backgrounds; name the folders with --pictures and --mattes",
        path.display()
    )]
    Layout { path: PathBuf },

    #[error(
        "folder {} has no JPEG, PNG or WebP pictures; check the path, or convert what is there",
        path.display()
    )]
    NoPictures { path: PathBuf },

    #[error("picture {} has no {what} of the same name in {}; add it, or move the picture away",
        picture.display(), folder.display())]
    Unpaired { picture: PathBuf, what: &'static str, folder: PathBuf },

    #[error("pictures {} and {} have the same name; keep one of them", one.display(), other.display())]
    Ambiguous { one: PathBuf, other: PathBuf },

    #[error("picture {} could not be read ({reason}); check or replace it", path.display())]
    Picture { path: PathBuf, reason: String },

    #[error(
        "picture {} is {}x{} and {} is {}x{}, which is another shape; pair each picture with its own",
        picture.display(), size.0, size.1, other.display(), other_size.0, other_size.1
    )]
    Shape { picture: PathBuf, size: (u32, u32), other: PathBuf, other_size: (u32, u32) },

    #[error("picture {} has no alpha channel; --backgrounds is for RGBA cut-outs", path.display())]
    NoAlpha { path: PathBuf },

    #[error("clip {} changes its size at {}; make all its frames one size", clip, frame.display())]
    ClipSize { clip: String, frame: PathBuf },

    #[error("report {} could not be written ({reason}); choose another file with --report", path.display())]
    Report { path: PathBuf, reason: io::Error },

    #[error("the results could not be written to the standard output ({0}); check where it leads")]
    Print(#[from] io::Error),
}
