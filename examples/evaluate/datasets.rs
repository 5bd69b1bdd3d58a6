//! Which pictures belong to which mattes: the layouts of the usual datasets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Endings of files that are taken for pictures.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// P3M-10k's two test sets, the folders with their pictures, and the layout's other folders.
const P3M_PARTS: [&str; 2] = ["P3M-500-P", "P3M-500-NP"];
const P3M_PICTURES: [&str; 2] = ["blurred_image", "original_image"];

/// Pictures or clips that are scored together.
#[derive(Debug)]
pub struct Dataset {
    /// As in the report.
    pub name: String,
    /// Whether samples are clips, which are scored frame by frame.
    pub clips: bool,
    /// In natural order of their names.
    pub samples: Vec<Sample>,
}

impl Dataset {
    /// How many samples there are, in words.
    pub fn count(&self) -> String {
        let kind = if self.clips { "clip" } else { "picture" };
        match self.samples.len() {
            1 => format!("1 {kind}"),
            count => format!("{count} {kind}s"),
        }
    }
}

/// A picture or a clip.
#[derive(Debug)]
pub struct Sample {
    /// As in the report.
    pub name: String,
    /// One for a picture.
    pub frames: Vec<FrameFiles>,
}

/// Where a frame and its truth are.
#[derive(Clone, Debug)]
pub enum FrameFiles {
    /// A picture, its matte and perhaps its trimap.
    Pair { picture: PathBuf, matte: PathBuf, trimap: Option<PathBuf> },
    /// A person with alpha, to be composed over a background.
    CutOut { person: PathBuf, background: PathBuf },
}

impl FrameFiles {
    /// The file with the true matte.
    pub fn truth(&self) -> &Path {
        match self {
            Self::Pair { matte, .. } => matte,
            Self::CutOut { person, .. } => person,
        }
    }
}

/// The datasets in a folder: several where it holds several parts.
///
/// # Errors
/// What is missing or does not fit, with the file's name.
pub fn discover(folder: &Path, backgrounds: Option<&Path>) -> Result<Vec<Dataset>, Error> {
    let listing = Listing::read(folder)?;
    let folder_of = |name: &str| Some(folder.join(name)).filter(|folder| folder.is_dir());
    if let Some(validation) = folder_of("validation") {
        return discover(&validation, backgrounds);
    }
    let parts: Vec<_> = P3M_PARTS.into_iter().filter_map(folder_of).collect();
    if !parts.is_empty() {
        let parts = parts.iter().map(|part| discover(part, backgrounds));
        return Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
    }
    let p3m_pictures = P3M_PICTURES.into_iter().find_map(folder_of);
    let dataset = if let (Some(pictures), Some(mattes)) = (p3m_pictures, folder_of("mask")) {
        pairs(name_of(folder), &pictures, &mattes, folder_of("trimap").as_deref())?
    } else if let (Some(pictures), Some(mattes)) = (folder_of("image"), folder_of("matte")) {
        pairs(name_of(folder), &pictures, &mattes, None)?
    } else if let Some(clips) = clips(folder, &listing)? {
        clips
    } else if let Some(backgrounds) = backgrounds {
        cut_outs(name_of(folder), &listing, backgrounds)?
    } else {
        pairs_in_one_folder(folder, &listing)?
    };
    Ok(vec![dataset])
}

/// Two folders with the same names in both.
///
/// # Errors
/// A picture without a matte, a matte without a picture, no pictures at all.
pub fn pairs(
    name: String,
    pictures: &Path,
    mattes: &Path,
    trimaps: Option<&Path>,
) -> Result<Dataset, Error> {
    let frames = matched(pictures, mattes, trimaps)?;
    let samples = frames.into_iter().map(|(name, frame)| Sample { name, frames: vec![frame] });
    Ok(Dataset { name, clips: false, samples: samples.collect() })
}

