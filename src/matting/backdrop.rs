//! What a composite shows behind the person, as rows of the output's format.

use std::path::Path;
use std::sync::Arc;

use super::color::Affine;
use super::convert::{conversion, rgb_to_codes};
use super::error::{Error, one_line};
use super::finish::Gaussian;
use super::frame_view::{FrameLayout, FrameView, OwnedFrame, Plane};
use super::matte::MatteRows;
use super::network::Size;
use super::pixel_format::{Component, MAX_PLANES, PixelFormat};
use super::prepare::Reducer;
use super::resample::{AxisOperator, PackedOperator};

/// The most pixels that a background picture may have; a larger one is a mistake or an attack.
const MAX_PICTURE_PIXELS: u64 = 1 << 28;

/// What is shown behind the person.
#[derive(Clone, Debug, PartialEq)]
pub enum Background {
    /// One colour, as ARGB in a big-endian word. Alpha counts where the output has alpha.
    Color(u32),
    /// The frame itself, blurred. The radius, twice the standard deviation of a Gaussian, is a
    /// fraction of the frame's height.
    Blur(f32),
    /// A picture, scaled to cover the frame.
    Picture(Arc<Picture>),
    /// The gray squares that stand for transparency.
    Checkerboard,
}

/// A picture in memory, 8-bit RGB.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    size: Size,
    rgb: Vec<u8>,
}

impl Picture {
    /// Reads a PNG, JPEG or WebP.
    ///
    /// # Errors
    /// [`Error::Background`] for a file that is missing, unreadable, or no such picture.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail =
            |missing, reason: String| Error::Background { path: path.to_owned(), missing, reason };
        let io = |error: std::io::Error| {
            fail(error.kind() == std::io::ErrorKind::NotFound, error.to_string())
        };
        let undecodable = |error: image::ImageError| fail(false, one_line(&error));
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            // A pipe would be waited for.
            return Err(fail(false, "it is no regular file".into()));
        }
        let reader =
            image::ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
        let picture = reader.decode().map_err(undecodable)?.into_rgb8();
        let size = Size { width: picture.width() as usize, height: picture.height() as usize };
        if size.area() == 0 || size.area() as u64 > MAX_PICTURE_PIXELS {
            return Err(fail(false, format!("{}x{} pixels", size.width, size.height)));
        }
        Ok(Self { size, rgb: picture.into_raw() })
    }

    fn view(&self) -> Result<FrameView<'_>, Error> {
        let layout = FrameLayout {
            format: PixelFormat::Rgb,
            width: self.size.width,
            height: self.size.height,
            color: Default::default(),
        };
        let mut planes = [Plane::default(); MAX_PLANES];
        planes[0] = Plane { data: &self.rgb, stride: 3 * self.size.width };
        FrameView::new(layout, planes)
    }

    /// The picture at `size`, what sticks out cut off evenly: RGB codes, row by row.
    fn covering(&self, size: Size) -> Result<Vec<[f32; 3]>, Error> {
        let scale = (size.width as f64 / self.size.width as f64)
            .max(size.height as f64 / self.size.height as f64);
        let axis = |picture: usize, frame: usize| {
            let scaled = ((picture as f64 * scale).round() as usize).max(frame);
            AxisOperator::area(picture, scaled).then(&AxisOperator::crop(
                scaled,
                (scaled - frame) / 2,
                frame,
            ))
        };
        let view = self.view()?;
        let mut reducer = Reducer::new(
            view.layout(),
            &axis(self.size.width, size.width),
            &axis(self.size.height, size.height),
        );
        let mut pixels = Vec::with_capacity(size.area());
        let mut reduced = reducer.reduce(&view);
        for y in 0..size.height {
            let [r, g, b] = reduced.row(y);
            pixels.extend((0..size.width).map(|x| [r[x], g[x], b[x]]));
        }
        Ok(pixels)
    }
}

/// A background made ready for an output of one layout.
pub enum Backdrop {
    /// Every row of a plane is the same; alpha may be less than opaque.
    Flat(Vec<Vec<u8>>, u8),
    /// A frame in the output's layout.
    Still(OwnedFrame),
    /// Made anew from every frame.
    Blurred(Box<Blur>),
}

