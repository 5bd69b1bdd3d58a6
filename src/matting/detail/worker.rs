// SPDX-License-Identifier: MIT

//! Tiles through a network: what it sees of them is gathered, a row of the grid at a time, and what it gives is
//! mixed with the coarse matte.

use super::pictures::Pictures;
use crate::matting::error::Error;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::inference::tiles::{PLANES, TileNetwork};
use crate::matting::matte::details::{TILE, Tile};
use crate::matting::matte::enlarge::{Matte, MatteReader, MatteRows};
use crate::matting::matte::shape::Finisher;

/// What tiles are made of.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub frame: &'a FrameView<'a>,
    pub coarse: Matte<'a>,
    pub gate: Matte<'a>,
    /// Tiles across the grid.
    pub across: usize,
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

    /// Makes the tiles at some places of the grid, which follow each other.
    pub fn refine(
        &mut self,
        sources: &Sources<'_>,
        places: &[usize],
        tiles: &mut [Tile],
    ) -> Result<(), Error> {
        let Self { network, readers, pictures, band, batch, .. } = self;
        let [first, second] = readers;
        let (mut coarse, mut gate) = (sources.coarse.rows(first), sources.gate.rows(second));
        let across = sources.across;
        batch.gates.clear();
        let mut rest = tiles;
        for places in places.chunk_by(|a, b| a / across == b / across) {
            let row = places[0] / across;
            band.read(row, places.iter().map(|place| place % across), &mut coarse, &mut gate);
            for (&place, (tile, gate)) in places.iter().zip(&band.tiles) {
                let input = batch.next(&mut **network, gate);
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
    /// For each, [`TILE`] rows of as many values.
    gates: Vec<f32>,
    /// For each, as large as what the network sees.
    coarse: Vec<f32>,
}

impl Batch {
    fn len(&self) -> usize {
        self.gates.len() / (TILE * TILE)
    }

    /// Takes a tile in; gives the planes that the network is to see of it.
    fn next<'a>(&mut self, network: &'a mut dyn TileNetwork, gate: &[f32]) -> &'a mut [f32] {
        let planes = PLANES * network.side() * network.side();
        let start = self.len() * planes;
        self.gates.extend_from_slice(gate);
        &mut network.input()[start..start + planes]
    }

    /// Runs the network, and makes the first of `tiles` of what it gives, as far as the gates are open; the
    /// others are left.
    fn finish<'a>(
        &mut self,
        network: &mut dyn TileNetwork,
        tiles: &'a mut [Tile],
    ) -> Result<&'a mut [Tile], Error> {
        let (made, rest) = tiles.split_at_mut(self.len());
        if made.is_empty() {
            return Ok(rest);
        }
        let (side, margin) = (network.side(), (network.side() - TILE) / 2);
        // They are kept: what a network gives is only ever mixed with them.
        self.coarse.clear();
        for tile in network.input().chunks_exact(PLANES * side * side).take(made.len()) {
            self.coarse.extend_from_slice(&tile[(PLANES - 1) * side * side..]);
        }
        let refined = network.run()?;
        let planes = refined.chunks_exact(side * side).zip(self.coarse.chunks_exact(side * side));
        let gates = self.gates.chunks_exact(TILE * TILE);
        for ((tile, gate), (refined, coarse)) in made.iter_mut().zip(gates).zip(planes) {
            tile.fill((0..TILE).map(|y| {
                let here = (y + margin) * side + margin..(y + margin) * side + margin + TILE;
                let row = coarse[here.clone()].iter().zip(&refined[here]).zip(&gate[y * TILE..]);
                row.map(|((&coarse, &refined), &gate)| opened(coarse, refined, gate))
            }));
        }
        self.gates.clear();
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
