// SPDX-License-Identifier: MIT

//! The network that is part of this library; how it is made stands in `models/builtin`.

use super::size_rule::Shaped;

/// The network as ONNX.
pub const BYTES: &[u8] = include_bytes!("../../../models/builtin.onnx");

/// Sides of its input are multiples of this.
pub const STEP: usize = 32;
/// The side of a square of as many samples as its input has, whose size it leaves open, where each frame waits
/// for its own matte.
pub const SIDE: usize = 320;
/// The same, of what keeps up with live streams.
#[cfg(feature = "plugin")]
pub const LIVE_SIDE: usize = 256;
/// The size of its input.
pub const SIZE: Shaped = Shaped::of_area(SIDE, STEP);