impl Backdrop {
    /// `background` behind frames of layout `from` that become layout `to`.
    ///
    /// # Errors
    /// None but those of a picture that is not what its size says.
    pub fn new(
        background: &Background,
        from: &FrameLayout,
        to: &FrameLayout,
    ) -> Result<Self, Error> {
        let size = Size { width: to.width, height: to.height };
        Ok(match background {
            Background::Color(argb) => Self::flat(*argb, to),
            Background::Blur(radius) => Self::Blurred(Box::new(Blur::new(*radius, from, to))),
            Background::Picture(picture) => {
                let pixels = picture.covering(size)?;
                Self::Still(paint(to, |x, y| pixels[y * size.width + x]))
            }
            Background::Checkerboard => Self::Still(paint(to, |x, y| checker(x, y, size.height))),
        })
    }

    fn flat(argb: u32, to: &FrameLayout) -> Self {
        let [alpha, r, g, b] = argb.to_be_bytes();
        let one_block = FrameLayout { height: 1, ..*to };
        let frame = paint(&one_block, |_, _| [r, g, b].map(f32::from));
        let rows = (0..to.format.planes()).map(|plane| frame.row(plane, 0).to_vec()).collect();
        Self::Flat(rows, if to.format.alpha().is_some() { alpha } else { 255 })
    }

    /// How opaque the background is.
    pub fn alpha(&self) -> u8 {
        match self {
            Self::Flat(_, alpha) => *alpha,
            Self::Still(_) | Self::Blurred(_) => 255,
        }
    }

    /// Takes in a frame and its matte before their rows are asked for.
    pub fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows) {
        if let Self::Blurred(blur) = self {
            blur.update(frame, matte);
        }
    }

    /// Row `y` of plane `plane`; bytes of alpha and padding may hold anything.
    pub fn row<'a>(&'a self, plane: usize, y: usize, scratch: &'a mut BackdropRow) -> &'a [u8] {
        match self {
            Self::Flat(rows, _) => &rows[plane],
            Self::Still(frame) => frame.row(plane, y),
            Self::Blurred(blur) => blur.row(plane, y, scratch),
        }
    }
}

/// Where a row is made.
#[derive(Default)]
pub struct BackdropRow {
    row: Vec<u8>,
    /// Between two rows of the small picture.
    between: Vec<f32>,
}

/// Squares of a 45th of the height, light and dark as picture editors draw them.
fn checker(x: usize, y: usize, height: usize) -> [f32; 3] {
    let side = (height / 45).max(1);
    if (x / side + y / side).is_multiple_of(2) { [153.0; 3] } else { [102.0; 3] }
}

/// A frame whose pixels are given as full-range RGB codes; chroma is the mean over its pixels.
fn paint(layout: &FrameLayout, pixel: impl Fn(usize, usize) -> [f32; 3]) -> OwnedFrame {
    let to_codes = rgb_to_codes(layout);
    let mut frame = OwnedFrame::new(*layout);
    let mut view = frame.view_mut();
    for (index, component) in layout.format.color_components().iter().enumerate() {
        for y in 0..component.height(layout.height) {
            let row = view.row_mut(component.plane, y);
            for x in 0..component.width(layout.width) {
                let code = to_codes.apply(mean_over(component, layout, x, y, &pixel))[index];
                row[x * component.step + component.offset] = to_byte(code);
            }
        }
    }
    frame
}

/// The mean colour of the pixels that share sample (x, y) of a component.
fn mean_over(
    component: &Component,
    layout: &FrameLayout,
    x: usize,
    y: usize,
    pixel: &impl Fn(usize, usize) -> [f32; 3],
) -> [f32; 3] {
    let along = |at: usize, shift: u32, n: usize| (at << shift)..((at + 1) << shift).min(n);
    let mut sum = [0.0; 3];
    let mut count = 0.0;
    for y in along(y, component.v_shift, layout.height) {
        for x in along(x, component.h_shift, layout.width) {
            for (sum, value) in sum.iter_mut().zip(pixel(x, y)) {
                *sum += value;
            }
            count += 1.0;
        }
    }
    sum.map(|sum| sum / count)
}

