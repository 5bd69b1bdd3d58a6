// SPDX-License-Identifier: MIT

//! Frame to tensor: one sparse operator for each axis.

pub mod downscale;
pub mod geometry;
pub mod layouts;
pub mod prepare;
pub mod reduce;
pub mod regions;
