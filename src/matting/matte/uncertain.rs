// SPDX-License-Identifier: MIT

//! Where a mask is not sure.

use crate::matting::kernels::box_mean::BoxMean;

/// A sample nearer than this to 0 or 1 is sure.
pub const SURE: f32 = 0.02;

/// Marks with 1 what a row of a mask is not sure of, soft samples and steps between sure ones, and all else
/// with 0.
pub fn mark_row(row: &[f32], above: Option<&[f32]>, out: &mut [f32]) {
    let mut before = None;
    for (x, (&value, out)) in row.iter().zip(out).enumerate() {
        let differs = |other: f32| (value >= 0.5) != (other >= 0.5);
        let soft = value > SURE && value < 1.0 - SURE;
        let step = before.is_some_and(differs) || above.is_some_and(|above| differs(above[x]));
        *out = f32::from(soft || step);
        before = Some(value);
    }
}

/// Marks what is at most `around` (horizontally, vertically) from what is marked, in rows of `width`, as well.
pub fn widen(marks: &mut [f32], width: usize, around: [usize; 2], means: &mut BoxMean) {
    means.mean(marks, width, around);
    // A single marked sample is enough; less is rounding.
    let enough = 0.5 / ((2 * around[0] + 1) * (2 * around[1] + 1)) as f32;
    for value in marks {
        *value = f32::from(*value > enough);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_samples_and_steps_are_uncertain() {
        let mut out = [7.0; 6];
        mark_row(&[0.0, 0.01, 0.3, 1.0, 0.99, 0.0], None, &mut out);
        assert_eq!(out, [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
        mark_row(&[0.0; 6], Some(&[0.0, 0.01, 0.3, 1.0, 0.99, 0.0]), &mut out);
        assert_eq!(out, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    }
}
