// SPDX-License-Identifier: MIT

//! What a network gives of tiles, which reaches a little beyond them, and how neighbours go over into one another.
//!
//! Where a matte is only guessed, neighbours need not guess the same; without this, seams would show there.

use crate::matting::matte::details::{Slots, TILE, Tile};

/// Pixels by which a patch reaches beyond its tile, so that two neighbours have twice as many in common.
pub const OVERLAP: usize = 4;

/// Pixels along a side of a patch.
pub const PATCH: usize = TILE + 2 * OVERLAP;

/// A patch for each tile of a frame, in their order.
pub struct Patches {
    values: Vec<f32>,
    /// How much a patch counts along an axis; what two neighbours count adds up to 1.
    weights: Vec<f32>,
}

impl Patches {
    /// None yet.
    pub fn new() -> Self {
        Self { values: Vec::new(), weights: (0..PATCH).map(weight).collect() }
    }

    /// Room for the patches of so many tiles, [`PATCH`] rows of as many values each. They are to be filled.
    pub fn lay(&mut self, count: usize) -> &mut [f32] {
        let length = count * PATCH * PATCH;
        if self.values.len() < length {
            self.values.resize(length, 0.0);
        }
        &mut self.values[..length]
    }

    /// Makes the tiles that lie at these places, at most so many by one thread; where there are more, in those of the
    /// pool that this runs in. `join` takes nothing from the heap.
    pub fn make(&self, slots: Slots<'_>, places: &[usize], tiles: &mut [Tile], by_one: usize) {
        if tiles.len() > by_one {
            let middle = tiles.len() / 2;
            let ((places, others), (tiles, other_tiles)) =
                (places.split_at(middle), tiles.split_at_mut(middle));
            rayon::join(
                || self.make(slots, places, tiles, by_one),
                || self.make(slots, others, other_tiles, by_one),
            );
            return;
        }
        for (&place, tile) in places.iter().zip(tiles) {
            tile.fill(|out| self.write(slots, place, out));
        }
    }

    /// Writes the tile at a place: the mean of what its own patch and its neighbours' say, by how much each counts.
    fn write(&self, slots: Slots<'_>, place: usize, out: &mut [f32]) {
        let mut counted = [0.0; TILE * TILE];
        out.fill(0.0);
        for step in (0..9).map(|i| [i % 3 - 1, i / 3 - 1]) {
            if let Some(patch) = self.patch(slots, place, step) {
                self.add(patch, step, out, &mut counted);
            }
        }
        out.iter_mut().zip(&counted).for_each(|(out, counted)| *out /= counted);
    }

    fn patch(&self, slots: Slots<'_>, place: usize, step: [isize; 2]) -> Option<&[f32]> {
        let slot = slots.beside(place, step)?;
        Some(&self.values[slot * PATCH * PATCH..][..PATCH * PATCH])
    }

    /// Adds what a patch says, that of the tile or of a neighbour, as far as it reaches into the tile, and by how much
    /// it counts there.
    fn add(&self, patch: &[f32], step: [isize; 2], out: &mut [f32], counted: &mut [f32]) {
        let [columns, rows] = step.map(shared);
        // Where the tile begins in the patch.
        let [left, top] = step.map(|step| OVERLAP as isize - step * TILE as isize);
        let first = columns.start.wrapping_add_signed(left);
        let weights = &self.weights[first..][..columns.len()];
        for y in rows {
            let row = y.wrapping_add_signed(top);
            let patch = &patch[row * PATCH + first..][..columns.len()];
            let here = y * TILE + columns.start..y * TILE + columns.end;
            let (out, counted) = (&mut out[here.clone()], &mut counted[here]);
            let of_row = self.weights[row];
            for (((out, counted), value), weight) in
                out.iter_mut().zip(counted).zip(patch).zip(weights)
            {
                *out += of_row * weight * value;
                *counted += of_row * weight;
            }
        }
    }
}

/// Closes the gate of a tile's patch towards the borders behind which nothing is refined, so that the tile goes over
/// into the coarse matte there.
pub fn close(gate: &mut [f32], slots: Slots<'_>, place: usize) {
    let [left, right, above, below] =
        [[-1, 0], [1, 0], [0, -1], [0, 1]].map(|step| slots.lacks(place, step));
    if !(left || right || above || below) {
        return;
    }
    let open = |at: usize, before: bool, behind: bool| {
        let far = |is_shut: bool, from: usize| if is_shut { opening(from) } else { 1.0 };
        far(before, at) * far(behind, PATCH - 1 - at)
    };
    for (y, row) in gate.chunks_exact_mut(PATCH).enumerate() {
        let of_row = open(y, above, below);
        for (x, gate) in row.iter_mut().enumerate() {
            *gate *= of_row * open(x, left, right);
        }
    }
}

