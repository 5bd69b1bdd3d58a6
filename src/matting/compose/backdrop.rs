// SPDX-License-Identifier: MIT

//! What a composite shows behind the person, as rows of the output's format.

use std::ops::Range;
use std::sync::Arc;

use crate::matting::compose::blur::{BackdropRow, Blur};
use crate::matting::compose::picture::Picture;
use crate::matting::error::Error;
use crate::matting::frame::conversion::rgb_to_codes;
use crate::matting::frame::pixel_format::Component;
use crate::matting::frame::sample::Sample;
use crate::matting::frame::size::Size;
use crate::matting::frame::transfer::from_srgb;
use crate::matting::frame::view::{FrameLayout, FrameView, OwnedFrame};
use crate::matting::matte::enlarge::MatteRows;

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

/// A background made ready for an output of one layout.
pub enum Backdrop<S: Sample> {
    /// Every row of a plane is the only one of these; alpha may be less than opaque.
    Flat(OwnedFrame, S),
    /// A frame in the output's layout.
    Still(OwnedFrame),
    /// Made anew from every frame.
    Blurred(Box<Blur<S>>),
}

impl<S: Sample> Backdrop<S> {
    /// `background` behind frames of layout `from` that become layout `to`.
    ///
    /// # Errors
    /// None but those of a picture that is not what its size says.
    pub fn new(
        background: &Background,
        from: &FrameLayout,
        to: &FrameLayout,
    ) -> Result<Self, Error> {
        let (to, size) = (&to.apart(), Size { width: to.width, height: to.height });
        Ok(match background {
            Background::Color(argb) => Self::flat(*argb, to),
            Background::Blur(radius) => Self::Blurred(Box::new(Blur::new(*radius, from, to))),
            Background::Picture(picture) => {
                let pixels = picture.covering(size, to.pixel_aspect)?;
                Self::Still(paint::<S>(to, |x, y| pixels[y * size.width + x]))
            }
            Background::Checkerboard => Self::Still(paint::<S>(to, |x, y| checker(x, y, to))),
        })
    }

    fn flat(argb: u32, to: &FrameLayout) -> Self {
        let [alpha, r, g, b] = argb.to_be_bytes();
        let one_block = FrameLayout { height: 1, ..*to };
        let frame = paint::<S>(&one_block, |_, _| [r, g, b].map(f32::from));
        Self::Flat(frame, if to.format.alpha().is_some() { S::of(alpha) } else { S::ALL })
    }

    /// How opaque the background is.
    pub fn alpha(&self) -> S {
        match self {
            Self::Flat(_, alpha) => *alpha,
            Self::Still(_) | Self::Blurred(_) => S::ALL,
        }
    }

    /// Takes in a frame and its matte before their rows are asked for.
    pub fn update(&mut self, frame: &FrameView<'_>, matte: &mut dyn MatteRows<S>) {
        if let Self::Blurred(blur) = self {
            blur.update(frame, matte);
        }
    }

    /// Row `y` of plane `plane`, of which the samples of `needed` are right; those of alpha and padding may
    /// hold anything.
    pub fn row<'a>(
        &'a self,
        plane: usize,
        y: usize,
        needed: impl Iterator<Item = Range<usize>>,
        scratch: &'a mut BackdropRow<S>,
    ) -> &'a [S] {
        match self {
            Self::Flat(frame, _) => frame.samples(plane, 0),
            Self::Still(frame) => frame.samples(plane, y),
            Self::Blurred(blur) => blur.row(plane, y, needed, scratch),
        }
    }
}

/// Squares of a 45th of the height, light and dark as picture editors draw them.
fn checker(x: usize, y: usize, layout: &FrameLayout) -> [f32; 3] {
    let side = (layout.height / 45).max(1);
    let across = ((side as f64 / layout.pixel_aspect.ratio()).round() as usize).max(1);
    if (x / across + y / side).is_multiple_of(2) { [153.0; 3] } else { [102.0; 3] }
}

/// A frame whose pixels are given as sRGB codes from 0 to 255; in high dynamic range their white is the
/// reference white. Chroma is the mean over its pixels.
fn paint<S: Sample>(layout: &FrameLayout, pixel: impl Fn(usize, usize) -> [f32; 3]) -> OwnedFrame {
    let (to_codes, depth) = (rgb_to_codes(layout), layout.format.depth());
    let pixel = |x: usize, y: usize| from_srgb(layout.color, pixel(x, y));
    let mut frame = OwnedFrame::new(*layout);
    let mut view = frame.view_mut();
    for (index, component) in layout.format.color_components().iter().enumerate() {
        for y in 0..component.height(layout.height) {
            let row: &mut [S] = view.samples_mut(component.plane, y);
            for x in 0..component.width(layout.width) {
                let code = to_codes.apply(mean_over(component, layout, x, y, &pixel))[index];
                row[x * component.step + component.offset] = S::encode(code, depth);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::pixel_format::PixelFormat;
    use crate::matting::matte::enlarge::WholeMatte;

    fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
        FrameLayout::new(format, width, height)
    }

    #[test]
    fn blurring_a_flat_frame_changes_nothing() {
        for (from, to) in [
            (PixelFormat::I420, PixelFormat::I420),
            (PixelFormat::Yuy2, PixelFormat::Yuy2),
            (PixelFormat::Rgb, PixelFormat::Bgrx),
        ] {
            // The larger frame is halved first.
            for (width, height) in [(37, 21), (197, 133)] {
                let (from, to) = (layout(from, width, height), layout(to, width, height));
                let frame = paint::<u8>(&from, |_, _| [80.0; 3]);
                let want = paint::<u8>(&to, |_, _| [80.0; 3]);
                for (radius, opacity) in [(0.01, 0.0), (0.2, 0.5), (0.2, 1.0)] {
                    let mut backdrop =
                        Backdrop::<u8>::new(&Background::Blur(radius), &from, &to).unwrap();
                    backdrop.update(&frame.view(), &mut WholeMatte::flat(width, height, opacity));
                    assert_same(&backdrop, &want, &to);
                }
            }
        }
    }

    fn assert_same(backdrop: &Backdrop<u8>, want: &OwnedFrame, to: &FrameLayout) {
        let mut scratch = BackdropRow::default();
        for component in to.format.color_components() {
            for y in 0..component.height(to.height) {
                let whole = 0..to.format.row_samples(component.plane, to.width);
                let want = want.row(component.plane, y);
                let whole = std::iter::once(whole);
                let row = backdrop.row(component.plane, y, whole, &mut scratch);
                for x in 0..component.width(to.width) {
                    let at = x * component.step + component.offset;
                    assert!(row[at].abs_diff(want[at]) <= 1, "{:?}", to.format);
                }
            }
        }
    }

    #[test]
    fn the_person_does_not_bleed_into_the_blur() {
        let gray = layout(PixelFormat::Gray8, 64, 64);
        let frame = paint::<u8>(&gray, |x, _| [if x < 32 { 255.0 } else { 50.0 }; 3]);
        let mut matte = WholeMatte::<u8>::new(64, 64, |x, _| if x < 32 { 1.0 } else { 0.0 });
        let mut backdrop = Backdrop::<u8>::new(&Background::Blur(0.2), &gray, &gray).unwrap();
        backdrop.update(&frame.view(), &mut matte);
        let mut scratch = BackdropRow::default();
        let row = backdrop.row(0, 32, std::iter::once(0..64), &mut scratch);
        assert!(row[34..].iter().all(|&code| code < 54), "{row:?}");
    }
}
