// SPDX-License-Identifier: MIT

//! Pictures to put behind people.

use std::path::Path;

use image::ImageDecoder;

use crate::matting::error::{Error, one_line};
use crate::matting::frame::aspect::PixelAspect;
use crate::matting::frame::conversion::codes_to_rgb;
use crate::matting::frame::pixel_format::{MAX_PLANES, PixelFormat};
use crate::matting::frame::sample::Sample;
use crate::matting::frame::size::Size;
use crate::matting::frame::view::{FrameLayout, FrameView, Plane};
use crate::matting::input::reduce::Reducer;
use crate::matting::kernels::resample::AxisOperator;

/// The most pixels that a background picture may have; a larger one is a mistake or an attack.
const MAX_PIXELS: u64 = 1 << 28;
/// So many times as long as the frame it may be when it is scaled, before it is cut to its middle first.
const LONGEST: usize = 8;
/// The longest side that it may have.
const MAX_SIDE: u32 = 1 << 16;
/// The most memory that decoding it may take.
const MAX_BYTES: u64 = 1 << 31;

/// A picture in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    size: Size,
    pixels: Pixels,
}

/// As deep as the file is.
#[derive(Debug, PartialEq, Eq)]
enum Pixels {
    /// RGB of 8 bits.
    Rgb(Vec<u8>),
    /// RGBA of 16 bits, opaque.
    Rgba64(Vec<u16>),
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
        let mut reader =
            image::ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(undecodable)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(fail(false, format!("it has {width}x{height} pixels")));
        }
        // Cameras store a picture as it was taken, and how it was held.
        let orientation = decoder.orientation().map_err(undecodable)?;
        let mut picture = image::DynamicImage::from_decoder(decoder).map_err(undecodable)?;
        picture.apply_orientation(orientation);
        let size = Size { width: picture.width() as usize, height: picture.height() as usize };
        if size.area() == 0 {
            return Err(fail(false, "it has no pixels".into()));
        }
        let color = picture.color();
        let pixels = if color.bytes_per_pixel() > color.channel_count() {
            let mut rgba = picture.into_rgba16().into_raw();
            rgba.as_chunks_mut().0.iter_mut().for_each(lay_over_black);
            Pixels::Rgba64(rgba)
        } else if color.has_alpha() {
            let mut rgba = picture.into_rgba8().into_raw();
            let pixels = rgba.as_chunks_mut().0;
            pixels.iter_mut().for_each(lay_over_black);
            Pixels::Rgb(pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect())
        } else {
            Pixels::Rgb(picture.into_rgb8().into_raw())
        };
        Ok(Self { size, pixels })
    }

    fn view(&self) -> Result<FrameView<'_>, Error> {
        let (format, data) = match &self.pixels {
            Pixels::Rgb(bytes) => (PixelFormat::Rgb, bytes.as_slice()),
            Pixels::Rgba64(words) => (PixelFormat::Rgba64Le, bytemuck::cast_slice(words)),
        };
        let layout = FrameLayout::new(format, self.size.width, self.size.height);
        let mut planes = [Plane::default(); MAX_PLANES];
        planes[0] = Plane { data, stride: format.row_bytes(0, self.size.width) };
        FrameView::new(layout, planes)
    }

    /// The picture at `size`, in pixels of a shape, what sticks out cut off evenly: R'G'B' from 0 to 255, row by
    /// row, with as many fractional bits as it takes.
    pub(super) fn covering(&self, size: Size, aspect: PixelAspect) -> Result<Vec<[f32; 3]>, Error> {
        // How long a pixel of each axis is shown.
        let pixel = [aspect.ratio(), 1.0];
        let scale = (size.width as f64 * pixel[0] / self.size.width as f64)
            .max(size.height as f64 / self.size.height as f64);
        let axis = |picture: usize, frame: usize, pixel: f64| {
            let scaled = ((picture as f64 * scale / pixel).round() as usize).max(frame);
            if scaled <= LONGEST * frame {
                let start = (scaled - frame) / 2;
                return AxisOperator::area(picture, scaled)
                    .then(&AxisOperator::crop(scaled, start, frame));
            }
            // Nearly all sticks out, and is never made: a thin picture would be as long as memory is.
            let shown = (frame as f64 * pixel / scale).ceil().clamp(1.0, picture as f64) as usize;
            let start = (picture - shown) / 2;
            AxisOperator::crop(picture, start, shown).then(&AxisOperator::area(shown, frame))
        };
        let view = self.view()?;
        let mut reducer = Reducer::new(
            view.layout(),
            &axis(self.size.width, size.width, pixel[0]),
            &axis(self.size.height, size.height, pixel[1]),
        );
        let to_rgb = codes_to_rgb(view.layout());
        let mut pixels = Vec::with_capacity(size.area());
        let mut reduced = reducer.reduce(&view);
        for y in 0..size.height {
            let [r, g, b] = reduced.row(y);
            pixels.extend((0..size.width).map(|x| to_rgb.apply([r[x], g[x], b[x]])));
        }
        Ok(pixels)
    }
}

