// SPDX-License-Identifier: MIT

//! The widths of samples that outputs are composed in.

use crate::matting::compose::convert::Converted;
use crate::matting::compose::foreground::Unmixed;

/// Samples that everything can be done with.
pub trait Width: Converted + Unmixed {}

impl<S: Converted + Unmixed> Width for S {}
