// SPDX-License-Identifier: MIT

//! Mask to matte: shaped as the settings ask, at the network's size, and handed on to be enlarged
//! (`matte.rs`).

use crate::matting::frame::sample::Sample;
use crate::matting::frame::size::Size;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::kernels::gaussian::Gaussian;
use crate::matting::kernels::resample::PackedOperator;
use crate::matting::matte::enlarge::{FAINT, MaskMatte, Matte, MatteReader, TAPS, next_number};

/// The frame height that the lengths in [`MatteSettings`] are given for.
const REFERENCE_HEIGHT: f32 = 1080.0;

/// A mask whose slope is less, per sample, is flat.
const FLAT: f32 = 1e-3;

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

impl MatteSettings {
    /// Whether edges stay where the mask has them, and as sharp.
    pub fn keeps_edges(&self) -> bool {
        self.edge_shift == 0.0 && self.feather == 0.0
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
    /// For frames of `frame` size and masks that lie on them so.
    pub fn new(frame: Size, masks: MaskLayout) -> Self {
        let ([x, y], mask) = (masks.axes(frame), masks.mask);
        let columns = x.enlargement(mask.width).pack(TAPS);
        let pixel = frame.height as f32 / REFERENCE_HEIGHT;
        Self {
            unit: [
                x.mask_per_frame(mask.width) * pixel / masks.aspect.ratio() as f32,
                y.mask_per_frame(mask.height) * pixel,
            ],
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
    pub fn reader<S: Sample>(&self) -> MatteReader<S> {
        MatteReader::new(self.frame.width, &self.columns)
    }

    /// The matte of `mask`, ready to be read row by row.
    pub fn matte<'a>(&'a mut self, mask: &'a [f32], settings: &MatteSettings) -> Matte<'a> {
        let shaped = self.shape(mask, settings);
        let mask = if shaped { &self.shaped } else { mask };
        // A step that was softened is there already, and no step any more.
        let threshold = if settings.feather > 0.0 { 0.0 } else { settings.threshold };
        Matte::Mask(MaskMatte {
            number: next_number(),
            mask: &mask[..self.mask.area()],
            width: self.mask.width,
            columns: &self.columns,
            rows: &self.rows,
            invert: settings.invert,
            threshold,
            // A threshold may lie anywhere.
            faint: if threshold > 0.0 { 0.0 } else { FAINT },
            details: None,
        })
    }

    /// Applies what works on the mask to a copy; false where there is nothing to do.
    fn shape(&mut self, mask: &[f32], settings: &MatteSettings) -> bool {
        let MatteSettings { threshold, edge_shift, feather, .. } = *settings;
        if settings.keeps_edges() {
            return false;
        }
        self.shaped.copy_from_slice(mask);
        let (shaped, scratch, width) = (&mut self.shaped, &mut self.scratch, self.mask.width);
        if edge_shift != 0.0 {
            shift_edge(shaped, scratch, width, self.unit.map(|unit| unit * edge_shift));
        }
        if feather != 0.0 {
            if threshold > 0.0 {
                // The edge is to be softened, which has to be one for that.
                binarise(shaped, scratch, width, threshold);
            }
            self.gaussian.blur(shaped, width, self.unit.map(|unit| unit * feather / 2.0));
        }
        true
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
    let moved = |value: f32, neighbours: [f32; 4]| {
        let [left, right, above, below] = neighbours.map(|neighbour| (neighbour - value) * sign);
        let across = speed[0] * left.max(right).max(0.0);
        let along = speed[1] * above.max(below).max(0.0);
        // Shares of 1, which need no `hypot`.
        value + sign * (across * across + along * along).sqrt()
    };
    for _ in 0..steps as usize {
        scratch.copy_from_slice(mask);
        for (y, row) in mask.chunks_exact_mut(width).enumerate() {
            shift_row(row, scratch, y, moved);
        }
    }
}

/// Gives each sample of row `y` what `moved` makes of it, and of its neighbours in `before`.
#[inline]
fn shift_row(row: &mut [f32], before: &[f32], y: usize, moved: impl Fn(f32, [f32; 4]) -> f32) {
    let width = row.len();
    let line = |y: usize| &before[y * width..][..width];
    let own = line(y);
    let (above, below) = (line(y.saturating_sub(1)), line((y + 1).min(before.len() / width - 1)));
    // The borders have no neighbours on one side; between them nothing depends on where it lies.
    for x in [0, width - 1] {
        row[x] = moved(own[x], neighbours(before, width, x, y));
    }
    let inside = own.windows(3).zip(above.iter().skip(1).zip(below.iter().skip(1)));
    for (value, (beside, (&above, &below))) in row.iter_mut().skip(1).zip(inside) {
        *value = moved(beside[1], [beside[0], beside[2], above, below]);
    }
}

/// Makes the mask 0 or 1 at `level`, with a ramp one sample wide where the edge lies between
/// samples: the distance to the level is its difference over the slope.
fn binarise(mask: &mut [f32], scratch: &mut [f32], width: usize, level: f32) {
    scratch.copy_from_slice(mask);
    for (y, row) in mask.chunks_exact_mut(width).enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let [left, right, above, below] = neighbours(scratch, width, x, y);
            let slope = ((right - left) / 2.0).hypot((below - above) / 2.0);
            // Where the mask is flat there is no edge between samples.
            *value = match slope < FLAT {
                true => f32::from(*value >= level),
                false => (0.5 + (*value - level) / slope).clamp(0.0, 1.0),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::matte::enlarge::MatteRows;
    use crate::matting::model::description::Fit;
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
        let mut finisher = Finisher::new(
            frame,
            MaskLayout { input: MASK, mask: MASK, fit: Fit::Pad, aspect: PixelAspect::SQUARE },
        );
        finisher.unit = [1.0; 2];
        let mut reader: MatteReader = finisher.reader();
        let mut matte = finisher.matte(mask, &settings).rows(&mut reader);
        (0..frame.height).flat_map(|y| matte.row(y).values.to_vec()).collect()
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

    proptest! {
        /// Borders, the narrowest masks and what lies between are stepped alike.
        #[test]
        fn an_edge_moves_the_same_wherever_it_lies(
            width in 1usize..9, height in 1usize..9, shift in prop::array::uniform2(0.05f32..0.5),
            outwards: bool, seed: u32,
        ) {
            let value = |i: usize| (seed.rotate_left(i as u32 % 31).wrapping_mul(0x9e37_79b9) >> 16) as f32 / 65535.0;
            let before: Vec<f32> = (0..width * height).map(value).collect();
            let (mut mask, mut scratch) = (before.clone(), before.clone());
            let sign = if outwards { 1.0 } else { -1.0 };
            shift_edge(&mut mask, &mut scratch, width, shift.map(|shift| sign * shift));
            for (i, &got) in mask.iter().enumerate() {
                let neighbours = neighbours(&before, width, i % width, i / width);
                let [l, r, a, b] = neighbours.map(|neighbour| sign * (neighbour - before[i]));
                let slope = (shift[0] * l.max(r).max(0.0)).hypot(shift[1] * a.max(b).max(0.0));
                prop_assert!((got - before[i] - sign * slope).abs() < 1e-6);
            }
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
        let soft = |matte: &[f32]| {
            let soft = matte.iter().filter(|value| (0.1..0.9).contains(*value)).count();
            (soft * MASK.area()) as f32 / matte.len() as f32
        };
        let whole = finish(&mask, MatteSettings::default());
        let hard = finish(&mask, MatteSettings { feather: 0.0, ..settings });
        let feathered = finish(&mask, settings);
        let [soft_before, soft_hard, soft_now] = [&whole, &hard, &feathered].map(|m| soft(m));
        assert_eq!(soft_hard, 0.0);
        assert!(soft_now > 100.0 && soft_now < soft_before / 2.0, "{soft_now} of {soft_before}");
        assert!((radius(&feathered) - radius(&hard)).abs() < 0.3);
    }

    #[test]
    fn a_feathered_threshold_of_what_is_flat_is_all_or_nothing() {
        for (level, thresholds) in [(0.0, [1e-6, 4e-4, 0.5]), (1.0, [0.9996, 1.0, 0.5])] {
            for threshold in thresholds {
                let settings = MatteSettings { threshold, feather: 4.0, ..Default::default() };
                let matte = finish(&vec![level; MASK.area()], settings);
                assert!(matte.iter().all(|value| (value - level).abs() < 1e-4), "{threshold}");
            }
        }
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
        #[test]
        fn every_size_gives_rows_in_range(
            width in 1usize..40, height in 1usize..40, mask_w in 1usize..9, mask_h in 1usize..9,
            shift in -20f32..20.0, feather in 0f32..20.0, threshold in 0f32..1.0,
        ) {
            let (frame, mask) = (Size { width, height }, Size { width: mask_w, height: mask_h });
            let values: Vec<f32> = (0..mask.area()).map(|i| (i * 37 % 11) as f32 / 10.0).collect();
            let settings = MatteSettings { invert: true, threshold, edge_shift: shift, feather };
            for fit in [Fit::Pad, Fit::Letterbox, Fit::Stretch] {
                let mut finisher = Finisher::new(frame, MaskLayout { input: mask, mask, fit, aspect: PixelAspect::SQUARE });
                let mut reader: MatteReader = finisher.reader();
                let mut matte = finisher.matte(&values, &settings).rows(&mut reader);
                for y in 0..height {
                    let row = matte.row(y).values;
                    prop_assert_eq!(row.len(), width);
                    prop_assert!(row.iter().all(|value| (0.0..=1.0).contains(value)));
                }
            }
        }
    }
}
