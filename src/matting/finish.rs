//! Mask to matte: from the network's size to the frame's, shaped as the settings ask.
//!
//! Shaping works on the mask, which is small; enlarging is done row by row as the rows are asked
//! for, so the matte never exists as a whole at the frame's size.

use multiversion::multiversion;

use super::columns::{BLOCK, Column, resample_means, to_columns, to_part_of_rows};
use super::geometry::AxisGeometry;
use super::model::Fit;
use super::network::Size;
use super::resample::PackedOperator;

/// Taps of cubic interpolation.
const TAPS: usize = 4;
/// Pixels of a row that are looked at together.
const PART: usize = 64;
/// The frame height that the lengths in [`MatteSettings`] are given for.
const REFERENCE_HEIGHT: f32 = 1080.0;

/// How the matte is shaped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MatteSettings {
    /// Keep the background instead.
    pub invert: bool,
    /// 0 keeps the soft matte; otherwise it becomes 1 from this level up, and 0 below.
    pub threshold: f32,
    /// Pixels of a 1080-line frame by which the matte grows (or shrinks, where negative).
    pub edge_shift: f32,
    /// Pixels of a 1080-line frame over which the edge is softened: twice the standard deviation
    /// of a Gaussian.
    pub feather: f32,
}

/// A source of matte rows.
pub trait MatteRows {
    /// Row `y` of the matte, every value in [0, 1]. Cheapest from the top down; may be asked for again.
    fn row(&mut self, y: usize) -> &[f32];
}

/// A matte whose rows are all the same.
#[cfg(test)]
pub(super) struct SameRows(pub Vec<f32>);

#[cfg(test)]
impl MatteRows for SameRows {
    fn row(&mut self, _: usize) -> &[f32] {
        &self.0
    }
}

/// Makes mattes of one frame size from masks of one size.
pub struct Finisher {
    mask: Size,
    columns: PackedOperator,
    rows: PackedOperator,
    /// Mask samples in a pixel of a 1080-line frame, horizontally and vertically.
    unit: [f32; 2],
    shaped: Vec<f32>,
    scratch: Vec<f32>,
    gaussian: Gaussian,
    frame: Size,
}

impl Finisher {
    /// For frames of `frame` size that `fit` brought into an input of `input` size.
    pub fn new(frame: Size, input: Size, mask: Size, fit: Fit) -> Self {
        let [x, y] = AxisGeometry::pair(frame, input, fit);
        let columns = x.enlargement(mask.width).pack(TAPS);
        let pixel = frame.height as f32 / REFERENCE_HEIGHT;
        Self {
            unit: [x.mask_per_frame(mask.width) * pixel, y.mask_per_frame(mask.height) * pixel],
            columns,
            rows: y.enlargement(mask.height).pack(TAPS),
            shaped: vec![0.0; mask.area()],
            scratch: vec![0.0; mask.area()],
            gaussian: Gaussian::new(mask.area()),
            mask,
            frame,
        }
    }

    /// What reads this finisher's mattes.
    pub fn reader(&self) -> MatteReader {
        MatteReader {
            ring: Ring::new(self.frame.width, self.columns.padded_inputs()),
            row: vec![0.0; self.frame.width],
        }
    }

    /// The matte of `mask`, ready to be read row by row.
    pub fn matte<'a>(&'a mut self, mask: &'a [f32], settings: &MatteSettings) -> Matte<'a> {
        let shaped = self.shape(mask, settings);
        let mask = if shaped { &self.shaped } else { mask };
        Matte::Mask(MaskMatte {
            mask: &mask[..self.mask.area()],
            width: self.mask.width,
            columns: &self.columns,
            rows: &self.rows,
            invert: settings.invert,
            threshold: settings.threshold,
        })
    }

