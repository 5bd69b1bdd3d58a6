// SPDX-License-Identifier: MIT

//! Detail that no mask of a network's size holds: where a matte is uncertain, tiles of it are refined by a
//! network that sees the frame at its own resolution (`models/detail`).
//!
//! [`Detailer`] finds the tiles, shows them to the network and keeps what it gives. It changes the matte near
//! what the mask is uncertain of, with soft ends; where the mask is sure, and around that, nothing happens,
//! whatever the network says. Tiles lie on a fixed grid, so that those of a still picture stay where they are, and
//! neighbours go over into one another.

mod choice;
mod gate;
pub mod patches;
mod pictures;
#[cfg(test)]
mod tests;
mod worker;

use std::time::{Duration, Instant};

use self::choice::Choice;
use self::gate::Gate;
use self::patches::{PATCH, Patches};
use self::worker::{Sources, Worker};
use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::tiles::TileNetwork;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::threads::threads;
use crate::matting::matte::details::Details;
use crate::matting::matte::enlarge::{MaskMatte, Matte, next_number};
use crate::matting::matte::shape::{Finisher, MatteSettings};

/// How much the newest frame counts in the mean of what a tile takes.
const NEWEST: f64 = 0.2;
/// So many tiles are always looked at, however long they take.
const LEAST: usize = 4;
/// Fewer tiles than this are not worth waking a thread.
const WORTH: usize = 6;

/// Refines the mattes of frames of one layout.
pub struct Detailer {
    frame: Size,
    masks: MaskLayout,
    finisher: Finisher,
    gate: Gate,
    choice: Choice,
    /// They share the tiles.
    workers: Vec<Worker>,
    patches: Patches,
    details: Details,
    /// What a tile takes, in seconds, where that is known.
    takes: Option<f64>,
}

impl Detailer {
    /// For frames of `layout` and masks that lie on them so. The networks, all the same, share the tiles
    /// and work at the same time; where there is none, nothing is refined.
    pub fn new(
        networks: Vec<Box<dyn TileNetwork>>,
        layout: &FrameLayout,
        masks: MaskLayout,
    ) -> Self {
        let frame = Size { width: layout.width, height: layout.height };
        let (finisher, details) = (Finisher::new(frame, masks), Details::new(frame));
        let worker = |network| Worker::new(network, layout, &finisher, details.grid().width);
        Self {
            workers: networks.into_iter().map(worker).collect(),
            gate: Gate::new(frame, masks),
            choice: Choice::new(details.grid()),
            takes: None,
            patches: Patches::new(),
            frame,
            masks,
            finisher,
            details,
        }
    }

    /// Goes on with frames of another layout.
    #[must_use]
    pub fn fitted(self, layout: &FrameLayout, masks: MaskLayout) -> Self {
        let networks = self.workers.into_iter().map(Worker::into_network).collect();
        Self { takes: self.takes, ..Self::new(networks, layout, masks) }
    }

    /// The tiles of a frame's matte, whose mask lies on it as `masks` says. Of more tiles than `limit` leaves
    /// time for, those are refined that are the most uncertain.
    ///
    /// # Errors
    /// [`Error::Inference`] and [`Error::RefinedElsewhere`] where the network fails; there are no tiles then.
    pub fn find(
        &mut self,
        frame: &FrameView<'_>,
        mask: &[f32],
        masks: MaskLayout,
        limit: Option<Duration>,
    ) -> Result<&Details, Error> {
        self.take_masks(masks);
        self.details.clear();
        if self.gate.update(mask) {
            let begun = Instant::now();
            self.refine(frame, mask, limit).inspect_err(|_| self.details.clear())?;
            self.learn(begun.elapsed());
        }
        Ok(&self.details)
    }

    /// What was found last.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// What there is to tell though nothing failed.
    pub fn take_warning(&mut self) -> Option<Error> {
        self.workers.iter_mut().find_map(Worker::take_warning)
    }

    fn take_masks(&mut self, masks: MaskLayout) {
        if self.masks == masks {
            return;
        }
        self.masks = masks;
        self.finisher = Finisher::new(self.frame, masks);
        self.gate = Gate::new(self.frame, masks);
        self.workers.iter_mut().for_each(|worker| worker.take_masks(&self.finisher));
    }

    /// How many tiles there is time for.
    fn affordable(&self, limit: Option<Duration>) -> usize {
        match limit.zip(self.takes) {
            Some((limit, takes)) => ((limit.as_secs_f64() / takes) as usize).max(LEAST),
            None => usize::MAX,
        }
    }

    fn learn(&mut self, took: Duration) {
        if self.details.is_empty() {
            return;
        }
        let took = took.as_secs_f64() / self.details.len() as f64;
        self.takes = Some(self.takes.map_or(took, |mean| mean + NEWEST * (took - mean)));
    }

    fn refine(
        &mut self,
        frame: &FrameView<'_>,
        mask: &[f32],
        limit: Option<Duration>,
    ) -> Result<(), Error> {
        let most = self.affordable(limit);
        let Self { finisher, gate, choice, workers, patches, details, .. } = self;
        let Matte::Mask(coarse) = finisher.matte(mask, &MatteSettings::default()) else {
            return Ok(());
        };
        let gate = MaskMatte { number: next_number(), mask: gate.values(), ..coarse };
        let (coarse, gate) = (Matte::Mask(coarse), Matte::Mask(gate));
        let Some(first) = workers.first_mut() else { return Ok(()) };
        let [of_coarse, of_gate] = first.readers();
        let (mut values, mut open) = (coarse.rows(of_coarse), gate.rows(of_gate));
        let chosen = choice.make(&mut values, &mut open, self.frame.height, most);
        let (slots, tiles) = details.lay(chosen);
        let sources = Sources { frame, coarse, gate, slots };
        let count = (chosen.len() / WORTH).clamp(1, workers.len());
        let workers = &mut workers[..count];
        let mut make = || {
            share(workers, &sources, chosen, patches.lay(chosen.len()));
            workers
                .iter_mut()
                .try_for_each(|worker| std::mem::replace(&mut worker.result, Ok(())))?;
            // One worker is alone in its thread, outside of any pool.
            patches.make(slots, chosen, tiles, chosen.len().div_ceil(count));
            Ok(())
        };
        match threads().filter(|_| count > 1) {
            Some(threads) => threads.install(make),
            None => make(),
        }
    }
}

/// Has the patches of tiles made by some workers, at the same time. `join` takes nothing from the heap.
fn share(workers: &mut [Worker], sources: &Sources<'_>, places: &[usize], patches: &mut [f32]) {
    match workers {
        [] => {}
        [worker] => worker.result = worker.refine(sources, places, patches),
        workers => {
            let half = workers.len() / 2;
            let middle = places.len() * half / workers.len();
            let (workers, other_workers) = workers.split_at_mut(half);
            let (places, other_places) = places.split_at(middle);
            let (patches, other_patches) = patches.split_at_mut(middle * PATCH * PATCH);
            rayon::join(
                || share(workers, sources, places, patches),
                || share(other_workers, sources, other_places, other_patches),
            );
        }
    }
}
