// SPDX-License-Identifier: MIT

//! Frames, or parts of them, to a network's input.

use super::prepare::Preparer;
use crate::matting::frame::region::Region;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::network::NetworkShape;
use crate::matting::input::layouts::MaskLayouts;
use crate::matting::model::description::InputDescription;

/// Regions have this many sizes at once: that of whom is followed, and that of closer looks.
const SIZES: usize = 2;

/// Brings frames of one layout, and regions of them, into the input of one network.
pub struct RegionPreparer {
    frame: Size,
    masks: MaskLayouts,
    description: InputDescription,
    whole: Preparer,
    /// For regions, which have one or two sizes for a while; the one used last comes last.
    regions: Vec<(Size, Preparer)>,
}

impl RegionPreparer {
    /// For a network of that shape and frames of `layout`.
    pub fn new(network: &NetworkShape, layout: FrameLayout) -> Self {
        let frame = Size { width: layout.width, height: layout.height };
        let masks = network.layouts(layout.pixel_aspect);
        let description = &network.description;
        Self {
            frame,
            masks,
            description: description.clone(),
            whole: Preparer::new(&layout, masks.of(frame).input, description),
            regions: Vec::with_capacity(SIZES + 1),
        }
    }

    /// Brings a frame into `tensor`, three values for each sample of its input.
    pub fn prepare(&mut self, frame: &FrameView<'_>, tensor: &mut [f32]) {
        self.whole.prepare(frame, tensor);
    }

    /// Brings a part of a frame into `tensor`, as long for its size.
    pub fn prepare_region(&mut self, frame: &FrameView<'_>, region: Region, tensor: &mut [f32]) {
        let Region { x, y, size } = region;
        if size == self.frame {
            return self.prepare(frame, tensor);
        }
        let part = frame.part([x, y], size.width, size.height);
        let known = self.regions.iter().position(|(made_for, _)| *made_for == size);
        let (_, mut preparer) = match known {
            Some(index) => self.regions.remove(index),
            None => {
                let input = self.masks.of(size).input;
                (size, Preparer::new(part.layout(), input, &self.description))
            }
        };
        preparer.prepare(&part, tensor);
        if self.regions.len() == SIZES {
            self.regions.remove(0);
        }
        self.regions.push((size, preparer));
    }
}
