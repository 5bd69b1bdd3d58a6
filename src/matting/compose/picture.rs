//! Pictures to put behind people.

use std::path::Path;

use crate::matting::error::{Error, one_line};
use crate::matting::frame::pixel_format::{MAX_PLANES, PixelFormat};
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView, Plane};
use crate::matting::input::reduce::Reducer;
use crate::matting::kernels::resample::AxisOperator;

/// The most pixels that a background picture may have; a larger one is a mistake or an attack.
const MAX_PICTURE_PIXELS: u64 = 1 << 28;

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
    pub(super) fn covering(&self, size: Size) -> Result<Vec<[f32; 3]>, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_missing_picture_is_told_from_a_broken_one() {
        let missing = Picture::open(Path::new("/nowhere.png"));
        assert!(matches!(missing, Err(Error::Background { missing: true, .. })));
        let broken = Picture::open(Path::new("Cargo.toml"));
        assert!(matches!(broken, Err(Error::Background { missing: false, .. })));
    }
}
