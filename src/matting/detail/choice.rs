// SPDX-License-Identifier: MIT

//! Which tiles are refined: those that hold enough that is uncertain, and if there are too many, the most uncertain.

use crate::matting::frame::size::Size;
use crate::matting::matte::details::TILE;
use crate::matting::matte::enlarge::MatteRows;
use crate::matting::matte::spans::Cover;
use crate::matting::matte::uncertain::SURE;

/// Every so many pixels of every so many rows are looked at.
const STEP: usize = 4;
/// A tile that was refined before counts so much more, lest tiles that are much the same take turns.
const KEPT: f32 = 1.5;

/// The least uncertainty that is worth a tile: that of 32 of its 4096 pixels, if they are half a person. Of a person
/// who fills the frame that leaves out one tile in ten, and four thousandths of the uncertainty.
const LEAST: f32 = 0.25 * 32.0 / (STEP * STEP) as f32;

/// Chooses tiles, frame by frame.
pub struct Choice {
    grid: Size,
    scores: Vec<f32>,
    was_chosen: Vec<bool>,
    chosen: Vec<usize>,
}

impl Choice {
    /// On a grid of tiles.
    pub fn new(grid: Size) -> Self {
        Self {
            grid,
            scores: vec![0.0; grid.area()],
            was_chosen: vec![false; grid.area()],
            chosen: Vec::with_capacity(grid.area()),
        }
    }

    /// At most `most` tiles, in the order of the grid, of a frame with so many rows, its coarse matte and its
    /// gate.
    pub fn make(
        &mut self,
        coarse: &mut dyn MatteRows,
        gate: &mut dyn MatteRows,
        rows: usize,
        most: usize,
    ) -> &[usize] {
        self.scores.fill(0.0);
        for y in ((STEP / 2).min(rows - 1)..rows).step_by(STEP) {
            let (coarse, gate) = (coarse.row(y), gate.row(y));
            let scores = &mut self.scores[y / TILE * self.grid.width..][..self.grid.width];
            let spans = coarse.values.chunks(TILE).zip(gate.values.chunks(TILE));
            for ((score, cover), (coarse, gate)) in scores.iter_mut().zip(gate.covers).zip(spans) {
                if *cover != Cover::Clear {
                    *score += uncertainty(coarse, gate);
                }
            }
        }
        let Self { scores, was_chosen, chosen, .. } = self;
        chosen.clear();
        let weight =
            |tile: usize| if was_chosen[tile] { KEPT * scores[tile] } else { scores[tile] };
        chosen.extend((0..scores.len()).filter(|&tile| weight(tile) >= LEAST));
        if chosen.len() > most {
            chosen.sort_unstable_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
            chosen.truncate(most);
            chosen.sort_unstable();
        }
        was_chosen.fill(false);
        chosen.iter().for_each(|&tile| was_chosen[tile] = true);
        chosen
    }
}

/// How much is uncertain in a part of a row.
fn uncertainty(coarse: &[f32], gate: &[f32]) -> f32 {
    let pixels = coarse.iter().zip(gate).step_by(STEP);
    let soft = pixels.filter(|(value, _)| **value > SURE && **value < 1.0 - SURE);
    soft.map(|(value, gate)| gate * value * (1.0 - value)).sum()
}
