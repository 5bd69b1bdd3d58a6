//! The matte of a picture by a network, as the element makes it.

use std::sync::Arc;

use gstdavidmatte::matting::prelude::*;
use gstdavidmatte::matting::stream::{
    Frame, FrameSettings, Notice, Pacing, Stream, StreamOptions, SystemClock, Worker,
};
use image::RgbImage;

use crate::error::Error;
use crate::metrics::Matte;

/// A network, and what brings pictures of one size to it and back.
pub struct Predictor {
    stream: Stream<Photograph>,
    device: String,
    fitted: Option<Fitted>,
    look: Look,
    settings: FrameSettings,
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
    compositor: Compositor,
    alpha: OwnedFrame,
}

/// A picture in a stream of its own.
struct Photograph(OwnedFrame);

impl Frame for Photograph {
    fn view<R>(
        &self,
        read: impl FnOnce(&FrameView<'_>) -> R,
    ) -> Result<R, gstdavidmatte::matting::error::Error> {
        Ok(read(&self.0.view()))
    }
}

impl Predictor {
    /// Loads a model.
    ///
    /// # Errors
    /// Those of [`ModelSource::find`] and [`Session::load`].
    pub fn load(model: &str, options: &SessionOptions, region: LookAt) -> Result<Self, Error> {
        let session = Session::load(&ModelSource::find(model)?, options)?;
        let device = session.active_device().to_owned();
        let look = Look {
            matte: MatteSettings::default(),
            background: Background::Checkerboard,
            decontaminate: false,
        };
        let clock = Arc::new(SystemClock::default());
        let worker = Worker::new(Box::new(session), clock.clone())?;
        let settings = FrameSettings {
            follows: region == LookAt::Auto,
            temporal: 0.0,
            ..FrameSettings::default()
        };
        let stream = Stream::new(Box::new(worker), clock);
        Ok(Self { stream, device, fitted: None, look, settings })
    }

    /// Where inference runs.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The matte, in steps of 1/65535.
    ///
    /// # Errors
    /// Those of inference.
    pub fn matte(&mut self, picture: &RgbImage) -> Result<Matte, Error> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let from = FrameLayout::new(PixelFormat::Rgb, width, height);
        let fitted = self.fit(from)?;
        self.stream.accept(photograph(picture, from), self.settings, false)?;
        let Some(finished) = self.stream.finish()? else { return Err(Error::NoMatte) };
        if let Some(failure) = finished.failure {
            return Err(failure.into());
        }
        while let Some(notice) = self.stream.notice() {
            if let Notice::Failed(error) = notice {
                return Err(error.into());
            }
        }
        let Some((mask, masks)) = self.stream.shown() else { return Err(Error::NoMatte) };
        let Fitted { compositor, alpha, .. } = self.fitted.insert(fitted);
        compositor.take_masks(masks);
        let frame = finished.frame.0.view();
        compositor.compose(Colors::Frame(&frame), mask, &self.look, &mut alpha.view_mut())?;
        let row = |y| {
            let codes = alpha.row(0, y).chunks_exact(2);
            codes.map(|code| f32::from(u16::from_le_bytes([code[0], code[1]])) / 65535.0)
        };
        Ok(Matte { width, height, values: (0..height).flat_map(row).collect() })
    }

    /// Makes ready for a picture that has nothing to do with those before it.
    fn fit(&mut self, from: FrameLayout) -> Result<Fitted, Error> {
        if let Some(fitted) = self.fitted.take().filter(|fitted| fitted.from == from) {
            self.stream.flush();
            return Ok(fitted);
        }
        let pacing = Pacing::Exact { in_flight: 1 };
        self.stream.fit(&StreamOptions { layout: from, frame: None, pacing, refines: false });
        let to = FrameLayout { format: PixelFormat::Gray16Le, ..from };
        let compositor = Compositor::new(self.stream.masks(), from, to, Output::Alpha)?;
        Ok(Fitted { from, compositor, alpha: OwnedFrame::new(to) })
    }
}

fn photograph(picture: &RgbImage, layout: FrameLayout) -> Photograph {
    let mut frame = OwnedFrame::new(layout);
    for (y, row) in picture.as_raw().chunks_exact(3 * layout.width).enumerate() {
        frame.view_mut().row_mut(0, y)[..row.len()].copy_from_slice(row);
    }
    Photograph(frame)
}