    /// Applies what works on the mask to a copy; false where there is nothing to do.
    fn shape(&mut self, mask: &[f32], settings: &MatteSettings) -> bool {
        let MatteSettings { threshold, edge_shift, feather, .. } = *settings;
        if edge_shift == 0.0 && feather == 0.0 {
            return false;
        }
        self.shaped.copy_from_slice(mask);
        let (shaped, scratch, width) = (&mut self.shaped, &mut self.scratch, self.mask.width);
        if edge_shift != 0.0 {
            shift_edge(shaped, scratch, width, self.unit.map(|unit| unit * edge_shift));
        }
        if feather != 0.0 {
            if threshold > 0.0 {
                // The edge is to be softened, not the step that the threshold makes of it later.
                binarise(shaped, scratch, width, threshold);
            }
            self.gaussian.blur(shaped, width, self.unit.map(|unit| unit * feather / 2.0));
        }
        true
    }
}

/// A matte whose rows are made while they are read, by several readers at once if need be.
#[derive(Clone, Copy)]
pub enum Matte<'a> {
    /// Of a mask.
    Mask(MaskMatte<'a>),
    /// The same opacity everywhere.
    Flat(f32),
}

impl<'a> Matte<'a> {
    /// The rows of the matte, from a reader of its finisher.
    pub fn rows(self, reader: &'a mut MatteReader) -> MatteRowsOf<'a> {
        reader.ring.forget();
        if let Self::Flat(opacity) = self {
            reader.row.fill(opacity);
        }
        MatteRowsOf { matte: self, reader }
    }
}

/// A mask that was shaped, and the way to the frame's size.
#[derive(Clone, Copy)]
pub struct MaskMatte<'a> {
    mask: &'a [f32],
    width: usize,
    columns: &'a PackedOperator,
    rows: &'a PackedOperator,
    invert: bool,
    threshold: f32,
}

/// What reading a matte needs.
pub struct MatteReader {
    ring: Ring,
    row: Vec<f32>,
}

/// A matte at its reader.
pub struct MatteRowsOf<'a> {
    matte: Matte<'a>,
    reader: &'a mut MatteReader,
}

impl MatteRows for MatteRowsOf<'_> {
    fn row(&mut self, y: usize) -> &[f32] {
        if let Matte::Mask(matte) = self.matte {
            matte.make_row(y, self.reader);
        }
        &self.reader.row
    }
}

impl MaskMatte<'_> {
    fn make_row(&self, y: usize, reader: &mut MatteReader) {
        let MatteReader { ring, row } = reader;
        let (first, weights) = self.rows.row(y);
        let last = self.mask.len() / self.width - 1;
        // Taps beyond the last row have no weight; any row will do.
        let sources: [usize; TAPS] = std::array::from_fn(|k| (first + k).min(last));
        for source in sources {
            ring.fill(source, self.mask, self.width, self.columns);
        }
        let rows = sources.map(|source| ring.row(source));
        let weights = std::array::from_fn(|k| weights[k]);
        combine(row, rows, weights);
        if self.threshold > 0.0 {
            step_at(row, self.threshold);
        }
        if self.invert {
            invert(row);
        }
    }
}

/// Mask rows that were enlarged horizontally: two blocks of them, so that the taps of a matte row
/// are there wherever they lie.
struct Ring {
    blocks: [Vec<f32>; 2],
    /// Which rows of the mask each block holds, in blocks.
    holds: [Option<usize>; 2],
    /// A block of the mask, with zeros behind rows too short for cubic windows.
    columns: Vec<Column>,
    enlarged: Vec<Column>,
    /// Of an enlarged row.
    width: usize,
}

impl Ring {
    fn new(width: usize, padded_inputs: usize) -> Self {
        Self {
            blocks: std::array::from_fn(|_| vec![0.0; BLOCK * width]),
            holds: [None; 2],
            columns: vec![[0.0; BLOCK]; padded_inputs],
            enlarged: vec![[0.0; BLOCK]; PART],
            width,
        }
    }

    fn forget(&mut self) {
        self.holds = [None; 2];
    }

