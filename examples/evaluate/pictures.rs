//! Reading pictures, mattes and trimaps, and composing cut-outs.

use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage, imageops};

use crate::datasets::FrameFiles;
use crate::error::Error;
use crate::metrics::Matte;
use gstdavidmatte::matting::error::one_line;

/// A frame and what is known of it.
pub struct Frame {
    /// What the network is given, in the size of the truth.
    pub picture: RgbImage,
    /// Its matte.
    pub truth: Matte,
    /// 0 for background, 255 for foreground, otherwise unknown.
    pub trimap: Option<GrayImage>,
}

impl Frame {
    /// Reads a frame's files.
    ///
    /// A picture whose matte has the same shape in another size is scaled to it.
    ///
    /// # Errors
    /// Files that cannot be read, and shapes that do not fit.
    pub fn read(files: &FrameFiles) -> Result<Self, Error> {
        match files {
            FrameFiles::Pair { picture, matte, trimap } => {
                Self::read_pair(picture, matte, trimap.as_deref())
            }
            FrameFiles::CutOut { person, background } => Self::compose(person, background),
        }
    }

    fn read_pair(picture: &Path, matte: &Path, trimap: Option<&Path>) -> Result<Self, Error> {
        let truth = read(matte)?.upright();
        let size = (truth.width(), truth.height());
        let decoded = read(picture)?;
        let stored = (decoded.image.width(), decoded.image.height());
        let upright = decoded.fitting(size);
        if !same_shape((upright.width(), upright.height()), size) {
            return Err(Error::Shape {
                picture: picture.to_owned(),
                size: stored,
                other: matte.to_owned(),
                other_size: size,
            });
        }
        let trimap = trimap.map(|path| read_trimap(path, picture, size)).transpose()?;
        Ok(Self { picture: scaled(upright, size).into_rgb8(), truth: matte_of(truth), trimap })
    }

    fn compose(person: &Path, background: &Path) -> Result<Self, Error> {
        let cut_out = read(person)?.upright();
        if !cut_out.color().has_alpha() {
            return Err(Error::NoAlpha { path: person.to_owned() });
        }
        let (width, height) = (cut_out.width(), cut_out.height());
        let mut picture = read(background)?
            .upright()
            .resize_to_fill(width, height, imageops::FilterType::CatmullRom)
            .into_rgb8();
        let truth = matte_of(cut_out.clone());
        let colors = cut_out.into_rgb8();
        for ((below, above), alpha) in picture.pixels_mut().zip(colors.pixels()).zip(&truth.values)
        {
            for (below, above) in below.0.iter_mut().zip(above.0) {
                let mixed = alpha * f32::from(above) + (1.0 - alpha) * f32::from(*below);
                *below = mixed.round() as u8;
            }
        }
        Ok(Self { picture, truth, trimap: None })
    }
}

/// A picture as it is stored, and how it is to be turned.
struct Decoded {
    image: DynamicImage,
    orientation: Orientation,
}

impl Decoded {
    /// Turned as its Exif data say.
    fn upright(mut self) -> DynamicImage {
        self.image.apply_orientation(self.orientation);
        self.image
    }

    /// Turned as its Exif data say, unless only the picture as it is stored has the shape of `size`:
    /// some mattes were made by programs that know nothing of Exif.
    fn fitting(self, size: (u32, u32)) -> DynamicImage {
        let stored = (self.image.width(), self.image.height());
        let mut turned = self.image.clone();
        turned.apply_orientation(self.orientation);
        let fits = same_shape((turned.width(), turned.height()), size);
        if !fits && same_shape(stored, size) { self.image } else { turned }
    }
}

fn read(path: &Path) -> Result<Decoded, Error> {
    let fail = |reason: String| Error::Picture { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    if bytes.is_empty() {
        return Err(fail("it is empty".into()));
    }
    if is_cut_off_jpeg(&bytes) {
        // The decoder would fill up with gray what is missing.
        return Err(fail("its end is missing".into()));
    }
    let decode = || -> image::ImageResult<Decoded> {
        let reader = ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format()?;
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Decoded { image: DynamicImage::from_decoder(decoder)?, orientation })
    };
    decode().map_err(|error| fail(one_line(&error)))
}

/// Whether a JPEG has no end-of-image marker after its last start-of-scan.
fn is_cut_off_jpeg(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    bytes.starts_with(&[0xff, 0xd8]) && last([0xff, 0xd9]) < last([0xff, 0xda])
}

fn read_trimap(path: &Path, picture: &Path, size: (u32, u32)) -> Result<GrayImage, Error> {
    let trimap = read(path)?.upright().into_luma8();
    if trimap.dimensions() != size {
        return Err(Error::Shape {
            picture: picture.to_owned(),
            size,
            other: path.to_owned(),
            other_size: trimap.dimensions(),
        });
    }
    Ok(trimap)
}

/// Whether one size is the other scaled, to the nearest pixel.
fn same_shape(a: (u32, u32), b: (u32, u32)) -> bool {
    let other_side =
        |known: u32, from: u32, to: u32| f64::from(known) * f64::from(to) / f64::from(from);
    let near = |a: f64, b: u32| (a - f64::from(b)).abs() <= 1.0;
    // Judged at the smaller of the two, whose rounding weighs more.
    let (large, small) = if a.0 >= b.0 { (a, b) } else { (b, a) };
    near(other_side(large.1, large.0, small.0), small.1)
}

fn scaled(picture: DynamicImage, (width, height): (u32, u32)) -> DynamicImage {
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    picture.resize_exact(width, height, imageops::FilterType::Triangle)
}

/// The alpha channel where one is used, otherwise the first of the channels, as P3M reads it.
fn matte_of(picture: DynamicImage) -> Matte {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let deep = !matches!(
        picture.color(),
        image::ColorType::L8
            | image::ColorType::La8
            | image::ColorType::Rgb8
            | image::ColorType::Rgba8
    );
    // 8 bits are not widened: their levels are to be exactly n / 255.
    let values = if deep {
        channel(picture.color().has_alpha(), picture.into_rgba16().as_raw(), u16::MAX, 65535.0)
    } else {
        channel(picture.color().has_alpha(), picture.into_rgba8().as_raw(), u8::MAX, 255.0)
    };
    Matte { width, height, values }
}

fn channel<T: Copy + PartialEq + Into<f32>>(
    has_alpha: bool,
    rgba: &[T],
    opaque: T,
    white: f32,
) -> Vec<f32> {
    let alpha_used = has_alpha && rgba.iter().skip(3).step_by(4).any(|&alpha| alpha != opaque);
    let first = if alpha_used { 3 } else { 0 };
    rgba.iter().skip(first).step_by(4).map(|&value| value.into() / white).collect()
}