/// Behind a pixel that can be seen through lies nothing, which is black.
fn lay_over_black<S: Sample>(pixel: &mut [S; 4]) {
    let [r, g, b, alpha] = *pixel;
    let [r, g, b] = [r, g, b].map(|code| code.times(alpha));
    *pixel = [r, g, b, S::ALL];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_covers_the_frame_from_its_middle() {
        // Left third red, middle third green, right third blue.
        let rgb = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].concat();
        let picture = Picture { size: Size { width: 3, height: 1 }, pixels: Pixels::Rgb(rgb) };
        let pixels = picture.covering(Size { width: 20, height: 20 }, PixelAspect::SQUARE).unwrap();
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

    #[test]
    fn a_picture_keeps_its_shape_in_pixels_that_are_not_square() {
        // Twice as wide as high, with green in the middle.
        let row = [[255, 0, 0], [0, 255, 0], [0, 255, 0], [0, 0, 255]].concat();
        let pixels = Pixels::Rgb(row.repeat(2));
        let picture = Picture { size: Size { width: 4, height: 2 }, pixels };
        let size = Size { width: 20, height: 20 };
        // In a frame of that shape all of it is in sight, in a square one the middle alone.
        let pixels = picture.covering(size, PixelAspect::new(2, 1)).unwrap();
        assert!(pixels[0][0] > 250.0 && pixels[19][2] > 250.0);
        let square = picture.covering(size, PixelAspect::SQUARE).unwrap();
        assert!(square[1][1] > 130.0 && square[18][1] > 130.0, "{:?}", square[1]);
    }

    #[test]
    fn a_picture_of_16_bits_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.png");
        let pixels = vec![300u16, 20_000, 65_535, 300, 20_000, 65_535];
        let image: image::ImageBuffer<image::Rgb<u16>, _> =
            image::ImageBuffer::from_raw(2, 1, pixels).unwrap();
        image.save(&path).unwrap();
        let size = Size { width: 4, height: 2 };
        let covering = Picture::open(&path).unwrap().covering(size, PixelAspect::SQUARE).unwrap();
        for (got, want) in covering[5].into_iter().zip([300.0, 20_000.0, 65_535.0]) {
            assert!((got - want / 257.0).abs() < 0.001, "{got}");
        }
    }

    #[test]
    fn a_thin_picture_takes_no_more_memory_than_the_frame() {
        for (width, height) in [(1, 50_000), (50_000, 1)] {
            let rgb = vec![90; 3 * width * height];
            let picture = Picture { size: Size { width, height }, pixels: Pixels::Rgb(rgb) };
            let pixels =
                picture.covering(Size { width: 64, height: 36 }, PixelAspect::SQUARE).unwrap();
            assert_eq!(pixels.len(), 64 * 36);
            assert!(pixels.iter().flatten().all(|&code| (code - 90.0).abs() < 0.5));
        }
    }

    #[test]
    fn what_can_be_seen_through_is_black_and_what_lies_on_its_side_stands_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clear.png");
        let pixels = [[200, 100, 50, 0], [200, 100, 50, 255]].concat();
        image::RgbaImage::from_raw(2, 1, pixels).unwrap().save(&path).unwrap();
        let seen = Pixels::Rgb(vec![0, 0, 0, 200, 100, 50]);
        assert_eq!(Picture::open(&path).unwrap().pixels, seen);

        // A JPEG with nothing in its EXIF but that it is to be turned by a quarter, clockwise.
        let path = folder.path().join("turned.jpg");
        image::RgbImage::from_pixel(32, 16, image::Rgb([9, 9, 9])).save(&path).unwrap();
        let jpeg = std::fs::read(&path).unwrap();
        let tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let exif = [b"Exif\0\0", &tiff[..]].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        let turned = [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat();
        std::fs::write(&path, turned).unwrap();
        assert_eq!(Picture::open(&path).unwrap().size, Size { width: 16, height: 32 });
    }

    #[test]
    fn a_picture_that_says_it_is_enormous_is_not_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.png");
        image::GrayImage::new(1, 1).save(&path).unwrap();
        let mut png = std::fs::read(&path).unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0x9c, 0x40, 0, 0, 0x9c, 0x40]);
        // The header's checksum.
        let crc = png[12..29].iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        std::fs::write(&path, png).unwrap();
        let message = Picture::open(&path).unwrap_err().to_string();
        assert!(message.contains("40000x40000"), "{message}");
    }
}
