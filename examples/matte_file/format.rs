//! What can be written: containers, their encoders, and what they hold.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::arguments::{Format, Kind, Stills};
use crate::error::Error;
use crate::survey::Audio;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// QuickTime with ProRes.
    Mov,
    /// Matroska with FFV1.
    Mkv,
    /// MP4 with H.264.
    Mp4,
    /// WebM with VP9.
    Webm,
    /// PNG of 8 bits.
    Png,
    /// PNG of 16 bits.
    DeepPng,
    /// OpenEXR, of half floats.
    Exr,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into one file, which holds all frames.
    Video(Container, PathBuf),
    /// Into one picture.
    Picture(Container, PathBuf),
    /// Into one picture for each frame.
    Sequence(Container, Pattern),
}

/// Names of pictures, with a number in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub folder: PathBuf,
    before: String,
    digits: usize,
    after: String,
    /// Pictures of other numbers are somebody else's.
    numbers: Range<u64>,
}

impl Pattern {
    /// The numbered names in a folder.
    fn of_folder(folder: &Path, ending: &str) -> Self {
        let (before, after) = (String::new(), format!(".{ending}"));
        Self { folder: folder.to_owned(), before, digits: 5, after, numbers: 0..u64::MAX }
    }

    /// The names of a path with `%05d`, `%d` or the like in its last part.
    pub fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        // Not every % begins a number.
        let (before, digits, after) = name.match_indices('%').find_map(|(at, _)| {
            let (digits, after) = name[at + 1..].split_once('d')?;
            Some((&name[..at], digits_of(digits)?, after))
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            before: before.into(),
            digits,
            after: after.into(),
            numbers: 0..u64::MAX,
        })
    }

    /// The same names, of which only those with such numbers count.
    #[must_use]
    pub fn with_numbers(&self, numbers: Range<u64>) -> Self {
        Self { numbers, ..self.clone() }
    }

    /// The path of a frame's picture.
    pub fn path(&self, frame: u64) -> PathBuf {
        let Self { folder, before, digits, after, .. } = self;
        folder.join(format!("{before}{frame:0digits$}{after}"))
    }

    /// The frame of a file's name, if it has that form.
    pub fn frame(&self, name: &str) -> Option<u64> {
        let number = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let frame = number.parse().ok().filter(|frame| self.numbers.contains(frame))?;
        (self.path(frame).file_name()?.to_str()? == name).then_some(frame)
    }

    /// The pattern itself, as a path.
    pub fn as_path(&self) -> PathBuf {
        let Self { folder, before, digits, after, .. } = self;
        folder.join(format!("{before}%0{digits}d{after}"))
    }

    /// What locks and notes are named after: runs of different numbers do not get in each other's way.
    pub fn own_path(&self) -> PathBuf {
        let mut path = self.as_path().into_os_string();
        if self.numbers != (0..u64::MAX) {
            path.push(format!(".{}-{}", self.numbers.start, self.numbers.end - 1));
        }
        path.into()
    }
}

/// How many digits `%05d` and `%d` ask for at least, by what is between % and d.
fn digits_of(text: &str) -> Option<usize> {
    match text {
        "" => Some(1),
        _ => text.strip_prefix('0')?.parse().ok().filter(|digits| (1..=9).contains(digits)),
    }
}

