// SPDX-License-Identifier: MIT

//! Mask and frame to the picture that leaves.

use std::time::{Duration, Instant};

use crate::matting::compose::backdrop::{Backdrop, Background};
use crate::matting::compose::composer::{Colors, Composer, Layers, Person, to_codes};
use crate::matting::compose::foreground::Foreground;
use crate::matting::compose::output::Output;
use crate::matting::compose::own_colors::OwnColors;
use crate::matting::compose::slices;
use crate::matting::compose::width::Width;
use crate::matting::error::Error;
use crate::matting::frame::pixel_format::{MAX_PLANES, PixelFormat};
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameViewMut, PlaneMut};
use crate::matting::input::geometry::MaskLayout;
use crate::matting::matte::details::Details;
use crate::matting::matte::enlarge::{Matte, MatteReader, MatteRows};
use crate::matting::matte::shape::{Finisher, MatteSettings};

/// What parts of composing one picture took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Making what lies behind the person.
    pub behind: Duration,
    /// Finding the person's own colours.
    pub colors: Duration,
}

/// What lies behind the person in a fill.
const BLACK: Background = Background::Color(0xff00_0000);

/// What becomes of a matte; may change from frame to frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// How the matte is shaped.
    pub matte: MatteSettings,
    /// What a composite shows behind the person.
    pub background: Background,
    /// Whether the person's own colours are taken where the matte is soft, instead of the frame's, which
    /// hold something of the old background there: the network's where it gives any, or else estimated ones.
    pub decontaminate: bool,
}

/// What a network says of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Inferred<'a> {
    /// The mask, values row by row.
    pub mask: &'a [f32],
    /// What the person's own colours add to the frame's, as
    /// [`Network::foreground`](crate::matting::inference::network::Network::foreground) tells; empty where it
    /// does not.
    pub colors: &'a [f32],
    /// Tiles of the matte that are known better than the mask tells, found by a
    /// [`Detailer`](crate::matting::detail::Detailer). Where the matte's edge is to be moved or feathered they
    /// are left out: they are of the edge that the picture shows.
    pub details: Option<&'a Details>,
}

