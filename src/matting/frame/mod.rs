// SPDX-License-Identifier: MIT

//! What a picture is: formats, colours, sizes, and views of borrowed planes.

pub mod aspect;
pub mod color;
pub mod conversion;
pub mod packed;
#[cfg(test)]
mod painted;
pub mod pixel_format;
pub mod region;
pub mod sample;
pub mod size;
pub mod transfer;
pub mod view;
