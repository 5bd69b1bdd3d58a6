// SPDX-License-Identifier: MIT

//! Frame to tensor: what [`reduce`](super::reduce) samples becomes what a network's description asks
//! for. Only that small picture is converted to RGB, which is exact because all steps are linear.

use multiversion::multiversion;

use super::geometry::AxisGeometry;
use super::reduce::Reducer;
use crate::matting::frame::color::Affine;
use crate::matting::frame::conversion::codes_to_rgb;
use crate::matting::frame::size::Size;
use crate::matting::frame::transfer::ToneMapper;
use crate::matting::frame::view::{FrameLayout, FrameView};
use crate::matting::model::description::{
    ChannelOrder, CodeRange, Fit, InputDescription, TensorLayout,
};

/// Makes a network's input of frames of one layout.
pub struct Preparer {
    reducer: Reducer,
    /// Where the frame lies in the input.
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    size: Size,
    fit: Fit,
    layout: TensorLayout,
    range: CodeRange,
    channels: [Channel; 3],
    /// For frames of high dynamic range.
    tones: Option<Tones>,
    /// One row of one channel, for tensors whose channels lie side by side.
    row: Vec<f32>,
}

impl Preparer {
    /// For frames of `layout` and an input of `size` that holds what `description` says.
    pub fn new(layout: &FrameLayout, size: Size, description: &InputDescription) -> Self {
        let frame = Size { width: layout.width, height: layout.height };
        let [x, y] = AxisGeometry::pair(frame, layout.pixel_aspect, size, description.fit);
        let tones = Tones::new(layout, x.content().len());
        // Tones are RGB already.
        let to_rgb = tones.as_ref().map_or_else(|| codes_to_rgb(layout), |_| Affine::IDENTITY);
        Self {
            reducer: Reducer::new(layout, &x.reduction(), &y.reduction()),
            row: vec![0.0; x.content().len()],
            tones,
            columns: x.content(),
            rows: y.content(),
            size,
            fit: description.fit,
            layout: description.layout,
            range: description.range,
            channels: std::array::from_fn(|index| Channel::new(&to_rgb, description, index)),
        }
    }

    /// Fills `tensor`, 3 × height × width values.
    pub fn prepare(&mut self, frame: &FrameView<'_>, tensor: &mut [f32]) {
        if self.fit == Fit::Letterbox {
            self.blacken(tensor);
        }
        let Size { width, .. } = self.size;
        let (left, content) = (self.columns.start, self.columns.len());
        let mut reduced = self.reducer.reduce(frame);
        for (index, y) in self.rows.clone().enumerate() {
            let repeat = reduced.is_repeat(index);
            let codes = match (&mut self.tones, repeat) {
                (_, true) => [[].as_slice(); 3],
                (Some(tones), _) => tones.map(reduced.row(index)),
                (None, _) => reduced.row(index),
            };
            match self.layout {
                TensorLayout::Nchw => {
                    let planes = tensor.chunks_exact_mut(self.size.area());
                    for (channel, plane) in self.channels.iter().zip(planes) {
                        if repeat {
                            plane.copy_within((y - 1) * width..y * width, y * width);
                        } else {
                            let out = &mut plane[y * width + left..][..content];
                            channel.convert(codes, out);
                        }
                    }
                }
                TensorLayout::Nhwc if repeat => {
                    tensor.copy_within(3 * (y - 1) * width..3 * y * width, 3 * y * width);
                }
                TensorLayout::Nhwc => {
                    let samples = &mut tensor[3 * (y * width + left)..][..3 * content];
                    for (lane, channel) in self.channels.iter().enumerate() {
                        channel.convert(codes, &mut self.row);
                        for (sample, value) in samples.chunks_exact_mut(3).zip(&self.row) {
                            sample[lane] = *value;
                        }
                    }
                }
            }
        }
        if self.range == CodeRange::PictureMax {
            self.stretch(tensor);
        }
    }

