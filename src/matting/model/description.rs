// SPDX-License-Identifier: MIT

//! What a network expects and gives: the description in a known model's table row, in the sidecar
//! beside a model, or DAViD's contract where there is neither.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::memory::{self, Constant, ForegroundDescription, Previous, State};
use super::size_rule::SizeRule;
use crate::matting::error::Error;
use crate::matting::frame::size::Size;

/// The side that an input of open size gets where no description says otherwise: DAViD's.
const DEFAULT_SIDE: usize = 512;
/// The longest side of a network's input or matte; more is a mistake, not a network.
pub const MAX_SIDE: usize = 8192;

/// No matting network has more channels.
const MOST_CHANNELS: usize = 4096;

/// Whether a network's input or matte may have this size: both sides 1 to [`MAX_SIDE`].
pub fn is_sensible(size: Size) -> bool {
    [size.width, size.height].iter().all(|side| (1..=MAX_SIDE).contains(side))
}

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
    /// Padded to the input's shape by replicating its border, then scaled.
    #[serde(alias = "pad-square")]
    Pad,
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

/// What the network takes a picture's values for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeRange {
    /// 8-bit codes, 0 to 255.
    #[default]
    Codes,
    /// Codes by which the picture's own largest was made 255, whatever it was.
    PictureMax,
}

/// What becomes of the matte's range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// It stays.
    #[default]
    None,
    /// The least value becomes 0 and the greatest 1; damped over time, so that a picture of nobody stays
    /// empty.
    MinMax,
}

/// The network's input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputDescription {
    /// The input's name; needed where a network has several that might be a picture.
    pub name: Option<String>,
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
    /// What a picture's codes are taken for.
    pub range: CodeRange,
    /// The size of a network that leaves it open.
    pub size: Option<SizeRule>,
}

impl Default for InputDescription {
    /// DAViD's: BGR, planar, in [0, 1], padded to the input's shape, a square.
    fn default() -> Self {
        Self {
            name: None,
            channels: ChannelOrder::Bgr,
            layout: TensorLayout::Nchw,
            fit: Fit::Pad,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            range: CodeRange::Codes,
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
    /// The channels that are people, added up after the activation; instead of `channel`.
    pub classes: Vec<usize>,
    /// The channel that is everything else, of which the matte is what is missing to 1; instead of
    /// `channel`.
    pub complement: Option<usize>,
    /// What turns it into a matte.
    pub activation: Activation,
    /// What becomes of its range.
    pub normalize: Normalize,
}

impl Default for OutputDescription {
    fn default() -> Self {
        Self {
            name: None,
            index: None,
            channel: 0,
            classes: Vec::new(),
            complement: None,
            activation: Activation::None,
            normalize: Normalize::None,
        }
    }
}

impl OutputDescription {
    /// The channels whose values make the matte, added up.
    pub fn channels(&self) -> &[usize] {
        match (&self.complement, &self.classes[..]) {
            (Some(channel), _) => std::slice::from_ref(channel),
            (None, []) => std::slice::from_ref(&self.channel),
            (None, classes) => classes,
        }
    }
}

/// What a network expects and gives.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// Its input.
    pub input: InputDescription,
    /// Further inputs that never change.
    #[serde(rename = "constant")]
    pub constants: Vec<Constant>,
    /// What goes from one frame to the next.
    #[serde(rename = "state")]
    pub states: Vec<State>,
    /// Inputs that are given the matte before.
    pub previous: Vec<Previous>,
    /// Its output.
    pub output: OutputDescription,
    /// The network's own colours of the person, where it gives them.
    pub foreground: Option<ForegroundDescription>,
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
    pub(super) fn check(&self) -> Result<(), String> {
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
        if let Some(size) = size {
            size.check().map_err(|reason| format!("input.size {reason}"))?;
        }
        self.output.check()?;
        memory::check(self)
    }

    /// The sidecar of a model: the same name with the ending `.toml`.
    pub fn sidecar_of(model: &Path) -> PathBuf {
        model.with_extension("toml")
    }
}

impl InputDescription {
    /// The size that an input of open size gets for frames of `frame` size.
    pub fn open_size(&self, frame: Size) -> Size {
        let usual = SizeRule::Fixed([DEFAULT_SIDE; 2]);
        self.size.unwrap_or(usual).size(frame)
    }
}

impl OutputDescription {
    fn check(&self) -> Result<(), String> {
        let Self { channel, classes, complement, .. } = self;
        let ways = [*channel != 0, !classes.is_empty(), complement.is_some()];
        if ways.iter().filter(|&&is_set| is_set).count() > 1 {
            return Err(
                "output.channel, output.classes and output.complement are three ways to say \
                        the same; keep one"
                    .into(),
            );
        }
        if let Some(channel) = self.channels().iter().find(|&&channel| channel > MOST_CHANNELS) {
            return Err(format!("output.channel {channel} is asked for, and no matte has so many"));
        }
        let mut seen = classes.clone();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() != classes.len() {
            return Err(format!("output.classes is {classes:?}, which names a channel twice"));
        }
        Ok(())
    }
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
        let Description { input, output, .. } = parse(text).unwrap();
        assert_eq!(input.channels, ChannelOrder::Rgb);
        assert_eq!(input.layout, TensorLayout::Nhwc);
        assert_eq!(input.fit, Fit::Letterbox);
        assert_eq!((input.scale, input.mean, input.std), (1.0, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]));
        assert_eq!(input.size, Some(SizeRule::Fixed([160, 96])));
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
}
