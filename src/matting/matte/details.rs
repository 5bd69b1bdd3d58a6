// SPDX-License-Identifier: MIT

//! Tiles of a matte that are known at the frame's own resolution, and take the place of what enlarging
//! makes of the mask there.

use crate::matting::frame::size::Size;
use crate::matting::matte::spans::{Cover, SPAN};

/// Pixels along a side of a tile: as many as are looked at together in a row.
pub const TILE: usize = SPAN;

/// What lies nearer to 0 or 1 is that: less than half of a step of 8 bits.
const SNAP: f32 = 1.0 / 512.0;

/// A tile of a matte.
#[derive(Clone, Debug)]
pub struct Tile {
    /// [`TILE`] rows of as many.
    values: Vec<f32>,
    /// For each row.
    covers: [Cover; TILE],
}

impl Default for Tile {
    fn default() -> Self {
        Self { values: vec![0.0; TILE * TILE], covers: [Cover::Clear; TILE] }
    }
}

impl Tile {
    /// Has its [`TILE`] rows of as many values written, each in [0, 1].
    pub fn fill(&mut self, write: impl FnOnce(&mut [f32])) {
        write(&mut self.values);
        for (row, cover) in self.values.chunks_exact_mut(TILE).zip(&mut self.covers) {
            row.iter_mut().for_each(|value| *value = snapped(*value));
            let first = row[0];
            *cover = match row.iter().all(|&value| value == first) {
                true => Cover::of_opacity(first),
                false => Cover::Soft,
            };
        }
    }
}

/// Which tile lies where on the grid of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    grid: Size,
    slots: &'a [Option<usize>],
}

impl Slots<'_> {
    /// Places of the grid in a row.
    pub const fn across(self) -> usize {
        self.grid.width
    }

    /// Which of the tiles lies so many places to the right of one of the grid, and below it; none where there is no
    /// tile, or the grid ends.
    pub fn beside(self, place: usize, step: [isize; 2]) -> Option<usize> {
        self.slots[self.neighbour(place, step)?]
    }

    /// Whether there could be a tile so many places to the right and below, and there is none.
    pub fn lacks(self, place: usize, step: [isize; 2]) -> bool {
        self.neighbour(place, step).is_some_and(|place| self.slots[place].is_none())
    }

    fn neighbour(self, place: usize, [right, below]: [isize; 2]) -> Option<usize> {
        let x = (place % self.grid.width).checked_add_signed(right)?;
        let y = (place / self.grid.width).checked_add_signed(below)?;
        let is_inside = x < self.grid.width && y < self.grid.height;
        is_inside.then_some(y * self.grid.width + x)
    }
}

/// The tiles of one frame. They lie on a grid that begins in the frame's corner; those along the right and
/// lower edge are not all in the frame.
#[derive(Clone, Debug)]
pub struct Details {
    /// Tiles of the grid, across and down.
    grid: Size,
    /// For each of the grid, which of the tiles it is.
    slots: Vec<Option<usize>>,
    /// Those of this frame, and room for more.
    tiles: Vec<Tile>,
    len: usize,
}

impl Details {
    /// None yet, of frames of `frame` size.
    pub fn new(frame: Size) -> Self {
        let grid = Size { width: frame.width.div_ceil(TILE), height: frame.height.div_ceil(TILE) };
        Self { grid, slots: vec![None; grid.area()], tiles: Vec::new(), len: 0 }
    }

    /// Tiles across and down.
    pub const fn grid(&self) -> Size {
        self.grid
    }

    /// How many tiles there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.slots.fill(None);
        self.len = 0;
    }

    /// Lays out other tiles, at these places of the grid, counted row by row: which lies where, and the tiles, which
    /// are to be filled, in that order.
    pub fn lay(&mut self, places: &[usize]) -> (Slots<'_>, &mut [Tile]) {
        self.clear();
        for (slot, &place) in places.iter().enumerate() {
            self.slots[place] = Some(slot);
        }
        self.len = places.len();
        if self.tiles.len() < self.len {
            self.tiles.resize_with(self.len, Tile::default);
        }
        let slots = Slots { grid: self.grid, slots: &self.slots };
        (slots, &mut self.tiles[..self.len])
    }

    /// The tiles that row `y` of the frame passes: which span of the row each is, what it is there, and its
    /// values.
    pub fn row(&self, y: usize) -> impl Iterator<Item = (usize, Cover, &[f32])> {
        let slots = &self.slots[y / TILE * self.grid.width..][..self.grid.width];
        slots.iter().enumerate().filter_map(move |(span, slot)| {
            let tile = &self.tiles[(*slot)?];
            let row = y % TILE;
            Some((span, tile.covers[row], &tile.values[row * TILE..][..TILE]))
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

    /// 0.5 along the diagonal.
    fn diagonal(value: f32) -> impl FnOnce(&mut [f32]) {
        rows(move |x, y| if x == y { 0.5 } else { value })
    }

    fn rows(value: impl Fn(usize, usize) -> f32) -> impl FnOnce(&mut [f32]) {
        move |out| {
            out.iter_mut().enumerate().for_each(|(i, out)| *out = value(i % TILE, i / TILE));
        }
    }

    #[test]
    fn a_tile_lies_where_it_was_put() {
        let mut details = Details::new(Size { width: 200, height: 100 });
        assert_eq!(details.grid(), Size { width: 4, height: 2 });
        let (slots, tiles) = details.lay(&[3, 5]);
        let beside = [[0, 0], [1, 0], [-2, 1], [0, 1], [0, -1]].map(|step| slots.beside(3, step));
        assert_eq!(beside, [Some(0), None, Some(1), None, None]);
        let lacks = [[0, 0], [1, 0], [-2, 1], [0, 1], [-1, 0]].map(|step| slots.lacks(3, step));
        assert_eq!(lacks, [false, false, false, true, true]);
        tiles[0].fill(diagonal(0.0));
        tiles[1].fill(rows(|_, y| y as f32 / 63.0));
        assert_eq!(details.len(), 2);
        assert_eq!(details.row(0).map(|(span, ..)| span).collect::<Vec<_>>(), [3]);
        let below: Vec<_> = (64..100).flat_map(|y| details.row(y)).collect();
        assert_eq!(below.len(), 36);
        assert!(below.iter().all(|(span, ..)| *span == 1));
        assert_eq!((below[0].1, below[1].1), (Cover::Clear, Cover::Soft));
        details.clear();
        assert!(details.is_empty() && details.row(64).next().is_none());
        // Nothing is left of what was there.
        details.lay(&[0]).1[0].fill(diagonal(1.0));
        let row: Vec<_> = details.row(2).map(|(span, cover, row)| (span, cover, row[2])).collect();
        assert_eq!(row, [(0, Cover::Soft, 0.5)]);
    }

    #[test]
    fn what_is_nearly_sure_is_sure() {
        let mut details = Details::new(Size { width: 64, height: 64 });
        details.lay(&[0]).1[0].fill(rows(|_, y| [0.001, 0.999, 0.01][y % 3]));
        let covers: Vec<_> =
            (0..3).flat_map(|y| details.row(y)).map(|(_, cover, _)| cover).collect();
        assert_eq!(covers, [Cover::Clear, Cover::Opaque, Cover::Soft]);
    }
}