impl Target {
    /// What a path asks for.
    ///
    /// # Errors
    /// [`Error::Ending`].
    pub fn parse(path: &Path, stills: &Stills) -> Result<Self, Error> {
        let png = if stills.depth == 16 { Container::DeepPng } else { Container::Png };
        let in_folder = || {
            let (container, ending) = match stills.format {
                Format::Png => (png, "png"),
                Format::Exr => (Container::Exr, "exr"),
            };
            Self::Sequence(container, Pattern::of_folder(path, ending))
        };
        let numbered = |container| match Pattern::parse(path) {
            Some(pattern) => Self::Sequence(container, pattern),
            None => Self::Picture(container, path.to_owned()),
        };
        let text = path.as_os_str().to_string_lossy();
        if path.is_dir() || text.ends_with(std::path::MAIN_SEPARATOR) || text.ends_with('/') {
            return Ok(in_folder());
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        Ok(match ending.as_deref() {
            Some("mov") => Self::Video(Container::Mov, path.to_owned()),
            Some("mkv") => Self::Video(Container::Mkv, path.to_owned()),
            Some("mp4") => Self::Video(Container::Mp4, path.to_owned()),
            Some("webm") => Self::Video(Container::Webm, path.to_owned()),
            Some("png") => numbered(png),
            Some("exr") => numbered(Container::Exr),
            None => in_folder(),
            _ => return Err(Error::Ending { path: path.to_owned() }),
        })
    }

    /// The kind of file.
    pub fn container(&self) -> Container {
        match self {
            Self::Video(container, _)
            | Self::Picture(container, _)
            | Self::Sequence(container, _) => *container,
        }
    }

    /// The path as it is shown to the user.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Video(_, path) | Self::Picture(_, path) => path.clone(),
            Self::Sequence(_, pattern) => pattern.as_path(),
        }
    }

    /// The path that locks and notes lie beside.
    pub fn own_path(&self) -> PathBuf {
        match self {
            Self::Sequence(_, pattern) => pattern.own_path(),
            _ => self.path(),
        }
    }
}

/// An element, and the package that has it on Debian.
type Needed = (&'static str, &'static str);

const GOOD: &str = "gstreamer1.0-plugins-good";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

impl Container {
    /// Whether a cut-out can be kept.
    pub fn holds_alpha(self) -> bool {
        matches!(self, Self::Mov | Self::Mkv | Self::Png | Self::DeepPng | Self::Exr)
    }

    /// Whether it is a picture that holds one frame.
    pub fn is_still(self) -> bool {
        matches!(self, Self::Png | Self::DeepPng | Self::Exr)
    }

