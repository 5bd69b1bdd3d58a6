// SPDX-License-Identifier: MIT

//! Mattes of tiles as functions of their colours.
//!
//! Locally alpha is close to an affine function of colour (Levin, Lischinski and Weiss, "A Closed-Form Solution to
//! Natural Image Matting", 2008). The network that refines tiles gives such functions' coefficients, those of all
//! pixels of a cell at one place; here they become alpha. In ONNX Runtime a quarter of the network's time went into
//! bringing coefficients to their pixels.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use crate::matting::detail::patches::PATCH;
use crate::matting::inference::tiles::PLANES;
use crate::matting::kernels::columns::multiply_add;
use crate::matting::model::detail::SIDE;

/// Pixels around a patch that the network sees.
const MARGIN: usize = (SIDE - PATCH) / 2;
/// Pixels along the side of a cell.
const CELL: usize = 4;
/// Cells along the side of a patch.
pub const CELLS: usize = PATCH / CELL;
/// Coefficients of a cell: for each of its pixels a factor of each plane, and an offset.
pub const COEFFICIENTS: usize = (PLANES + 1) * CELL * CELL;

/// A value for each pixel of a cell, row by row.
type Cell = [f32; CELL * CELL];

/// Writes a tile's matte, [`PATCH`] rows of as many values in [0, 1], by the functions of its cells: [`CELLS`] rows of as
/// many cells with [`COEFFICIENTS`] each, plane by plane what it is multiplied by, and then what is added to that and to
/// the coarse matte. Of functions that make no sense NaN comes.
#[multiversion(targets = "simd")]
pub fn apply(tile: &[f32], functions: &[f32], matte: &mut [f32]) {
    const FUSED: bool = target_cfg_f!(any(target_feature = "fma", target_feature = "neon"));
    let (rows, _) = tile.as_chunks::<SIDE>();
    let (functions, _) = functions.as_chunks::<{ CELL * CELL }>();
    let functions = functions.chunks_exact(CELLS * (PLANES + 1));
    let (matte, _) = matte.as_chunks_mut::<PATCH>();
    for (y, (functions, matte)) in functions.zip(matte.chunks_exact_mut(CELL)).enumerate() {
        let rows: [&[[f32; SIDE]]; PLANES] =
            std::array::from_fn(|plane| &rows[plane * SIDE + MARGIN + y * CELL..][..CELL]);
        for (x, function) in functions.chunks_exact(PLANES + 1).enumerate() {
            let start = x * CELL;
            let mut sums = cell(rows[PLANES - 1], MARGIN + start);
            for i in 0..CELL * CELL {
                sums[i] += function[PLANES][i];
            }
            for plane in 0..PLANES {
                let pixels = cell(rows[plane], MARGIN + start);
                for i in 0..CELL * CELL {
                    sums[i] = multiply_add::<FUSED>(function[plane][i], pixels[i], sums[i]);
                }
            }
            for (out, sums) in matte.iter_mut().zip(sums.as_chunks::<CELL>().0) {
                for i in 0..CELL {
                    out[start + i] = sums[i].clamp(0.0, 1.0);
                }
            }
        }
    }
}

/// The pixels of the cell that starts there in some rows.
#[inline(always)]
fn cell(rows: &[[f32; SIDE]], start: usize) -> Cell {
    let mut cell = [0.0; CELL * CELL];
    for (cell, row) in cell.as_chunks_mut::<CELL>().0.iter_mut().zip(rows) {
        cell.copy_from_slice(&row[start..start + CELL]);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// What one looks up for each pixel by itself.
        #[test]
        fn each_pixel_has_its_function(seed in 0u32..1000) {
            let number = |i: usize| {
                let hash = (i as u32 ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(2_654_435_761);
                (hash >> 8) as f32 / (1 << 24) as f32
            };
            let tile: Vec<f32> = (0..PLANES * SIDE * SIDE).map(number).collect();
            let functions: Vec<f32> =
                (0..COEFFICIENTS * CELLS * CELLS).map(|i| number(i + 77_777) - 0.5).collect();
            let mut matte = vec![2.0; PATCH * PATCH];
            apply(&tile, &functions, &mut matte);
            for y in 0..PATCH {
                for x in 0..PATCH {
                    let pixel = |plane: usize| tile[(plane * SIDE + y + 4) * SIDE + x + 4];
                    let cell = y / 4 * CELLS + x / 4;
                    let function =
                        |plane: usize| functions[cell * COEFFICIENTS + 16 * plane + y % 4 * 4 + x % 4];
                    let change: f32 = (0..PLANES).map(|plane| function(plane) * pixel(plane)).sum();
                    let want = (pixel(3) + change + function(PLANES)).clamp(0.0, 1.0);
                    prop_assert!((matte[y * PATCH + x] - want).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn functions_of_nothing_leave_the_coarse_matte() {
        let tile: Vec<f32> = (0..PLANES * SIDE * SIDE).map(|i| (i % 91) as f32 / 90.0).collect();
        let mut matte = vec![2.0; PATCH * PATCH];
        apply(&tile, &vec![0.0; COEFFICIENTS * CELLS * CELLS], &mut matte);
        let coarse = tile[(PLANES - 1) * SIDE * SIDE..].chunks_exact(SIDE).skip(4);
        for (row, out) in coarse.zip(matte.chunks_exact(PATCH)) {
            assert_eq!(row[4..4 + PATCH], *out);
        }
    }
}
