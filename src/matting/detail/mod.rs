// SPDX-License-Identifier: MIT

//! Detail that no mask of a network's size holds: where a matte is uncertain, tiles of it are refined by a
//! network that sees the frame at its own resolution (`models/detail`).
//!
//! [`Detailer`] finds the tiles, shows them to the network and keeps what it gives. It changes the matte near
//! what the mask is uncertain of, with soft ends; where the mask is sure, and around that, nothing happens,
//! whatever the network says. Tiles lie on a fixed grid, so that those of a still picture stay where they are.

mod choice;
mod gate;
mod pictures;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use self::choice::Choice;
use self::gate::Gate;
use self::pictures::Pictures;
use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::tiles::{PLANES, TileNetwork};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::matte::details::{Details, TILE};
use crate::matting::matte::enlarge::{MaskMatte, Matte, MatteReader, MatteRows};
use crate::matting::matte::shape::{Finisher, MatteSettings};

/// How much the newest frame counts in the mean of what a tile takes.
const NEWEST: f64 = 0.2;
/// So many tiles are always looked at, however long they take.
const LEAST: usize = 4;

/// Refines the mattes of frames of one layout.
pub struct Detailer {
    frame: Size,
    network: Box<dyn TileNetwork>,
    masks: MaskLayout,
    finisher: Finisher,
    readers: [MatteReader; 2],
    gate: Gate,
    choice: Choice,
    pictures: Pictures,
    band: Band,
    batch: Batch,
    details: Details,
    /// What a tile takes, in seconds, where that is known.
    takes: Option<f64>,
}

impl Detailer {
    /// For frames of `layout` and masks that lie on them so.
    pub fn new(network: Box<dyn TileNetwork>, layout: &FrameLayout, masks: MaskLayout) -> Self {
        let frame = Size { width: layout.width, height: layout.height };
        let finisher = Finisher::new(frame, masks);
        let details = Details::new(frame);
        let side = network.side();
        Self {
            readers: [finisher.reader(), finisher.reader()],
            gate: Gate::new(frame, masks),
            choice: Choice::new(details.grid()),
            pictures: Pictures::new(layout, side),
            band: Band::new(side, frame.height, details.grid().width),
            batch: Batch::default(),
            details,
            takes: None,
            frame,
            network,
            masks,
            finisher,
        }
    }

    /// Goes on with frames of another layout.
    #[must_use]
    pub fn fitted(self, layout: &FrameLayout, masks: MaskLayout) -> Self {
        let takes = self.takes;
        Self { takes, ..Self::new(self.network, layout, masks) }
    }

    /// The tiles of a frame's matte, whose mask lies on it as `masks` says. Of more tiles than `limit` leaves
    /// time for, those are refined that are the most uncertain.
    ///
    /// # Errors
    /// [`Error::Inference`] and [`Error::DeviceLost`] where the network fails; there are no tiles then.
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
        self.network.take_warning()
    }

    fn take_masks(&mut self, masks: MaskLayout) {
        if self.masks == masks {
            return;
        }
        self.masks = masks;
        self.finisher = Finisher::new(self.frame, masks);
        self.readers = [self.finisher.reader(), self.finisher.reader()];
        self.gate = Gate::new(self.frame, masks);
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
        let Self {
            finisher, readers, gate, choice, pictures, band, batch, details, network, ..
        } = self;
        let Matte::Mask(coarse) = finisher.matte(mask, &MatteSettings::default()) else {
            return Ok(());
        };
        let opened = MaskMatte { mask: gate.values(), ..coarse };
        let [first, second] = readers;
        let mut coarse = Matte::Mask(coarse).rows(first);
        let mut opened = Matte::Mask(opened).rows(second);
        let chosen = choice.make(&mut coarse, &mut opened, self.frame.height, most);
        let across = details.grid().width;
        batch.clear();
        for places in chosen.chunk_by(|a, b| a / across == b / across) {
            let row = places[0] / across;
            band.read(row, places.iter().map(|place| place % across), &mut coarse, &mut opened);
            for (&place, (tile, gate)) in places.iter().zip(&band.tiles) {
                let input = batch.next(&mut **network, place, gate);
                let (picture, matte) = input.split_at_mut((PLANES - 1) * tile.len());
                pictures.take(frame, [place % across, row].map(|at| at * TILE), picture);
                matte.copy_from_slice(tile);
                if batch.places.len() == network.batch() {
                    batch.finish(&mut **network, details)?;
                }
            }
        }
        batch.finish(&mut **network, details)
    }
}

