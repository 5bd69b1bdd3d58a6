// SPDX-License-Identifier: MIT

//! The network that is part of this library; how it is made stands in `models/builtin`.

/// The network as ONNX.
pub const BYTES: &[u8] = include_bytes!("../../../models/builtin.onnx");

/// The side of its input, which it leaves open, where each frame waits for its own matte.
pub const SIDE: usize = 320;
/// Sides are multiples of this.
#[cfg(feature = "plugin")]
pub const STEP: usize = 32;
/// The side that keeps up with live streams.
#[cfg(feature = "plugin")]
pub const LIVE_SIDE: usize = 256;
