//! One level's colours on both sides of the edge: begun with the coarser level's, corrected by what
//! they do not explain, and blurred.

use multiversion::multiversion;

use super::cells::{Codes, LANES, Lanes, Sides, Work, between};
use super::levels::Level;

/// Weight that a colour keeps in blurring where there is none of it.
const FAINT: f32 = 0.01;
/// Held against sharing out all that is unexplained: a matte is never quite right, and what it is
/// wrong by would become the opposite of the old background in the person.
const DAMPING: f32 = 0.15;

impl Level {
    /// Starts with what the coarser level found, or with the frame's colours.
    pub fn begin(&mut self, coarser: Option<&Self>) {
        for y in 0..self.height {
            let row = y * self.chunks..(y + 1) * self.chunks;
            let work = &self.work[row.clone()];
            for (at, work) in row.clone().zip(work) {
                if *work == Work::Border || (*work == Work::Estimate && coarser.is_none()) {
                    self.sides[at] = Sides { person: self.codes[at], behind: self.codes[at] };
                    self.blurred[at] = self.sides[at];
                }
            }
            if let Some(coarser) = coarser {
                coarser.double_row(y, work, &mut self.sides[row]);
            }
        }
    }

    /// Row `y` of the finer level, where that is to be estimated.
    fn double_row(&self, y: usize, work: &[Work], out: &mut [Sides]) {
        let near = y / 2;
        let far = if y.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.height - 1)
        };
        let row = |y: usize| &self.sides[y * self.chunks..][..self.chunks];
        double(row(near), row(far), work, out);
    }

    /// Shares out between both sides what they do not explain of the frame's colours.
    pub fn correct(&mut self) {
        correct(&self.work, &self.matte, &self.codes, &mut self.sides);
    }

    /// Blurs both sides over 3 x 3 cells, each weighed by how much of it is there.
    pub fn blur(&mut self) {
        for y in 0..self.height {
            let row = |y: usize| y * self.chunks..(y + 1) * self.chunks;
            let [above, below] = [y.saturating_sub(1), (y + 1).min(self.height - 1)];
            let [above, here, below] = [above, y, below].map(row);
            if self.work[here.clone()].iter().all(|&work| work != Work::Estimate) {
                continue;
            }
            sum_rows(
                &self.work[here.clone()],
                [&self.matte[above.clone()], &self.matte[here.clone()], &self.matte[below.clone()]],
                [&self.sides[above], &self.sides[here.clone()], &self.sides[below]],
                &mut self.sums,
            );
            divide_sums(&self.work[here.clone()], &self.sums, &mut self.blurred[here]);
        }
        std::mem::swap(&mut self.sides, &mut self.blurred);
    }
}

#[multiversion(targets = "simd")]
fn double(near: &[Sides], far: &[Sides], work: &[Work], out: &mut [Sides]) {
    for (chunk, (out, work)) in out.iter_mut().zip(work).enumerate() {
        if *work != Work::Estimate {
            continue;
        }
        for component in 0..3 {
            let person = between(near, far, 0.25, chunk / 2, |s| &s.person[component]);
            let behind = between(near, far, 0.25, chunk / 2, |s| &s.behind[component]);
            double_lanes(&person, chunk % 2, &mut out.person[component]);
            double_lanes(&behind, chunk % 2, &mut out.behind[component]);
        }
    }
}

/// Half of the cells, with neighbours, at twice as many places.
#[inline(always)]
fn double_lanes(cells: &[f32; LANES + 2], half: usize, out: &mut Lanes) {
    let mut window = [0.0; LANES / 2 + 2];
    window.copy_from_slice(&cells[half * LANES / 2..][..LANES / 2 + 2]);
    for i in 0..LANES / 2 {
        out[2 * i] = 0.75 * window[i + 1] + 0.25 * window[i];
        out[2 * i + 1] = 0.75 * window[i + 1] + 0.25 * window[i + 2];
    }
}

/// How much of an unexplained difference goes to the person: the smallest change of F and B that
/// explains it is in the ratio of α and 1 − α.
#[inline(always)]
pub fn gain(matte: f32) -> f32 {
    let behind = 1.0 - matte;
    1.0 / (matte * matte + behind * behind + DAMPING)
}

