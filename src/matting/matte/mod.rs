// SPDX-License-Identifier: MIT

//! Mask to matte: shaped, and enlarged row by row to the size of the frame.

pub mod details;
pub mod enlarge;
pub mod shape;
pub mod spans;
pub mod uncertain;
mod wide;
