// SPDX-License-Identifier: MIT

//! What is kept of a stream from frame to frame: the newest matte, brought to the frame at hand, and
//! those before, which take flicker out of it.

use std::sync::Arc;
use std::time::Instant;

use super::matted::{Mask, Matted};
use super::stats::Stats;
use crate::matting::compose::compositor::Inferred;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::time::carry::{Carried, Carrier};
use crate::matting::time::guide::Guide;
use crate::matting::time::smooth::Smoother;

/// The newest matte there is, and the frame that it is of.
struct Newest {
    frame: u64,
    mask: Arc<Mask>,
    /// Without it the matte cannot be brought to another frame.
    guide: Option<Arc<Guide>>,
}

/// What is shown of the frame that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Newest,
    Carried,
    /// Whether the frame is the newest matte's own.
    Smoothed {
        own: bool,
    },
}

/// The mattes of a stream's frames, in the order in which they leave.
pub struct History {
    frame: Size,
    guide: Size,
    carrier: Carrier,
    carrier_masks: MaskLayout,
    smoother: Smoother,
    smoother_masks: MaskLayout,
    newest: Option<Newest>,
    carried: Mask,
    shown: Shown,
}

impl History {
    /// For frames of `frame` size with guides of `guide` size; masks are expected to lie on them so.
    pub fn new(frame: Size, guide: Size, masks: MaskLayout) -> Self {
        Self {
            frame,
            guide,
            carrier: Carrier::new(frame, guide, masks),
            carrier_masks: masks,
            smoother: Smoother::new(guide, frame, masks),
            smoother_masks: masks,
            newest: None,
            carried: Mask::blank(masks),
            shown: Shown::Nothing,
        }
    }

    /// Forgets every frame.
    pub fn forget(&mut self) {
        self.newest = None;
        self.shown = Shown::Nothing;
        self.smoother.forget();
    }

    /// Whether the newest matte can be brought to another frame.
    pub fn can_carry(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.guide.is_some())
    }

    /// Takes a matte for the newest, unless one of a later frame is there.
    pub fn keep(&mut self, matted: Matted) {
        let Matted { frame, guide, mask, .. } = matted;
        if self.newest.as_ref().is_none_or(|newest| newest.frame < frame) {
            self.newest = Some(Newest { frame, mask, guide });
        }
    }

    /// There is no matte any more.
    pub fn lose(&mut self) {
        self.newest = None;
    }

    /// Looks at the frame that leaves, once for each that was looked at, in their order.
    pub fn observe(&mut self, guide: &Guide, stats: &mut Stats) {
        let start = Instant::now();
        self.smoother.observe(guide);
        stats.carry.add_since(start);
    }

    /// The frame that leaves shows the newest matte, which is its own.
    pub fn show_newest(&mut self) {
        self.shown = if self.newest.is_some() { Shown::Newest } else { Shown::Nothing };
    }

    /// The frame that leaves shows nothing.
    pub fn show_nothing(&mut self) {
        self.shown = Shown::Nothing;
    }

    /// The frame that leaves, which has that guide, shows the newest matte, brought to it. A cut
    /// loses it.
    pub fn show_carried(&mut self, guide: Option<&Guide>, stats: &mut Stats) -> Carried {
        self.shown = Shown::Nothing;
        let Some(Newest { mask, guide: Some(from), .. }) = &self.newest else {
            return Carried::Moved;
        };
        let Some(to) = guide else { return Carried::Moved };
        let start = Instant::now();
        if self.carrier_masks != mask.layout {
            self.carrier_masks = mask.layout;
            self.carrier.take_masks(mask.layout);
        }
        self.carried.set_layout(mask.layout);
        let carried = self.carrier.carry(from, &mask.values, to, &mut self.carried.values);
        stats.carry.add_since(start);
        match carried {
            Carried::Moved => {
                self.shown = Shown::Carried;
                stats.carried += 1;
            }
            Carried::Cut => self.newest = None,
        }
        carried
    }

    /// Smooths what is shown with the mattes before it, which count for `strength` at most, 0 to 1.
    pub fn smooth(&mut self, strength: f32) {
        let own = self.shown == Shown::Newest;
        let mask = match (self.shown, &self.newest) {
            (Shown::Newest, Some(newest)) if strength > 0.0 => &*newest.mask,
            (Shown::Carried, _) if strength > 0.0 => &self.carried,
            _ => return self.smoother.forget_matte(),
        };
        if self.smoother_masks != mask.layout {
            self.smoother_masks = mask.layout;
            self.smoother = Smoother::new(self.guide, self.frame, mask.layout);
        }
        self.smoother.smooth(&mask.values, strength);
        self.shown = Shown::Smoothed { own };
    }

    /// What is shown of the frame that left last; none where it has no matte.
    pub fn shown(&self) -> Option<(Inferred<'_>, MaskLayout)> {
        let newest = self.newest.as_ref().map(|newest| &*newest.mask);
        match self.shown {
            Shown::Nothing => None,
            Shown::Newest => newest.map(|Mask { values, layout, colors }| {
                (Inferred { mask: values, colors, details: None }, *layout)
            }),
            Shown::Carried => Some((self.carried.values[..].into(), self.carried.layout)),
            Shown::Smoothed { own } => {
                let colors = newest.filter(|_| own).map_or(&[][..], |mask| &mask.colors);
                let mask = self.smoother.smoothed();
                Some((Inferred { mask, colors, details: None }, self.smoother_masks))
            }
        }
    }
}