/// The frames of two folders and perhaps a third, by their names without endings.
fn matched(
    pictures: &Path,
    mattes: &Path,
    trimaps: Option<&Path>,
) -> Result<Vec<(String, FrameFiles)>, Error> {
    let by_name = |folder: &Path| Listing::read(folder)?.by_name(folder);
    let (picture_files, mut matte_files) = (by_name(pictures)?, by_name(mattes)?);
    let mut trimap_files = trimaps.map(by_name).transpose()?;
    let mut frames = Vec::with_capacity(picture_files.len());
    for (name, picture) in picture_files {
        let lacking = |what, folder: &Path| Error::Unpaired {
            picture: picture.clone(),
            what,
            folder: folder.to_owned(),
        };
        let matte = matte_files.remove(&name).ok_or_else(|| lacking("matte", mattes))?;
        let trimap = match (&mut trimap_files, trimaps) {
            (Some(files), Some(folder)) => {
                Some(files.remove(&name).ok_or_else(|| lacking("trimap", folder))?)
            }
            _ => None,
        };
        let label = name.to_string_lossy().into_owned();
        frames.push((label, FrameFiles::Pair { picture, matte, trimap }));
    }
    if let Some(matte) = matte_files.into_values().next() {
        return Err(Error::Unpaired { picture: matte, what: "picture", folder: pictures.into() });
    }
    frames.sort_by(|(a, _), (b, _)| natural(a, b));
    Ok(frames)
}

/// NAME.jpg with NAME.png: of two files of one name, the PNG that is not alone in that is the matte.
fn pairs_in_one_folder(folder: &Path, listing: &Listing) -> Result<Dataset, Error> {
    let mut by_name = BTreeMap::<OsString, Vec<&PathBuf>>::new();
    for file in &listing.pictures {
        by_name.entry(stem(file)).or_default().push(file);
    }
    if by_name.values().all(|files| files.len() < 2) {
        return Err(Error::Layout { path: folder.to_owned() });
    }
    let mut samples = Vec::new();
    for (name, files) in by_name {
        let (mattes, pictures): (Vec<&PathBuf>, Vec<&PathBuf>) =
            files.into_iter().partition(|file| ending(file).as_deref() == Some("png"));
        let (picture, matte) = match (&*pictures, &*mattes) {
            ([picture], [matte]) => ((*picture).clone(), (*matte).clone()),
            ([one, other, ..], _) | (_, [one, other, ..]) => {
                return Err(Error::Ambiguous { one: (*one).clone(), other: (*other).clone() });
            }
            ([only], []) | ([], [only]) => {
                let what = if pictures.is_empty() { "picture" } else { "matte" };
                let (picture, folder) = ((*only).clone(), folder.to_owned());
                return Err(Error::Unpaired { picture, what, folder });
            }
            ([], []) => continue,
        };
        samples.push(Sample {
            name: name.to_string_lossy().into_owned(),
            frames: vec![FrameFiles::Pair { picture, matte, trimap: None }],
        });
    }
    samples.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(Dataset { name: name_of(folder), clips: false, samples })
}

/// Cut-outs over the backgrounds in turn, both in order of their names.
fn cut_outs(name: String, people: &Listing, backgrounds: &Path) -> Result<Dataset, Error> {
    let backgrounds = Listing::read(backgrounds)?.some_pictures(backgrounds)?;
    let samples = people.pictures.iter().zip(backgrounds.iter().cycle());
    let samples: Vec<_> = samples
        .map(|(person, background)| Sample {
            name: stem(person).to_string_lossy().into_owned(),
            frames: vec![FrameFiles::CutOut {
                person: person.clone(),
                background: background.clone(),
            }],
        })
        .collect();
    if samples.is_empty() {
        return Err(Error::NoPictures { path: people.folder.clone() });
    }
    Ok(Dataset { name, clips: false, samples })
}

