//! What of the person and the room is sent.

use std::fmt;

use gst::prelude::*;
use gstdavidmatte::davidmatte::{BackgroundKind, OutputKind};

use crate::keys::Command;

/// The element's `output`, and the background of a composite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub output: OutputKind,
    pub background: BackgroundKind,
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// There is a picture for a background.
    pub has_image: bool,
    /// An alpha channel arrives where frames go.
    pub has_alpha: bool,
}

impl Look {
    /// The look after a key.
    ///
    /// # Errors
    /// Why it stays as it is, for the status line.
    pub fn after(self, command: Command, choice: Choice) -> Result<Self, &'static str> {
        match command {
            Command::Background(BackgroundKind::Image) if !choice.has_image => {
                Err("no picture: start with --image FILE")
            }
            Command::Background(background) => {
                Ok(Self { output: OutputKind::Composite, background })
            }
            Command::Matte => Ok(Self { output: OutputKind::Alpha, ..self }),
            Command::Cutout if !choice.has_alpha => {
                Err("no alpha channel: start with --output cutout --sink pipewire")
            }
            Command::Cutout => Ok(Self { output: OutputKind::Cutout, ..self }),
            Command::Quit => Ok(self),
        }
    }

    /// Gives the element this look, which its next frame has.
    pub fn apply(self, element: &gst::Element) {
        element.set_property("background", self.background);
        element.set_property("output", self.output);
    }
}

impl fmt::Display for Look {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match (self.output, self.background) {
            (OutputKind::Cutout, _) => "cut-out",
            (OutputKind::Alpha, _) => "matte",
            (OutputKind::KeyFill, _) => "fill above key",
            (OutputKind::Composite, BackgroundKind::Color) => "over a colour",
            (OutputKind::Composite, BackgroundKind::Blur) => "over blur",
            (OutputKind::Composite, BackgroundKind::Image) => "over an image",
            (OutputKind::Composite, BackgroundKind::Checkerboard) => "over a checkerboard",
        })
    }
}