    /// The part of a pipeline that encodes, from what the element gives. `encoder` is the encoder; `depth` and
    /// `store` go by the [depth](crate::depth) of what is decoded; `even` may be told what to crop before frames come, `range` a colorimetry to convert to, and
    /// `through` a format on the way there.
    pub fn encoder(self, kind: Kind) -> &'static str {
        match (self, kind) {
            // What prores_ks writes of alpha is lossless. AYUV has the frame's own colours.
            (Self::Mov, Kind::Cutout) => {
                "capsfilter name=depth caps=video/x-raw,format=AYUV ! videoconvert dither=none ! \
                 capsfilter name=range caps=video/x-raw,format=A444_10LE ! \
                 avenc_prores_ks name=encoder profile=4444"
            }
            (Self::Mov, _) => {
                "videoconvert dither=none ! capsfilter name=through ! videoconvert dither=none ! \
                 capsfilter name=range caps=video/x-raw,format=I422_10LE ! \
                 avenc_prores_ks name=encoder profile=hq"
            }
            (Self::Mkv, Kind::Cutout) => {
                "capsfilter name=depth caps=video/x-raw,format=BGRA ! videoconvert dither=none ! \
                 capsfilter name=store caps=video/x-raw,format=BGRA ! avenc_ffv1 name=encoder"
            }
            (Self::Mkv, Kind::Alpha) => {
                "capsfilter name=depth caps=video/x-raw,format=GRAY8 ! avenc_ffv1 name=encoder"
            }
            (Self::Mkv, Kind::Composite) => "videoconvert ! avenc_ffv1 name=encoder",
            // H.264 with 4:2:0 has even sizes.
            (Self::Mp4, _) => {
                "videocrop name=even ! videoconvert ! capsfilter caps=video/x-raw,format=I420 ! \
                 x264enc name=encoder pass=qual quantizer=18 speed-preset=medium"
            }
            // With frames to look ahead at, vp9enc loses some at the end.
            (Self::Webm, _) => {
                "videoconvert ! capsfilter caps=video/x-raw,format=I420 ! \
                 vp9enc name=encoder end-usage=cq cq-level=20 target-bitrate=100000000 deadline=1000000 \
                 cpu-used=4 row-mt=true threads=16 tile-columns=2 lag-in-frames=0"
            }
            (Self::Png, Kind::Cutout) => "capsfilter caps=video/x-raw,format=RGBA ! pngenc",
            (Self::Png, Kind::Alpha) => "capsfilter caps=video/x-raw,format=GRAY8 ! pngenc",
            (Self::Png, Kind::Composite) => "capsfilter caps=video/x-raw,format=RGB ! pngenc",
            // The program encodes them itself.
            (Self::DeepPng | Self::Exr, Kind::Cutout) => {
                "capsfilter name=deep caps=video/x-raw,format=RGBA ! videoconvert dither=none ! \
                 capsfilter caps=video/x-raw,format=RGBA64_LE"
            }
            (Self::DeepPng | Self::Exr, Kind::Alpha) => {
                "capsfilter name=depth caps=video/x-raw,format=GRAY8 ! videoconvert dither=none ! \
                 capsfilter caps=video/x-raw,format=GRAY16_LE"
            }
            (Self::DeepPng | Self::Exr, Kind::Composite) => {
                "capsfilter name=deep caps=video/x-raw,format=RGB ! videoconvert dither=none ! \
                 capsfilter caps=video/x-raw,format=RGBA64_LE"
            }
        }
    }

    /// Whether it is of the kind that tells a track's part before time 0, and HDR10's light.
    pub fn has_edit_lists(self) -> bool {
        matches!(self, Self::Mov | Self::Mp4)
    }

    /// The muxer, where there is one.
    pub fn muxer(self) -> Option<&'static str> {
        match self {
            Self::Mov => Some("qtmux"),
            Self::Mkv => Some("matroskamux"),
            Self::Mp4 => Some("mp4mux"),
            Self::Webm => Some("webmmux"),
            Self::Png | Self::DeepPng | Self::Exr => None,
        }
    }

    /// Whether a video's frames do not need each other.
    pub fn is_intra(self) -> bool {
        !matches!(self, Self::Mp4 | Self::Webm)
    }

    fn needed(self) -> &'static [Needed] {
        match self {
            Self::Mov => &[("avenc_prores_ks", LIBAV), ("qtmux", GOOD)],
            Self::Mkv => &[("avenc_ffv1", LIBAV), ("matroskamux", GOOD)],
            Self::Mp4 => &[("x264enc", UGLY), ("mp4mux", GOOD), ("videocrop", GOOD)],
            Self::Webm => &[("vp9enc", GOOD), ("webmmux", GOOD)],
            Self::Png => &[("pngenc", GOOD)],
            Self::DeepPng | Self::Exr => &[],
        }
    }

    /// Fails where GStreamer lacks what writing takes.
    ///
    /// # Errors
    /// [`Error::Element`].
    pub fn check_elements(self, path: &Path) -> Result<(), Error> {
        const READING: &[Needed] = &[
            ("parsebin", "gstreamer1.0-plugins-base"),
            ("decodebin", "gstreamer1.0-plugins-base"),
            ("videoconvert", "gstreamer1.0-plugins-base"),
            ("videoscale", "gstreamer1.0-plugins-base"),
            ("videoflip", GOOD),
        ];
        for (element, package) in self.needed().iter().chain(READING) {
            if gst::ElementFactory::find(element).is_none() {
                return Err(Error::Element { path: path.to_owned(), element, package });
            }
        }
        Ok(())
    }

    /// Whether audio can be kept, perhaps after another framing.
    pub fn holds_audio(self, audio: &Audio) -> bool {
        let Some(caps) = &audio.caps else { return false };
        let Some(factory) = self.muxer().and_then(gst::ElementFactory::find) else { return false };
        let templates = factory.static_pad_templates();
        let template = templates.iter().find(|template| template.name_template() == "audio_%u");
        let Some(template) = template else { return false };
        // Parsers make of a stream's framing what the muxer takes.
        let mut audio = caps.clone();
        for structure in audio.make_mut().iter_mut() {
            structure.remove_fields(["stream-format", "framed", "parsed", "alignment"]);
        }
        template.caps().can_intersect(&audio)
    }
}
