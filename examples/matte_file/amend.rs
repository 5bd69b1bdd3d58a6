//! What GStreamer's muxers of MP4 and QuickTime files leave out or get wrong, told in the finished file: HDR10's
//! light levels (`mdcv` and `clli`, ISO/IEC 14496-12), edit lists for sound that begins before time 0, and how
//! much of Opus is not to be heard (`dOps`).

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use gst_video::{VideoContentLightLevel, VideoMasteringDisplayInfo};

use crate::mp4::{boxes, duration, film, find, kind_of, number};

/// A video's sample entry has so many bytes, with its head, before the boxes in it; and a sound's, of version 0
/// and, in QuickTime, 1.
const VISUAL_ENTRY: usize = 86;
const AUDIO_ENTRIES: [usize; 2] = [36, 52];

/// No sound has more samples a second.
const MOST_SAMPLES: u32 = 1 << 24;

/// No more bytes, which are tags, come after the description of the tracks.
const MOST_AFTER: u64 = 16 << 20;

/// What is to be told of a file's tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    /// Boxes for the description of the first video track's samples.
    pub light: Vec<u8>,
    /// How much of each audio track lies before time 0, in the tracks' order.
    pub early: Vec<Duration>,
    /// Whether a sound is Opus.
    pub has_opus: bool,
}

/// The boxes of what caps tell of HDR10's mastering display and light levels.
pub fn light(caps: &gst::CapsRef) -> Vec<u8> {
    let mut light = Vec::new();
    if let Ok(display) = VideoMasteringDisplayInfo::from_caps(caps) {
        let [red, green, blue] = display.display_primaries();
        let points = [green, blue, red, display.white_point()];
        let points = points.iter().flat_map(|point| [point.x, point.y]);
        let mut content: Vec<u8> = points.flat_map(u16::to_be_bytes).collect();
        let luminances =
            [display.max_display_mastering_luminance(), display.min_display_mastering_luminance()];
        content.extend(luminances.into_iter().flat_map(u32::to_be_bytes));
        put(&mut light, *b"mdcv", &content);
    }
    if let Ok(level) = VideoContentLightLevel::from_caps(caps) {
        let levels = [level.max_content_light_level(), level.max_frame_average_light_level()];
        let content: Vec<u8> = levels.into_iter().flat_map(u16::to_be_bytes).collect();
        put(&mut light, *b"clli", &content);
    }
    light
}

/// Tells it in a finished file, whose description of tracks comes after their samples.
///
/// # Errors
/// The file's own; [`io::ErrorKind::InvalidData`] for a file that is laid out otherwise.
pub fn amend(path: &Path, amendment: &Amendment) -> io::Result<()> {
    let is_early = amendment.early.iter().any(|early| !early.is_zero());
    if amendment.light.is_empty() && !is_early && !amendment.has_opus {
        return Ok(());
    }
    let strange =
        || io::Error::new(io::ErrorKind::InvalidData, "its tracks are not told at its end");
    let film = film(path)?.ok_or_else(strange)?;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(film.at + film.size))?;
    let mut rest = Vec::new();
    Read::by_ref(&mut file).take(MOST_AFTER).read_to_end(&mut rest)?;
    // Samples would not be where the tracks say they are.
    if rest.len() as u64 == MOST_AFTER || boxes(&rest).any(|(name, _)| name == *b"mdat") {
        return Err(strange());
    }
    let content = amended(&film.content, amendment).ok_or_else(strange)?;
    let mut end = Vec::new();
    put(&mut end, *b"moov", &content);
    end.append(&mut rest);
    file.seek(SeekFrom::Start(film.at))?;
    file.write_all(&end)
}

/// The description of all tracks with what is to be told; none of one that is not understood.
fn amended(film: &[u8], amendment: &Amendment) -> Option<Vec<u8>> {
    let header = find(film, *b"mvhd")?;
    let scale = number(header, if header.first()? == &1 { 20 } else { 12 })?;
    let mut light = Some(&amendment.light).filter(|light| !light.is_empty());
    let mut early = amendment.early.iter();
    let (mut tracks, mut lasts) = (Vec::new(), 0);
    for (name, content) in boxes(film) {
        let content = match (&name, kind_of(content)) {
            (b"trak", Some(b"vide")) => match light.take() {
                Some(light) => with_light(content, light)?,
                None => content.to_vec(),
            },
            (b"trak", Some(b"soun")) => {
                let content = with_opus(content).unwrap_or_else(|| content.to_vec());
                match early.next() {
                    Some(early) if !early.is_zero() => with_edit(&content, *early, scale)?,
                    _ => content,
                }
            }
            _ => content.to_vec(),
        };
        if &name == b"trak" {
            lasts = lasts.max(duration(find(&content, *b"tkhd")?, 8)?);
        }
        put(&mut tracks, name, &content);
    }
    inside(&tracks, &[b"mvhd"], &|header| with_duration(header, 4, lasts))
}

