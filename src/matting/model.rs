//! What a network expects and gives: the description in a known model's table row, in the sidecar
//! beside a model, or DAViD's contract where there is neither.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Error;

/// The side that an input of open size gets where no description says otherwise: DAViD's.
const DEFAULT_SIDE: usize = 512;
/// The longest side of a network's input or matte; more is a mistake, not a network.
pub const MAX_SIDE: usize = 8192;

/// Order of the colour channels in the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV reads pictures.
    Bgr,
}

/// Order of a tensor's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// Batch, channel, row, column: one plane after the other.
    Nchw,
    /// Batch, row, column, channel: interleaved.
    Nhwc,
}

/// How a frame is brought to the size of the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Padded to a square by replicating its border, then scaled.
    PadSquare,
    /// Scaled as a whole, the rest black.
    Letterbox,
    /// Each axis scaled by itself.
    Stretch,
}

/// What turns the network's output into a matte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The output is the matte.
    None,
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// e^x over the sum of e^x of all channels.
    Softmax,
}

/// The network's input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputDescription {
    /// Order of the colour channels.
    pub channels: ChannelOrder,
    /// Order of the axes.
    pub layout: TensorLayout,
    /// How a frame is brought to the input's size.
    pub fit: Fit,
    /// Factor on 8-bit codes; the tensor holds `(code · scale − mean) / std`.
    pub scale: f32,
    /// Subtracted, one for each channel in the network's order.
    pub mean: [f32; 3],
    /// Divided by, one for each channel in the network's order.
    pub std: [f32; 3],
    /// `[width, height]` for a network that leaves its size open.
    pub size: Option<[usize; 2]>,
}

impl Default for InputDescription {
    /// DAViD's: BGR, planar, in [0, 1], padded to a square.
    fn default() -> Self {
        Self {
            channels: ChannelOrder::Bgr,
            layout: TensorLayout::Nchw,
            fit: Fit::PadSquare,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            size: None,
        }
    }
}

/// The network's output.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputDescription {
    /// The output's name; goes before `index`.
    pub name: Option<String>,
    /// The output's place among the outputs.
    pub index: Option<usize>,
    /// The channel that holds the person.
    pub channel: usize,
    /// What turns it into a matte.
    pub activation: Activation,
}

impl Default for OutputDescription {
    fn default() -> Self {
        Self { name: None, index: None, channel: 0, activation: Activation::None }
    }
}

/// What a network expects and gives.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// Its input.
    pub input: InputDescription,
    /// Its output.
    pub output: OutputDescription,
}

impl Description {
    /// Reads a sidecar.
    ///
    /// # Errors
    /// [`Error::Description`] with line and key, for text that is not TOML, an unknown key, a
    /// value of the wrong type or a number out of range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let fail = |reason: String| Error::Description { path: path.display().to_string(), reason };
        let description: Self =
            toml::from_str(text).map_err(|error| fail(error.to_string().trim_end().to_owned()))?;
        description.check().map_err(fail)?;
        Ok(description)
    }

    /// Fails on numbers that no network can mean.
    fn check(&self) -> Result<(), String> {
        let InputDescription { scale, mean, std, size, .. } = &self.input;
        let sane = |value: f32| value.is_finite() && value.abs() <= 1e6;
        if !sane(*scale) || *scale == 0.0 {
            return Err(format!(
                "input.scale is {scale}, and must be a finite number other than 0"
            ));
        }
        if !mean.iter().all(|&value| sane(value)) {
            return Err(format!("input.mean is {mean:?}, and must be three finite numbers"));
        }
        if !std.iter().all(|&value| sane(value) && value.abs() >= 1e-6) {
            return Err(format!(
                "input.std is {std:?}, and must be three finite numbers other than 0"
            ));
        }
        if let Some(size) = size
            && !size.iter().all(|side| (1..=MAX_SIDE).contains(side))
        {
            return Err(format!(
                "input.size is {size:?}, and must be 1 to {MAX_SIDE} on each side"
            ));
        }
        if self.output.channel > 4096 {
            return Err(format!(
                "output.channel is {}, and no matte has so many",
                self.output.channel
            ));
        }
        Ok(())
    }

    /// The sidecar of a model: the same name with the ending `.toml`.
    pub fn sidecar_of(model: &Path) -> PathBuf {
        model.with_extension("toml")
    }

    /// `[width, height]` that an open dimension of the input gets.
    pub fn open_size(&self) -> [usize; 2] {
        self.input.size.unwrap_or([DEFAULT_SIDE; 2])
    }
}

/// A model that has a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// As in `model=NAME`.
    pub name: String,
    /// Name of its file, which is also how it is recognised when given by path.
    pub file: String,
    /// Where it is published.
    pub url: String,
    /// SPDX identifier of its licence.
    pub licence: String,
    /// How large it is said to be, such as `428.42 MB`.
    pub size: Option<String>,
    /// SHA-256 of its file in hexadecimal digits, where it is known.
    pub sha256: Option<String>,
    /// One line about it.
    pub about: String,
    /// What it expects and gives; DAViD's contract where the table says nothing.
    #[serde(default)]
    pub input: InputDescription,
    /// What it gives.
    #[serde(default)]
    pub output: OutputDescription,
}

