//! How long a model's file may be.

use gstdavidmatte::matting::prelude::KnownModel;
use indicatif::DecimalBytes;

use crate::error::Error;

/// What one file of ONNX's format (protobuf) can hold.
const MOST: u64 = 1 << 31;

/// The lengths that are taken for a model's.
#[derive(Debug)]
pub struct Lengths {
    least: u64,
    most: u64,
    /// The same in words.
    words: String,
}

impl Lengths {
    /// Any that a network may have.
    pub fn of_any() -> Self {
        let words = format!("a network in one file has up to {}", DecimalBytes(MOST));
        Self { least: 0, most: MOST, words }
    }

    /// A model's, where its size is known.
    pub fn of(model: &KnownModel) -> Self {
        let size = model.size.as_deref().unwrap_or_default();
        let Some((least, most)) = bounds(size) else { return Self::of_any() };
        Self { least, most, words: format!("{} has {size}", model.name) }
    }

    /// Fails for a length that is none of them.
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn check(&self, url: &str, length: u64) -> Result<(), Error> {
        match (self.least..=self.most).contains(&length) {
            true => Ok(()),
            false => Err(self.error(url, DecimalBytes(length).to_string())),
        }
    }

    /// Fails for what has been read so far, if it is too long already.
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn check_begun(&self, url: &str, length: u64) -> Result<(), Error> {
        match length <= self.most {
            true => Ok(()),
            false => Err(self.error(url, format!("more than {}", DecimalBytes(self.most)))),
        }
    }

    fn error(&self, url: &str, found: String) -> Error {
        Error::Size { url: url.to_owned(), found, expected: self.words.clone() }
    }
}

/// Bytes from and to, of a size such as `428.42 MB`. It is rounded, is perhaps that of the weights
/// alone, and a mega is 10^6 to some and 2^20 to others.
fn bounds(size: &str) -> Option<(u64, u64)> {
    let (number, unit) = size.trim().split_once(' ')?;
    let power = ["kB", "MB", "GB"].iter().position(|known| known.eq_ignore_ascii_case(unit))?;
    let (number, power) = (number.parse::<f64>().ok()?, i32::try_from(power).ok()? + 1);
    let (least, most) = (number * 1000_f64.powi(power), number * 1024_f64.powi(power));
    // Both are positive, and a float becomes the nearest whole number there is.
    Some(((0.95 * least) as u64, (1.05 * most) as u64))
}
