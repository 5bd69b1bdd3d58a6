//! Frame to tensor.
//!
//! A [`Reducer`] samples every component of a frame where it lies, at its own subsampling, down to
//! a small picture, row by row: first the rows that have taps are combined, then the columns of
//! the result. Only that small picture is converted to RGB, which is exact because both steps are
//! linear. [`Preparer`] makes of it what a network's description asks for.

use multiversion::multiversion;

use super::color::{Affine, Range};
use super::frame_view::{FrameLayout, FrameView};
use super::geometry::AxisGeometry;
use super::model::{ChannelOrder, Fit, InputDescription, TensorLayout};
use super::network::Size;
use super::pixel_format::{Component, Family};
use super::resample::{AxisOperator, PackedOperator};

/// Rows combined in one pass over the output, and what packed vertical taps are a multiple of.
const ROW_TAPS: usize = 4;
/// What packed horizontal taps of planar rows are a multiple of.
const COLUMN_TAPS: usize = 4;

/// Components of a plane that are sampled together, because they lie side by side.
struct Grid {
    /// Bytes from one sample to the next.
    step: usize,
    /// Offset in the sample, and which component it is.
    lanes: Vec<(usize, usize)>,
    columns: PackedOperator,
}

/// A plane of the frame, and how its rows and columns are combined.
struct PlaneSampler {
    plane: usize,
    rows: PackedOperator,
    grids: Vec<Grid>,
    /// The combined row, as wide as the plane's, padded with zeros for windows that reach past it.
    combined: Vec<f32>,
}

/// Samples the components of frames of one layout down to a small picture.
pub struct Reducer {
    planes: Vec<PlaneSampler>,
    /// Rows that are the same as the row before.
    repeats: Vec<bool>,
    /// The current row of each colour component.
    row: [Vec<f32>; 3],
}

impl Reducer {
    /// `horizontal` and `vertical` lead from luma samples of the frame to the small picture.
    pub fn new(layout: &FrameLayout, horizontal: &AxisOperator, vertical: &AxisOperator) -> Self {
        let site = layout.color.chroma_site;
        let along = |operator: &AxisOperator, shift: u32, cosited: bool| match shift {
            0 => operator.clone(),
            _ => {
                let luma = operator.inputs();
                AxisOperator::chroma(luma.div_ceil(2), luma, cosited).then(operator)
            }
        };
        let components = layout.format.color_components();
        let mut repeats = vec![true; vertical.outputs()];
        let mut planes: Vec<PlaneSampler> = Vec::new();
        for plane in 0..layout.format.planes() {
            let in_plane: Vec<(usize, Component)> =
                components.iter().copied().enumerate().filter(|(_, c)| c.plane == plane).collect();
            let Some(&(_, first)) = in_plane.first() else { continue };
            let rows = along(vertical, first.v_shift, site.v_cosited);
            for (y, repeat) in repeats.iter_mut().enumerate() {
                *repeat &= y > 0 && rows.is_repeat(y, y - 1);
            }
            let mut grids: Vec<Grid> = Vec::new();
            for (index, component) in in_plane {
                let lane = (component.offset, index);
                match grids.iter_mut().find(|grid| grid.step == component.step) {
                    Some(grid) => grid.lanes.push(lane),
                    None => {
                        let columns = along(horizontal, component.h_shift, site.h_cosited);
                        let multiple = if component.step == 1 { COLUMN_TAPS } else { 1 };
                        let columns = columns.pack(multiple);
                        grids.push(Grid { step: component.step, lanes: vec![lane], columns });
                    }
                }
            }
            let padded = grids.iter().map(|grid| grid.columns.padded_inputs() * grid.step).max();
            let row_bytes = layout.format.row_bytes(plane, layout.width);
            planes.push(PlaneSampler {
                plane,
                rows: rows.pack(ROW_TAPS),
                grids,
                combined: vec![0.0; padded.unwrap_or(0).max(row_bytes)],
            });
        }
        let row = std::array::from_fn(|_| vec![0.0; horizontal.outputs()]);
        Self { planes, repeats, row }
    }

