// SPDX-License-Identifier: MIT

//! What comes of inferences: the mattes of frames, or less.

use std::sync::Arc;

use crate::matting::error::Error;
use crate::matting::frame::region::Region;
use crate::matting::inference::worker::Exchange;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::time::guide::Guide;

/// A mask, and how it lies on its frame.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Row by row, every value finite.
    pub values: Vec<f32>,
    /// How they lie on the frame.
    pub layout: MaskLayout,
    /// What the person's own colours add to the frame's, as planes of red, green and blue at the same
    /// places; empty where nobody tells.
    pub colors: Vec<f32>,
}

impl Mask {
    /// Of nothing.
    pub fn blank(layout: MaskLayout) -> Self {
        Self { values: vec![0.0; layout.mask.area()], layout, colors: Vec::new() }
    }

    /// From now on of that layout; values may be anything.
    pub fn set_layout(&mut self, layout: MaskLayout) {
        self.layout = layout;
        self.values.resize(layout.mask.area(), 0.0);
    }

    /// What the network gave of a whole frame; what was here goes there.
    pub fn take(&mut self, exchange: &mut Exchange) {
        std::mem::swap(&mut self.values, &mut exchange.mask);
        self.colors.resize(exchange.foreground.len(), 0.0);
        std::mem::swap(&mut self.colors, &mut exchange.foreground);
    }
}

/// What came of an inference, for the frame that it was made for.
#[derive(Debug)]
pub enum Landed {
    /// The matte.
    Matte(Matted),
    /// Everybody is in this region, which is to be looked at before there is a matte.
    Found {
        /// The frame.
        frame: u64,
        /// Where everybody is.
        region: Region,
    },
    /// There will be no matte.
    Failed(Failed),
}

/// A frame's matte.
#[derive(Debug)]
pub struct Matted {
    /// The frame.
    pub frame: u64,
    /// Of the frame, where it was looked at.
    pub guide: Option<Arc<Guide>>,
    /// Its mask.
    pub mask: Arc<Mask>,
    /// What the network saw of the frame.
    pub seen: Region,
    /// No cut has been seen since.
    pub is_of_this_scene: bool,
}

/// An inference that failed.
#[derive(Debug)]
pub struct Failed {
    /// The frame that has no matte.
    pub frame: u64,
    /// What to tell of it, if anything.
    pub error: Option<Error>,
    /// The stream has to end.
    pub is_fatal: bool,
}
