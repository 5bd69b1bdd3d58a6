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
            batch: Batch::new(&*network),
            network,
            readers: [finisher.reader(), finisher.reader()],
            pictures: Pictures::new(layout, side),
            band: Band::new(side, layout.height, across),
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
        batch.count = 0; // a run that failed leaves some
        let mut rest = patches;
        for places in places.chunk_by(|a, b| a / across == b / across) {
            let row = places[0] / across;
            band.read(row, places.iter().map(|place| place % across), &mut coarse, &mut gate);
            for (&place, tile) in places.iter().zip(&mut band.tiles) {
                close(&mut tile.gate, sources.slots, place);
                let input = batch.next(&mut **network, tile);
                let corner = [place % across, row].map(|at| at * TILE);
                pictures.take(sources.frame, corner, input);
                if batch.count == network.batch() {
                    rest = batch.finish(&mut **network, rest)?;
                }
            }
        }
        batch.finish(&mut **network, rest).map(drop)
    }
}

/// What is known of a tile.
#[derive(Clone)]
struct Known {
    /// The coarse matte, as large as what the network sees.
    coarse: Vec<f32>,
    /// Its gate, as large as a patch.
    gate: Vec<f32>,
}

impl Known {
    /// Of a tile of which the network sees `side` pixels.
    fn new(side: usize) -> Self {
        Self { coarse: vec![0.0; side * side], gate: vec![0.0; PATCH * PATCH] }
    }
}

/// What is known of the tiles of a row of the grid, of frames so many pixels high, for a network that sees
/// `side` pixels of each.
struct Band {
    side: usize,
    height: usize,
    tiles: Vec<Known>,
}

impl Band {
    /// For rows of up to `tiles` tiles.
    fn new(side: usize, height: usize, tiles: usize) -> Self {
        Self { side, height, tiles: vec![Known::new(side); tiles] }
    }

    /// Reads the tiles of a row of the grid that lie in these columns.
    fn read(
        &mut self,
        row: usize,
        columns: impl Iterator<Item = usize> + Clone,
        coarse: &mut dyn MatteRows,
        gate: &mut dyn MatteRows,
    ) {
        self.read_around(row, self.side, coarse, columns.clone(), |tile| &mut tile.coarse);
        self.read_around(row, PATCH, gate, columns, |tile| &mut tile.gate);
    }

    /// Reads `side` pixels around each tile into a plane of it.
    fn read_around(
        &mut self,
        row: usize,
        side: usize,
        rows: &mut dyn MatteRows,
        columns: impl Iterator<Item = usize> + Clone,
        plane: fn(&mut Known) -> &mut [f32],
    ) {
        let margin = (side - TILE) / 2;
        for (index, y) in (row * TILE..row * TILE + side).enumerate() {
            // Beyond the frame its last pixels go on.
            let values = rows.row(y.saturating_sub(margin).min(self.height - 1)).values;
            for (column, tile) in columns.clone().zip(&mut self.tiles) {
                let start = (column * TILE) as isize - margin as isize;
                copy_replicated(values, start, &mut plane(tile)[index * side..][..side]);
            }
        }
    }
}

/// Tiles on their way through the network.
struct Batch {
    /// As many as there is room for.
    tiles: Vec<Known>,
    /// So many of them are on their way.
    count: usize,
}

impl Batch {
    /// For a network, with no tiles yet.
    fn new(network: &dyn TileNetwork) -> Self {
        Self { tiles: vec![Known::new(network.side()); network.batch()], count: 0 }
    }

    /// Takes a tile in, for one that was there before, and shows the network its coarse matte; gives the planes of
    /// the picture, which are to be filled.
    fn next<'a>(&mut self, network: &'a mut dyn TileNetwork, tile: &mut Known) -> &'a mut [f32] {
        let area = tile.coarse.len();
        let input = &mut network.input()[self.count * PLANES * area..][..PLANES * area];
        let (picture, matte) = input.split_at_mut((PLANES - 1) * area);
        matte.copy_from_slice(&tile.coarse);
        std::mem::swap(&mut self.tiles[self.count], tile);
        self.count += 1;
        picture
    }

    /// Runs the network, and makes the first of `patches` of what it gives, as far as the gates are open; the
    /// others are left.
    fn finish<'a>(
        &mut self,
        network: &mut dyn TileNetwork,
        patches: &'a mut [f32],
    ) -> Result<&'a mut [f32], Error> {
        let tiles = &self.tiles[..std::mem::take(&mut self.count)];
        let (made, rest) = patches.split_at_mut(tiles.len() * PATCH * PATCH);
        if tiles.is_empty() {
            return Ok(rest);
        }
        let side = network.side();
        let margin = (side - PATCH) / 2;
        let patches = made.chunks_exact_mut(PATCH * PATCH);
        for ((patch, refined), tile) in
            patches.zip(network.run()?.chunks_exact(PATCH * PATCH)).zip(tiles)
        {
            let coarse = tile.coarse.chunks_exact(side).skip(margin);
            let sources = refined.chunks_exact(PATCH).zip(tile.gate.chunks_exact(PATCH));
            for ((out, coarse), (refined, gate)) in
                patch.chunks_exact_mut(PATCH).zip(coarse).zip(sources)
            {
                let coarse = &coarse[margin..margin + PATCH];
                for (((out, coarse), refined), gate) in
                    out.iter_mut().zip(coarse).zip(refined).zip(gate)
                {
                    *out = opened(*coarse, *refined, *gate);
                }
            }
        }
        Ok(rest)
    }
}

/// What a gate lets through of what the network gives in the place of a coarse matte.
fn opened(coarse: f32, refined: f32, gate: f32) -> f32 {
    // Without branches, so that vector units can do it.
    let opened = (coarse + gate * (refined - coarse)).clamp(0.0, 1.0);
    if gate > 0.0 && refined.is_finite() { opened } else { coarse }
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