    /// Rows of the small picture.
    pub fn rows(&self) -> usize {
        self.repeats.len()
    }

    /// Whether row `y` is the same as the row before.
    pub fn is_repeat(&self, y: usize) -> bool {
        self.repeats[y]
    }

    /// Row `y` of the small picture: the samples of each component, in the frame's codes. For gray
    /// all three are luma.
    pub fn row(&mut self, frame: &FrameView<'_>, y: usize) -> [&[f32]; 3] {
        let gray = frame.layout().format.family() == Family::Gray;
        for sampler in &mut self.planes {
            let row_bytes = frame.layout().format.row_bytes(sampler.plane, frame.layout().width);
            combine_rows(
                &mut sampler.combined[..row_bytes],
                &sampler.rows,
                y,
                |source| frame.row(sampler.plane, source),
                frame.layout().format.plane_rows(sampler.plane, frame.layout().height),
            );
            for grid in &sampler.grids {
                grid.sample(&sampler.combined, &mut self.row);
            }
        }
        let [first, second, third] = &self.row;
        if gray { [first, first, first] } else { [first, second, third] }
    }
}

/// `out` = Σ weight · row, over the taps of output `y`.
fn combine_rows<'a>(
    out: &mut [f32],
    operator: &PackedOperator,
    y: usize,
    row: impl Fn(usize) -> &'a [u8],
    height: usize,
) {
    let (first, weights) = operator.row(y);
    let mut started = false;
    for (group, weights) in weights.chunks_exact(ROW_TAPS).enumerate() {
        if weights.iter().all(|&weight| weight == 0.0) {
            continue;
        }
        // Taps beyond the last row have no weight; any row will do.
        let rows: [&[u8]; ROW_TAPS] =
            std::array::from_fn(|k| row((first + group * ROW_TAPS + k).min(height - 1)));
        let weights: [f32; ROW_TAPS] = std::array::from_fn(|k| weights[k]);
        if started {
            add_rows(out, rows, weights);
        } else {
            set_rows(out, rows, weights);
        }
        started = true;
    }
    if !started {
        out.fill(0.0);
    }
}

#[multiversion(targets = "simd")]
fn set_rows(out: &mut [f32], rows: [&[u8]; ROW_TAPS], weights: [f32; ROW_TAPS]) {
    let n = out.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for i in 0..n {
        out[i] = f32::from(a[i]) * weights[0]
            + f32::from(b[i]) * weights[1]
            + f32::from(c[i]) * weights[2]
            + f32::from(d[i]) * weights[3];
    }
}

#[multiversion(targets = "simd")]
fn add_rows(out: &mut [f32], rows: [&[u8]; ROW_TAPS], weights: [f32; ROW_TAPS]) {
    let n = out.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for i in 0..n {
        out[i] += f32::from(a[i]) * weights[0]
            + f32::from(b[i]) * weights[1]
            + f32::from(c[i]) * weights[2]
            + f32::from(d[i]) * weights[3];
    }
}

/// The row that each byte of a sample goes to; none for alpha and padding.
type Lanes<'a, const STEP: usize> = [Option<&'a mut [f32]>; STEP];

impl Grid {
    /// Combines the columns of one row into one row for each component.
    fn sample(&self, combined: &[f32], rows: &mut [Vec<f32>; 3]) {
        let (first, weights) = (self.columns.first(), self.columns.weights());
        match self.step {
            1 => {
                let (_, component) = self.lanes[0];
                sample_planar(combined, first, weights, &mut rows[component]);
            }
            2 => self.sample_lanes::<2>(combined, rows, sample_interleaved_2),
            3 => self.sample_lanes::<3>(combined, rows, sample_interleaved_3),
            _ => self.sample_lanes::<4>(combined, rows, sample_interleaved_4),
        }
    }

