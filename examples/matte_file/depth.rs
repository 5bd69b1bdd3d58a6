//! Frames of more than 8 bits stay so: what the element gives, and files hold, goes by what was decoded.

use gst::prelude::*;
use gst_video::VideoInfo;

use crate::arguments::Kind;

/// A filter of caps whose format goes by the depth of what was decoded.
#[derive(Clone)]
pub struct Fitted {
    filter: gst::Element,
    kind: Kind,
    role: Role,
}

/// What a filter is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// What the element gives: `depth`.
    Given,
    /// The same with 16 bits wherever there are more than 8: `deep`.
    Deep,
    /// What the file holds: `store`.
    Stored,
}

/// The filters of an encoder, by their names.
pub fn fitted(encoder: &gst::Bin, kind: Kind) -> Vec<Fitted> {
    let roles = [("depth", Role::Given), ("deep", Role::Deep), ("store", Role::Stored)];
    let named = roles.into_iter().filter_map(|(name, role)| Some((encoder.by_name(name)?, role)));
    named.map(|(filter, role)| Fitted { filter, kind, role }).collect()
}

impl Fitted {
    /// Lets frames through as deep as those of these caps are.
    pub fn fit(&self, caps: &gst::CapsRef) {
        let Ok(info) = VideoInfo::from_caps(caps) else { return };
        if !is_deep(&info) {
            return;
        }
        let cutout = cutout(&info);
        let format = match (self.kind, self.role) {
            (_, Role::Deep) => "RGBA64_LE",
            (Kind::Alpha, _) => "GRAY16_LE",
            (Kind::Composite, _) => return,
            // FFV1 has no 16 bits of colour.
            (Kind::Cutout, Role::Stored) if cutout == "ARGB64" => "GBRA_12LE",
            (Kind::Cutout, _) => cutout,
        };
        let caps = gst::Caps::builder("video/x-raw").field("format", format).build();
        self.filter.set_property("caps", caps);
    }
}

/// Whether frames have more than 8 bits.
pub fn is_deep(info: &VideoInfo) -> bool {
    info.comp_depth(0) > 8
}

/// The cut-out of such frames that has their own planes, or else all colours.
fn cutout(info: &VideoInfo) -> &'static str {
    let format = info.format_info();
    let [shift_x, shift_y] = match info.is_yuv() && info.comp_depth(0) == 10 {
        true => [format.w_sub(), format.h_sub()].map(|shifts| shifts.get(1).copied().unwrap_or(0)),
        false => return "ARGB64",
    };
    match (shift_x, shift_y) {
        (1, 1) => "A420_10LE",
        (1, 0) => "A422_10LE",
        (0, 0) => "A444_10LE",
        _ => "ARGB64",
    }
}
