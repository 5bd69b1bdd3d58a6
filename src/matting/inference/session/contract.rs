// SPDX-License-Identifier: MIT

//! What a network takes and gives, checked against its description.

use ort::value::{Outlet, TensorElementType, ValueType};

use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::inference::decode::OutputLayout;
use crate::matting::model::catalog::ModelSource;
use crate::matting::model::description::{
    Description, OutputDescription, TensorLayout, is_sensible,
};

/// No matting network has more output channels; more would only exhaust memory.
const MAX_CHANNELS: usize = 4096;

/// A network's input and output, checked against its description.
pub struct Contract {
    pub description: Description,
    pub input_name: String,
    pub input_shape: Vec<i64>,
    pub input_size: Size,
    pub output_name: String,
    pub output_shape: Vec<i64>,
    pub output: OutputLayout,
}

impl Contract {
    pub fn check(session: &ort::session::Session, source: &ModelSource) -> Result<Self, Error> {
        let description = source.description.clone().unwrap_or_default();
        Self::resolve(session.inputs(), session.outputs(), description).map_err(|found| {
            Error::ModelContract { path: source.label(), found, sidecar: source.sidecar() }
        })
    }

    fn resolve(
        inputs: &[Outlet],
        outputs: &[Outlet],
        description: Description,
    ) -> Result<Self, String> {
        let [input] = inputs else {
            let names: Vec<_> = inputs.iter().map(Outlet::name).collect();
            return Err(format!("it has {} inputs ({})", inputs.len(), names.join(", ")));
        };
        let (input_shape, input_size) = resolve_input(float_shape(input, "input")?, &description)?;
        let output = select_output(outputs, &description.output)?;
        let (output_shape, layout) =
            resolve_output(float_shape(output, "output")?, input_size, description.input.layout)?;
        let channel = description.output.channel;
        if channel >= layout.channels {
            return Err(format!(
                "output `{}` has {} channels, and the description asks for channel {channel}",
                output.name(),
                layout.channels
            ));
        }
        Ok(Self {
            input_name: input.name().into(),
            input_shape,
            input_size,
            output_name: output.name().into(),
            output_shape,
            output: layout,
            description,
        })
    }
}

/// The shape of a float32 tensor; −1 stands for an open dimension.
fn float_shape<'a>(outlet: &'a Outlet, kind: &str) -> Result<&'a [i64], String> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape),
        ValueType::Tensor { ty, .. } => {
            Err(format!("{kind} `{}` holds {ty:?} instead of float32", outlet.name()))
        }
        _ => Err(format!("{kind} `{}` is not a tensor", outlet.name())),
    }
}

/// A shape as in messages, `?` for an open dimension.
fn show(shape: &[i64]) -> String {
    let sides: Vec<_> = shape
        .iter()
        .map(|&side| if side < 0 { "?".to_owned() } else { side.to_string() })
        .collect();
    format!("({})", sides.join(", "))
}

fn resolve_input(shape: &[i64], description: &Description) -> Result<(Vec<i64>, Size), String> {
    let wrong = || format!("its input has shape {}", show(shape));
    let &[batch, a, b, c] = shape else { return Err(wrong()) };
    let (channels, height, width) = match description.input.layout {
        TensorLayout::Nchw => (a, b, c),
        TensorLayout::Nhwc => (c, a, b),
    };
    let [open_width, open_height] = description.open_size();
    let side = |side: i64, open: usize| if side < 0 { open } else { side as usize };
    let size = Size { width: side(width, open_width), height: side(height, open_height) };
    if !matches!(batch, -1 | 1) || !matches!(channels, -1 | 3) || !is_sensible(size) {
        return Err(wrong());
    }
    let (w, h) = (size.width as i64, size.height as i64);
    let shape = match description.input.layout {
        TensorLayout::Nchw => vec![1, 3, h, w],
        TensorLayout::Nhwc => vec![1, h, w, 3],
    };
    Ok((shape, size))
}

/// The output that the description names; without one, the only output, or DAViD's multi-task
/// foreground: the third of depth, normal, foreground.
fn select_output<'a>(
    outputs: &'a [Outlet],
    description: &OutputDescription,
) -> Result<&'a Outlet, String> {
    let names = || outputs.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
    if let Some(name) = &description.name {
        return outputs
            .iter()
            .find(|output| output.name() == name)
            .ok_or_else(|| format!("it has no output `{name}` (but {})", names()));
    }
    match (description.index, outputs) {
        (Some(index), _) => outputs.get(index).ok_or_else(|| {
            format!("it has {} outputs, and the description asks for output {index}", outputs.len())
        }),
        (None, [only]) => Ok(only),
        (None, [_, normal, foreground])
            if float_shape(normal, "").is_ok_and(|s| s.get(1) == Some(&3)) =>
        {
            Ok(foreground)
        }
        (None, _) => Err(format!(
            "it has {} outputs ({}), and nothing says which is the matte",
            outputs.len(),
            names()
        )),
    }
}

fn resolve_output(
    shape: &[i64],
    input: Size,
    layout: TensorLayout,
) -> Result<(Vec<i64>, OutputLayout), String> {
    let wrong = || format!("its output has shape {}", show(shape));
    let (channels, height, width, interleaved) = match (shape, layout) {
        (&[h, w], _) => (1, h, w, false),
        (&[-1 | 1, h, w], _) => (1, h, w, false),
        (&[-1 | 1, c, h, w], TensorLayout::Nchw) => (c, h, w, false),
        (&[-1 | 1, h, w, c], TensorLayout::Nhwc) => (c, h, w, true),
        _ => return Err(wrong()),
    };
    // An open dimension of the output is that of the input, an open number of channels one.
    let side = |side: i64, open: usize| if side < 0 { open } else { side as usize };
    let size = Size { width: side(width, input.width), height: side(height, input.height) };
    let channels = side(channels, 1);
    if !is_sensible(size) || !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(wrong());
    }
    let (w, h, c) = (size.width as i64, size.height as i64, channels as i64);
    let shape = match (shape.len(), interleaved) {
        (2, _) => vec![h, w],
        (3, _) => vec![1, h, w],
        (_, false) => vec![1, c, h, w],
        (_, true) => vec![1, h, w, c],
    };
    Ok((shape, OutputLayout { size, channels, interleaved }))
}
