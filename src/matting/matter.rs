//! All that is done to a frame besides inference: prepare, finish, compose.

use super::backdrop::{Backdrop, Background};
use super::compose::{Colors, Composer, Output, quantise};
use super::error::Error;
use super::finish::{ConstantMatte, Finisher, MatteRows, MatteSettings};
use super::foreground::Foreground;
use super::frame_view::{FrameLayout, FrameView, FrameViewMut};
use super::model::{Fit, InputDescription};
use super::network::{NetworkShape, Size};
use super::prepare::Preparer;
use super::region::Region;

/// What becomes of a matte; may change from frame to frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// How the matte is shaped.
    pub matte: MatteSettings,
    /// What a composite shows behind the person.
    pub background: Background,
    /// Whether the person's own colours are estimated where the matte is soft, instead of taking
    /// the frame's, which hold something of the old background there.
    pub decontaminate: bool,
}

/// Brings frames of one layout to a network, and its masks to frames of another.
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
/// };
/// let look = Look {
///     matte: MatteSettings::default(),
///     background: Background::Checkerboard,
///     decontaminate: true,
/// };
/// let mut matter = Matter::new(&network.shape(), layout, layout, Output::Cutout)?;
///
/// let mut frame = OwnedFrame::new(layout);
/// matter.prepare(&frame.view(), network.input());
/// let mut mask = vec![0.0; network.shape().mask.area()];
/// network.run(&mut mask)?;
/// matter.compose(Colors::InPlace, &mask, &look, &mut frame.view_mut())?;
/// # Ok(())
/// # }
/// ```
pub struct Matter {
    from: FrameLayout,
    to: FrameLayout,
    input: Size,
    description: InputDescription,
    preparer: Preparer,
    /// For parts of the frame, which have one size for a while.
    part: Option<(Size, Preparer)>,
    finisher: Finisher,
    composer: Composer,
    backdrop: Option<(Background, Backdrop)>,
    flat: ConstantMatte,
    /// Made when it is first asked for.
    foreground: Option<Box<Foreground>>,
}

/// What a matte is made of.
enum MatteOf<'a> {
    Mask(&'a [f32], &'a Look),
    Opacity(f32),
}

impl Matter {
    /// For frames of layout `from` that become `output` in layout `to`.
    ///
    /// # Errors
    /// [`Error::Conversion`] for formats that do not go together.
    pub fn new(
        network: &NetworkShape,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<Self, Error> {
        let NetworkShape { description, input, mask } = network;
        let frame = Size { width: from.width, height: from.height };
        Ok(Self {
            input: *input,
            description: description.clone(),
            part: None,
            preparer: Preparer::new(&from, *input, description),
            finisher: Finisher::new(frame, *input, *mask, description.fit),
            composer: Composer::new(&from, &to, output)?,
            backdrop: None,
            flat: ConstantMatte::new(from.width),
            foreground: None,
            from,
            to,
        })
    }

    /// Whether [`compose`](Self::compose) may work in the frame itself.
    pub fn works_in_place(&self) -> bool {
        self.composer.works_in_place()
    }

    /// Brings a frame into a network's input, [`NetworkShape::tensor_len`] values.
    pub fn prepare(&mut self, frame: &FrameView<'_>, tensor: &mut [f32]) {
        self.preparer.prepare(frame, tensor);
    }

    /// Brings a part of a frame into a network's input.
    pub fn prepare_region(&mut self, frame: &FrameView<'_>, region: Region, tensor: &mut [f32]) {
        let Region { x, y, size } = region;
        if size == (Size { width: self.from.width, height: self.from.height }) {
            return self.prepare(frame, tensor);
        }
        let part = frame.part([x, y], size.width, size.height);
        let preparer = match self.part.take() {
            Some((made_for, preparer)) if made_for == size => preparer,
            _ => Preparer::new(part.layout(), self.input, &self.description),
        };
        self.part.insert((size, preparer)).1.prepare(&part, tensor);
    }

    /// From now on takes masks of size `mask`, of an input of size `input` that holds the frame by
    /// `fit`, instead of those that the network gives.
    pub fn take_masks(&mut self, input: Size, mask: Size, fit: Fit) {
        let frame = Size { width: self.from.width, height: self.from.height };
        self.finisher = Finisher::new(frame, input, mask, fit);
    }

    /// Writes the output for a mask: values as the network gave them, row by row at its size (or at that of
    /// [`take_masks`](Self::take_masks)).
    ///
    /// # Errors
    /// None but those of a picture that cannot be scaled.
    pub fn compose(
        &mut self,
        colors: Colors<'_>,
        mask: &[f32],
        look: &Look,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        self.write(colors, &look.background, MatteOf::Mask(mask, look), target)
    }

    /// Writes the matte of a mask alone, 8 bits a pixel, into a plane `stride` bytes a row: for an
    /// output that shares its colour planes with the frame.
    pub fn alpha_plane(
        &mut self,
        mask: &[f32],
        settings: &MatteSettings,
        plane: &mut [u8],
        stride: usize,
    ) {
        let mut matte = self.finisher.matte(mask, settings);
        for (y, row) in plane.chunks_exact_mut(stride).enumerate() {
            quantise(matte.row(y), row);
        }
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
        if opacity == 0.0 && self.composer.output() == Output::Cutout {
            // Straight alpha keeps the colours under it, which here are the room's.
            self.composer.clear(target);
            return Ok(());
        }
        self.write(colors, background, MatteOf::Opacity(opacity), target)
    }

    fn write(
        &mut self,
        colors: Colors<'_>,
        background: &Background,
        matte: MatteOf<'_>,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        let backdrop = match self.backdrop.take() {
            Some((made_for, backdrop)) if made_for == *background => backdrop,
            _ => Backdrop::new(background, &self.from, &self.to)?,
        };
        let backdrop = &mut self.backdrop.insert((background.clone(), backdrop)).1;
        let decontaminates = self.composer.output() != Output::Alpha
            && matches!(matte, MatteOf::Mask(_, Look { decontaminate: true, .. }));
        let matte: &mut dyn MatteRows = match matte {
            MatteOf::Mask(mask, look) => &mut self.finisher.matte(mask, &look.matte),
            MatteOf::Opacity(opacity) => self.flat.of(opacity),
        };
        let frame = match colors {
            Colors::Frame(frame) => *frame,
            Colors::InPlace => target.as_view(),
        };
        backdrop.update(&frame, matte);
        let foreground = decontaminates.then(|| {
            let foreground = self
                .foreground
                .get_or_insert_with(|| Box::new(Foreground::new(&self.from, &self.to)));
            foreground.update(&frame, matte);
            &**foreground
        });
        self.composer.compose(colors, matte, foreground, backdrop, target);
        Ok(())
    }
}