impl KnownModel {
    /// The table in `models/known.toml`.
    pub fn table() -> &'static [KnownModel] {
        #[derive(Deserialize)]
        struct Table {
            model: Vec<KnownModel>,
        }
        static TABLE: once_cell::sync::Lazy<Vec<KnownModel>> = once_cell::sync::Lazy::new(|| {
            // A broken table is an empty one at run time, and a failing test before that.
            toml::from_str::<Table>(include_str!("../../models/known.toml"))
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
        Description { input: self.input.clone(), output: self.output.clone() }
    }
}

/// Where a network's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelBytes {
    /// In a file.
    File(PathBuf),
    /// In this library.
    Builtin(&'static [u8]),
}

/// A model, found and described, not yet loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// Where its bytes are.
    pub bytes: ModelBytes,
    /// What it expects and gives, where something says so.
    pub description: Option<Description>,
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
            file => candidates(Path::new(file), &model_folders()),
        };
        let Some(path) = candidates.iter().find(|path| path.exists()) else {
            return Err(not_found(model, known, &candidates));
        };
        Self::from_file(path)
    }

    /// The network that is part of this library; its contract is DAViD's, at its own size.
    pub fn builtin() -> Self {
        Self { bytes: ModelBytes::Builtin(super::builtin::BYTES), description: None }
    }

    /// A model in a file, with its sidecar or its row in the table of known models.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        check_readable(path)?;
        let sidecar = Description::sidecar_of(path);
        let description = match std::fs::read_to_string(&sidecar) {
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
        Ok(Self { bytes: ModelBytes::File(path.to_owned()), description })
    }

    /// How the model is named in messages.
    pub fn label(&self) -> String {
        match &self.bytes {
            ModelBytes::File(path) => path.display().to_string(),
            ModelBytes::Builtin(_) => "builtin".into(),
        }
    }

    /// Bytes of the model's file; 0 where the system does not tell.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            ModelBytes::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            ModelBytes::Builtin(bytes) => bytes.len() as u64,
        }
    }

    /// Where the description of the model is, or would be looked for.
    pub fn sidecar(&self) -> String {
        match &self.bytes {
            ModelBytes::File(path) => Description::sidecar_of(path).display().to_string(),
            ModelBytes::Builtin(_) => "models/builtin.toml".into(),
        }
    }
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
            format!("Download {} ({}) into one of these folders", known.url, known.licence)
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

/// The folders in which models are looked for, in order: `$DAVIDMATTE_MODEL_PATH` (several,
/// separated as in `$PATH`), the user's data folder, the system's.
pub fn model_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("DAVIDMATTE_MODEL_PATH")
        .map(|paths| {
            std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect()
        })
        .unwrap_or_default();
    folders.extend(super::runtime::user_data_folder().map(|folder| folder.join("models")));
    folders.push("/usr/local/share/davidmatte/models".into());
    folders.push("/usr/share/davidmatte/models".into());
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Description, String> {
        Description::parse(text, Path::new("net.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_description_is_david_s_contract() {
        assert_eq!(parse("").unwrap(), Description::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            [input]
            channels = "rgb"
            layout = "nhwc"
            fit = "letterbox"
            scale = 1.0
            mean = [1, 2, 3]
            std = [4, 5, 6]
            size = [160, 96]
            [output]
            name = "alpha"
            index = 2
            channel = 1
            activation = "softmax"
        "#;
        let Description { input, output } = parse(text).unwrap();
        assert_eq!(input.channels, ChannelOrder::Rgb);
        assert_eq!(input.layout, TensorLayout::Nhwc);
        assert_eq!(input.fit, Fit::Letterbox);
        assert_eq!((input.scale, input.mean, input.std), (1.0, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]));
        assert_eq!(input.size, Some([160, 96]));
        assert_eq!(output.name.as_deref(), Some("alpha"));
        assert_eq!((output.index, output.channel), (Some(2), 1));
        assert_eq!(output.activation, Activation::Softmax);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("[input]\nchanels = \"rgb\"", "chanels"),
            ("[input]\nchannels = \"grb\"", "grb"),
            ("[input]\nmean = [0, 0]", "mean"),
            ("[input]\nstd = [1, 0, 1]", "std"),
            ("[input]\nscale = nan", "scale"),
            ("[input]\nscale = 1e30", "scale"),
            ("[input]\nsize = [0, 512]", "size"),
            ("[input]\nsize = [512, 1000000]", "size"),
            ("[output]\nchannel = -1", "channel"),
            ("[output]\nchannel = 100000", "channel"),
            ("[output]\nactivation = 3", "activation"),
            ("no toml", "net.toml"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn the_table_of_known_models_is_valid() {
        let names: Vec<_> = KnownModel::table().iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["david-base", "david-large", "david-multitask"]);
        for model in KnownModel::table() {
            assert!(model.url.ends_with(&model.file), "{}", model.name);
            model.description().check().unwrap();
        }
        assert_eq!(KnownModel::by_name("david-multitask").unwrap().output.index, Some(2));
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
