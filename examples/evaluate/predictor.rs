//! The matte of a picture by a network, as the element makes it.

use gstdavidmatte::matting::prelude::*;
use image::RgbImage;

use crate::error::Error;
use crate::metrics::Matte;

/// A network, and what brings pictures of one size to it and back.
pub struct Predictor {
    session: Session,
    mask: Vec<f32>,
    fitted: Option<Fitted>,
    look: Look,
    region: LookAt,
}

/// What the network looks at.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LookAt {
    /// The whole picture, as published figures are made
    Frame,
    /// The part that holds everybody, as the element does by default
    Auto,
}

/// What depends on the pictures' size.
struct Fitted {
    from: FrameLayout,
    matter: Matter,
    canvas: Canvas,
    drawn: Vec<f32>,
}

impl Fitted {
    fn new(shape: &NetworkShape, from: FrameLayout, to: FrameLayout) -> Result<Self, Error> {
        let frame = Size { width: from.width, height: from.height };
        let canvas = Canvas::new(frame, shape.input, shape.mask, shape.description.fit);
        let drawn = vec![0.0; canvas.size().area()];
        let matter = Matter::new(shape, from, to, Output::Alpha)?;
        Ok(Self { from, matter, canvas, drawn })
    }
}

impl Predictor {
    /// Loads a model.
    ///
    /// # Errors
    /// Those of [`ModelSource::find`] and [`Session::load`].
    pub fn load(model: &str, options: &SessionOptions, region: LookAt) -> Result<Self, Error> {
        let session = Session::load(&ModelSource::find(model)?, options)?;
        let look = Look {
            matte: MatteSettings::default(),
            background: Background::Checkerboard,
            decontaminate: false,
        };
        let mask = vec![0.0; session.shape().mask.area()];
        Ok(Self { session, mask, fitted: None, look, region })
    }

    /// Where inference runs.
    pub fn device(&self) -> &str {
        self.session.active_device()
    }

    /// The matte, in steps of 1/65535.
    ///
    /// # Errors
    /// Those of inference.
    pub fn matte(&mut self, picture: &RgbImage) -> Result<Matte, Error> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let color = Colorimetry::default();
        let from = FrameLayout { format: PixelFormat::Rgb, width, height, color };
        let to = FrameLayout { format: PixelFormat::Gray16Le, ..from };
        let mut fitted = match self.fitted.take() {
            Some(fitted) if fitted.from == from => fitted,
            _ => Fitted::new(&self.session.shape(), from, to)?,
        };
        let plane = Plane { data: picture.as_raw(), stride: 3 * width };
        let frame =
            FrameView::new(from, [plane, Plane::default(), Plane::default(), Plane::default()])?;
        fitted.matter.prepare(&frame, self.session.input());
        self.session.run(&mut self.mask)?;
        if self.region == LookAt::Auto {
            self.look_closer(&mut fitted, &frame)?;
        }
        let mask = if self.region == LookAt::Auto { &fitted.drawn } else { &self.mask };
        let mut alpha = OwnedFrame::new(to);
        let colors = Colors::Frame(&frame);
        fitted.matter.compose(colors, mask, &self.look, &mut alpha.view_mut())?;
        self.fitted = Some(fitted);
        let row = |y| {
            let codes = alpha.row(0, y).chunks_exact(2);
            codes.map(|code| f32::from(u16::from_le_bytes([code[0], code[1]])) / 65535.0)
        };
        Ok(Matte { width, height, values: (0..height).flat_map(row).collect() })
    }

    /// Draws the matte of everybody's part of the frame, after a look at the whole: what the element
    /// does with a picture alone.
    fn look_closer(&mut self, fitted: &mut Fitted, frame: &FrameView<'_>) -> Result<(), Error> {
        let NetworkShape { description, input, mask: mask_size } = self.session.shape();
        let Fitted { from, matter, canvas, drawn } = fitted;
        let size = Size { width: from.width, height: from.height };
        let whole = Region::whole(size);
        let mut follower =
            Follower::new(size, input, mask_size, description.fit, canvas.least_side());
        follower.follow(&self.mask, whole);
        canvas.draw(&self.mask, whole, drawn);
        matter.take_masks(canvas.size(), canvas.size(), Fit::Stretch);
        let Some(region) = follower.region() else { return Ok(()) };
        matter.prepare_region(frame, region, self.session.input());
        self.session.run(&mut self.mask)?;
        // Otherwise what the whole frame gave is better than half of somebody.
        if !follower.follow(&self.mask, region) {
            canvas.draw(&self.mask, region, drawn);
        }
        Ok(())
    }
}
