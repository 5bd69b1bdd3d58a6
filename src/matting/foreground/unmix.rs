//! The last step: the person's part of each soft sample of the frame.

use multiversion::multiversion;

use super::cells::{LANES, Sides, Work, between};
use super::estimate::gain;

/// The rows of the small picture between which a row of one component lies.
pub struct CellRows<'a> {
    pub work: [&'a [Work]; 2],
    pub upper: &'a [Sides],
    pub lower: &'a [Sides],
    /// The lower row's.
    pub share: f32,
    pub index: usize,
}

/// Replaces every `step`-th byte of `row`, `CELL` of them to a cell, by the person's part of it.
#[multiversion(targets = "simd")]
pub fn unmix<const CELL: usize>(
    cells: &CellRows<'_>,
    matte: &[u8],
    clear: Option<u8>,
    step: usize,
    row: &mut [u8],
) {
    let span = LANES * CELL;
    for (chunk, matte) in matte.chunks(span).enumerate() {
        let any = matte.iter().fold(0, |any, matte| any | matte);
        let all = matte.iter().fold(255, |all, matte| all & matte);
        if all == 255 || (any == 0 && clear.is_none()) {
            continue;
        }
        let row = &mut row[chunk * span * step..];
        if cells.work.iter().any(|work| work[chunk] == Work::Estimate) {
            unmix_chunk::<CELL>(cells, chunk, matte, step, row);
        } else if let Some(black) = clear {
            match (any, step) {
                (0, 1) => row[..matte.len()].fill(black),
                // Whole pixels have been cleared.
                (0, 4) => {}
                _ => clear_samples(matte, step, black, row),
            }
        }
    }
}

/// Whether nothing is left of any pixel.
pub fn is_nothing(matte: &[u8]) -> bool {
    matte.iter().fold(0, |any, matte| any | matte) == 0
}

/// Makes black what the matte leaves nothing of.
#[inline(always)]
fn clear_samples(matte: &[u8], step: usize, black: u8, row: &mut [u8]) {
    for (sample, matte) in row.iter_mut().step_by(step).zip(matte) {
        *sample = if *matte == 0 { black } else { *sample };
    }
}

#[inline(always)]
fn unmix_chunk<const CELL: usize>(
    cells: &CellRows<'_>,
    chunk: usize,
    matte: &[u8],
    step: usize,
    row: &mut [u8],
) {
    let CellRows { upper, lower, share, index, .. } = *cells;
    let person = between(upper, lower, share, chunk, |s| &s.person[index]);
    let behind = between(upper, lower, share, chunk, |s| &s.behind[index]);
    let (person, behind) = (enlarge::<CELL>(&person), enlarge::<CELL>(&behind));
    let mut codes = [[0u8; CELL]; LANES];
    let mut weights = [[0u8; CELL]; LANES];
    let n = matte.len();
    weights.as_flattened_mut()[..n].copy_from_slice(matte);
    match step {
        1 => codes.as_flattened_mut()[..n].copy_from_slice(&row[..n]),
        2 => gather::<2>(row, &mut codes.as_flattened_mut()[..n]),
        3 => gather::<3>(row, &mut codes.as_flattened_mut()[..n]),
        _ => gather::<4>(row, &mut codes.as_flattened_mut()[..n]),
    }
    // Arrays of known length, whose loops become straight vector code.
    let (person, behind) = (person.as_flattened(), behind.as_flattened());
    for (((code, weight), person), behind) in
        codes.as_flattened_mut().iter_mut().zip(weights.as_flattened()).zip(person).zip(behind)
    {
        let share = f32::from(*weight) * (1.0 / 255.0);
        let rest = f32::from(*code) - share * person - (1.0 - share) * behind;
        let own = (person + share * gain(share) * rest).clamp(0.0, 255.0) + ROUND;
        *code = if *weight == 255 { *code } else { own.to_bits() as u8 };
    }
    let codes = &codes.as_flattened()[..n];
    match step {
        1 => row[..n].copy_from_slice(codes),
        2 => scatter::<2>(codes, row),
        3 => scatter::<3>(codes, row),
        _ => scatter::<4>(codes, row),
    }
}

/// Added to a float it leaves the rounded integer in the low bits, which unlike a saturating cast
/// is one instruction.
const ROUND: f32 = 12_582_912.0;

/// Cells, with a neighbour on both sides, at `CELL` places each.
#[inline(always)]
fn enlarge<const CELL: usize>(cells: &[f32; LANES + 2]) -> [[f32; CELL]; LANES] {
    let mut out = [[0.0; CELL]; LANES];
    for (cell, out) in out.iter_mut().enumerate() {
        for (phase, out) in out.iter_mut().enumerate() {
            // From the cell's centre, in cells.
            let distance = (2 * phase + 1) as f32 / (2 * CELL) as f32 - 0.5;
            let (before, after) = ((-distance).max(0.0), distance.max(0.0));
            *out = cells[cell] * before
                + cells[cell + 1] * (1.0 - before - after)
                + cells[cell + 2] * after;
        }
    }
    out
}

#[inline(always)]
fn gather<const STEP: usize>(row: &[u8], codes: &mut [u8]) {
    for (code, sample) in codes.iter_mut().zip(row.iter().step_by(STEP)) {
        *code = *sample;
    }
}

#[inline(always)]
fn scatter<const STEP: usize>(codes: &[u8], row: &mut [u8]) {
    for (sample, code) in row.iter_mut().step_by(STEP).zip(codes) {
        *sample = *code;
    }
}
