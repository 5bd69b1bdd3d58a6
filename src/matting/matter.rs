//! The whole way of a frame, for one network: prepare, infer, finish, compose.

use super::backdrop::{Backdrop, Background};
use super::compose::{Colors, Composer, Output, quantise};
use super::error::Error;
use super::finish::{ConstantMatte, Finisher, MatteRows, MatteSettings};
use super::frame_view::{FrameLayout, FrameView, FrameViewMut};
use super::network::{Network, Size};
use super::prepare::Preparer;

/// What becomes of a matte; may change from frame to frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// How the matte is shaped.
    pub matte: MatteSettings,
    /// What a composite shows behind the person.
    pub background: Background,
}

/// Mattes frames of one layout with a network.
///
/// ```no_run
/// use gstdavidmatte::matting::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let source = ModelSource::find("david-base")?;
/// let network = Session::load(&source, &SessionOptions::default())?;
/// let layout = FrameLayout {
///     format: PixelFormat::Rgba,
///     width: 1920,
///     height: 1080,
///     color: Colorimetry::default(),
/// };
/// let look = Look { matte: MatteSettings::default(), background: Background::Checkerboard };
/// let mut matter = Matter::new(Box::new(network), layout, layout, Output::Cutout)?;
///
/// let mut frame = OwnedFrame::new(layout);
/// matter.prepare(&frame.view());
/// matter.infer()?;
/// matter.compose(Colors::InPlace, &look, &mut frame.view_mut())?;
/// # Ok(())
/// # }
/// ```
pub struct Matter {
    network: Box<dyn Network>,
    stages: Stages,
    mask: Vec<f32>,
}

/// All that depends on the layouts.
struct Stages {
    from: FrameLayout,
    to: FrameLayout,
    preparer: Preparer,
    finisher: Finisher,
    composer: Composer,
    backdrop: Option<(Background, Backdrop)>,
}

impl Stages {
    fn new(
        network: &dyn Network,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<Self, Error> {
        let description = network.input_description();
        let frame = Size { width: from.width, height: from.height };
        let (input, mask) = (network.input_size(), network.mask_size());
        Ok(Self {
            preparer: Preparer::new(&from, input, description),
            finisher: Finisher::new(frame, input, mask, description.fit),
            composer: Composer::new(&from, &to, output)?,
            backdrop: None,
            from,
            to,
        })
    }

    /// Writes `matte` over `background`.
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
        let matte: &mut dyn MatteRows = match matte {
            MatteOf::Mask(mask, settings) => &mut self.finisher.matte(mask, settings),
            MatteOf::Opacity(opacity) => &mut ConstantMatte::new(self.from.width, opacity),
        };
        match colors {
            Colors::Frame(frame) => backdrop.update(frame, matte),
            Colors::InPlace => backdrop.update(&target.as_view(), matte),
        }
        self.composer.compose(colors, matte, backdrop, target);
        Ok(())
    }
}

/// What a matte is made of.
enum MatteOf<'a> {
    Mask(&'a [f32], &'a MatteSettings),
    Opacity(f32),
}

impl Matter {
    /// For frames of layout `from` that become `output` in layout `to`.
    ///
    /// # Errors
    /// [`Error::Conversion`] for formats that do not go together.
    pub fn new(
        network: Box<dyn Network>,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<Self, Error> {
        let stages = Stages::new(&*network, from, to, output)?;
        let mask = vec![0.0; network.mask_size().area()];
        Ok(Self { network, stages, mask })
    }

    /// Goes on with other layouts or another output.
    ///
    /// # Errors
    /// As [`new`](Self::new); the old layouts stay then.
    pub fn configure(
        &mut self,
        from: FrameLayout,
        to: FrameLayout,
        output: Output,
    ) -> Result<(), Error> {
        self.stages = Stages::new(&*self.network, from, to, output)?;
        Ok(())
    }

    /// Whether [`compose`](Self::compose) may work in the frame itself.
    pub fn works_in_place(&self) -> bool {
        self.stages.composer.works_in_place()
    }

    /// Brings a frame into the network's input.
    pub fn prepare(&mut self, frame: &FrameView<'_>) {
        self.stages.preparer.prepare(frame, self.network.input());
    }

    /// Runs the network on what was prepared.
    ///
    /// # Errors
    /// [`Error::Inference`] and [`Error::NotAMatte`]; the last mask stays then.
    pub fn infer(&mut self) -> Result<(), Error> {
        self.mask.copy_from_slice(self.network.run()?);
        Ok(())
    }

    /// Writes the output for the last mask.
    ///
    /// # Errors
    /// None but those of a picture that cannot be scaled.
    pub fn compose(
        &mut self,
        colors: Colors<'_>,
        look: &Look,
        target: &mut FrameViewMut<'_>,
    ) -> Result<(), Error> {
        let matte = MatteOf::Mask(&self.mask, &look.matte);
        self.stages.write(colors, &look.background, matte, target)
    }

    /// Writes the last mask's matte alone, 8 bits a pixel, into a plane `stride` bytes a row: for
    /// an output that shares its colour planes with the frame.
    pub fn alpha_plane(&mut self, look: &Look, plane: &mut [u8], stride: usize) {
        let mut matte = self.stages.finisher.matte(&self.mask, &look.matte);
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
        if opacity == 0.0 && self.stages.composer.output() == Output::Cutout {
            // Straight alpha keeps the colours under it, which here are the room's.
            self.stages.composer.clear(target);
            return Ok(());
        }
        self.stages.write(colors, background, MatteOf::Opacity(opacity), target)
    }

    /// The last mask, at the network's size, row by row, values as the network gave them.
    pub fn mask(&self) -> ndarray::ArrayView2<'_, f32> {
        let Size { width, height } = self.network.mask_size();
        // The shape is that of the buffer, which was made for this size.
        ndarray::ArrayView2::from_shape((height, width), &self.mask)
            .unwrap_or_else(|_| ndarray::ArrayView2::from(&[[0.0f32; 0]; 0]))
    }
}
