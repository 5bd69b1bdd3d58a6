//! Whether a file is as long as it says, by the sizes that containers begin with. Demuxers end early
//! without a word.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::Error;

/// Fails for a file that goes on where it ends, where its container tells.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Read`].
pub fn check(path: &Path) -> Result<(), Error> {
    let fail = |reason| Error::Read { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    match announced(&mut file, length).map_err(fail)? {
        Some(announced) if announced > length => {
            let reason = format!("it has {length} bytes of at least {announced}");
            Err(Error::Truncated { path: path.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// The length that a file announces, where that is known; no more than what is needed is read.
fn announced(file: &mut File, length: u64) -> io::Result<Option<u64>> {
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start)?;
    Ok(match start.get(..12) {
        Some([0x1a, 0x45, 0xdf, 0xa3, ..]) => matroska(&start),
        Some([b'R', b'I', b'F', b'F', size @ ..]) => riff(size),
        Some([_, _, _, _, b'f', b't', b'y', b'p', ..]) => boxes(file, length)?,
        _ => None,
    })
}

/// The end of Matroska's segment, unless it was written without knowing that.
fn matroska(start: &[u8]) -> Option<u64> {
    let (size, sized) = variable(start.get(4..)?)?;
    let segment = 4 + sized + usize::try_from(size?).ok()?;
    let rest = start.get(segment..)?.strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
    let (size, sized) = variable(rest)?;
    (segment as u64 + 4 + sized as u64).checked_add(size?)
}

/// An EBML number, unless all its bits are set, and the bytes that it takes.
fn variable(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let mut value = u64::from(first) & (0xff >> length.min(8));
    for byte in bytes.get(1..length).filter(|_| length <= 8)? {
        value = value << 8 | u64::from(*byte);
    }
    let is_known = value != (1 << (7 * length)) - 1;
    Some((is_known.then_some(value), length))
}

/// The end of a RIFF file, unless it was written without knowing that.
fn riff(size: &[u8]) -> Option<u64> {
    let size = u32::from_le_bytes(size.get(..4)?.try_into().ok()?);
    (size != 0 && size != u32::MAX).then_some(8 + u64::from(size))
}

/// The end of the last box of an MP4 or QuickTime file.
fn boxes(file: &mut File, length: u64) -> io::Result<Option<u64>> {
    let mut at = 0_u64;
    // A header that is cut off belongs to no box that could be checked.
    while at.saturating_add(8) <= length {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        let read = file.take(16).read(&mut head)?;
        let [a, b, c, d, ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // Up to the end of the file, whatever that is.
            0 => return Ok(None),
            1 if read == 16 => {
                let [.., a, b, c, d, e, f, g, h] = head;
                u64::from_be_bytes([a, b, c, d, e, f, g, h])
            }
            size => size.into(),
        };
        // Smaller than its own header: this is no box.
        if size < 8 {
            return Ok(None);
        }
        at = at.saturating_add(size);
    }
    Ok(Some(at))
}