    /// Makes sure that row `source` of the mask, `width` samples wide, is held.
    fn fill(&mut self, source: usize, mask: &[f32], width: usize, operator: &PackedOperator) {
        let block = source / BLOCK;
        if self.holds[block % 2] == Some(block) {
            return;
        }
        self.holds[block % 2] = Some(block);
        let last = mask.len() / width - 1;
        let row = |r: usize| &mask[(block * BLOCK + r).min(last) * width..][..width];
        to_columns(std::array::from_fn(row), &mut self.columns[..width]);
        let rows = &mut self.blocks[block % 2];
        for start in (0..self.width).step_by(PART) {
            let part = start..(start + PART).min(self.width);
            let enlarged = &mut self.enlarged[..part.len()];
            // Most of a mask is 0 or 1.
            match resample_means(&self.columns, operator.windows(part.clone()), enlarged) {
                Some(column) => {
                    for (row, value) in rows.chunks_exact_mut(self.width).zip(column) {
                        row[part.clone()].fill(value);
                    }
                }
                None => to_part_of_rows(enlarged, rows, self.width, start),
            }
        }
    }

    fn row(&self, source: usize) -> &[f32] {
        let width = self.width;
        &self.blocks[source / BLOCK % 2][source % BLOCK * width..][..width]
    }
}

#[multiversion(targets = "simd")]
fn combine(out: &mut [f32], rows: [&[f32]; TAPS], weights: [f32; TAPS]) {
    let n = out.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for i in 0..n {
        let sum = a[i] * weights[0] + b[i] * weights[1] + c[i] * weights[2] + d[i] * weights[3];
        out[i] = sum.clamp(0.0, 1.0);
    }
}

fn step_at(row: &mut [f32], threshold: f32) {
    for value in row {
        *value = if *value >= threshold { 1.0 } else { 0.0 };
    }
}

fn invert(row: &mut [f32]) {
    for value in row {
        *value = 1.0 - *value;
    }
}

/// The four neighbours of a sample, held at the borders: left, right, above, below.
fn neighbours(mask: &[f32], width: usize, x: usize, y: usize) -> [f32; 4] {
    let height = mask.len() / width;
    let at = |x: usize, y: usize| mask[y * width + x];
    [
        at(x.saturating_sub(1), y),
        at((x + 1).min(width - 1), y),
        at(x, y.saturating_sub(1)),
        at(x, (y + 1).min(height - 1)),
    ]
}

/// Moves the edge outwards by `shift` samples (inwards, where negative).
///
/// Dilation by a disk of growing radius solves u_t = |∇u| (Brockett and Maragos 1994), which is
/// stepped with the upwind scheme of Rouy and Tourin (1992). Unlike a maximum over samples it
/// knows fractions of a sample and no direction.
fn shift_edge(mask: &mut [f32], scratch: &mut [f32], width: usize, shift: [f32; 2]) {
    // Half a sample a step is stable in two dimensions.
    let steps = (2.0 * shift[0].abs().max(shift[1].abs())).ceil().max(1.0);
    let speed = shift.map(|shift| (shift / steps).abs());
    let sign = if shift[1] < 0.0 { -1.0 } else { 1.0 };
    for _ in 0..steps as usize {
        scratch.copy_from_slice(mask);
        for (y, row) in mask.chunks_exact_mut(width).enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                let [left, right, above, below] =
                    neighbours(scratch, width, x, y).map(|neighbour| (neighbour - *value) * sign);
                let across = speed[0] * left.max(right).max(0.0);
                let along = speed[1] * above.max(below).max(0.0);
                *value += sign * across.hypot(along);
            }
        }
    }
}

/// Makes the mask 0 or 1 at `level`, with a ramp one sample wide where the edge lies between
/// samples: the distance to the level is its difference over the slope.
fn binarise(mask: &mut [f32], scratch: &mut [f32], width: usize, level: f32) {
    scratch.copy_from_slice(mask);
    for (y, row) in mask.chunks_exact_mut(width).enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let [left, right, above, below] = neighbours(scratch, width, x, y);
            let slope = ((right - left) / 2.0).hypot((below - above) / 2.0).max(1e-3);
            *value = (0.5 + (*value - level) / slope).clamp(0.0, 1.0);
        }
    }
}

/// Blurs pictures; owns what it needs for that.
pub(super) struct Gaussian {
    scratch: Vec<f32>,
    /// Half a kernel, the centre first.
    kernel: Vec<f32>,
}

