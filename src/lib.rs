// SPDX-License-Identifier: MIT

//! `davidmatte`: a GStreamer video filter that takes the background away from people.
//!
//! The crate is two things. [`matting`] is a library: frames in, mattes and composed pictures out,
//! by any matting network in ONNX form, without a word of GStreamer. [`davidmatte`] is the
//! GStreamer element around it, and the only part that knows GStreamer.

#[cfg(feature = "plugin")]
pub mod davidmatte;
pub mod matting;

#[cfg(feature = "plugin")]
fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    if let Some(folder) = plugin.filename().and_then(|file| Some(file.parent()?.to_owned())) {
        matting::inference::library::set_plugin_folder(folder);
    }
    davidmatte::register(plugin)
}

/// What GStreamer looks for in the library; nothing that Rust code calls, but for
/// [`plugin_register_static`].
#[cfg(feature = "plugin")]
#[allow(missing_docs)]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        davidmatte,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("BUILD_REL_DATE")
    );
}

#[cfg(feature = "plugin")]
pub use plugin::plugin_register_static;
