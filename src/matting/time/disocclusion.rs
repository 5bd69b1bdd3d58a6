// SPDX-License-Identifier: MIT

//! What a frame shows that the earlier one did not: decided by colour.
//!
//! Where no motion explains the picture, something came out from behind something else, and the
//! matte that motion brings there is a guess. Nearby, where motion does explain the picture, the
//! matte is known, and so are the colours on both sides of it: a normal distribution each, with
//! independent channels, over a window of cells.

// Three channels of several things at a time.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use multiversion::multiversion;

use crate::matting::time::motion::{CELL, Field, Picture, Search, add_up};

/// Cells that the window of colours reaches beyond the one in its middle.
const REACH: usize = 2;
/// Samples that a side of the matte must have in the window.
const ENOUGH: f32 = 16.0;
/// Added to variances, in codes²: noise, and colours that are known from few samples.
const LEAST_VARIANCE: f32 = 36.0;
/// The most that a channel may say, as a squared distance in standard deviations.
const FAR: f32 = 9.0;
/// What the matte that was brought along is trusted at most, as odds in favour of it.
const TRUST: f32 = 2.0;

/// What is known of the colours of one side: number, and sums and sums of squares of each channel.
#[derive(Clone, Copy, Debug, Default)]
struct Colors {
    count: f32,
    sums: [f32; 3],
    squares: [f32; 3],
}

impl Colors {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for i in 0..3 {
            self.sums[i] += other.sums[i];
            self.squares[i] += other.squares[i];
        }
    }
}

/// A normal distribution of colours.
#[derive(Clone, Copy, Debug)]
struct Normal {
    mean: [f32; 3],
    /// 1 / variance.
    precision: [f32; 3],
    /// The logarithms of the variances, added up.
    width: f32,
}

impl Normal {
    /// That of `colors`, where there are enough of them.
    fn of(colors: &Colors) -> Option<Self> {
        let &Colors { count, sums, squares } = colors;
        if count < ENOUGH {
            return None;
        }
        let mean = sums.map(|sum| sum / count);
        let mut variance = [0.0; 3];
        for i in 0..3 {
            variance[i] = (squares[i] / count - mean[i] * mean[i]).max(0.0) + LEAST_VARIANCE;
        }
        let width = variance.map(f32::ln).iter().sum();
        Some(Self { mean, precision: variance.map(|variance| 1.0 / variance), width })
    }

    /// −2 times the logarithm of the likelihood, but for a constant.
    fn distance(&self, color: [f32; 3]) -> f32 {
        let mut distance = self.width;
        for i in 0..3 {
            let away = color[i] - self.mean[i];
            distance += (away * away * self.precision[i]).min(FAR);
        }
        distance
    }
}

/// Changes to a matte that was brought along.
pub struct Reveal {
    columns: usize,
    rows: usize,
    /// Outside and inside, for each cell.
    colors: Vec<[Colors; 2]>,
    active: Vec<bool>,
    /// Whether motion does not explain all of a cell, so that there may be odds.
    judged: Vec<bool>,
    /// Of the matte that was brought along, at each sample of the guide.
    matte: Picture,
    /// The logarithm of the odds that a sample is inside, 0 where motion explains it.
    odds: Picture,
    /// What is to be added to the matte.
    pub change: Picture,
}

impl Reveal {
    pub fn new(width: usize, height: usize) -> Self {
        let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
        let picture = Picture::new(width, height);
        Self {
            columns,
            rows,
            colors: vec![[Colors::default(); 2]; columns * rows],
            active: vec![false; columns * rows],
            judged: vec![false; columns * rows],
            matte: picture.clone(),
            odds: picture.clone(),
            change: picture,
        }
    }

    /// For the motion in `field` of what `colors` shows, away from a frame whose matte is `mask`.
    pub fn fill(&mut self, field: &Field, search: &Search, mask: &Picture, colors: [&Picture; 3]) {
        self.odds.clear();
        self.change.clear();
        self.learn(field, search, mask, colors);
        self.judge(field, colors);
        self.settle();
    }

    fn cell(&self, index: usize) -> [Range<usize>; 2] {
        let (left, top) = (index % self.columns * CELL, index / self.columns * CELL);
        let (width, height) = (self.matte.width, self.matte.height);
        [left..(left + CELL).min(width), top..(top + CELL).min(height)]
    }

    /// Collects the colours of both sides where motion explains the picture.
    fn learn(&mut self, field: &Field, search: &Search, mask: &Picture, colors: [&Picture; 3]) {
        for index in 0..self.colors.len() {
            let [columns, rows] = self.cell(index);
            let middle = [(columns.start + columns.end) / 2, (rows.start + rows.end) / 2];
            let flow = field.at(middle.map(|v| v as f32));
            self.active[index] =
                !search.is_flat([middle[0] as f32 + flow[0], middle[1] as f32 + flow[1]]);
            if self.active[index] {
                let cell = [columns, rows];
                let learnt = learn_cell(cell, field, mask, colors, &mut self.matte);
                self.colors[index] = learnt.colors;
                self.judged[index] = !learnt.explained;
            } else {
                self.colors[index] = Default::default();
                self.judged[index] = false;
            }
        }
    }

