// SPDX-License-Identifier: MIT

//! What a network with a memory is given with a frame: whether it begins anew, and the matte before.

use std::sync::Arc;

use super::matted::Mask;
use crate::matting::frame::size::Size;
use crate::matting::inference::network::{Memory, NetworkShape};
use crate::matting::inference::worker::Exchange;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::tap::{Tap, blend};
use crate::matting::time::carry::{Carried, Carrier};
use crate::matting::time::guide::Guide;

/// Keeps what one network has to be given again.
pub struct Recall {
    memory: Memory,
    /// The next run is the first.
    anew: bool,
    previous: Option<PreviousMatte>,
}

/// Brings the last matte to the frame at hand.
struct PreviousMatte {
    carrier: Carrier,
    /// The last one, and the frame that it is of.
    last: Option<(Arc<Mask>, Arc<Guide>)>,
    /// What was carried, at the mask's size.
    carried: Vec<f32>,
    mask: Size,
    input: Size,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    row: Vec<f32>,
}

impl Recall {
    /// For a network of that shape, frames of `frame` size with guides of `guide` size, and masks that lie
    /// on the frames so.
    pub fn new(network: &NetworkShape, frame: Size, guide: Size, masks: MaskLayout) -> Self {
        let memory = network.memory;
        let previous = memory.previous.then(|| PreviousMatte {
            carrier: Carrier::new(frame, guide, masks),
            last: None,
            carried: vec![0.0; masks.mask.area()],
            mask: masks.mask,
            input: network.input,
            columns: taps(masks.mask.width, network.input.width),
            rows: taps(masks.mask.height, network.input.height),
            row: vec![0.0; masks.mask.width],
        });
        Self { memory, anew: true, previous }
    }

    /// The next frame does not follow those before.
    pub fn forget(&mut self) {
        self.anew = true;
        if let Some(previous) = &mut self.previous {
            previous.last = None;
        }
    }

    /// Tells the network of a frame, which has that guide, what it is to remember.
    pub fn fill(&mut self, guide: Option<&Guide>, exchange: &mut Exchange) {
        if self.memory.is_any() {
            exchange.anew = std::mem::take(&mut self.anew);
        }
        if let Some(previous) = &mut self.previous {
            previous.fill(guide, &mut exchange.previous);
        }
    }

    /// Keeps the matte of a frame for the next one.
    pub fn keep(&mut self, mask: &Arc<Mask>, guide: Option<&Arc<Guide>>) {
        if let Some(previous) = &mut self.previous {
            previous.last = guide.map(|guide| (mask.clone(), guide.clone()));
        }
    }
}

impl PreviousMatte {
    fn fill(&mut self, guide: Option<&Guide>, out: &mut [f32]) {
        let carried = match (&self.last, guide) {
            (Some((mask, from)), Some(to)) if mask.layout.mask == self.mask => {
                self.carrier.carry(from, &mask.values, to, &mut self.carried)
            }
            _ => Carried::Cut,
        };
        match carried {
            Carried::Cut => out.fill(0.0),
            Carried::Moved if self.mask == self.input => out.copy_from_slice(&self.carried),
            Carried::Moved => self.resize(out),
        }
    }

    /// What was carried, from the mask's size to the input's, between the two nearest samples.
    fn resize(&mut self, out: &mut [f32]) {
        let width = self.mask.width;
        for (tap, out) in self.rows.iter().zip(out.chunks_exact_mut(self.input.width)) {
            let [upper, lower] =
                [tap.first, tap.second].map(|y| &self.carried[y * width..][..width]);
            blend(upper, lower, tap.share, &mut self.row);
            for (out, tap) in out.iter_mut().zip(&self.columns) {
                let (a, b) = (self.row[tap.first], self.row[tap.second]);
                *out = a + tap.share * (b - a);
            }
        }
    }
}

/// Where each of `outputs` samples lies among `samples`.
fn taps(samples: usize, outputs: usize) -> Vec<Tap> {
    let scale = samples as f32 / outputs as f32;
    (0..outputs).map(|i| Tap::new((i as f32 + 0.5) * scale - 0.5, samples)).collect()
}
