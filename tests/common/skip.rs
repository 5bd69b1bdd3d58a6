//! Tests that say nothing on some machines. Under `CI` all that can be installed has to be there.

#![allow(dead_code)]

use std::ffi::OsStr;

/// Nothing is tested for want of something that `install` brings: a failure where `CI` is set.
///
/// # Panics
/// Under continuous integration, where a test that was left out would look like one that passed.
pub fn missing(what: &str, install: &str) {
    let is_set = |value: &OsStr| !value.is_empty() && value != "false" && value != "0";
    let is_ci = std::env::var_os("CI").as_deref().is_some_and(is_set);
    assert!(!is_ci, "{what} is missing, and CI is set: {install}");
    eprintln!("skipped: {what} is missing ({install})");
}

/// Nothing is tested, since this machine cannot be what the test is about.
pub fn impossible(why: &str) {
    eprintln!("skipped: {why}");
}
