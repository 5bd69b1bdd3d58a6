//! The matte of a picture by a network, as the element makes it.

use gstdavidmatte::matting::prelude::*;
use image::RgbImage;

use crate::error::Error;
use crate::metrics::Matte;

/// A network, and what brings pictures of one size to it and back.
pub struct Predictor {
    session: Session,
    mask: Vec<f32>,
    matter: Option<(FrameLayout, Matter)>,
    look: Look,
}

impl Predictor {
    /// Loads a model.
    ///
    /// # Errors
    /// Those of [`ModelSource::find`] and [`Session::load`].
    pub fn load(model: &str, options: &SessionOptions) -> Result<Self, Error> {
        let session = Session::load(&ModelSource::find(model)?, options)?;
        let look = Look {
            matte: MatteSettings::default(),
            background: Background::Checkerboard,
            decontaminate: false,
        };
        let mask = vec![0.0; session.shape().mask.area()];
        Ok(Self { session, mask, matter: None, look })
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
        let (_, matter) = match self.matter.take() {
            Some(made) if made.0 == from => self.matter.insert(made),
            _ => {
                let matter = Matter::new(&self.session.shape(), from, to, Output::Alpha)?;
                self.matter.insert((from, matter))
            }
        };
        let plane = Plane { data: picture.as_raw(), stride: 3 * width };
        let frame =
            FrameView::new(from, [plane, Plane::default(), Plane::default(), Plane::default()])?;
        matter.prepare(&frame, self.session.input());
        self.session.run(&mut self.mask)?;
        let mut alpha = OwnedFrame::new(to);
        matter.compose(Colors::Frame(&frame), &self.mask, &self.look, &mut alpha.view_mut())?;
        let row = |y| {
            let codes = alpha.row(0, y).chunks_exact(2);
            codes.map(|code| f32::from(u16::from_le_bytes([code[0], code[1]])) / 65535.0)
        };
        Ok(Matte { width, height, values: (0..height).flat_map(row).collect() })
    }
}