    /// The odds of what motion does not explain.
    fn judge(&mut self, field: &Field, colors: [&Picture; 3]) {
        for index in 0..self.colors.len() {
            if !self.judged[index] {
                continue;
            }
            let [columns, rows] = self.cell(index);
            let mut sides = None;
            for y in rows {
                for x in columns.clone() {
                    if field.explains(x, y) {
                        continue;
                    }
                    let sides =
                        sides.get_or_insert_with(|| self.window(index).map(|c| Normal::of(&c)));
                    let [Some(outside), Some(inside)] = sides else { continue };
                    let color = colors.map(|plane| plane.row(y)[x]);
                    self.odds.row_mut(y)[x] =
                        0.5 * (outside.distance(color) - inside.distance(color));
                }
            }
        }
    }

    fn window(&self, index: usize) -> [Colors; 2] {
        let (column, row) = (index % self.columns, index / self.columns);
        let mut window = [Colors::default(); 2];
        for y in row.saturating_sub(REACH)..(row + REACH + 1).min(self.rows) {
            for x in column.saturating_sub(REACH)..(column + REACH + 1).min(self.columns) {
                for (sum, side) in window.iter_mut().zip(&self.colors[y * self.columns + x]) {
                    sum.merge(side);
                }
            }
        }
        window
    }

    /// From odds, with those of their neighbours, to what changes.
    fn settle(&mut self) {
        self.odds.extend();
        for index in 0..self.colors.len() {
            if !self.judged[index] {
                continue;
            }
            let [columns, rows] = self.cell(index);
            for y in rows {
                for x in columns.clone() {
                    if self.odds.row(y)[x] == 0.0 {
                        continue;
                    }
                    let matte = self.matte.row(y)[x];
                    let trusted = TRUST.ln() * (2.0 * matte - 1.0);
                    let odds = self.odds.around(x, y) / 3.0 + trusted;
                    // Where colour agrees, or says too little, the matte stays as it is.
                    if (odds > 0.0) != (matte > 0.5) {
                        self.change.row_mut(y)[x] = 1.0 / (1.0 + (-odds).exp()) - matte;
                    }
                }
            }
        }
        self.change.extend();
    }
}

/// What there is in a cell.
struct Learnt {
    /// Outside and inside, where motion explains the picture.
    colors: [Colors; 2],
    /// Whether it explains all of it.
    explained: bool,
}

/// Looks at a cell, and writes the matte that motion brings there.
#[multiversion(targets = "simd")]
fn learn_cell(
    [columns, rows]: [Range<usize>; 2],
    field: &Field,
    mask: &Picture,
    colors: [&Picture; 3],
    matte: &mut Picture,
) -> Learnt {
    let mut counts = [[0.0; CELL]; 2];
    let mut sums = [[[0.0; CELL]; 3]; 2];
    let mut squares = [[[0.0; CELL]; 3]; 2];
    let mut all_explained = true;
    for y in rows {
        let brought = field.bring(mask, columns.start, y);
        // The border takes what is too much.
        *matte.lanes_mut([columns.start, y]) = brought;
        // Where a cell is cut off by the picture's edge, what is beyond counts for nothing.
        let mut explained = field.explained(columns.start, y);
        for c in 0..CELL {
            all_explained &= explained[c] || c >= columns.len();
            explained[c] &= c < columns.len();
        }
        // The soft edge between them says nothing of either.
        let mut weights = [[0.0; CELL]; 2];
        for c in 0..CELL {
            weights[0][c] = if explained[c] && brought[c] < 0.1 { 1.0 } else { 0.0 };
            weights[1][c] = if explained[c] && brought[c] > 0.9 { 1.0 } else { 0.0 };
        }
        for side in 0..2 {
            for c in 0..CELL {
                counts[side][c] += weights[side][c];
            }
        }
        for i in 0..3 {
            let values = &colors[i].span(columns.start, y)[..CELL];
            for side in 0..2 {
                for c in 0..CELL {
                    let weighted = weights[side][c] * values[c];
                    sums[side][i][c] += weighted;
                    squares[side][i][c] += weighted * values[c];
                }
            }
        }
    }
    let mut sides = [Colors::default(); 2];
    for side in 0..2 {
        sides[side].count = add_up(counts[side]);
        for i in 0..3 {
            sides[side].sums[i] = add_up(sums[side][i]);
            sides[side].squares[i] = add_up(squares[side][i]);
        }
    }
    Learnt { colors: sides, explained: all_explained }
}
