// SPDX-License-Identifier: MIT

//! Tiles through a network: what it sees of them is gathered, a row of the grid at a time, and what it gives is
//! mixed with the coarse matte to patches.

use super::patches::{PATCH, close};
use super::pictures::Pictures;
use crate::matting::error::Error;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::tiles::{PLANES, TileNetwork};
use crate::matting::matte::details::{Slots, TILE};
use crate::matting::matte::enlarge::{Matte, MatteReader, MatteRows};
use crate::matting::matte::shape::Finisher;

/// What tiles are made of.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub frame: &'a FrameView<'a>,
    pub coarse: Matte<'a>,
    pub gate: Matte<'a>,
    /// Which tiles are made.
    pub slots: Slots<'a>,
}

/// A network, and what it needs to see tiles.
pub struct Worker {
    network: Box<dyn TileNetwork>,
    readers: [MatteReader; 2],
    pictures: Pictures,
    band: Band,
    batch: Batch,
    /// Of the last tiles.
    pub result: Result<(), Error>,
}

impl Worker {
    /// For frames of `layout`, as wide as so many tiles.
    pub fn new(
        network: Box<dyn TileNetwork>,
        layout: &FrameLayout,
        finisher: &Finisher,
        across: usize,
    ) -> Self {
        let side = network.side();
        Self {
            network,
            readers: [finisher.reader(), finisher.reader()],
            pictures: Pictures::new(layout, side),
            band: Band::new(side, layout.height, across),
            batch: Batch::default(),
            result: Ok(()),
        }
    }

    /// The network alone.
    pub fn into_network(self) -> Box<dyn TileNetwork> {
        self.network
    }

    /// Goes on with masks of another size.
    pub fn take_masks(&mut self, finisher: &Finisher) {
        self.readers = [finisher.reader(), finisher.reader()];
    }

    /// Readers of a coarse matte and its gate.
    pub fn readers(&mut self) -> &mut [MatteReader; 2] {
        &mut self.readers
    }

    /// What there is to tell of the network though it did not fail.
    pub fn take_warning(&mut self) -> Option<Error> {
        self.network.take_warning()
    }

    /// Makes the patches of the tiles at some places of the grid, which follow each other.
    pub fn refine(
        &mut self,
        sources: &Sources<'_>,
        places: &[usize],
        patches: &mut [f32],
    ) -> Result<(), Error> {
        let Self { network, readers, pictures, band, batch, .. } = self;
        let [first, second] = readers;
        let (mut coarse, mut gate) = (sources.coarse.rows(first), sources.gate.rows(second));
        let across = sources.slots.across();
        batch.clear();
        let mut rest = patches;
        for places in places.chunk_by(|a, b| a / across == b / across) {
            let row = places[0] / across;
            band.read(row, places.iter().map(|place| place % across), &mut coarse, &mut gate);
            let tiles = band.coarse.iter().zip(&mut band.gates);
            for (&place, (tile, gate)) in places.iter().zip(tiles) {
                close(gate, sources.slots, place);
                let input = batch.next(&mut **network, tile, gate);
                let (picture, matte) = input.split_at_mut((PLANES - 1) * tile.len());
                pictures.take(sources.frame, [place % across, row].map(|at| at * TILE), picture);
                matte.copy_from_slice(tile);
                if batch.len() == network.batch() {
                    rest = batch.finish(&mut **network, rest)?;
                }
            }
        }
        batch.finish(&mut **network, rest).map(drop)
    }
}

/// What is known of the tiles of a row of the grid, of frames so many pixels high, for a network that sees
/// `side` pixels of each.
struct Band {
    side: usize,
    height: usize,
    /// For each tile the coarse matte, as large as what the network sees.
    coarse: Vec<Vec<f32>>,
    /// And its gate, as large as a patch.
    gates: Vec<Vec<f32>>,
}

impl Band {
    /// For rows of up to `tiles` tiles.
    fn new(side: usize, height: usize, tiles: usize) -> Self {
        let [coarse, gates] = [side, PATCH].map(|side| vec![vec![0.0; side * side]; tiles]);
        Self { side, height, coarse, gates }
    }

    /// Reads the tiles of a row of the grid that lie in these columns.
    fn read(
        &mut self,
        row: usize,
        columns: impl Iterator<Item = usize> + Clone,
        coarse: &mut dyn MatteRows,
        gate: &mut dyn MatteRows,
    ) {
        read_around(row, self.height, self.side, coarse, columns.clone(), &mut self.coarse);
        read_around(row, self.height, PATCH, gate, columns, &mut self.gates);
    }
}

/// Reads `side` pixels around each tile of a row of the grid that lies in one of these columns, of frames so many
/// pixels high, a plane for each.
fn read_around(
    row: usize,
    height: usize,
    side: usize,
    rows: &mut dyn MatteRows,
    columns: impl Iterator<Item = usize> + Clone,
    planes: &mut [Vec<f32>],
) {
    let margin = (side - TILE) / 2;
    for (index, y) in (row * TILE..row * TILE + side).enumerate() {
        // Beyond the frame its last pixels go on.
        let values = rows.row(y.saturating_sub(margin).min(height - 1)).values;
        for (column, plane) in columns.clone().zip(&mut *planes) {
            let start = (column * TILE) as isize - margin as isize;
            copy_replicated(values, start, &mut plane[index * side..][..side]);
        }
    }
}

/// Tiles on their way through the network: for each, [`PATCH`] rows of as many values.
#[derive(Default)]
struct Batch {
    gates: Vec<f32>,
    coarse: Vec<f32>,
}

impl Batch {
    fn len(&self) -> usize {
        self.gates.len() / (PATCH * PATCH)
    }

    fn clear(&mut self) {
        self.gates.clear();
        self.coarse.clear();
    }

    /// Takes a tile in, whose coarse matte is as large as what the network sees; gives the planes that the network
    /// is to see of it.
    fn next<'a>(
        &mut self,
        network: &'a mut dyn TileNetwork,
        coarse: &[f32],
        gate: &[f32],
    ) -> &'a mut [f32] {
        let side = network.side();
        let (margin, planes) = ((side - PATCH) / 2, PLANES * side * side);
        let start = self.len() * planes;
        self.gates.extend_from_slice(gate);
        for row in coarse.chunks_exact(side).skip(margin).take(PATCH) {
            self.coarse.extend_from_slice(&row[margin..margin + PATCH]);
        }
        &mut network.input()[start..start + planes]
    }

    /// Runs the network, and makes the first of `patches` of what it gives, as far as the gates are open; the
    /// others are left.
    fn finish<'a>(
        &mut self,
        network: &mut dyn TileNetwork,
        patches: &'a mut [f32],
    ) -> Result<&'a mut [f32], Error> {
        let (made, rest) = patches.split_at_mut(self.gates.len());
        if made.is_empty() {
            return Ok(rest);
        }
        let sources = self.coarse.iter().zip(network.run()?).zip(&self.gates);
        for (out, ((&coarse, &refined), &gate)) in made.iter_mut().zip(sources) {
            *out = opened(coarse, refined, gate);
        }
        self.clear();
        Ok(rest)
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
pub fn copy_replicated(row: &[f32], start: isize, out: &mut [f32]) {
    let inside = |at: isize| at.clamp(0, out.len() as isize) as usize;
    let (from, to) = (inside(-start), inside(row.len() as isize - start));
    let first = (start + from as isize) as usize;
    out[from..to].copy_from_slice(&row[first..first + to - from]);
    out[..from].fill(row[0]);
    out[to..].fill(row[row.len() - 1]);
}
