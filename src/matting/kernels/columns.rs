// SPDX-License-Identifier: MIT

//! Resampling of rows along their length, a block of rows at a time.
//!
//! The taps of neighbouring outputs lie at irregular distances, which vector units cannot load at
//! once. Turned on their side, the rows of a block make one vector for each column, and a tap is
//! one product for the whole block.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use crate::matting::kernels::resample::{PackedOperator, Windows};

/// Rows in a block.
pub const BLOCK: usize = 8;

/// One column of a block, top down.
pub type Column = [f32; BLOCK];

/// a · b + c, in one instruction where the processor has one: `FUSED` has to be known where it is
/// compiled for that.
#[inline(always)]
pub fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Turns `rows`, each as long as `columns`, into columns.
#[multiversion(targets = "simd")]
pub fn to_columns(rows: [&[f32]; BLOCK], columns: &mut [Column]) {
    let rows = rows.map(|row| &row[..columns.len()]);
    for (x, column) in columns.iter_mut().enumerate() {
        for r in 0..BLOCK {
            column[r] = rows[r][x];
        }
    }
}

/// Turns columns into `rows`, one after the other.
pub fn to_rows(columns: &[Column], rows: &mut [f32]) {
    to_part_of_rows(columns, rows, columns.len(), 0);
}

/// Turns columns into parts of rows that are `width` long and lie one after the other, from `start`
/// of each on.
#[multiversion(targets = "simd")]
pub fn to_part_of_rows(columns: &[Column], rows: &mut [f32], width: usize, start: usize) {
    let part = start..start + columns.len();
    let mut rows = rows.chunks_exact_mut(width).map(|row| &mut row[part.clone()]);
    let rows: [&mut [f32]; BLOCK] = std::array::from_fn(|_| rows.next().unwrap_or_default());
    if rows.iter().any(|row| row.len() != columns.len()) {
        return;
    }
    for (x, column) in columns.iter().enumerate() {
        for r in 0..BLOCK {
            rows[r][x] = column[r];
        }
    }
}

/// Combines columns as `operator` says. Its inputs are every `step`-th column from `offset` on, and
/// there must be [`padded_inputs`](PackedOperator::padded_inputs) of them.
pub fn resample(
    columns: &[Column],
    offset: usize,
    step: usize,
    operator: &PackedOperator,
    out: &mut [Column],
) {
    let windows = operator.windows(0..operator.outputs());
    let columns = &columns[offset..];
    match step {
        1 => resample_every::<1>(columns, windows, out),
        2 => resample_every::<2>(columns, windows, out),
        3 => resample_every::<3>(columns, windows, out),
        _ => resample_every::<4>(columns, windows, out),
    }
}

/// As [`resample`], for the outputs of `windows` alone, of columns that lie side by side.
pub fn resample_windows(columns: &[Column], windows: Windows<'_>, out: &mut [Column]) {
    resample_every::<1>(columns, windows, out);
}

/// What all columns of some rows are, if they are all the same.
pub fn same_all_along(rows: [&[f32]; BLOCK]) -> Option<Column> {
    let mut column = [0.0; BLOCK];
    for (value, row) in column.iter_mut().zip(rows) {
        *value = *row.first()?;
        if !is_all(row, *value) {
            return None;
        }
    }
    Some(column)
}

#[multiversion(targets = "simd")]
fn is_all(row: &[f32], value: f32) -> bool {
    let differences = row.iter().map(|other| other.to_bits() ^ value.to_bits());
    differences.fold(0, |any, difference| any | difference) == 0
}

#[multiversion(targets = "simd")]
fn resample_every<const STEP: usize>(columns: &[Column], windows: Windows<'_>, out: &mut [Column]) {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    // Known, taps are unrolled: 2 are those of linear interpolation, 4 of cubic, and more bring frames down.
    match windows.taps {
        2 => combine_windows::<STEP, FUSED>(columns, windows, 2, out),
        4 => combine_windows::<STEP, FUSED>(columns, windows, 4, out),
        5 => combine_windows::<STEP, FUSED>(columns, windows, 5, out),
        6 => combine_windows::<STEP, FUSED>(columns, windows, 6, out),
        7 => combine_windows::<STEP, FUSED>(columns, windows, 7, out),
        8 => combine_windows::<STEP, FUSED>(columns, windows, 8, out),
        taps => combine_windows::<STEP, FUSED>(columns, windows, taps, out),
    }
}

#[inline(always)]
fn combine_windows<const STEP: usize, const FUSED: bool>(
    columns: &[Column],
    windows: Windows<'_>,
    taps: usize,
    out: &mut [Column],
) {
    let windows = windows.first.iter().zip(windows.weights.chunks_exact(taps));
    for (out, (&first, weights)) in out.iter_mut().zip(windows) {
        let window = &columns[first * STEP..][..(taps - 1) * STEP + 1];
        let mut sums = [0.0; BLOCK];
        for (k, weight) in weights.iter().enumerate() {
            let samples = &window[k * STEP];
            for r in 0..BLOCK {
                sums[r] = multiply_add::<FUSED>(samples[r], *weight, sums[r]);
            }
        }
        *out = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::kernels::resample::AxisOperator;

    const WIDTH: usize = 21;

    fn rows() -> Vec<f32> {
        (0..BLOCK * WIDTH).map(|i| (i * 37 % 101) as f32).collect()
    }

    fn columns(rows: &[f32]) -> Vec<Column> {
        let mut columns = vec![[0.0; BLOCK]; WIDTH];
        to_columns(std::array::from_fn(|r| &rows[r * WIDTH..][..WIDTH]), &mut columns);
        columns
    }

    #[test]
    fn there_and_back_nothing_changes() {
        let mut back = vec![0.0; BLOCK * WIDTH];
        to_rows(&columns(&rows()), &mut back);
        assert_eq!(back, rows());
    }

    #[test]
    fn every_row_and_lane_is_its_own_sum() {
        let rows = rows();
        for step in 1..5 {
            let inputs = WIDTH / step;
            let operator = AxisOperator::pyramid_down(inputs).pack(1);
            for offset in 0..step {
                let mut out = vec![[0.0; BLOCK]; operator.outputs()];
                resample(&columns(&rows), offset, step, &operator, &mut out);
                for (i, column) in out.iter().enumerate() {
                    let (first, weights) = operator.row(i);
                    for (r, got) in column.iter().enumerate() {
                        let sample = |k: usize| rows[r * WIDTH + (first + k) * step + offset];
                        let want: f32 =
                            weights.iter().enumerate().map(|(k, w)| w * sample(k)).sum();
                        assert!((got - want).abs() < 1e-4);
                    }
                }
            }
        }
    }
}
