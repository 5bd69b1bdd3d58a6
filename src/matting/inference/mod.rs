// SPDX-License-Identifier: MIT

//! Tensor to mask: a network at work, by ONNX Runtime or anything else.

pub mod affine;
pub mod clock;
pub mod decode;
pub mod library;
pub mod network;
pub mod session;
pub mod tiles;
pub mod worker;