impl Gaussian {
    /// For pictures of `samples` samples.
    pub fn new(samples: usize) -> Self {
        Self { scratch: vec![0.0; samples], kernel: Vec::new() }
    }

    /// A Gaussian of the given standard deviations (horizontal, vertical), borders replicated.
    pub fn blur(&mut self, picture: &mut [f32], width: usize, sigma: [f32; 2]) {
        let height = picture.len() / width;
        self.make_kernel(sigma[0]);
        let kernel = &self.kernel;
        for (row, out) in picture.chunks_exact(width).zip(self.scratch.chunks_exact_mut(width)) {
            for (x, out) in out.iter_mut().enumerate() {
                *out = kernel[0] * row[x];
                for (distance, weight) in kernel.iter().enumerate().skip(1) {
                    let left = row[x.saturating_sub(distance)];
                    let right = row[(x + distance).min(width - 1)];
                    *out += weight * (left + right);
                }
            }
        }
        self.make_kernel(sigma[1]);
        for (y, out) in picture.chunks_exact_mut(width).enumerate() {
            let row = |y: usize| &self.scratch[y * width..][..width];
            for (out, value) in out.iter_mut().zip(row(y)) {
                *out = self.kernel[0] * value;
            }
            for (distance, weight) in self.kernel.iter().enumerate().skip(1) {
                let above = row(y.saturating_sub(distance));
                let below = row((y + distance).min(height - 1));
                for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
                    *out += weight * (above + below);
                }
            }
        }
    }

    /// Makes half a kernel that sums to 1 when whole.
    fn make_kernel(&mut self, sigma: f32) {
        let radius = (3.0 * sigma).ceil() as usize;
        let weight = |d: usize| (-0.5 * (d as f32 / sigma.max(1e-6)).powi(2)).exp();
        self.kernel.clear();
        self.kernel.extend((0..=radius).map(weight));
        let sum = self.kernel[0] + 2.0 * self.kernel[1..].iter().sum::<f32>();
        self.kernel.iter_mut().for_each(|weight| *weight /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MASK: Size = Size { width: 64, height: 64 };

    /// A disk with a one-sample ramp at its edge.
    fn disk(radius: f32) -> Vec<f32> {
        (0..MASK.area())
            .map(|i| {
                let (x, y) = ((i % 64) as f32 - 31.5, (i / 64) as f32 - 31.5);
                (radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0)
            })
            .collect()
    }

    /// The whole matte, on a frame that makes a mask sample a pixel of a 1080-line frame.
    fn finish(mask: &[f32], settings: MatteSettings) -> Vec<f32> {
        let frame = Size { width: 1080, height: 1080 };
        let mut finisher = Finisher::new(frame, MASK, MASK, Fit::PadSquare);
        finisher.unit = [1.0; 2];
        let mut reader = finisher.reader();
        let mut matte = finisher.matte(mask, &settings).rows(&mut reader);
        (0..frame.height).flat_map(|y| matte.row(y).to_vec()).collect()
    }

    /// The radius, in mask samples, of a disk of the area that the matte covers.
    fn radius(matte: &[f32]) -> f32 {
        let covered = matte.iter().filter(|&&value| value >= 0.5).count() as f32;
        (covered / matte.len() as f32 * MASK.area() as f32 / std::f32::consts::PI).sqrt()
    }

    #[test]
    fn the_edge_moves_by_as_many_samples_as_asked() {
        for shift in [-6.0, -1.5, -0.4, 0.4, 1.0, 3.0, 8.0] {
            let got = radius(&finish(
                &disk(16.0),
                MatteSettings { edge_shift: shift, ..Default::default() },
            ));
            assert!((got - 16.0 - shift).abs() < 0.4, "{got} after {shift}");
        }
    }

    #[test]
    fn the_threshold_leaves_nothing_soft() {
        let matte = finish(&disk(16.0), MatteSettings { threshold: 0.5, ..Default::default() });
        assert!(matte.iter().all(|&value| value == 0.0 || value == 1.0));
        assert!((radius(&matte) - 16.0).abs() < 0.1);
    }

    #[test]
    fn a_feathered_threshold_is_soft_and_stays_in_place() {
        let settings = MatteSettings { threshold: 0.5, feather: 4.0, ..Default::default() };
        // The mask that is binarised is softer than the feather.
        let mut mask = disk(16.0);
        Gaussian::new(MASK.area()).blur(&mut mask, 64, [6.0; 2]);
        let finished = {
            let mut finisher = Finisher::new(MASK, MASK, MASK, Fit::PadSquare);
            finisher.unit = [1.0; 2];
            assert!(finisher.shape(&mask, &settings));
            finisher.shaped.clone()
        };
        let soft = |mask: &[f32]| mask.iter().filter(|value| (0.1..0.9).contains(*value)).count();
        assert!(soft(&finished) > 100 && soft(&finished) < soft(&mask) / 2);
    }

    #[test]
    fn inverting_is_the_rest() {
        let mask = disk(16.0);
        let kept = finish(&mask, MatteSettings::default());
        let rest = finish(&mask, MatteSettings { invert: true, ..Default::default() });
        assert!(kept.iter().zip(&rest).all(|(kept, rest)| (kept + rest - 1.0).abs() < 1e-6));
    }

    #[test]
    fn feathering_keeps_what_is_flat() {
        for level in [0.0, 0.3, 1.0] {
            let settings = MatteSettings { feather: 20.0, edge_shift: 5.0, ..Default::default() };
            let matte = finish(&vec![level; MASK.area()], settings);
            assert!(matte.iter().all(|value| (value - level).abs() < 1e-5));
        }
    }

    proptest! {
        /// Nothing is enlarged where a mask is flat, and nobody sees it.
        #[test]
        fn a_mask_that_is_flat_in_parts_is_enlarged_as_any_other(
            width in 1usize..700, mask_w in 1usize..90, mask_h in 1usize..20,
            left in 0usize..90, right in 0usize..90, inside in prop::sample::select(vec![0.3f32, 1.0]),
        ) {
            let (frame, mask) = (Size { width, height: 9 }, Size { width: mask_w, height: mask_h });
            let is_inside = |i: usize| (left..right).contains(&(i % mask_w));
            let values: Vec<f32> =
                (0..mask.area()).map(|i| if is_inside(i) { inside } else { 0.0 }).collect();
            let mut finisher = Finisher::new(frame, mask, mask, Fit::Stretch);
            let columns = finisher.columns.clone();
            let mut reader = finisher.reader();
            let mut matte = finisher.matte(&values, &MatteSettings::default()).rows(&mut reader);
            for y in 0..9 {
                for (x, got) in matte.row(y).iter().enumerate() {
                    let (first, weights) = columns.row(x);
                    // All rows of the mask are the same.
                    let taps = weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
                    let want: f32 = taps.map(|(k, weight)| values[first + k] * weight).sum();
                    prop_assert!((got - want.clamp(0.0, 1.0)).abs() < 1e-5);
                }
            }
        }

        #[test]
        fn every_size_gives_rows_in_range(
            width in 1usize..40, height in 1usize..40, mask_w in 1usize..9, mask_h in 1usize..9,
            shift in -20f32..20.0, feather in 0f32..20.0, threshold in 0f32..1.0,
        ) {
            let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
            let values: Vec<f32> = (0..mask.area()).map(|i| (i * 37 % 11) as f32 / 10.0).collect();
            let settings = MatteSettings { invert: true, threshold, edge_shift: shift, feather };
            for fit in [Fit::PadSquare, Fit::Letterbox, Fit::Stretch] {
                let mut finisher = Finisher::new(frame, mask, mask, fit);
                let mut reader = finisher.reader();
                let mut matte = finisher.matte(&values, &settings).rows(&mut reader);
                for y in 0..height {
                    let row = matte.row(y);
                    prop_assert_eq!(row.len(), width);
                    prop_assert!(row.iter().all(|value| (0.0..=1.0).contains(value)));
                }
            }
        }
    }
}