    /// Hands the rows that the lanes belong to, in the order of the lanes, to `sample`.
    fn sample_lanes<const STEP: usize>(
        &self,
        combined: &[f32],
        rows: &mut [Vec<f32>; 3],
        sample: fn(&[f32], &PackedOperator, Lanes<'_, STEP>),
    ) {
        let mut lanes = [const { None }; STEP];
        for (component, row) in rows.iter_mut().enumerate() {
            if let Some(&(offset, _)) = self.lanes.iter().find(|lane| lane.1 == component) {
                lanes[offset] = Some(row.as_mut_slice());
            }
        }
        sample(combined, &self.columns, lanes);
    }
}

#[multiversion(targets = "simd")]
fn sample_planar(row: &[f32], first: &[usize], weights: &[f32], out: &mut [f32]) {
    let taps = weights.len() / first.len();
    for ((out, &first), weights) in out.iter_mut().zip(first).zip(weights.chunks_exact(taps)) {
        let window = &row[first..first + taps];
        let mut sums = [0.0f32; COLUMN_TAPS];
        for (window, weights) in
            window.chunks_exact(COLUMN_TAPS).zip(weights.chunks_exact(COLUMN_TAPS))
        {
            for k in 0..COLUMN_TAPS {
                sums[k] += window[k] * weights[k];
            }
        }
        *out = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    }
}

/// The same for samples of several lanes, all lanes at once; those that no component lies in are
/// `None`.
macro_rules! sample_interleaved {
    ($name:ident, $step:literal) => {
        #[multiversion(targets = "simd")]
        fn $name(row: &[f32], columns: &PackedOperator, mut lanes: Lanes<'_, $step>) {
            let taps = columns.taps();
            for (i, &first) in columns.first().iter().enumerate() {
                let weights = &columns.weights()[i * taps..][..taps];
                let window = &row[first * $step..][..taps * $step];
                let mut sums = [0.0f32; $step];
                for (sample, &weight) in window.chunks_exact($step).zip(weights) {
                    for k in 0..$step {
                        sums[k] += sample[k] * weight;
                    }
                }
                for (lane, sum) in lanes.iter_mut().zip(sums) {
                    if let Some(lane) = lane {
                        lane[i] = sum;
                    }
                }
            }
        }
    };
}

sample_interleaved!(sample_interleaved_2, 2);
sample_interleaved!(sample_interleaved_3, 3);
sample_interleaved!(sample_interleaved_4, 4);

/// From the codes of a frame to full-range RGB codes.
pub fn codes_to_rgb(layout: &FrameLayout) -> Affine {
    match (layout.format.family(), layout.color.range) {
        (Family::Yuv, _) => Affine::yuv_to_rgb(layout.color),
        (_, Range::Full) => Affine::IDENTITY,
        (_, Range::Limited) => Affine::expand(Range::Limited),
    }
}

/// Makes a network's input of frames of one layout.
pub struct Preparer {
    reducer: Reducer,
    to_rgb: Affine,
    /// Where the frame lies in the input.
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    size: Size,
    description: InputDescription,
    normalisation: Normalisation,
    /// One row of the input, channel after channel in the network's order.
    row: [Vec<f32>; 3],
}

impl Preparer {
    /// For frames of `layout` and an input of `size` that holds what `description` says.
    pub fn new(layout: &FrameLayout, size: Size, description: &InputDescription) -> Self {
        let frame = Size { width: layout.width, height: layout.height };
        let [x, y] = AxisGeometry::pair(frame, size, description.fit);
        Self {
            reducer: Reducer::new(layout, &x.reduction(), &y.reduction()),
            to_rgb: codes_to_rgb(layout),
            columns: x.content(),
            rows: y.content(),
            size,
            description: description.clone(),
            normalisation: Normalisation::new(description),
            row: std::array::from_fn(|_| vec![0.0; size.width]),
        }
    }