/// CLIP/{com,pha}, SET/CLIP/{com,pha} or {com,pha}/CLIP, with a frame in each file; a folder that is
/// itself a clip. None where there is no `com` with `pha`.
fn clips(folder: &Path, listing: &Listing) -> Result<Option<Dataset>, Error> {
    let mut found = Vec::new();
    clips_in(folder, listing, 2, &mut found)?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut samples = Vec::with_capacity(found.len());
    for (com, pha, clip) in found {
        let name = clip.strip_prefix(folder).unwrap_or(&clip).display().to_string();
        let name = if name.is_empty() { name_of(folder) } else { name };
        let frames = matched(&com, &pha, None)?.into_iter().map(|(_, frame)| frame).collect();
        samples.push(Sample { name, frames });
    }
    Ok(Some(Dataset { name: name_of(folder), clips: true, samples }))
}

/// Finds folders of frames, those of mattes, and what the clip is called by.
fn clips_in(
    folder: &Path,
    listing: &Listing,
    depth: usize,
    found: &mut Vec<(PathBuf, PathBuf, PathBuf)>,
) -> Result<(), Error> {
    let (com, pha) = (folder.join("com"), folder.join("pha"));
    if com.is_dir() && pha.is_dir() {
        let inner = Listing::read(&com)?;
        if inner.pictures.is_empty() && !inner.folders.is_empty() {
            found.extend(inner.folders.into_iter().map(|clip| {
                let name = clip.file_name().map(PathBuf::from).unwrap_or_default();
                (clip, pha.join(&name), folder.join(&name))
            }));
        } else {
            found.push((com, pha, folder.to_owned()));
        }
        return Ok(());
    }
    if depth > 0 {
        for inner in &listing.folders {
            clips_in(inner, &Listing::read(inner)?, depth - 1, found)?;
        }
    }
    Ok(())
}

/// What a folder holds, in natural order, without hidden files.
struct Listing {
    folder: PathBuf,
    folders: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
}

impl Listing {
    fn read(folder: &Path) -> Result<Self, Error> {
        let fail = |reason| Error::Folder { path: folder.to_owned(), reason };
        let mut listing =
            Self { folder: folder.to_owned(), folders: Vec::new(), pictures: Vec::new() };
        for entry in std::fs::read_dir(folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if name_of(&path).starts_with('.') {
                continue;
            }
            if path.is_dir() {
                listing.folders.push(path);
            } else if ending(&path).is_some_and(|ending| PICTURES.contains(&ending.as_str())) {
                // A pipe would be waited for, and a device may never end.
                if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
                    return Err(Error::Picture { path, reason: "it is no regular file".into() });
                }
                listing.pictures.push(path);
            }
        }
        for paths in [&mut listing.folders, &mut listing.pictures] {
            paths.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        }
        Ok(listing)
    }

    fn some_pictures(self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        if self.pictures.is_empty() {
            return Err(Error::NoPictures { path: folder.to_owned() });
        }
        Ok(self.pictures)
    }

    fn by_name(self, folder: &Path) -> Result<BTreeMap<OsString, PathBuf>, Error> {
        let mut by_name = BTreeMap::new();
        for file in self.some_pictures(folder)? {
            if let Some(other) = by_name.insert(stem(&file), file.clone()) {
                return Err(Error::Ambiguous { one: other, other: file });
            }
        }
        Ok(by_name)
    }
}

fn stem(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The last part of a path; for one like `.` that of the folder it leads to.
fn name_of(path: &Path) -> String {
    let full;
    let name = match path.file_name() {
        Some(name) => Some(name),
        None => {
            full = path.canonicalize().unwrap_or_default();
            full.file_name()
        }
    };
    name.unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Order in which 2 comes before 10: the frames of a clip are not always numbered to one length.
fn natural(a: &str, b: &str) -> Ordering {
    let key = |text: &str| -> Vec<(String, String)> {
        let mut runs: Vec<(bool, String)> = Vec::new();
        for character in text.chars() {
            let digit = character.is_ascii_digit();
            match runs.last_mut() {
                Some((kind, run)) if *kind == digit => run.push(character),
                _ => runs.push((digit, character.into())),
            }
        }
        let padded = |(digit, run): (bool, String)| {
            let significant = run.trim_start_matches('0');
            let sorted = if digit { format!("0{significant:0>20}") } else { run.clone() };
            (sorted, run)
        };
        runs.into_iter().map(padded).collect()
    };
    key(a).cmp(&key(b))
}
