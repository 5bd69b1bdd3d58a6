// SPDX-License-Identifier: MIT

//! Loops that know no subject, sums over rows and columns of numbers, and the threads that share them.

pub mod box_mean;
pub mod columns;
pub mod gaussian;
pub mod pool;
pub mod resample;
pub mod round;
pub mod samples;
pub mod tap;
pub mod threads;
