// SPDX-License-Identifier: MIT

//! The element `davidmatte`.
//!
#![doc = include_str!("element.md")]

use gst::glib;
use gst::prelude::*;

mod attached;
mod buffers;
mod caps;
mod detail;
mod enums;
mod failure;
mod flow;
mod imp;
mod loading;
mod negotiation;
mod pinned;
mod properties;
mod stats;
mod streaming;
mod video;

pub use enums::{
    BackgroundKind, DeviceKind, OutputKind, Pacing, RefineKind, RegionKind, UntilReady,
};

glib::wrapper! {
    /// The element.
    pub struct DavidMatte(ObjectSubclass<imp::DavidMatte>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element and, for its documentation, its enums.
///
/// # Errors
/// Where GStreamer refuses the registration.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    #[cfg(feature = "doc")]
    for enumeration in [
        OutputKind::static_type(),
        BackgroundKind::static_type(),
        DeviceKind::static_type(),
        Pacing::static_type(),
        RefineKind::static_type(),
        RegionKind::static_type(),
        UntilReady::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    attached::register();
    gst::Element::register(Some(plugin), "davidmatte", gst::Rank::NONE, DavidMatte::static_type())
}
