// SPDX-License-Identifier: MIT

//! From frame to frame: mattes propagated by motion, and smoothed.

pub mod carry;
pub mod disocclusion;
pub mod guide;
pub mod motion;
pub mod smooth;
pub mod stillness;
pub mod warp;