    /// Fills `tensor`, 3 × height × width values.
    pub fn prepare(&mut self, frame: &FrameView<'_>, tensor: &mut [f32]) {
        if self.description.fit == Fit::Letterbox {
            self.blacken();
            for y in (0..self.rows.start).chain(self.rows.end..self.size.height) {
                self.store(tensor, y);
            }
        }
        for (index, y) in self.rows.clone().enumerate() {
            if !self.reducer.is_repeat(index) {
                let codes = self.reducer.row(frame, index);
                let order = channel_order(self.description.channels);
                let [a, b, c] = &mut self.row;
                let columns = self.columns.clone();
                let [a, b, c] = [a, b, c].map(|row| &mut row[columns.clone()]);
                convert_row(codes, &self.to_rgb, &self.normalisation, order, [a, b, c]);
            }
            self.store(tensor, y);
        }
    }

    /// Makes the current row black, which is also what stays beside a letterboxed frame.
    fn blacken(&mut self) {
        for (row, offset) in self.row.iter_mut().zip(self.normalisation.offset) {
            row.fill(offset);
        }
    }

    /// Copies the current row into the tensor.
    fn store(&self, tensor: &mut [f32], y: usize) {
        let Size { width, .. } = self.size;
        match self.description.layout {
            TensorLayout::Nchw => {
                for (plane, row) in tensor.chunks_exact_mut(self.size.area()).zip(&self.row) {
                    plane[y * width..][..width].copy_from_slice(row);
                }
            }
            TensorLayout::Nhwc => {
                let [a, b, c] = &self.row;
                let samples = tensor[3 * y * width..][..3 * width].chunks_exact_mut(3);
                for (x, sample) in samples.enumerate() {
                    sample.copy_from_slice(&[a[x], b[x], c[x]]);
                }
            }
        }
    }
}

/// Which of red, green and blue each channel holds.
const fn channel_order(order: ChannelOrder) -> [usize; 3] {
    match order {
        ChannelOrder::Rgb => [0, 1, 2],
        ChannelOrder::Bgr => [2, 1, 0],
    }
}

/// `(code · scale − mean) / std` as one product and one sum for each channel.
struct Normalisation {
    factor: [f32; 3],
    offset: [f32; 3],
}

impl Normalisation {
    fn new(description: &InputDescription) -> Self {
        let InputDescription { scale, mean, std, .. } = description;
        Self {
            factor: std.map(|std| scale / std),
            offset: std::array::from_fn(|channel| -mean[channel] / std[channel]),
        }
    }
}

/// Codes to RGB, held in 0 to 255 as 8-bit RGB would be, to the network's values.
#[multiversion(targets = "simd")]
fn convert_row(
    codes: [&[f32]; 3],
    to_rgb: &Affine,
    normalisation: &Normalisation,
    order: [usize; 3],
    out: [&mut [f32]; 3],
) {
    let [first, second, third] = codes;
    for (channel, out) in out.into_iter().enumerate() {
        let color = order[channel];
        let [a, b, c] = to_rgb.matrix[color];
        let offset = to_rgb.offset[color];
        let (factor, shift) = (normalisation.factor[channel], normalisation.offset[channel]);
        for (((out, first), second), third) in out.iter_mut().zip(first).zip(second).zip(third) {
            let rgb = (a * first + b * second + c * third + offset).clamp(0.0, 255.0);
            *out = rgb * factor + shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::color::Colorimetry;
    use crate::matting::frame_view::OwnedFrame;
    use crate::matting::pixel_format::PixelFormat;
    use proptest::prelude::*;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout { format, width, height, color: Colorimetry::default() }
    }

    fn prepare(frame: &OwnedFrame, size: Size, description: &InputDescription) -> Vec<f32> {
        let mut tensor = vec![f32::NAN; 3 * size.area()];
        Preparer::new(frame.view().layout(), size, description).prepare(&frame.view(), &mut tensor);
        tensor
    }

    fn flat(format: PixelFormat, width: usize, height: usize, code: u8) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout(format, width, height));
        for plane in 0..format.planes() {
            for y in 0..format.plane_rows(plane, height) {
                frame.view_mut().row_mut(plane, y).fill(code);
            }
        }
        frame
    }

