// SPDX-License-Identifier: MIT

//! Which network, and what it expects and gives.

pub mod builtin;
pub mod catalog;
pub mod description;
pub mod detail;
pub mod folders;
pub mod memory;
pub mod size_rule;
