// SPDX-License-Identifier: MIT

//! A part of a frame.

use super::size::Size;

/// A part of a frame, in pixels. Its corner is even, where chroma has a sample of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Pixels of the frame left of it.
    pub x: usize,
    /// Pixels of the frame above it.
    pub y: usize,
    /// Its size in pixels.
    pub size: Size,
}

impl Region {
    /// All of a frame.
    pub const fn whole(frame: Size) -> Self {
        Self { x: 0, y: 0, size: frame }
    }
}