    const DAVID: Size = Size { width: 512, height: 512 };

    #[test]
    fn gray_fills_every_channel_from_every_format() {
        for format in PixelFormat::ALL.into_iter().filter(|&f| f != PixelFormat::Gray16Le) {
            for (width, height) in [(1, 1), (3, 5), (64, 48)] {
                let tensor =
                    prepare(&flat(format, width, height, 128), DAVID, &InputDescription::default());
                for value in tensor {
                    assert!((value - 128.0 / 255.0).abs() < 1e-5, "{format:?}: {value}");
                }
            }
        }
    }

    #[test]
    fn channels_are_ordered_and_normalised() {
        let mut frame = OwnedFrame::new(layout(PixelFormat::Rgb, 2, 2));
        for y in 0..2 {
            frame.view_mut().row_mut(0, y).copy_from_slice(&[255, 51, 0, 255, 51, 0]);
        }
        let size = Size { width: 2, height: 2 };
        let mut description =
            InputDescription { mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 2.0], ..Default::default() };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let bgr = prepare(&frame, size, &description);
        assert!(
            close(&bgr, &[-0.2, -0.2, -0.2, -0.2, 0.0, 0.0, 0.0, 0.0, 0.35, 0.35, 0.35, 0.35]),
            "{bgr:?}"
        );
        description.channels = ChannelOrder::Rgb;
        description.layout = TensorLayout::Nhwc;
        let rgb = prepare(&frame, size, &description);
        assert!(close(&rgb[..3], &[1.8, 0.0, -0.15]), "{rgb:?}");
    }

    #[test]
    fn beside_a_letterboxed_frame_lies_black() {
        let description = InputDescription { fit: Fit::Letterbox, ..Default::default() };
        let size = Size { width: 8, height: 4 };
        let tensor = prepare(&flat(PixelFormat::Gray8, 10, 10, 255), size, &description);
        assert_eq!(tensor[..8], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    }

    proptest! {
        /// The reducer on packed RGBA gives what a plain sum over each component's taps gives.
        #[test]
        fn reducing_is_the_operators_sum(width in 1usize..50, height in 1usize..50, out in 1usize..40) {
            let frame_layout = layout(PixelFormat::Bgra, width, height);
            let mut frame = OwnedFrame::new(frame_layout);
            for y in 0..height {
                for (i, byte) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                    *byte = (i * 31 + y * 57) as u8;
                }
            }
            let horizontal = AxisOperator::bilinear(width, out);
            let vertical = AxisOperator::pyramid_down(height);
            let (columns, rows) = (horizontal.pack(1), vertical.pack(1));
            let mut reducer = Reducer::new(&frame_layout, &horizontal, &vertical);
            for y in 0..reducer.rows() {
                let got = reducer.row(&frame.view(), y);
                for (component, got) in PixelFormat::Bgra.color_components().iter().zip(got) {
                    for (x, got) in got.iter().enumerate() {
                        let (top, row_weights) = rows.row(y);
                        let (left, column_weights) = columns.row(x);
                        let mut want = 0.0;
                        for (j, wy) in row_weights.iter().enumerate() {
                            for (i, wx) in column_weights.iter().enumerate() {
                                if wx * wy != 0.0 {
                                    let byte = (left + i) * 4 + component.offset;
                                    want += wx * wy * f32::from(frame.row(0, top + j)[byte]);
                                }
                            }
                        }
                        prop_assert!((got - want).abs() < 1e-2);
                    }
                }
            }
        }
    }
}
