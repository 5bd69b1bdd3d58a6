// SPDX-License-Identifier: MIT

//! Tells the crate its version, commit and date, which GStreamer wants of a plugin.

fn main() {
    gst_plugin_version_helper::info()
}
