// SPDX-License-Identifier: MIT

//! What a network expects and gives: the description in a known model's table row, in the sidecar
//! beside a model, or DAViD's contract where there is neither.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::matting::error::Error;
use crate::matting::frame::size::Size;

/// The side that an input of open size gets where no description says otherwise: DAViD's.
const DEFAULT_SIDE: usize = 512;
/// The longest side of a network's input or matte; more is a mistake, not a network.
pub const MAX_SIDE: usize = 8192;

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
}
