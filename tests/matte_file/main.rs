//! The example `matte_file`: what it writes is decoded again; what it cannot do it says.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod at_once;
mod audio;
#[path = "../common/mod.rs"]
mod common;
mod deep;
#[path = "../common/examples.rs"]
mod examples;
mod files;
mod formats;
mod interruptions;
mod ranges;
mod refusals;
