// SPDX-License-Identifier: MIT

//! The motion of one patch.

// Patches are read several at a time, by row and column.
#![allow(clippy::needless_range_loop)]

use super::Vector;
use super::patch::{self, PATCH, Patch, difference, moments, product, times, weigh};
use super::picture::Picture;

/// Gauss-Newton steps of a patch at most.
const STEPS: usize = 5;
/// A step shorter than this, in samples, is the last.
const SMALL_STEP: f32 = 0.05;
/// Where the variance of the difference, in codes², is less than this, as between pictures of the
/// same with little noise, no other motion is tried first.
const FOUND: f32 = 2.0;
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
        if !flow[0].is_finite() || self.count == self.flows.len() {
            return;
        }
        for other in &self.flows[..self.count] {
            if (other[0] - flow[0]).abs() + (other[1] - flow[1]).abs() < 0.5 {
                return;
            }
        }
        self.flows[self.count] = flow;
        self.count += 1;
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
    fn at<const FUSED: bool>(&self, mask: &Picture, at: Vector) -> Patch {
        match self {
            Self::Fixed(weights) => **weights,
            Self::Matte => weigh(&mask.sample::<FUSED>(at)),
        }
    }
}

/// A motion that was tried.
struct Trial {
    flow: Vector,
    /// Between what is seen there and the patch.
    difference: Patch,
    weights: Patch,
    /// Of the weights.
    total: f32,
    /// Weighted mean of the difference.
    mean: f32,
    /// Weighted variance of the difference.
    cost: f32,
}

impl Trial {
    #[inline(always)]
    fn new<const FUSED: bool>(
        pictures: Pictures<'_>,
        origin: [usize; 2],
        template: &Patch,
        weights: &Weights<'_>,
        flow: Vector,
    ) -> Self {
        let at = [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
        let weights = weights.at::<FUSED>(pictures.mask, at);
        let difference = difference(&pictures.from.sample::<FUSED>(at), template);
        let total = patch::total(&weights);
        let [mean, cost] = moments::<FUSED>(&difference, &weights, total);
        Self { flow, difference, weights, total, mean, cost }
    }
}

/// The motion of the patch at `origin`.
#[inline(always)]
pub fn find<const FUSED: bool>(
    pictures: Pictures<'_>,
    origin: [usize; 2],
    candidates: &Candidates,
    weights: Weights<'_>,
) -> Vector {
    let [template, across, down] = pictures.to.patch(origin);
    let attempt = |flow| Trial::new::<FUSED>(pictures, origin, &template, &weights, flow);
    let mut best = attempt(candidates.flows[0]);
    for &flow in &candidates.flows[1..candidates.count.max(1)] {
        if best.cost < FOUND {
            break;
        }
        let trial = attempt(flow);
        if trial.cost < best.cost {
            best = trial;
        }
    }
    let Trial { flow: start, mut difference, weights, total, mut mean, mut cost } = best;
    // Gradients without their mean, as the difference is taken without its own.
    let weighted = [times(&weights, &across), times(&weights, &down)];
    let [sum_x, sum_y] = [patch::total(&weighted[0]), patch::total(&weighted[1])];
    let stiffness = STIFFNESS * total;
    let xx = product::<FUSED>(&weighted[0], &across) - sum_x * sum_x / total + stiffness;
    let yy = product::<FUSED>(&weighted[1], &down) - sum_y * sum_y / total + stiffness;
    let xy = product::<FUSED>(&weighted[0], &down) - sum_x * sum_y / total;
    let scale = 1.0 / (xx * yy - xy * xy);
    let (mut flow, mut found) = (start, start);
    for _ in 1..STEPS {
        let x = product::<FUSED>(&weighted[0], &difference) - sum_x * mean;
        let y = product::<FUSED>(&weighted[1], &difference) - sum_y * mean;
        let step = [(yy * x - xy * y) * scale, (xx * y - xy * x) * scale];
        flow = [flow[0] - step[0], flow[1] - step[1]];
        let longest = |v: Vector| v[0].abs().max(v[1].abs());
        let moved = longest([flow[0] - start[0], flow[1] - start[1]]);
        if moved > PATCH as f32 || longest(step) < SMALL_STEP {
            break;
        }
        let at = [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
        difference = self::difference(&pictures.from.sample::<FUSED>(at), &template);
        let before = cost;
        [mean, cost] = moments::<FUSED>(&difference, &weights, total);
        if cost >= before {
            break;
        }
        found = flow;
    }
    found
}
