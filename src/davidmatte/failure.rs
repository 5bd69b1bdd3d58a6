// SPDX-License-Identifier: MIT

//! What goes wrong, and how GStreamer is told.

use crate::matting::error::Error;

/// Why a frame could not be matted.
#[derive(Debug)]
pub enum Failure {
    /// The matting's own.
    Matting(Error),
    /// The buffer is not what its caps say.
    Buffer(String),
    /// Somebody up- or downstream said so: it is passed on, and is theirs to tell.
    Flow(gst::FlowError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Matting(error)
    }
}

impl From<crate::matting::stream::Interrupted> for Failure {
    fn from(_: crate::matting::stream::Interrupted) -> Self {
        Self::Flow(gst::FlowError::Flushing)
    }
}

impl From<crate::matting::stream::Refused> for Failure {
    fn from(refused: crate::matting::stream::Refused) -> Self {
        match refused {
            crate::matting::stream::Refused::Frame(error) => Self::Matting(error),
            crate::matting::stream::Refused::Interrupted(interrupted) => interrupted.into(),
        }
    }
}

/// What to do about an error, in the element's own words.
fn remedy(error: &Error) -> &'static str {
    match error {
        Error::DeviceUnavailable { .. } => "; set device=auto or device=cpu to go on without it",
        Error::Background { .. } => "; choose a PNG, JPEG or WebP file with background-image",
        _ => "",
    }
}

/// An error as one sentence.
pub fn sentence(error: &Error) -> String {
    format!("{error}{}", remedy(error))
}

/// The message that applications expect for an error.
pub fn message(error: &Error) -> gst::ErrorMessage {
    let text = sentence(error);
    match error {
        Error::RuntimeMissing { .. } => gst::error_msg!(gst::LibraryError::Init, ("{text}")),
        Error::ModelNotFound { .. } | Error::Background { missing: true, .. } => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{text}"))
        }
        Error::ModelUnreadable { .. } | Error::Background { .. } => {
            gst::error_msg!(gst::ResourceError::Read, ("{text}"))
        }
        Error::Description { .. } => gst::error_msg!(gst::ResourceError::Settings, ("{text}")),
        Error::DeviceUnavailable { .. } => {
            gst::error_msg!(gst::ResourceError::OpenRead, ("{text}"))
        }
        Error::Inference { .. }
        | Error::DeviceLost { .. }
        | Error::StateLost { .. }
        | Error::NotRefined { .. }
        | Error::RefinedElsewhere { .. }
        | Error::NotAMatte { .. } => {
            gst::error_msg!(gst::StreamError::Failed, ("{text}"))
        }
        Error::ModelContract { .. }
        | Error::FrameTooSmall { .. }
        | Error::FrameMisaligned { .. }
        | Error::FrameUnreadable { .. }
        | Error::Conversion { .. } => {
            gst::error_msg!(gst::StreamError::Format, ("{text}"))
        }
    }
}
