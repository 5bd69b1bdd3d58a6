// SPDX-License-Identifier: MIT

//! Matte, frame and background to the output's pixels.

pub mod backdrop;
pub mod blend;
pub mod blur;
pub mod composer;
pub mod compositor;
pub mod convert;
pub mod foreground;
pub mod output;
pub mod own_colors;
pub mod picture;
#[cfg(test)]
mod reference;
pub mod slices;
pub mod width;