/// What is known of the tiles of a row of the grid, of frames so many pixels high, for a network that sees
/// `side` pixels of each.
struct Band {
    side: usize,
    height: usize,
    /// The coarse matte, as large as what the network sees, and the gate, as large as the tile.
    tiles: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Band {
    /// For rows of up to `tiles` tiles.
    fn new(side: usize, height: usize, tiles: usize) -> Self {
        let tile = || (vec![0.0; side * side], vec![0.0; TILE * TILE]);
        Self { side, height, tiles: (0..tiles).map(|_| tile()).collect() }
    }

    /// Reads the tiles of a row of the grid that lie in these columns.
    fn read(
        &mut self,
        row: usize,
        columns: impl Iterator<Item = usize> + Clone,
        coarse: &mut dyn MatteRows,
        gate: &mut dyn MatteRows,
    ) {
        let margin = (self.side - TILE) / 2;
        for (index, y) in (row * TILE..row * TILE + self.side).enumerate() {
            // Beyond the frame its last pixels go on.
            let values = coarse.row(y.saturating_sub(margin).min(self.height - 1)).values;
            for (column, (tile, _)) in columns.clone().zip(&mut self.tiles) {
                let out = &mut tile[index * self.side..][..self.side];
                copy_replicated(values, (column * TILE) as isize - margin as isize, out);
            }
        }
        for (index, y) in (row * TILE..self.height).take(TILE).enumerate() {
            let values = gate.row(y).values;
            for (column, (_, gate)) in columns.clone().zip(&mut self.tiles) {
                let values = &values[column * TILE..];
                let out = &mut gate[index * TILE..][..TILE.min(values.len())];
                out.copy_from_slice(&values[..out.len()]);
            }
        }
    }
}

/// Tiles on their way through the network.
#[derive(Default)]
struct Batch {
    /// Of the grid.
    places: Vec<usize>,
    /// For each, [`TILE`] rows of as many values.
    gates: Vec<f32>,
    /// For each, as large as what the network sees.
    coarse: Vec<f32>,
}

impl Batch {
    fn clear(&mut self) {
        self.places.clear();
        self.gates.clear();
    }

    /// Takes a tile in; gives the planes that the network is to see of it.
    fn next<'a>(
        &mut self,
        network: &'a mut dyn TileNetwork,
        place: usize,
        gate: &[f32],
    ) -> &'a mut [f32] {
        let planes = PLANES * network.side() * network.side();
        let start = self.places.len() * planes;
        self.places.push(place);
        self.gates.extend_from_slice(gate);
        &mut network.input()[start..start + planes]
    }

    /// Runs the network, and keeps what it gives, as far as the gates are open.
    fn finish(
        &mut self,
        network: &mut dyn TileNetwork,
        details: &mut Details,
    ) -> Result<(), Error> {
        if self.places.is_empty() {
            return Ok(());
        }
        let (side, margin) = (network.side(), (network.side() - TILE) / 2);
        // The coarse mattes are kept: what a network gives is only ever mixed with them.
        let Self { places, gates, coarse } = &mut *self;
        let tiles = network.input().chunks_exact(PLANES * side * side).take(places.len());
        coarse.clear();
        tiles.for_each(|tile| coarse.extend_from_slice(&tile[(PLANES - 1) * side * side..]));
        let refined = network.run()?;
        let planes = refined.chunks_exact(side * side).zip(coarse.chunks_exact(side * side));
        let gates = gates.chunks_exact(TILE * TILE);
        for ((&place, gate), (refined, coarse)) in places.iter().zip(gates).zip(planes) {
            let rows = (0..TILE).map(|y| {
                let here = (y + margin) * side + margin..(y + margin) * side + margin + TILE;
                let rows = coarse[here.clone()].iter().zip(&refined[here]);
                rows.zip(&gate[y * TILE..])
                    .map(|((&coarse, &refined), &gate)| opened(coarse, refined, gate))
            });
            details.insert(place, rows);
        }
        self.clear();
        Ok(())
    }
}

/// What a gate lets through of what the network gives in the place of a coarse matte.
fn opened(coarse: f32, refined: f32, gate: f32) -> f32 {
    match (gate > 0.0, refined.is_finite()) {
        (true, true) => (coarse + gate * (refined - coarse)).clamp(0.0, 1.0),
        _ => coarse,
    }
}

/// Fills `out` from `start` in a row on, whose ends go on for ever.
fn copy_replicated(row: &[f32], start: isize, out: &mut [f32]) {
    let inside = |at: isize| at.clamp(0, out.len() as isize) as usize;
    let (from, to) = (inside(-start), inside(row.len() as isize - start));
    let first = (start + from as isize) as usize;
    out[from..to].copy_from_slice(&row[first..first + to - from]);
    out[..from].fill(row[0]);
    out[to..].fill(row[row.len() - 1]);
}