/// A track whose samples' description ends in more boxes, unless it has them.
fn with_light(track: &[u8], light: &[u8]) -> Option<Vec<u8>> {
    inside(track, &[b"mdia", b"minf", b"stbl", b"stsd"], &|table| {
        // After version, flags and count: an entry that begins with its size.
        let size = number(table, 8)?;
        let end = 8 + size as usize;
        let told = table.get(8 + VISUAL_ENTRY..end)?;
        if find(told, *b"mdcv").is_some() {
            return Some(table.to_vec());
        }
        // QuickTime ends the boxes with four bytes of nothing.
        let told: usize = boxes(told).map(|(_, content)| 8 + content.len()).sum();
        let (before, after) = table[12..].split_at(8 + VISUAL_ENTRY + told - 12);
        let size = size.checked_add(u32::try_from(light.len()).ok()?)?;
        Some([&table[..8], &size.to_be_bytes(), before, light, after].concat())
    })
}

/// A track of Opus whose description has the first byte of each number first, as
/// [Opus in ISO BMFF](https://opus-codec.org/docs/opus_in_isobmff.html) has it; none where that is so, and of other
/// sound. GStreamer 1.22 has them the other way round, and players then leave out the first third of a second.
fn with_opus(track: &[u8]) -> Option<Vec<u8>> {
    inside(track, &[b"mdia", b"minf", b"stbl", b"stsd"], &|table| {
        // After version, flags and count: an entry with its size, name, eight bytes and its version.
        let version = u16::from_be_bytes(table.get(24..26)?.try_into().ok()?);
        let begin = 8 + AUDIO_ENTRIES.get(usize::from(version))?;
        let end = 8 + number(table, 8)? as usize;
        let told = inside(table.get(begin..end)?, &[b"dOps"], &reversed)?;
        Some([&table[..begin], &told, &table[end..]].concat())
    })
}

/// A description of Opus with the bytes of its numbers reversed, if that is what they need.
fn reversed(description: &[u8]) -> Option<Vec<u8>> {
    // After version and channels: samples that are not heard, those of a second, and the volume.
    let samples = number(description, 4)?;
    let mut description = description.to_vec();
    for number in [2..4, 4..8, 8..10] {
        description.get_mut(number)?.reverse();
    }
    (samples > MOST_SAMPLES && samples.swap_bytes() <= MOST_SAMPLES).then_some(description)
}

/// A track of which the first `early` go before time 0; `scale` is the whole film's ticks a second.
fn with_edit(track: &[u8], early: Duration, scale: u32) -> Option<Vec<u8>> {
    let header = find(find(track, *b"mdia")?, *b"mdhd")?;
    let own = number(header, if header.first()? == &1 { 20 } else { 12 })?;
    let ticks = |scale: u32| (early.as_nanos() * u128::from(scale) + 500_000_000) / 1_000_000_000;
    let lasts = duration(find(track, *b"tkhd")?, 8)?;
    let heard = lasts.checked_sub(u64::try_from(ticks(scale)).ok()?)?;
    let skipped = u64::try_from(ticks(own)).ok()?;
    // Version 1, one entry: its length, where in the track it begins, and its rate, 1.
    let mut list = vec![1, 0, 0, 0, 0, 0, 0, 1];
    list.extend([heard.to_be_bytes(), skipped.to_be_bytes()].concat());
    list.extend([0, 1, 0, 0]);
    let mut edits = Vec::new();
    put(&mut edits, *b"elst", &list);
    let mut edited = Vec::new();
    for (name, content) in boxes(track).filter(|(name, _)| name != b"edts") {
        match &name {
            b"tkhd" => {
                put(&mut edited, name, &with_duration(content, 8, heard)?);
                put(&mut edited, *b"edts", &edits);
            }
            _ => put(&mut edited, name, content),
        }
    }
    Some(edited)
}

/// A header with another duration; see [`duration`].
fn with_duration(header: &[u8], between: usize, lasts: u64) -> Option<Vec<u8>> {
    let mut changed = header.to_vec();
    match header.first()? {
        1 => changed.get_mut(20 + between..28 + between)?.copy_from_slice(&lasts.to_be_bytes()),
        _ => {
            let lasts = u32::try_from(lasts).ok()?;
            changed.get_mut(12 + between..16 + between)?.copy_from_slice(&lasts.to_be_bytes());
        }
    }
    Some(changed)
}

/// What boxes hold, with the first one at the end of `path` changed.
fn inside(
    content: &[u8],
    path: &[&[u8; 4]],
    change: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let [name, rest @ ..] = path else { return change(content) };
    let (mut changed, mut read, mut is_found) = (Vec::new(), 0, false);
    for (found, content) in boxes(content) {
        read += 8 + content.len();
        let is_it = found == **name && !is_found;
        is_found |= is_it;
        match is_it {
            true => put(&mut changed, found, &inside(content, rest, change)?),
            false => put(&mut changed, found, content),
        }
    }
    // What is no box would be lost.
    (is_found && read == content.len()).then_some(changed)
}

