//! Which networks there are: the built-in one, those that have a name, and any file.

use std::io::Read;
use std::path::{Path, PathBuf};

use once_cell::sync::Lazy;
use serde::Deserialize;

use super::description::{Description, InputDescription, OutputDescription};
use super::folders::model_folders;
use super::memory::{Constant, ForegroundDescription, Previous, State};
use super::size_rule::{Shaped, SizeRule};
use crate::matting::error::Error;

/// Bytes of a sidecar at most.
const LONGEST_SIDECAR: u64 = 1 << 16;

/// A model that has a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// As in `model=NAME`.
    pub name: String,
    /// Name of its file, which is also how it is recognised when given by path.
    pub file: String,
    /// Where it is published, if it is.
    pub url: Option<String>,
    /// SPDX identifier of its licence.
    pub licence: String,
    /// How large it is said to be, such as `428.42 MB`.
    pub size: Option<String>,
    /// SHA-256 of its file in hexadecimal digits, where it is known.
    pub sha256: Option<String>,
    /// Whether its licence lets it be used for money.
    #[serde(default = "yes")]
    pub commercial: bool,
    /// One line about it.
    pub about: String,
    /// What it expects and gives; DAViD's contract where the table says nothing.
    #[serde(default)]
    pub input: InputDescription,
    /// Further inputs that never change.
    #[serde(default, rename = "constant")]
    pub constants: Vec<Constant>,
    /// What goes from one frame to the next.
    #[serde(default, rename = "state")]
    pub states: Vec<State>,
    /// Inputs that are given the matte before.
    #[serde(default)]
    pub previous: Vec<Previous>,
    /// What it gives.
    #[serde(default)]
    pub output: OutputDescription,
    /// Its own colours of the person.
    #[serde(default)]
    pub foreground: Option<ForegroundDescription>,
}

const fn yes() -> bool {
    true
}

impl KnownModel {
    /// The table in `models/known.toml`.
    pub fn table() -> &'static [KnownModel] {
        #[derive(Deserialize)]
        struct Table {
            model: Vec<KnownModel>,
        }
        static TABLE: Lazy<Vec<KnownModel>> = Lazy::new(|| {
            // A broken table is an empty one at run time, and a failing test before that.
            toml::from_str::<Table>(include_str!("../../../models/known.toml"))
                .map(|table| table.model)
                .unwrap_or_default()
        });
        &TABLE
    }

    /// The row with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::table().iter().find(|model| model.name == name)
    }

    /// The row whose file has the name of `path`'s.
    fn by_file(path: &Path) -> Option<&'static Self> {
        let file = path.file_name()?;
        Self::table().iter().find(|model| file == model.file.as_str())
    }

    /// What it expects and gives.
    pub fn description(&self) -> Description {
        Description {
            input: self.input.clone(),
            constants: self.constants.clone(),
            states: self.states.clone(),
            previous: self.previous.clone(),
            output: self.output.clone(),
            foreground: self.foreground.clone(),
        }
    }
}

/// Where a network's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelBytes {
    /// In a file.
    File(PathBuf),
    /// In this library, under a name.
    Builtin(&'static str, &'static [u8]),
}

/// A model, found and described, not yet loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// Where its bytes are.
    pub bytes: ModelBytes,
    /// What it expects and gives, where something says so.
    pub description: Option<Description>,
    /// Its licence, where that is known to forbid its use for money.
    pub noncommercial: Option<&'static str>,
}

impl ModelSource {
    /// Finds the model that the setting `model` names: `builtin`, a known name, or a path.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], [`Error::ModelUnreadable`] for something that is no readable
    /// file, and [`Error::Description`] for a bad sidecar.
    pub fn find(model: &str) -> Result<Self, Error> {
        if model == "builtin" {
            return Ok(Self::builtin());
        }
        let known = KnownModel::by_name(model);
        let file = known.map_or(model, |known| known.file.as_str());
        let candidates = match file {
            "" => Vec::new(),
            // A name means the file of that name in a folder of models, and not one that lies about.
            file if known.is_some() => {
                model_folders().iter().map(|folder| folder.join(file)).collect()
            }
            file => candidates(Path::new(file), &model_folders()),
        };
        let Some(path) = candidates.iter().find(|path| path.exists()) else {
            return Err(not_found(model, known, &candidates));
        };
        Self::from_file(path)
    }

    /// The network that is part of this library; its contract is DAViD's, but for the size, which has the
    /// frame's shape.
    pub fn builtin() -> Self {
        let bytes = ModelBytes::Builtin("builtin", super::builtin::BYTES);
        let size = Some(SizeRule::Shaped(super::builtin::SIZE));
        let input = InputDescription { size, ..Default::default() };
        let description = Some(Description { input, ..Default::default() });
        Self { bytes, description, noncommercial: None }
    }

    /// The network of this library that refines tiles; it is no matting network.
    pub(crate) fn detail() -> Self {
        let bytes = ModelBytes::Builtin("detail", super::detail::BYTES);
        Self { bytes, description: None, noncommercial: None }
    }

    /// With an input of as many samples as a square of this side, where the network leaves it open: of
    /// the frame's shape, where that is its rule, and else that square.
    #[must_use]
    pub fn with_side(mut self, side: usize) -> Self {
        let size = &mut self.description.get_or_insert_default().input.size;
        *size = Some(match *size {
            Some(SizeRule::Shaped(rule)) => {
                let area = Some(side);
                SizeRule::Shaped(Shaped { short: None, long: None, area, ..rule })
            }
            _ => SizeRule::Fixed([side; 2]),
        });
        self
    }

