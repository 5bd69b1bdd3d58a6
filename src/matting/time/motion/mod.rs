// SPDX-License-Identifier: MIT

//! Motion between two frames: dense inverse search.
//!
//! Patches of the later frame are found in the earlier one by Gauss-Newton steps on the mean-free
//! sum of squared differences, from a coarse picture to the fine one (Kroeger, Timofte, Dai and Van
//! Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016). Two things are different,
//! because it is a matte that is to be moved:
//!
//! - a patch across the edge of the matte follows what is inside: there the two sides move apart,
//!   and the edge belongs to the person;
//! - where the matte is flat all around, any motion gives the same matte, so none is refined.
//!
//! Pictures are in `picture.rs`, what is done with the samples of a patch in `patch.rs`, where
//! patches lie in `grid.rs`, and where the matte changes in `cells.rs`. One patch is found by
//! `find.rs`, those of the matte's inside by `inside.rs`, those of a level by `level.rs`; how many
//! were found is counted in `found.rs`, and `field.rs` gives every sample its motion.

mod cells;
mod field;
mod find;
mod found;
mod grid;
mod inside;
mod level;
mod patch;
mod picture;

pub use self::cells::CELL;
use self::cells::Cells;
pub use self::field::Field;
use self::find::Pictures;
use self::found::{FEW, count_found};
use self::grid::{Around, Grid};
use self::inside::{Follow, NOWHERE, Spread, search_inside};
use self::level::{Level, search};
pub use self::patch::add_up;
pub use self::picture::{Picture, Pyramid, floor};

/// The level whose patches the motion of the inside is found for at the finest.
const FOLLOW: usize = 1;
/// The finest level that is searched for everything, not only for what moves the matte.
const EVERYWHERE: usize = 2;

/// Samples, rightwards and down.
pub type Vector = [f32; 2];

/// Finds motion between pictures of one size.
///
/// First the inside of the matte is followed from the earlier picture, where it is known, to the
/// later one; then each patch of the later picture is found in the earlier one, and the motion of
/// the inside is one of those that it may have.
pub struct Search {
    levels: Vec<Level>,
    /// Of the inside of the matte, from the earlier picture to the later one: where each patch of a
    /// level went, not finite for those outside.
    inside: Vec<Vec<Vector>>,
    /// The same motion where it leads to, and backwards: for each patch of the level [`FOLLOW`] of
    /// the later picture.
    follow: Vec<Vector>,
    spread: Spread,
}

impl Search {
    /// For pyramids like `like`.
    pub fn new(like: &Pyramid) -> Self {
        let grids: Vec<Grid> = like.0.iter().map(Grid::new).collect();
        let finest = FOLLOW.min(grids.len() - 1);
        let level = |(index, picture): (usize, &Picture)| {
            let grid = grids[index];
            Level {
                grid,
                coarser: Around::new(grid, grids[(index + 1).min(grids.len() - 1)]),
                follow: grid.nearest_of(grids[finest], level_scale(index, finest), 0.0),
                cells: Cells::new(picture),
                flows: vec![[0.0; 2]; grid.len()],
                searched: vec![false; grid.len()],
            }
        };
        let levels: Vec<Level> = like.0.iter().enumerate().map(level).collect();
        let inside: Vec<_> = levels.iter().map(|level| vec![NOWHERE; level.grid.len()]).collect();
        let grid = grids[finest];
        let follow = vec![[0.0; 2]; grid.len()];
        Self { levels, inside, follow, spread: Spread::new(grid) }
    }

    /// Finds where in `from` each patch of `to` was. `mask` is the matte of `from`.
    ///
    /// The motion found last may be expected to go on: `again` then says by how much it is longer or
    /// shorter now (the ratio of the frames in between), and `since` by how much of it the later
    /// frame of then is later than `from`.
    pub fn run(&mut self, to: &Pyramid, from: &Pyramid, mask: &Pyramid, again: Option<[f32; 2]>) {
        let finest = FOLLOW.min(self.levels.len() - 1);
        for index in (finest..self.levels.len()).rev() {
            let pictures =
                Pictures { to: &from.0[index], from: &to.0[index], mask: &mask.0[index] };
            let (fine, coarse) = self.inside.split_at_mut(index + 1);
            let expected = again.map(|again| Follow {
                flows: &self.follow,
                grid: self.levels[finest].grid,
                scale: level_scale(index, finest),
                again,
            });
            self.levels[index].cells.fill(&mask.0[index]);
            let near_edge =
                (index == finest && !coarse.is_empty()).then_some(&self.levels[index].cells);
            search_inside(
                pictures,
                self.levels[index].grid,
                &self.levels[index].coarser,
                near_edge,
                coarse.first().map(Vec::as_slice),
                expected,
                &mut fine[index],
            );
        }
        let grid = self.levels[finest].grid;
        self.spread.turn(&self.inside[finest], &mut self.follow);
        for index in (0..self.levels.len()).rev() {
            let (fine, coarse) = self.levels.split_at_mut(index + 1);
            let level = &mut fine[index];
            if index < finest {
                level.cells.fill(&mask.0[index]);
            }
            let pictures =
                Pictures { to: &to.0[index], from: &from.0[index], mask: &mask.0[index] };
            let follow = Follow {
                flows: &self.follow,
                grid,
                scale: level_scale(index, finest),
                again: [1.0, 0.0],
            };
            search(pictures, coarse.first(), &follow, level, index >= EVERYWHERE);
        }
    }

    /// Which share of the picture was found in the earlier one, 0 to 1, among patches with detail in
    /// either; nothing where there are few of them.
    pub fn share_found(&self, to: &Pyramid, from: &Pyramid) -> Option<f32> {
        let index = EVERYWHERE.min(self.levels.len() - 1);
        let Level { grid, flows, .. } = &self.levels[index];
        let [detailed, found] = count_found(&to.0[index], &from.0[index], *grid, flows);
        (detailed * FEW >= grid.len()).then(|| found as f32 / detailed as f32)
    }

    /// Whether the matte that was moved hardly changes near `at`, a place in the earlier picture.
    pub fn is_flat(&self, at: Vector) -> bool {
        !self.levels[0].cells.is_mixed(at)
    }
}

/// Samples of level `index` in one of level `finest`.
fn level_scale(index: usize, finest: usize) -> f32 {
    (finest as f32 - index as f32).exp2()
}