/// Adds a box.
fn put(boxes: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    // Descriptions of tracks are far from 4 GiB.
    let size = u32::try_from(8 + content.len()).unwrap_or(u32::MAX);
    boxes.extend([&size.to_be_bytes(), &name, content].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 312 samples of 48,000 a second that are not heard, at a volume of 256, by GStreamer 1.22.
    const OPUS: [u8; 11] = [0, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 1, 0];

    /// A film of a picture and a sound, in ticks of a thousandth.
    fn film(version: u8, terminator: &[u8]) -> Vec<u8> {
        let boxed = |name: &[u8; 4], content: &[u8]| {
            let mut out = Vec::new();
            put(&mut out, *name, content);
            out
        };
        let header = |between: usize| {
            let times = if version == 1 { 20 + between } else { 12 + between };
            let mut header = vec![0; times];
            header[0] = version;
            let scale = if version == 1 { 20 } else { 12 };
            if between == 4 {
                header[scale..scale + 4].copy_from_slice(&1000_u32.to_be_bytes());
            }
            match version {
                1 => header.extend(2000_u64.to_be_bytes()),
                _ => header.extend(2000_u32.to_be_bytes()),
            }
            header
        };
        let track = |kind: &[u8; 4]| {
            let sound =
                [&[0; 8][..], &[0, version], &[0; 18 + 16][..18 + 16 * usize::from(version)]];
            let entry = match kind {
                b"soun" => boxed(b"Opus", &[&sound.concat()[..], &boxed(b"dOps", &OPUS)].concat()),
                _ => boxed(b"ap4h", &[&[0; 78], &boxed(b"pasp", &[1; 8])[..], terminator].concat()),
            };
            let table = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &entry[..]].concat());
            let handler = boxed(b"hdlr", &[&[0; 8], &kind[..]].concat());
            let info = boxed(b"minf", &boxed(b"stbl", &table));
            let media = [boxed(b"mdhd", &header(4)), handler, info].concat();
            boxed(b"trak", &[boxed(b"tkhd", &header(8)), boxed(b"mdia", &media)].concat())
        };
        [boxed(b"mvhd", &header(4)), track(b"vide"), track(b"soun")].concat()
    }

    fn amendment() -> Amendment {
        Amendment {
            light: vec![0, 0, 0, 9, b'm', b'd', b'c', b'v', 7],
            early: vec![Duration::from_millis(21)],
            has_opus: true,
        }
    }

    #[test]
    fn what_is_told_is_found_and_all_else_is_kept() {
        for version in [0, 1] {
            for terminator in [&[][..], &[0; 4]] {
                let film = film(version, terminator);
                let changed = amended(&film, &amendment()).unwrap();
                let track = |kind: &[u8]| {
                    let tracks = boxes(&changed).filter(|(name, _)| name == b"trak");
                    tracks
                        .map(|(_, track)| track)
                        .find(|track| kind_of(track) == Some(kind))
                        .unwrap()
                };
                let path = [b"mdia", b"minf", b"stbl", b"stsd"];
                let table = |kind: &[u8]| {
                    path.iter().fold(track(kind), |content, name| find(content, **name).unwrap())
                };
                let begin = 8 + AUDIO_ENTRIES[usize::from(version)];
                let opus = find(&table(b"soun")[begin..], *b"dOps").unwrap();
                assert_eq!(opus, [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 1, 0, 0]);
                let table = table(b"vide");
                let told = &table[8 + VISUAL_ENTRY..];
                assert_eq!(find(told, *b"mdcv"), Some(&[7][..]));
                assert_eq!(find(told, *b"pasp"), Some(&[1; 8][..]));
                assert_eq!(number(table, 8), Some((table.len() - 8) as u32));
                let edits = find(find(track(b"soun"), *b"edts").unwrap(), *b"elst").unwrap();
                assert_eq!(edits[8..16], 1979_u64.to_be_bytes());
                assert_eq!(edits[16..24], 21_u64.to_be_bytes());
                let lasts = |track| duration(find(track, *b"tkhd").unwrap(), 8);
                assert_eq!(
                    (lasts(track(b"vide")), lasts(track(b"soun"))),
                    (Some(2000), Some(1979))
                );
                // Twice tells nothing more of light.
                let again = Amendment { early: Vec::new(), ..amendment() };
                assert_eq!(amended(&changed, &again), Some(changed.clone()));
            }
        }
    }

    proptest::proptest! {
        /// Whatever is there, nothing panics.
        #[test]
        fn what_is_damaged_is_left_alone(
            version in 0u8..2, at: proptest::sample::Index, byte: u8, length: proptest::sample::Index,
        ) {
            let mut film = film(version, &[0; 4]);
            let (at, length) = (at.index(film.len()), length.index(film.len()));
            film[at] = byte;
            amended(&film, &amendment());
            amended(&film[..length], &amendment());
        }
    }
}