    /// Makes the greatest value of the picture in the tensor what 255 would be.
    fn stretch(&self, tensor: &mut [f32]) {
        let code = |(value, channel): (&f32, &Channel)| (value - channel.black) / channel.scale;
        let greatest = match self.layout {
            TensorLayout::Nchw => {
                let planes = tensor.chunks_exact(self.size.area()).zip(&self.channels);
                let codes = planes.flat_map(|(plane, c)| plane.iter().map(move |v| code((v, c))));
                codes.fold(0.0, f32::max)
            }
            TensorLayout::Nhwc => {
                let codes = tensor.iter().zip(self.channels.iter().cycle()).map(code);
                codes.fold(0.0, f32::max)
            }
        };
        // Of a black picture nothing can be made.
        if greatest < 1e-3 {
            return;
        }
        let factor = 255.0 / greatest;
        let apply = |value: &mut f32, black: f32| *value = (*value - black) * factor + black;
        match self.layout {
            TensorLayout::Nchw => {
                let planes = tensor.chunks_exact_mut(self.size.area()).zip(&self.channels);
                planes.for_each(|(plane, c)| plane.iter_mut().for_each(|v| apply(v, c.black)));
            }
            TensorLayout::Nhwc => {
                let values = tensor.iter_mut().zip(self.channels.iter().cycle());
                values.for_each(|(value, channel)| apply(value, channel.black));
            }
        }
    }

    /// Makes everything black, which stays beside a letterboxed frame.
    fn blacken(&self, tensor: &mut [f32]) {
        let black = self.channels.each_ref().map(|channel| channel.black);
        match self.layout {
            TensorLayout::Nchw => {
                for (plane, black) in tensor.chunks_exact_mut(self.size.area()).zip(black) {
                    plane.fill(black);
                }
            }
            TensorLayout::Nhwc => {
                tensor.chunks_exact_mut(3).for_each(|sample| sample.copy_from_slice(&black));
            }
        }
    }
}

/// Rows of frames of high dynamic range as RGB of standard range, which networks have seen.
struct Tones {
    mapper: ToneMapper,
    to_rgb: Affine,
    rows: [Vec<f32>; 3],
}

impl Tones {
    fn new(layout: &FrameLayout, width: usize) -> Option<Self> {
        let mapper = ToneMapper::new(layout.color)?;
        let rows = std::array::from_fn(|_| vec![0.0; width]);
        Some(Self { mapper, to_rgb: codes_to_rgb(layout), rows })
    }

    fn map(&mut self, codes: [&[f32]; 3]) -> [&[f32]; 3] {
        let [first, second, third] = codes;
        let [r, g, b] = &mut self.rows;
        for (x, ((r, g), b)) in r.iter_mut().zip(g).zip(b).enumerate() {
            let rgb = self.to_rgb.apply([first[x], second[x], third[x]]);
            [*r, *g, *b] = self.mapper.apply(rgb);
        }
        self.rows.each_ref().map(Vec::as_slice)
    }
}

/// How a channel of the network's input comes from a frame's codes.
struct Channel {
    /// Of the codes, to red, green or blue.
    factors: [f32; 3],
    offset: f32,
    /// `(colour · scale − mean) / std` as one product and one sum.
    scale: f32,
    black: f32,
}

impl Channel {
    fn new(to_rgb: &Affine, description: &InputDescription, index: usize) -> Self {
        let color = match description.channels {
            ChannelOrder::Rgb => index,
            ChannelOrder::Bgr => 2 - index,
        };
        let InputDescription { scale, mean, std, .. } = description;
        Self {
            factors: to_rgb.matrix[color],
            offset: to_rgb.offset[color],
            scale: scale / std[index],
            black: -mean[index] / std[index],
        }
    }

    fn convert(&self, codes: [&[f32]; 3], out: &mut [f32]) {
        let [first, second, third] = codes;
        convert_row(first, second, third, self, out);
    }
}

