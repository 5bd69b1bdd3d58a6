//! The motion of one patch.

// Patches are read several at a time, by row and column.
#![allow(clippy::needless_range_loop)]

use super::Vector;
use super::patch::{PATCH, Patch, deviation, difference, sum, weigh};
use super::picture::Picture;

/// Gauss-Newton steps of a patch at most.
const STEPS: usize = 5;
/// A step shorter than this, in samples, is the last.
const SMALL_STEP: f32 = 0.05;
/// Added to the squared gradient of a sample, in codes² per sample²: keeps patches without detail,
/// where noise has gradients of about this size, where they are.
const STIFFNESS: f32 = 0.5;

/// One level of what is searched.
#[derive(Clone, Copy)]
pub struct Pictures<'a> {
    pub to: &'a Picture,
    pub from: &'a Picture,
    pub mask: &'a Picture,
}

/// Motions that a patch may start with.
pub struct Candidates {
    pub flows: [Vector; 8],
    pub count: usize,
}

impl Candidates {
    /// Adds one that is not nearly there already.
    #[inline(always)]
    pub fn add(&mut self, flow: Vector) {
        let mut fresh = flow[0].is_finite() && self.count < self.flows.len();
        for other in &self.flows[..self.count] {
            fresh &= (other[0] - flow[0]).abs() + (other[1] - flow[1]).abs() >= 0.5;
        }
        if fresh {
            self.flows[self.count] = flow;
            self.count += 1;
        }
    }
}

/// What a patch's samples weigh.
pub enum Weights<'a> {
    Fixed(&'a Patch),
    /// By the matte where the patch was.
    Matte,
}

impl Weights<'_> {
    #[inline(always)]
    pub fn at(&self, mask: &Picture, at: Vector) -> Patch {
        match self {
            Self::Fixed(weights) => **weights,
            Self::Matte => weigh(&mask.sample(at)),
        }
    }
}

/// The motion of the patch at `origin`.
#[inline(always)]
pub fn find(
    pictures: Pictures<'_>,
    origin: [usize; 2],
    candidates: &Candidates,
    weights: Weights<'_>,
) -> Vector {
    let [template, mut across, mut down] = pictures.to.patch(origin);
    let at = |flow: Vector| [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
    let mut best = (f32::INFINITY, candidates.flows[0]);
    for &flow in &candidates.flows[..candidates.count] {
        let weights = weights.at(pictures.mask, at(flow));
        let cost = deviation(&difference(&pictures.from.sample(at(flow)), &template), &weights);
        if cost < best.0 {
            best = (cost, flow);
        }
    }
    let weights = weights.at(pictures.mask, at(best.1));
    let total = sum(&weights, |_, _| 1.0);
    let mean =
        [sum(&weights, |r, c| across[r][c]) / total, sum(&weights, |r, c| down[r][c]) / total];
    for r in 0..PATCH {
        for c in 0..PATCH {
            across[r][c] -= mean[0];
            down[r][c] -= mean[1];
        }
    }
    let xx = sum(&weights, |r, c| across[r][c] * across[r][c]) + STIFFNESS * total;
    let yy = sum(&weights, |r, c| down[r][c] * down[r][c]) + STIFFNESS * total;
    let xy = sum(&weights, |r, c| across[r][c] * down[r][c]);
    for r in 0..PATCH {
        for c in 0..PATCH {
            across[r][c] *= weights[r][c];
            down[r][c] *= weights[r][c];
        }
    }
    let determinant = xx * yy - xy * xy;
    let start = best.1;
    let mut flow = start;
    for step in 0..STEPS {
        let difference = difference(&pictures.from.sample(at(flow)), &template);
        let cost = deviation(&difference, &weights);
        if step > 0 && cost >= best.0 {
            break;
        }
        best = (cost, flow);
        let x = sum(&across, |r, c| difference[r][c]);
        let y = sum(&down, |r, c| difference[r][c]);
        let step = [(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant];
        flow = [flow[0] - step[0], flow[1] - step[1]];
        let longest = |v: Vector| v[0].abs().max(v[1].abs());
        let moved = longest([flow[0] - start[0], flow[1] - start[1]]);
        if moved > PATCH as f32 || longest(step) < SMALL_STEP {
            break;
        }
    }
    best.1
}