fn to_byte(code: f32) -> u8 {
    code.round().clamp(0.0, 255.0) as u8
}

/// The frame, blurred at a size at which the blur is a few samples wide.
///
/// The person is left out: every sample is weighed by how much of it is background, before and
/// after the Gaussian, so that no halo of the person's colours surrounds them.
pub struct Blur {
    size: Size,
    sigma: [f32; 2],
    reducer: Reducer,
    to_codes: Affine,
    matte_columns: PackedOperator,
    matte_rows: AxisBins,
    /// Colour components times weight, and the weight.
    planes: [Vec<f32>; 4],
    gaussian: Gaussian,
    to: FrameLayout,
    enlargers: Vec<Enlarger>,
}

/// Which rows of the small picture a matte row falls into.
struct AxisBins {
    frame: usize,
    bins: usize,
}

/// From the small picture to the samples of one component.
struct Enlarger {
    component: Component,
    columns: PackedOperator,
    rows: PackedOperator,
}

/// Weight that even the person keeps, so that there is a colour where all is person.
const FAINT: f32 = 1e-3;

impl Blur {
    fn new(radius: f32, from: &FrameLayout, to: &FrameLayout) -> Self {
        let sigma = radius * from.height as f32 / 2.0;
        let factor = (sigma / 2.0).floor().max(1.0);
        let small = |n: usize| (n as f32 / factor).ceil() as usize;
        let size = Size { width: small(from.width), height: small(from.height) };
        let horizontal = AxisOperator::area(from.width, size.width);
        let vertical = AxisOperator::area(from.height, size.height);
        // What is blurred is left as it is in the target's codes, so that rows only enlarge.
        let to_codes = conversion(from, to);
        let enlargers = to
            .format
            .color_components()
            .iter()
            .map(|&component| Enlarger {
                component,
                columns: AxisOperator::bilinear(size.width, component.width(to.width)).pack(2),
                rows: AxisOperator::bilinear(size.height, component.height(to.height)).pack(2),
            })
            .collect();
        Self {
            sigma: [
                sigma * size.width as f32 / from.width as f32,
                sigma * size.height as f32 / from.height as f32,
            ],
            reducer: Reducer::new(from, &horizontal, &vertical),
            to_codes,
            matte_columns: horizontal.pack(1),
            matte_rows: AxisBins { frame: from.height, bins: size.height },
            planes: std::array::from_fn(|_| vec![0.0; size.area()]),
            gaussian: Gaussian::new(size.area()),
            to: *to,
            enlargers,
            size,
        }
    }

    fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows) {
        self.weigh(matte);
        let width = self.size.width;
        let [first, second, third, weights] = &mut self.planes;
        let mut reduced = self.reducer.reduce(frame);
        for y in 0..self.size.height {
            let [a, b, c] = reduced.row(y);
            for (x, ((a, b), c)) in a.iter().zip(b).zip(c).enumerate() {
                let at = y * width + x;
                let color = self.to_codes.apply([*a, *b, *c]);
                first[at] = color[0] * weights[at];
                second[at] = color[1] * weights[at];
                third[at] = color[2] * weights[at];
            }
        }
        for plane in &mut self.planes {
            self.gaussian.blur(plane, width, self.sigma);
        }
        let [colors @ .., weights] = &mut self.planes;
        for plane in colors {
            for (value, weight) in plane.iter_mut().zip(&*weights) {
                *value /= weight;
            }
        }
    }

    /// The share of background in each sample of the small picture.
    fn weigh(&mut self, matte: &mut dyn MatteRows) {
        let width = self.size.width;
        let weights = &mut self.planes[3];
        weights.fill(0.0);
        let AxisBins { frame, bins } = self.matte_rows;
        for y in 0..frame {
            let row = matte.row(y).values;
            let bin = (y * bins / frame).min(bins - 1);
            let rows_in_bin = frame as f32 / bins as f32;
            for (x, weight) in weights[bin * width..][..width].iter_mut().enumerate() {
                let (first, taps) = self.matte_columns.row(x);
                let person: f32 =
                    row[first..].iter().zip(taps).map(|(matte, tap)| matte * tap).sum();
                *weight += (1.0 - person) / rows_in_bin;
            }
        }
        for weight in weights {
            *weight = weight.clamp(0.0, 1.0) + FAINT;
        }
    }

    fn row<'a>(&self, plane: usize, y: usize, scratch: &'a mut BackdropRow) -> &'a [u8] {
        let BackdropRow { row, between } = scratch;
        let width = self.size.width;
        let row_bytes = self.to.format.row_bytes(plane, self.to.width);
        row.resize(row_bytes, 0);
        between.resize(width + 2, 0.0);
        for (index, enlarger) in self.enlargers.iter().enumerate() {
            let component = enlarger.component;
            if component.plane != plane {
                continue;
            }
            let picture = &self.planes[index];
            let (first, weights) = enlarger.rows.row(y);
            let below = (first + 1).min(self.size.height - 1);
            let upper = &picture[first * width..][..width];
            let lower = &picture[below * width..][..width];
            for ((out, upper), lower) in between.iter_mut().zip(upper).zip(lower) {
                *out = upper * weights[0] + lower * weights[1];
            }
            for x in 0..component.width(self.to.width) {
                let (first, weights) = enlarger.columns.row(x);
                let code = between[first] * weights[0] + between[first + 1] * weights[1];
                row[x * component.step + component.offset] = to_byte(code);
            }
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::matte::WholeMatte;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout { format, width, height, color: Default::default() }
    }

    #[test]
    fn a_picture_covers_the_frame_from_its_middle() {
        // Left third red, middle third green, right third blue.
        let rgb = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].concat();
        let picture = Picture { size: Size { width: 3, height: 1 }, rgb };
        let pixels = picture.covering(Size { width: 20, height: 20 }).unwrap();
        assert!(pixels[10 * 20 + 10][1] > 240.0);
        assert!(pixels.iter().all(|p| p[1] > 110.0), "only the middle third is in sight");
    }

    #[test]
    fn blurring_a_flat_frame_changes_nothing() {
        for (from, to) in [
            (PixelFormat::I420, PixelFormat::I420),
            (PixelFormat::Yuy2, PixelFormat::Yuy2),
            (PixelFormat::Rgb, PixelFormat::Bgrx),
        ] {
            let (from, to) = (layout(from, 37, 21), layout(to, 37, 21));
            let frame = paint(&from, |_, _| [80.0; 3]);
            let want = paint(&to, |_, _| [80.0; 3]);
            for (radius, opacity) in [(0.01, 0.0), (0.2, 0.5), (0.2, 1.0)] {
                let mut backdrop = Backdrop::new(&Background::Blur(radius), &from, &to).unwrap();
                backdrop.update(&frame.view(), &mut WholeMatte::flat(37, 21, opacity));
                let mut scratch = BackdropRow::default();
                for component in to.format.color_components() {
                    for y in 0..component.height(21) {
                        let want = want.row(component.plane, y);
                        let row = backdrop.row(component.plane, y, &mut scratch);
                        for x in 0..component.width(37) {
                            let at = x * component.step + component.offset;
                            assert!(row[at].abs_diff(want[at]) <= 1, "{:?}", to.format);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_person_does_not_bleed_into_the_blur() {
        let gray = layout(PixelFormat::Gray8, 64, 64);
        let frame = paint(&gray, |x, _| [if x < 32 { 255.0 } else { 50.0 }; 3]);
        let mut matte = WholeMatte::new(64, 64, |x, _| if x < 32 { 1.0 } else { 0.0 });
        let mut backdrop = Backdrop::new(&Background::Blur(0.2), &gray, &gray).unwrap();
        backdrop.update(&frame.view(), &mut matte);
        let mut scratch = BackdropRow::default();
        let row = backdrop.row(0, 32, &mut scratch);
        assert!(row[34..].iter().all(|&code| code < 54), "{row:?}");
    }

    #[test]
    fn a_missing_picture_is_told_from_a_broken_one() {
        let missing = Picture::open(Path::new("/nowhere.png"));
        assert!(matches!(missing, Err(Error::Background { missing: true, .. })));
        let broken = Picture::open(Path::new("Cargo.toml"));
        assert!(matches!(broken, Err(Error::Background { missing: false, .. })));
    }
}