/// Codes to a colour, held in 0 to 255 as 8-bit RGB would be, to the network's values.
#[multiversion(targets = "simd")]
fn convert_row(x: &[f32], y: &[f32], z: &[f32], channel: &Channel, out: &mut [f32]) {
    let n = out.len();
    let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
    let Channel { factors: [a, b, c], offset, scale, black } = *channel;
    for i in 0..n {
        let color = (a * x[i] + b * y[i] + c * z[i] + offset).clamp(0.0, 255.0);
        out[i] = color * scale + black;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::color::{Colorimetry, Matrix, Primaries, Range, Transfer};
    use crate::matting::frame::conversion::rgb_to_codes;
    use crate::matting::frame::pixel_format::{Component, PixelFormat};
    use crate::matting::frame::transfer::from_srgb;
    use crate::matting::frame::view::OwnedFrame;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout::new(format, width, height)
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
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (3, 5), (64, 48)] {
                let gray = 1 << (format.depth().bits - 1);
                let frame = OwnedFrame::painted(layout(format, width, height), |_, _, _| gray);
                let want = 128.0 / format.depth().white();
                for value in prepare(&frame, DAVID, &InputDescription::default()) {
                    assert!((value - want).abs() < 1e-5, "{format:?}: {value}");
                }
            }
        }
    }

    /// Faces and all that is not brighter: what the network sees of a frame of high dynamic range is what it
    /// sees of the same picture in standard range.
    #[test]
    fn high_dynamic_range_looks_like_the_standard_one() {
        for transfer in [Transfer::Pq, Transfer::Hlg] {
            let color = Colorimetry {
                matrix: Matrix::Bt2020,
                range: Range::Limited,
                transfer,
                primaries: Primaries::Bt2020,
                ..Default::default()
            };
            for format in [PixelFormat::P010_10Le, PixelFormat::V210, PixelFormat::Y444_12Le] {
                let layout = FrameLayout { color, ..layout(format, 12, 4) };
                let skin = [190.0, 140.0, 110.0];
                let codes = rgb_to_codes(&layout).apply(from_srgb(color, skin));
                let more = (1 << (format.depth().bits - 8)) as f32;
                let frame = OwnedFrame::painted(layout, |c, _, _| (codes[c] * more).round() as u32);
                let tensor = prepare(&frame, DAVID, &InputDescription::default());
                let [blue, green, red] =
                    [0, 1, 2].map(|channel| 255.0 * tensor[channel * DAVID.area()]);
                for (got, want) in [red, green, blue].into_iter().zip(skin) {
                    assert!((got - want).abs() < 2.0, "{format:?} {transfer:?}: {got} not {want}");
                }
            }
        }
    }

    /// Parts begin anywhere, within groups of packed pixels as well.
    #[test]
    fn a_part_of_a_frame_is_what_lies_there() {
        for format in PixelFormat::ALL {
            let code = |c: usize, x: usize, y: usize| {
                ((x * 37 + y * 11 + c * 59) as u32 % 200) << (format.depth().bits - 8)
            };
            let frame = OwnedFrame::painted(layout(format, 31, 9), code);
            let components = format.components();
            for [x, y] in [[0, 0], [2, 2], [4, 0], [6, 2], [8, 4], [16, 2]] {
                let part = frame.view().part([x, y], 15, 5);
                let want = OwnedFrame::painted(layout(format, 15, 5), |c, column, row| {
                    let Component { h_shift, v_shift, .. } = components[c];
                    code(c, column + (x >> h_shift), row + (y >> v_shift))
                });
                let size = Size { width: 15, height: 5 };
                let description = InputDescription { fit: Fit::Stretch, ..Default::default() };
                let tensor = |view: &FrameView<'_>| {
                    let mut tensor = vec![f32::NAN; 3 * size.area()];
                    Preparer::new(view.layout(), size, &description).prepare(view, &mut tensor);
                    tensor
                };
                assert_eq!(tensor(&part), tensor(&want.view()), "{format:?} from {x}, {y}");
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
    fn a_dark_picture_is_stretched_where_the_network_wants_that() {
        for layout in [TensorLayout::Nchw, TensorLayout::Nhwc] {
            let description = InputDescription {
                range: CodeRange::PictureMax,
                mean: [0.5, 0.25, 0.0],
                std: [0.5, 1.0, 2.0],
                layout,
                ..Default::default()
            };
            let size = Size { width: 2, height: 2 };
            for (code, share) in [(51, 1.0), (255, 1.0), (0, 0.0)] {
                let tensor = prepare(&flat(PixelFormat::Rgb, 4, 4, code), size, &description);
                let expected = [(share - 0.5) / 0.5, share - 0.25, share / 2.0];
                let [first, last] = match layout {
                    TensorLayout::Nchw => [tensor[0], tensor[8]],
                    TensorLayout::Nhwc => [tensor[0], tensor[2]],
                };
                assert!((first - expected[0]).abs() < 1e-5 && (last - expected[2]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn beside_a_letterboxed_frame_lies_black() {
        let description = InputDescription { fit: Fit::Letterbox, ..Default::default() };
        let size = Size { width: 8, height: 4 };
        let tensor = prepare(&flat(PixelFormat::Gray8, 10, 10, 255), size, &description);
        assert_eq!(tensor[..8], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
