//! What MP4 and QuickTime files tell of their tracks, as far as GStreamer does not pass it on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// No table of frames is longer; what says so is no film.
const MOST: u64 = 256 << 20;

/// A track with pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Video {
    /// How frames are turned and mirrored: x and y of the next pixel to the right, and of the next
    /// one below.
    pub matrix: [i32; 4],
    /// How long it lasts, and the whole file, in the same unit.
    pub lasts: u64,
    pub whole: u64,
}

impl Video {
    /// Whether qtdemux takes it for a preview, and leaves it out without a word.
    pub fn is_left_out(&self) -> bool {
        u128::from(self.lasts) * 10 < u128::from(self.whole) * 2
    }
}

/// A track of timecode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timecode {
    /// The first frame's number.
    pub first: u32,
    /// Ticks a second, and of a frame.
    pub scale: u32,
    pub lasts: u32,
    /// Whether numbers are left out, so that it keeps up with the clock.
    pub drops: bool,
}

/// The timecode of a file that is of this kind and has such a track.
pub fn timecode(path: &Path) -> Option<Timecode> {
    let film = film(path).ok()??.content;
    let samples = |track| find(find(find(track, *b"mdia")?, *b"minf")?, *b"stbl");
    let samples = tracks(&film, b"tmcd").find_map(samples)?;
    // After version, flags and count: an entry with its size, name, six bytes and an index before its own.
    let entry = find(samples, *b"stsd")?.get(8..)?;
    let [flags, scale, lasts] = [20, 24, 28].map(|at| number(entry, at));
    let at = match (find(samples, *b"stco"), find(samples, *b"co64")) {
        (Some(table), _) => number(table, 8)?.into(),
        (None, Some(table)) => u64::from_be_bytes(table.get(8..16)?.try_into().ok()?),
        (None, None) => return None,
    };
    let mut first = [0; 4];
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut first).ok()?;
    let (scale, lasts) = (scale?, lasts?);
    (scale > 0 && lasts > 0).then_some(Timecode {
        first: u32::from_be_bytes(first),
        scale,
        lasts,
        drops: flags? & 1 == 1,
    })
}

/// The first track with pictures of a file that is of this kind. What is damaged has none, which the
/// demuxer tells better.
pub fn video(path: &Path) -> Option<Video> {
    let film = film(path).ok()??.content;
    let whole = duration(find(&film, *b"mvhd")?, 4)?;
    let header = tracks(&film, b"vide").find_map(|track| find(track, *b"tkhd"))?;
    // Times are of 4 bytes or of 8.
    let at = if header.first() == Some(&1) { 52 } else { 40 };
    let number = |at| Some(number(header, at)?.cast_signed());
    let matrix = [number(at)?, number(at + 4)?, number(at + 12)?, number(at + 16)?];
    Some(Video { matrix, lasts: duration(header, 8)?, whole })
}

/// The tracks of a kind.
fn tracks<'a>(film: &'a [u8], kind: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    let tracks = boxes(film).filter(|(name, _)| name == b"trak").map(|(_, track)| track);
    tracks.filter(move |track| kind_of(track) == Some(kind))
}

/// What a track holds: `vide`, `soun` and others.
pub fn kind_of(track: &[u8]) -> Option<&[u8]> {
    find(find(track, *b"mdia")?, *b"hdlr")?.get(8..12)
}

/// The number at a place.
pub fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The box that tells of all tracks.
#[derive(Debug)]
pub struct Film {
    /// Where it begins in its file, in bytes, and how long it is with its head.
    pub at: u64,
    pub size: u64,
    /// What it holds, which is other boxes.
    pub content: Vec<u8>,
}

/// Finds the box that tells of all tracks; what is not of this kind has none.
///
/// # Errors
/// The file's own.
pub fn film(path: &Path) -> io::Result<Option<Film>> {
    const FIRST: [&[u8; 4]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];
    let mut file = File::open(path)?;
    let mut at = 0;
    loop {
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        Read::by_ref(&mut file).take(16).read_to_end(&mut head)?;
        let Some((name, start, size)) = head_of(&head) else { return Ok(None) };
        if at == 0 && !FIRST.contains(&&name) {
            return Ok(None);
        }
        let Some(size) = size else { return Ok(None) };
        if name == *b"moov" {
            let mut content = Vec::new();
            file.seek(SeekFrom::Start(at + start as u64))?;
            file.take((size - start as u64).min(MOST)).read_to_end(&mut content)?;
            return Ok(Some(Film { at, size, content }));
        }
        at = at.saturating_add(size);
    }
}

/// A box's name, where its content begins, and its size, unless it goes on to the end.
fn head_of(bytes: &[u8]) -> Option<([u8; 4], usize, Option<u64>)> {
    let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let name = bytes.get(4..8)?.try_into().ok()?;
    let (start, size) = match size {
        0 => (8, None),
        1 => (16, Some(u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?))),
        size => (8, Some(size.into())),
    };
    size.is_none_or(|size| size >= start as u64).then_some((name, start, size))
}

/// Names and contents of boxes that lie one after the other.
pub fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (name, start, size) = head_of(bytes)?;
        let end = size.map_or(bytes.len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
        let content = bytes.get(start..end)?;
        bytes = &bytes[end..];
        Some((name, content))
    })
}

/// The content of the first box of a name.
pub fn find(bytes: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    boxes(bytes).find_map(|(found, content)| (found == name).then_some(content))
}

/// The duration in a header, which has flags, two times, and `between` bytes before it.
pub fn duration(header: &[u8], between: usize) -> Option<u64> {
    // Times are of 4 bytes or of 8.
    let (at, length) = if header.first()? == &1 { (20, 8) } else { (12, 4) };
    let bytes = header.get(at + between..at + between + length)?;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
