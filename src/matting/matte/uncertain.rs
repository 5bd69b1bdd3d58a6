// SPDX-License-Identifier: MIT

//! Where a mask is not sure.

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