/// How far a gate is open so many pixels from the end of a patch, if there is no other: not at all to its tile's
/// border, and from there on more.
fn opening(from_end: usize) -> f32 {
    ((from_end as f32 + 0.5 - OVERLAP as f32) / (2 * OVERLAP) as f32).clamp(0.0, 1.0)
}

/// The pixels of a tile along an axis that the patch of a neighbour reaches, which lies before it, beside it or
/// behind it.
fn shared(step: isize) -> std::ops::Range<usize> {
    match step {
        -1 => 0..OVERLAP,
        0 => 0..TILE,
        _ => TILE - OVERLAP..TILE,
    }
}

/// How much a patch counts at a pixel along an axis: more from its ends on, all where no other reaches.
fn weight(at: usize) -> f32 {
    let from_end = at.min(PATCH - 1 - at) as f32 + 0.5;
    (from_end / (2 * OVERLAP) as f32).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::size::Size;
    use crate::matting::matte::details::Details;
    use proptest::prelude::*;

    #[test]
    fn a_gate_is_shut_where_nobody_goes_on() {
        let mut details = Details::new(Size { width: 3 * TILE, height: TILE });
        let (slots, _) = details.lay(&[0, 1]);
        let gates = [0, 1].map(|place| {
            let mut gate = vec![1.0; PATCH * PATCH];
            close(&mut gate, slots, place);
            gate[30 * PATCH..][..PATCH].to_vec()
        });
        // The frame ends to the left of the first, and the second is its neighbour; the third is missing.
        assert!(gates[0].iter().all(|gate| *gate == 1.0));
        let end = |from_end: usize| gates[1][PATCH - 1 - from_end];
        assert!(gates[1][..PATCH - 3 * OVERLAP].iter().all(|gate| *gate == 1.0));
        assert!(end(OVERLAP - 1) == 0.0 && end(OVERLAP) < 0.1 && end(3 * OVERLAP - 1) > 0.9);
    }

    /// What each tile's patch says, the same all over it, as rows of the frame; 2 where there is no tile.
    fn made(grid: Size, places: &[usize], says: &[f32]) -> Vec<Vec<f32>> {
        let frame = Size { width: grid.width * TILE, height: grid.height * TILE };
        let (mut details, mut patches) = (Details::new(frame), Patches::new());
        let (slots, tiles) = details.lay(places);
        let values = patches.lay(places.len()).chunks_exact_mut(PATCH * PATCH);
        values.zip(says).for_each(|(patch, value)| patch.fill(*value));
        patches.make(slots, places, tiles, 3);
        let row = |y| {
            let mut row = vec![2.0; frame.width];
            for (span, _, values) in details.row(y) {
                row[span * TILE..][..TILE].copy_from_slice(values);
            }
            row
        };
        (0..frame.height).map(row).collect()
    }

    #[test]
    fn patches_count_as_much_as_there_is() {
        let weights: Vec<f32> = (0..PATCH).map(weight).collect();
        for at in 0..2 * OVERLAP {
            // The neighbour's begins where this one's tile ends, less the overlap.
            assert!((weights[at] + weights[TILE + at] - 1.0).abs() < 1e-6, "{at}");
        }
        assert!(weights[2 * OVERLAP..TILE].iter().all(|weight| *weight == 1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Neighbours that disagree go over into one another without a step, whichever there are; and where all
        /// agree, that is what comes out.
        #[test]
        fn there_are_no_seams(
            is_there in prop::collection::vec(prop::bool::weighted(0.7), 12),
            says in prop::collection::vec(0.1f32..0.9, 12), agreed in prop::bool::ANY,
        ) {
            let grid = Size { width: 4, height: 3 };
            let places: Vec<usize> = (0..12).filter(|&place| is_there[place]).collect();
            let says: Vec<f32> =
                places.iter().map(|&place| if agreed { 0.4 } else { says[place] }).collect();
            let rows = made(grid, &places, &says);
            let steep = 0.8 / (2 * OVERLAP) as f32 + 1e-4;
            for (y, row) in rows.iter().enumerate() {
                for (x, &value) in row.iter().enumerate().filter(|(_, value)| **value <= 1.0) {
                    prop_assert!((0.0999..0.9001).contains(&value));
                    prop_assert!(!agreed || (value - 0.4).abs() < 1e-6);
                    let beside = [row.get(x + 1), rows.get(y + 1).map(|below| &below[x])];
                    for other in beside.into_iter().flatten().filter(|other| **other <= 1.0) {
                        // Steeper where one of the four at a corner is missing, whose share goes to the others.
                        let corner = [x, y].map(|at| (at + OVERLAP + 1) % TILE <= 2 * OVERLAP + 1);
                        let most = if corner == [true; 2] { 4.0 * steep } else { steep };
                        prop_assert!((value - other).abs() <= most, "{x} {y}: {value} {other}");
                    }
                }
            }
        }
    }
}
