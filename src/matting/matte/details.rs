// SPDX-License-Identifier: MIT

//! Tiles of a matte that are known at the frame's own resolution, and take the place of what enlarging
//! makes of the mask there.

use crate::matting::frame::size::Size;
use crate::matting::matte::spans::{Cover, SPAN};

/// Pixels along a side of a tile: as many as are looked at together in a row.
pub const TILE: usize = SPAN;

/// What lies nearer to 0 or 1 is that: less than half of a step of 8 bits.
const SNAP: f32 = 1.0 / 512.0;

/// The tiles of one frame. They lie on a grid that begins in the frame's corner; those along the right and
/// lower edge are not all in the frame.
#[derive(Clone, Debug)]
pub struct Details {
    /// Tiles of the grid, across and down.
    grid: Size,
    /// For each of the grid, which of the tiles it is.
    slots: Vec<Option<usize>>,
    tiles: usize,
    /// [`TILE`] rows of as many values for each tile.
    values: Vec<f32>,
    /// For each row of a tile.
    covers: Vec<Cover>,
}

impl Details {
    /// None yet, of frames of `frame` size.
    pub fn new(frame: Size) -> Self {
        let grid = Size { width: frame.width.div_ceil(TILE), height: frame.height.div_ceil(TILE) };
        Self {
            grid,
            slots: vec![None; grid.area()],
            tiles: 0,
            values: Vec::new(),
            covers: Vec::new(),
        }
    }

    /// Tiles across and down.
    pub const fn grid(&self) -> Size {
        self.grid
    }

    /// How many tiles there are.
    pub const fn len(&self) -> usize {
        self.tiles
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.tiles == 0
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.slots.fill(None);
        self.tiles = 0;
    }

    /// Takes in the tile at a place of the grid, counted row by row: [`TILE`] rows of as many values, each in
    /// [0, 1].
    pub fn insert(&mut self, place: usize, rows: impl Iterator<Item = impl Iterator<Item = f32>>) {
        let slot = *self.slots[place].get_or_insert_with(|| {
            self.tiles += 1;
            self.tiles - 1
        });
        let (values, covers) = (slot * TILE * TILE, slot * TILE);
        if self.values.len() < values + TILE * TILE {
            self.values.resize(values + TILE * TILE, 0.0);
            self.covers.resize(covers + TILE, Cover::Soft);
        }
        let kept = self.values[values..].chunks_exact_mut(TILE).zip(&mut self.covers[covers..]);
        for ((out, cover), row) in kept.zip(rows) {
            for (out, value) in out.iter_mut().zip(row) {
                *out = snapped(value);
            }
            *cover = match out[0] {
                first if first != 0.0 && first != 1.0 => Cover::Soft,
                first if out.iter().any(|&value| value != first) => Cover::Soft,
                first => Cover::of_opacity(first),
            };
        }
    }

    /// The tiles that row `y` of the frame passes: which span of the row each is, what it is there, and its
    /// values.
    pub fn row(&self, y: usize) -> impl Iterator<Item = (usize, Cover, &[f32])> {
        let slots = &self.slots[y / TILE * self.grid.width..][..self.grid.width];
        slots.iter().enumerate().filter_map(move |(span, slot)| {
            let row = (*slot)? * TILE + y % TILE;
            Some((span, self.covers[row], &self.values[row * TILE..][..TILE]))
        })
    }
}

fn snapped(value: f32) -> f32 {
    match value {
        value if value < SNAP => 0.0,
        value if value > 1.0 - SNAP => 1.0,
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_lies_where_it_was_put() {
        let mut details = Details::new(Size { width: 200, height: 100 });
        assert_eq!(details.grid(), Size { width: 4, height: 2 });
        let rows = |value: f32| {
            (0..TILE).map(move |y| (0..TILE).map(move |x| if x == y { 0.5 } else { value }))
        };
        details.insert(5, rows(0.999));
        details.insert(3, rows(0.0));
        details.insert(5, (0..TILE).map(|y| std::iter::repeat_n(y as f32 / 63.0, TILE)));
        assert_eq!(details.len(), 2);
        assert_eq!(details.row(0).map(|(span, ..)| span).collect::<Vec<_>>(), [3]);
        let below: Vec<_> = (64..100).flat_map(|y| details.row(y)).collect();
        assert_eq!(below.len(), 36);
        assert!(below.iter().all(|(span, ..)| *span == 1));
        assert_eq!((below[0].1, below[1].1), (Cover::Clear, Cover::Soft));
        details.clear();
        assert!(details.is_empty() && details.row(64).next().is_none());
        // Nothing is left of what was there.
        details.insert(0, rows(1.0));
        assert_eq!(
            details.row(2).map(|(_, cover, row)| (cover, row[2])).next(),
            Some((Cover::Soft, 0.5))
        );
    }

    #[test]
    fn what_is_nearly_sure_is_sure() {
        let mut details = Details::new(Size { width: 64, height: 64 });
        details
            .insert(0, (0..TILE).map(|y| std::iter::repeat_n([0.001, 0.999, 0.01][y % 3], TILE)));
        let covers: Vec<_> =
            (0..3).flat_map(|y| details.row(y)).map(|(_, cover, _)| cover).collect();
        assert_eq!(covers, [Cover::Clear, Cover::Opaque, Cover::Soft]);
    }
}
