// SPDX-License-Identifier: MIT

//! The network that refines tiles of mattes and is part of this library; how it is made stands in
//! `models/detail`.

/// The network as ONNX: `tiles` (N, 4, [`SIDE`], [`SIDE`]) to `coefficients` (N, 18, 18, 80) of the
/// functions that give the mattes of their middles.
pub const BYTES: &[u8] = include_bytes!("../../../models/detail.onnx");

/// Pixels along the side of what the network sees of a tile.
pub const SIDE: usize = 80;