impl<'a> Inferred<'a> {
    /// The matte, as a finisher of the masks shapes it.
    fn matte(&self, finisher: &'a mut Finisher, settings: &MatteSettings) -> Matte<'a> {
        let details = self.details.filter(|_| settings.keeps_edges());
        finisher.matte(self.mask, settings).with_details(details)
    }
}

impl<'a> From<&'a [f32]> for Inferred<'a> {
    fn from(mask: &'a [f32]) -> Self {
        Self { mask, colors: &[], details: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Inferred<'a> {
    fn from(mask: &'a Vec<f32>) -> Self {
        mask[..].into()
    }
}

/// Makes pictures of one layout of frames of another and their masks.
///
/// ```no_run
/// use gstdavidmatte::matting::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let source = ModelSource::find("david-base")?;
/// let mut network = Session::load(&source, &SessionOptions::default())?;
/// let layout = FrameLayout {
///     format: PixelFormat::Rgba,
///     width: 1920,
///     height: 1080,
///     color: Colorimetry::default(),
///     pixel_aspect: PixelAspect::SQUARE,
/// };
/// let look = Look {
///     matte: MatteSettings::default(),
///     background: Background::Checkerboard,
///     decontaminate: true,
/// };
/// let shape = network.shape();
/// let mut preparer = RegionPreparer::new(&shape, layout);
/// let mut compositor = Compositor::new(shape.masks(), layout, layout, Output::Cutout)?;
///
/// let mut frame = OwnedFrame::new(layout);
/// preparer.prepare(&frame.view(), network.input());
/// let mut mask = vec![0.0; network.shape().mask.area()];
/// network.run(&mut mask)?;
/// compositor.compose(Colors::InPlace, &mask, &look, &mut frame.view_mut())?;
/// # Ok(())
/// # }
/// ```
pub struct Compositor {
    from: FrameLayout,
    to: FrameLayout,
    masks: MaskLayout,
    finisher: Finisher,
    writer: Writer,
    /// What writes the key below the fill.
    key: Option<Box<Compositor>>,
}

/// What writes outputs, by the width of their samples.
enum Writer {
    Narrow(WriterOf<u8>),
    Wide(WriterOf<u16>),
}

/// Does the same with either.
macro_rules! with_writer {
    ($writer:expr, $own:ident => $work:expr) => {
        match $writer {
            Writer::Narrow($own) => $work,
            Writer::Wide($own) => $work,
        }
    };
}

/// What writes outputs with samples of one width.
struct WriterOf<S: Width> {
    from: FrameLayout,
    /// In which outputs are worked on.
    to: FrameLayout,
    output: Output,
    backdrop: Option<(Background, Backdrop<S>)>,
    /// Made when it is first asked for.
    foreground: Option<Box<Foreground<S>>>,
    own_colors: Option<(MaskLayout, OwnColors)>,
    /// At least one.
    slices: Vec<Slice<S>>,
    /// Of the last picture.
    took: Took,
}

/// What makes a slice of rows.
struct Slice<S: Width> {
    reader: MatteReader<S>,
    composer: Composer<S>,
}

impl Compositor {
    /// For frames of layout `from` that become `output` in layout `to`, and masks that lie on them so.
    ///
    /// # Errors
    /// [`Error::Conversion`] for formats that do not go together.
    pub fn new(
        masks: MaskLayout,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<Self, Error> {
        if output == Output::KeyFill {
            let picture = FrameLayout { height: to.height / output.pictures(), ..to };
            let key = Self::new(masks, from, picture, Output::Alpha)?;
            let fill = Self::new(masks, from, picture, Output::Composite)?;
            return Ok(Self { key: Some(Box::new(key)), ..fill });
        }
        let frame = Size { width: from.width, height: from.height };
        let finisher = Finisher::new(frame, masks);
        let writer = match to.format.sample_bytes() {
            1 => Writer::Narrow(WriterOf::new(&finisher, from, to, output)?),
            _ => Writer::Wide(WriterOf::new(&finisher, from, to, output)?),
        };
        Ok(Self { from, to, masks, finisher, writer, key: None })
    }

    /// Divides the rows of large frames among up to `threads` threads; by default all are made by
    /// the caller's.
    ///
    /// # Errors
    /// None but those of [`new`](Self::new).
    pub fn with_threads(mut self, threads: usize) -> Result<Self, Error> {
        let count = slices::count(self.to.width, self.to.height, threads);
        with_writer!(&mut self.writer, writer => writer.divide(&self.finisher, &self.to, count)?);
        if let Some(key) = self.key.take() {
            self.key = Some(Box::new(key.with_threads(threads)?));
        }
        Ok(self)
    }

    /// Whether [`compose`](Self::compose) may work in the frame itself.
    pub fn works_in_place(&self) -> bool {
        self.key.is_none()
            && with_writer!(&self.writer, writer => writer.slices[0].composer.works_in_place())
    }

    /// What parts of the last picture took.
    pub fn took(&self) -> Took {
        with_writer!(&self.writer, writer => writer.took)
    }

    /// From now on takes masks that lie on the frames so.
    pub fn take_masks(&mut self, masks: MaskLayout) {
        if self.masks == masks {
            return;
        }
        self.masks = masks;
        if let Some(key) = &mut self.key {
            key.take_masks(masks);
        }
        let frame = Size { width: self.from.width, height: self.from.height };
        self.finisher = Finisher::new(frame, masks);
        with_writer!(&mut self.writer, writer => {
            for slice in &mut writer.slices {
                slice.reader = self.finisher.reader();
            }
        });
    }

    /// Writes the output for a mask, and the colours that the network gave with it, both at the size of
    /// [`take_masks`](Self::take_masks).
    ///
    /// # Errors
    /// None but those of a picture that cannot be scaled.
    pub fn compose<'a>(
        &mut self,
        colors: Colors<'_>,
        inferred: impl Into<Inferred<'a>>,
        look: &Look,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        let (inferred, masks) = (inferred.into(), self.masks);
        if self.key.is_some() {
            let over_black = Look { background: BLACK, ..look.clone() };
            return self
                .write_both(target, |own, half| own.compose(colors, inferred, &over_black, half));
        }
        let matte = inferred.matte(&mut self.finisher, &look.matte);
        let decontaminates = look.decontaminate.then_some((inferred.colors, masks));
        with_writer!(&mut self.writer, writer => {
            writer.write(colors, &look.background, matte, decontaminates, target)
        })
    }

    /// Writes the matte alone, in codes of the output's alpha, into a plane `stride` bytes a row:
    /// for an output that shares its colour planes with the frame.
    ///
    /// # Errors
    /// [`Error::FrameTooSmall`] for a plane that does not hold the matte.
    pub fn alpha_plane<'a>(
        &mut self,
        inferred: impl Into<Inferred<'a>>,
        settings: &MatteSettings,
        data: &mut [u8],
        stride: usize,
    ) -> Result<(), Error> {
        let matte = inferred.into().matte(&mut self.finisher, settings);
        with_writer!(&mut self.writer, writer => writer.write_alpha(matte, data, stride))
    }

    /// Has the key written into the lower half, and the fill into the upper one.
    fn write_both(
        &mut self,
        target: &mut FrameViewMut<'_>,
        write: impl Fn(&mut Self, &mut FrameViewMut<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [mut fill, mut below] = target.reborrow().halves();
        // Without its key a compositor writes one picture.
        let mut key = self.key.take();
        let written = key.as_deref_mut().map_or(Ok(()), |key| write(key, &mut below));
        let written = written.and_then(|()| write(self, &mut fill));
        self.key = key;
        written
    }

    /// Writes the output with the same opacity everywhere: 0 is all background, 1 all frame.
    ///
    /// # Errors
    /// As [`compose`](Self::compose).
    pub fn compose_flat(
        &mut self,
        colors: Colors<'_>,
        background: &Background,
        opacity: f32,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        if self.key.is_some() {
            return self
                .write_both(target, |own, half| own.compose_flat(colors, &BLACK, opacity, half));
        }
        with_writer!(&mut self.writer, writer => {
            if opacity == 0.0 && writer.output == Output::Cutout {
                // Straight alpha keeps the colours under it, which here are the room's.
                writer.slices[0].composer.clear(target);
                return Ok(());
            }
            writer.write(colors, background, Matte::Flat(opacity), None, target)
        })
    }
}

impl<S: Width> WriterOf<S> {
    fn new(
        finisher: &Finisher,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<Self, Error> {
        let composer = Composer::new(&from, &to, output)?;
        let slices = vec![Slice { reader: finisher.reader(), composer }];
        Ok(Self {
            from,
            to: to.apart(),
            output,
            backdrop: None,
            foreground: None,
            own_colors: None,
            slices,
            took: Took::default(),
        })
    }

    /// Goes on with so many slices.
    fn divide(&mut self, finisher: &Finisher, to: &FrameLayout, count: usize) -> Result<(), Error> {
        while self.slices.len() < count {
            let composer = Composer::new(&self.from, to, self.output)?;
            self.slices.push(Slice { reader: finisher.reader(), composer });
        }
        self.slices.truncate(count);
        Ok(())
    }

    fn write_alpha(
        &mut self,
        matte: Matte<'_>,
        data: &mut [u8],
        stride: usize,
    ) -> Result<(), Error> {
        self.took = Took::default();
        let depth = self.to.format.depth();
        let matte = matte.to_bits(depth.bits);
        // A plane of alpha is one of gray.
        let format = if S::BITS == 8 { PixelFormat::Gray8 } else { PixelFormat::Gray16Le };
        let layout = FrameLayout { format, ..self.to };
        let mut planes = <[PlaneMut<'_>; MAX_PLANES]>::default();
        planes[0] = PlaneMut { data, stride };
        let plane = FrameViewMut::new(layout, planes)?;
        slices::share(&mut self.slices, layout.height, plane, &|slice, rows, plane| {
            let mut matte = matte.rows(&mut slice.reader);
            for y in rows {
                to_codes(matte.row(y).codes, depth, plane.samples_mut(0, y));
            }
        });
        Ok(())
    }

    fn write(
        &mut self,
        colors: Colors<'_>,
        background: &Background,
        matte: Matte<'_>,
        decontaminates: Option<(&[f32], MaskLayout)>,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let backdrop = match self.backdrop.take() {
            Some((made_for, backdrop)) if made_for == *background => backdrop,
            _ => Backdrop::new(background, &self.from, &self.to)?,
        };
        let backdrop = &mut self.backdrop.insert((background.clone(), backdrop)).1;
        let matte = matte.to_bits(self.to.format.depth().bits);
        let frame = match colors {
            Colors::Frame(frame) => *frame,
            Colors::InPlace => target.as_view(),
        };
        let reader = &mut self.slices[0].reader;
        backdrop.update(&frame, &mut matte.rows(reader));
        let behind = begun.elapsed();
        let person = match decontaminates.filter(|_| self.output != Output::Alpha) {
            None => None,
            Some((colors, masks)) if !colors.is_empty() && OwnColors::can_be_of(&self.from) => {
                let (_, own) = match self.own_colors.take_if(|(of, _)| *of == masks) {
                    Some(own) => self.own_colors.insert(own),
                    None => self.own_colors.insert((masks, OwnColors::new(&self.to, masks))),
                };
                own.update(colors);
                Some(Person::Own(own))
            }
            Some(_) => {
                let foreground = self
                    .foreground
                    .get_or_insert_with(|| Box::new(Foreground::new(&self.from, &self.to)));
                foreground.update(&frame, &mut matte.rows(reader));
                Some(Person::Estimated(foreground))
            }
        };
        self.took = Took { behind, colors: begun.elapsed() - behind };
        let layers = Layers { colors, person, backdrop };
        slices::share(
            &mut self.slices,
            self.to.height,
            target.reborrow(),
            &|slice, rows, target| {
                let mut matte = matte.rows(&mut slice.reader);
                slice.composer.compose(&layers, &mut matte, rows, target);
            },
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::view::OwnedFrame;

    const SIDE: usize = 64;
    const SIZE: Size = Size { width: SIDE, height: SIDE };

    /// Everything but alpha varies; alpha is opaque.
    fn frame(layout: FrameLayout) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout);
        let mut view = frame.view_mut();
        for (index, component) in layout.format.components().iter().enumerate() {
            for y in 0..component.height(layout.height) {
                let row = view.row_mut(component.plane, y);
                for x in 0..component.width(layout.width) {
                    let code =
                        if index == 3 { 255 } else { (x / 3 * 7 + y * 5 + index * 80) as u8 };
                    row[x * component.step + component.offset] = code;
                }
            }
        }
        frame
    }

    /// A disk with a wide edge.
    fn mask() -> Vec<f32> {
        let value = |i: usize| {
            let (x, y) = ((i % SIDE) as f32 - 31.5, (i / SIDE) as f32 - 31.5);
            ((24.0 - x.hypot(y)) / 8.0).clamp(0.0, 1.0)
        };
        (0..SIZE.area()).map(value).collect()
    }

    #[test]
    fn a_fill_lies_over_black_and_its_key_below() {
        use PixelFormat::*;
        let layout = |format, pictures| FrameLayout::new(format, 71, 50 * pictures);
        for from in [I420, Yv12, Nv12, Yuy2, Rgba, Gray8] {
            for to in Output::KeyFill.formats(from) {
                let frame = frame(layout(from, 1));
                let make = |output: Output, background| {
                    let matte = MatteSettings { edge_shift: 1.0, ..Default::default() };
                    let look = Look { matte, background, decontaminate: true };
                    let to = layout(to, output.pictures());
                    let masks = MaskLayout::covering(SIZE);
                    let mut compositor =
                        Compositor::new(masks, layout(from, 1), to, output).unwrap();
                    let mut target = OwnedFrame::new(to);
                    let colors = Colors::Frame(&frame.view());
                    compositor.compose(colors, &mask(), &look, &mut target.view_mut()).unwrap();
                    target
                };
                // Whatever is asked for behind the person.
                let both = make(Output::KeyFill, Background::Color(0xff12_3456));
                let fill = make(Output::Composite, Background::Color(0xff00_0000));
                let key = make(Output::Alpha, Background::Checkerboard);
                for plane in 0..to.planes() {
                    let rows = to.plane_rows(plane, 50);
                    for y in 0..rows {
                        assert_eq!(both.row(plane, y), fill.row(plane, y), "{from:?} to {to:?}");
                        assert_eq!(
                            both.row(plane, rows + y),
                            key.row(plane, y),
                            "{from:?} to {to:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn dividing_a_frame_among_threads_changes_nothing() {
        use PixelFormat::*;
        // Three slices that cannot be equal, and a last row of chroma with one of luma.
        let layout = |format| FrameLayout::new(format, 1201, 701);
        let mask = mask();
        for (from, to, output) in [
            (I420, I420, Output::Composite),
            (Nv12, A420, Output::Cutout),
            (Yuy2, Yuy2, Output::Composite),
            (Yuy2, Rgba, Output::Cutout),
            (Bgra, Bgra, Output::Cutout),
            (I420, Gray16Le, Output::Alpha),
            (Rgb, I420, Output::Alpha),
        ] {
            for (background, decontaminate) in [
                (Background::Color(0x8012_3456), true),
                (Background::Blur(0.05), false),
                (Background::Checkerboard, true),
            ] {
                let matte = MatteSettings { edge_shift: 2.0, ..Default::default() };
                let look = Look { matte, background, decontaminate };
                let frame = frame(layout(from));
                let [one, several] = [1, 3].map(|threads| {
                    let compositor = Compositor::new(
                        MaskLayout::covering(SIZE),
                        layout(from),
                        layout(to),
                        output,
                    );
                    let mut compositor = compositor.unwrap().with_threads(threads).unwrap();
                    with_writer!(&compositor.writer, writer => assert_eq!(writer.slices.len(), threads));
                    let mut target = OwnedFrame::new(layout(to));
                    let colors = Colors::Frame(&frame.view());
                    compositor.compose(colors, &mask, &look, &mut target.view_mut()).unwrap();
                    let stride = 1201 * to.sample_bytes();
                    let mut alpha = vec![0; stride * 701];
                    compositor.alpha_plane(&mask, &look.matte, &mut alpha, stride).unwrap();
                    (target, alpha)
                });
                assert!(one.1 == several.1);
                for plane in 0..to.planes() {
                    for y in 0..to.plane_rows(plane, 701) {
                        let [one, several] = [&one.0, &several.0].map(|f| f.row(plane, y));
                        assert!(one == several, "{from:?} to {to:?}, {look:?}, row {y}");
                    }
                }
            }
        }
    }
}