#[multiversion(targets = "simd")]
fn correct(work: &[Work], matte: &[Lanes], codes: &[Codes], sides: &mut [Sides]) {
    for (((work, matte), codes), sides) in work.iter().zip(matte).zip(codes).zip(sides) {
        if *work != Work::Estimate {
            continue;
        }
        let matte = *matte;
        let mut gains = Lanes::default();
        for i in 0..LANES {
            gains[i] = gain(matte[i]);
        }
        for component in 0..3 {
            // Copies, whose loop becomes one vector operation for each step.
            let (mut person, mut behind) = (sides.person[component], sides.behind[component]);
            let codes = codes[component];
            for i in 0..LANES {
                let other = 1.0 - matte[i];
                let rest = (codes[i] - matte[i] * person[i] - other * behind[i]) * gains[i];
                person[i] = (person[i] + matte[i] * rest).clamp(0.0, 255.0);
                behind[i] = (behind[i] + other * rest).clamp(0.0, 255.0);
            }
            (sides.person[component], sides.behind[component]) = (person, behind);
        }
    }
}

#[inline(always)]
fn weigh(weights: &[Lanes; 3], a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    let mut sums = Lanes::default();
    for i in 0..LANES {
        sums[i] = weights[0][i] * a[i] + weights[1][i] * b[i] + weights[2][i] * c[i];
    }
    sums
}

/// Weighted sums over three rows, for chunks that are estimated and their neighbours.
#[multiversion(targets = "simd")]
fn sum_rows(
    work: &[Work],
    mattes: [&[Lanes]; 3],
    sides: [&[Sides]; 3],
    sums: &mut [(Sides, [Lanes; 2])],
) {
    for (chunk, (sums, weights)) in sums.iter_mut().enumerate() {
        if work[chunk] == Work::None {
            continue;
        }
        let [a, b, c] = [&sides[0][chunk], &sides[1][chunk], &sides[2][chunk]];
        let mut own = [mattes[0][chunk], mattes[1][chunk], mattes[2][chunk]];
        let mut other = own;
        for row in 0..3 {
            for i in 0..LANES {
                other[row][i] = 1.0 - own[row][i] + FAINT;
                own[row][i] += FAINT;
            }
        }
        for i in 0..LANES {
            weights[0][i] = own[0][i] + own[1][i] + own[2][i];
            weights[1][i] = other[0][i] + other[1][i] + other[2][i];
        }
        for component in 0..3 {
            sums.person[component] =
                weigh(&own, &a.person[component], &b.person[component], &c.person[component]);
            sums.behind[component] =
                weigh(&other, &a.behind[component], &b.behind[component], &c.behind[component]);
        }
    }
}

/// Means over three columns of what was summed up over rows.
#[multiversion(targets = "simd")]
fn divide_sums(work: &[Work], sums: &[(Sides, [Lanes; 2])], out: &mut [Sides]) {
    for (chunk, out) in out.iter_mut().enumerate() {
        if work[chunk] != Work::Estimate {
            continue;
        }
        let here = &sums[chunk];
        // Beyond the first and the last column there is what is in them.
        let left = chunk.checked_sub(1).map(|left| &sums[left]);
        let right = sums.get(chunk + 1);
        let three = |lanes: fn(&(Sides, [Lanes; 2]), usize) -> &Lanes, index: usize| -> Lanes {
            let cells = lanes(here, index);
            let before = left.map_or(cells[0], |left| lanes(left, index)[LANES - 1]);
            let after = right.map_or(cells[LANES - 1], |right| lanes(right, index)[0]);
            std::array::from_fn(|i| {
                let before = if i > 0 { cells[i - 1] } else { before };
                let after = if i + 1 < LANES { cells[i + 1] } else { after };
                before + cells[i] + after
            })
        };
        let own = three(|sums, side| &sums.1[side], 0).map(|weight| 1.0 / weight);
        let other = three(|sums, side| &sums.1[side], 1).map(|weight| 1.0 / weight);
        for component in 0..3 {
            let person = three(|sums, component| &sums.0.person[component], component);
            let behind = three(|sums, component| &sums.0.behind[component], component);
            for i in 0..LANES {
                out.person[component][i] = person[i] * own[i];
                out.behind[component][i] = behind[i] * other[i];
            }
        }
    }
}