    /// A model in a file, with its sidecar or its row in the table of known models.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        check_readable(path)?;
        let sidecar = Description::sidecar_of(path);
        let description = match read_sidecar(&sidecar) {
            Ok(text) => Some(Description::parse(&text, &sidecar)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                KnownModel::by_file(path).map(KnownModel::description)
            }
            Err(error) => {
                return Err(Error::Description {
                    path: sidecar.display().to_string(),
                    reason: error.to_string(),
                });
            }
        };
        let noncommercial = KnownModel::by_file(path).filter(|known| !known.commercial);
        let noncommercial = noncommercial.map(|known| known.licence.as_str());
        Ok(Self { bytes: ModelBytes::File(path.to_owned()), description, noncommercial })
    }

    /// How the model is named in messages.
    pub fn label(&self) -> String {
        match &self.bytes {
            ModelBytes::File(path) => path.display().to_string(),
            ModelBytes::Builtin(name, _) => (*name).into(),
        }
    }

    /// Bytes of the model's file; 0 where the system does not tell.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            ModelBytes::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            ModelBytes::Builtin(_, bytes) => bytes.len() as u64,
        }
    }

    /// Where the description of the model is, or would be looked for.
    pub fn sidecar(&self) -> String {
        match &self.bytes {
            ModelBytes::File(path) => Description::sidecar_of(path).display().to_string(),
            ModelBytes::Builtin(name, _) => format!("models/{name}.toml"),
        }
    }
}

/// The text of a sidecar, which is a short file: a pipe would be waited for, and a device read without end.
fn read_sidecar(path: &Path) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LONGEST_SIDECAR {
        return Err(std::io::Error::other(format!(
            "it is no regular file of at most {LONGEST_SIDECAR} bytes"
        )));
    }
    std::fs::read_to_string(path)
}

/// Fails on folders, empty files and files that cannot be read, before ONNX Runtime sees them.
fn check_readable(path: &Path) -> Result<(), Error> {
    let unreadable =
        |reason: String| Error::ModelUnreadable { path: path.display().to_string(), reason };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if metadata.is_dir() {
        return Err(unreadable("it is a folder".into()));
    }
    if !metadata.is_file() {
        // A pipe would be waited for without end.
        return Err(unreadable("it is no regular file".into()));
    }
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut [0]));
    match read.map_err(|error| unreadable(error.to_string()))? {
        0 => Err(unreadable("it is empty".into())),
        _ => Ok(()),
    }
}

/// A path as it is, then, for a bare file name, the same name in every model folder.
fn candidates(file: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    let bare = file.components().count() == 1 && !file.is_absolute();
    let mut candidates = vec![file.to_owned()];
    if bare {
        candidates.extend(folders.iter().map(|folder| folder.join(file)));
    }
    candidates
}

fn not_found(model: &str, known: Option<&KnownModel>, candidates: &[PathBuf]) -> Error {
    let looked_for: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
    let remedy = match known {
        Some(known) => {
            let address = known.url.as_deref().unwrap_or("its file, as docs/models.md tells,");
            format!("Download {address} ({}) into one of these folders", known.licence)
        }
        None => {
            let names: Vec<_> =
                KnownModel::table().iter().map(|model| model.name.as_str()).collect();
            format!(
                "Set model to `builtin`, to {}, or to the path of an .onnx file",
                names.join(", ")
            )
        }
    };
    Error::ModelNotFound { model: model.into(), looked_for: looked_for.join(", "), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_known_models_is_valid() {
        let names: Vec<_> = KnownModel::table().iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names[..3], ["david-base", "david-large", "david-multitask"]);
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for model in KnownModel::table() {
            let (name, url) = (&model.name, model.url.as_deref());
            assert!(url.is_none_or(|url| url.ends_with(&model.file)), "{name}");
            let hash = model.sha256.as_deref();
            let is_hash =
                |hash: &str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(hash.is_none_or(is_hash), "{name}");
            model.description().check().unwrap();
        }
        assert_eq!(KnownModel::by_name("david-multitask").unwrap().output.index, Some(2));
        let rvm = KnownModel::by_name("rvm-mobilenetv3").unwrap().description();
        assert_eq!((rvm.states.len(), rvm.constants.len()), (4, 1));
        assert!(!KnownModel::by_name("rmbg").unwrap().commercial);
    }

    #[cfg(unix)]
    #[test]
    fn a_sidecar_is_a_short_file() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.onnx");
        std::fs::write(&model, "x").unwrap();
        let sidecar = folder.path().join("net.toml");
        for target in ["/dev/zero", "/dev/null"] {
            std::os::unix::fs::symlink(target, &sidecar).unwrap();
            let message = ModelSource::from_file(&model).unwrap_err().to_string();
            assert!(message.contains("net.toml"), "{message}");
            std::fs::remove_file(&sidecar).unwrap();
        }
        std::fs::write(&sidecar, vec![b'#'; 1 << 17]).unwrap();
        assert!(ModelSource::from_file(&model).is_err());
    }

    #[test]
    fn only_a_bare_name_is_looked_for_in_the_folders() {
        let folders = [PathBuf::from("/models")];
        assert_eq!(candidates(Path::new("a.onnx"), &folders).len(), 2);
        assert_eq!(candidates(Path::new("./x/a.onnx"), &folders).len(), 1);
        assert_eq!(candidates(Path::new("/x/a.onnx"), &folders).len(), 1);
    }

    #[test]
    fn a_missing_model_is_told_how_to_get() {
        let error = ModelSource::find("david-base").map(|_| ());
        // The weights may be installed where the test runs.
        if let Err(error) = error {
            let message = error.to_string();
            assert!(message.contains("https://") && message.contains("MIT"), "{message}");
        }
        let message = ModelSource::find("/nowhere/a.onnx").unwrap_err().to_string();
        assert!(message.contains("/nowhere/a.onnx") && message.contains("builtin"), "{message}");
    }
}
