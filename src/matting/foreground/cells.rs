//! Cells of the small picture, in chunks that are worked on together, and how they are made of a
//! frame's rows.

use multiversion::multiversion;

use crate::matting::color::Affine;

/// Cells that are worked on together.
pub const LANES: usize = 8;

pub type Lanes = [f32; LANES];
/// The three components of a few cells.
pub type Codes = [Lanes; 3];

/// The colours of a few cells on both sides of an edge.
#[derive(Clone, Copy, Default)]
pub struct Sides {
    pub person: Codes,
    pub behind: Codes,
}

/// What is done with a chunk of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Nothing.
    None,
    /// The frame's colours stand on both sides, for the neighbours.
    Border,
    /// Colours are estimated.
    Estimate,
}

/// Means over `size` values each, the last of which may be fewer; what is beyond repeats the last.
pub fn means<T: Copy + Into<f32>>(row: &[T], size: usize, cells: &mut [f32]) {
    match size {
        1 => means_over::<1, T>(row, cells),
        2 => means_over::<2, T>(row, cells),
        4 => means_over::<4, T>(row, cells),
        8 => means_over::<8, T>(row, cells),
        _ => means_over::<16, T>(row, cells),
    }
}

#[multiversion(targets = "simd")]
fn means_over<const N: usize, T: Copy + Into<f32>>(row: &[T], cells: &mut [f32]) {
    let whole = row.len() / N;
    for (cell, values) in cells.iter_mut().zip(row.chunks_exact(N)) {
        let mut sum = 0.0;
        for value in values {
            sum += (*value).into();
        }
        *cell = sum / N as f32;
    }
    let rest = &row[whole * N..];
    let last = match rest.len() {
        0 => cells[whole - 1],
        n => rest.iter().map(|&value| value.into()).sum::<f32>() / n as f32,
    };
    cells[whole..].fill(last);
}

/// Rows of three components, in the output's codes already, to chunks of codes.
pub fn interleave(a: &[f32], b: &[f32], c: &[f32], out: &mut [Codes]) {
    let (a, b, c) = (a.as_chunks().0, b.as_chunks().0, c.as_chunks().0);
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = [*a, *b, *c];
    }
}

/// Rows of three components to chunks of codes.
#[multiversion(targets = "simd")]
pub fn convert(a: &[f32], b: &[f32], c: &[f32], to_codes: &Affine, out: &mut [Codes]) {
    let (a, b, c) = (a.as_chunks().0, b.as_chunks().0, c.as_chunks().0);
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        let (a, b, c): (Lanes, Lanes, Lanes) = (*a, *b, *c);
        for (component, out) in out.iter_mut().enumerate() {
            let [x, y, z] = to_codes.matrix[component];
            let offset = to_codes.offset[component];
            let mut codes = Lanes::default();
            for i in 0..LANES {
                codes[i] = (x * a[i] + y * b[i] + z * c[i] + offset).clamp(0.0, 255.0);
            }
            *out = codes;
        }
    }
}

/// A component of the cells of chunk `chunk`, with a neighbour on both sides, between two rows.
#[inline(always)]
pub fn between(
    upper: &[Sides],
    lower: &[Sides],
    share: f32,
    chunk: usize,
    component: impl Fn(&Sides) -> &Lanes,
) -> [f32; LANES + 2] {
    let mix = |upper: f32, lower: f32| upper + (lower - upper) * share;
    let neighbour = |chunk: usize, lane: usize| {
        mix(component(&upper[chunk])[lane], component(&lower[chunk])[lane])
    };
    let (here, below) = (component(&upper[chunk]), component(&lower[chunk]));
    let mut cells = [0.0; LANES + 2];
    for lane in 0..LANES {
        cells[lane + 1] = mix(here[lane], below[lane]);
    }
    cells[0] = if chunk > 0 { neighbour(chunk - 1, LANES - 1) } else { cells[1] };
    cells[LANES + 1] = if chunk + 1 < upper.len() { neighbour(chunk + 1, 0) } else { cells[LANES] };
    cells
}
