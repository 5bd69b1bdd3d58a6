// SPDX-License-Identifier: MIT

//! Where the network looks: the whole frame, a region of it (ROI), or closer at edges.

pub mod agreement;
pub mod canvas;
pub mod refine;
pub mod track;
