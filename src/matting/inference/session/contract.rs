// SPDX-License-Identifier: MIT

//! What a network takes and gives, checked against its description.

use ort::value::{TensorElementType, ValueType};

use super::ports::{Outlet, Port, names, show};
use crate::matting::frame::size::Size;
use crate::matting::inference::decode::OutputLayout;
use crate::matting::inference::network::{Memory, NetworkShape, OpenSides};
use crate::matting::model::description::{Description, TensorLayout, is_sensible};
use crate::matting::model::memory::ConstantValue;

/// No matting network has more output channels; more would only exhaust memory.
const MAX_CHANNELS: usize = 4096;

/// Stands for all frames until they are known.
const ANY_FRAME: Size = Size { width: 1280, height: 720 };

/// A network's inputs and outputs, checked against its description.
#[derive(Clone, Debug)]
pub struct Contract {
    pub description: Description,
    pub picture: Port,
    pub matte: Port,
    pub constants: Vec<(Port, ConstantValue)>,
    pub states: Vec<StatePorts>,
    pub previous: Vec<Port>,
    /// The network's own colours.
    pub foreground: Option<Port>,
}

/// Where a state goes in and comes out.
#[derive(Clone, Debug)]
pub struct StatePorts {
    pub input: Port,
    pub output: Port,
    /// Of the first one.
    pub first: Vec<i64>,
}

/// The sizes of everything, for pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    pub input: Size,
    pub picture: Vec<i64>,
    pub matte: Vec<i64>,
    pub output: OutputLayout,
    /// The shape of each matte before.
    pub previous: Vec<Vec<i64>>,
    /// Shape of the network's own colours, and whether those of one sample lie side by side.
    pub foreground: Option<(Vec<i64>, bool)>,
}

impl Contract {
    /// What a network of these inputs and outputs does, by its description, and the sizes that hold until
    /// frames are known.
    ///
    /// # Errors
    /// What it has that is not understood, to go on "it is not a matting network that is understood".
    pub fn resolve(
        inputs: &[Outlet],
        outputs: &[Outlet],
        description: &Description,
    ) -> Result<(Self, Sizes), String> {
        let inputs = inputs.iter().map(|outlet| Port::of(outlet, "input"));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let find_input = |name: &str, what: &str| find(&inputs, name, "input", what);
        // Outputs that nobody asks for may be of any kind.
        let find_output = |name: &str, what: &str| find_outlet(outputs, name, what);

        let constant = |name: &str, value: &ConstantValue| {
            let port = find_input(name, "a constant")?;
            check_constant(&port, value)?;
            Ok((port, value.clone()))
        };
        let constants = description.constants.iter().map(|c| constant(&c.name, &c.value));
        let constants = constants.collect::<Result<Vec<_>, String>>()?;
        let states = description.states.iter().map(|state| {
            let input = find_input(&state.input, "a state")?;
            let output = find_output(&state.output, "a state")?;
            StatePorts::check(input, output, &state.shape)
        });
        let states = states.collect::<Result<Vec<_>, String>>()?;
        let previous = description.previous.iter().map(|p| find_input(&p.name, "a matte before"));
        let previous = previous.collect::<Result<Vec<_>, String>>()?;

        let explained: Vec<_> = (constants.iter().map(|(port, _)| port))
            .chain(states.iter().map(|state| &state.input))
            .chain(&previous)
            .map(|port| port.name.clone())
            .collect();
        let rest: Vec<_> = inputs.iter().filter(|port| !explained.contains(&port.name)).collect();
        let picture = select_picture(&rest, description)?.clone();
        let unexplained: Vec<_> =
            rest.into_iter().filter(|port| port.name != picture.name).collect();
        if !unexplained.is_empty() {
            let list: Vec<_> = unexplained.iter().map(|port| port.to_string()).collect();
            return Err(format!(
                "it has {} inputs, and nothing says what {} takes besides the picture in `{}`",
                inputs.len(),
                list.join(" or "),
                picture.name
            ));
        }
        let matte = select_output(outputs, description)?;
        let foreground = description
            .foreground
            .as_ref()
            .map(|foreground| find_output(&foreground.name, "the foreground"));
        let foreground = foreground.transpose()?;
        let floats = [&picture, &matte].into_iter().chain(&previous);
        floats.chain(&foreground).try_for_each(Port::check_float)?;
        let contract = Self {
            description: description.clone(),
            picture,
            matte,
            constants,
            states,
            previous,
            foreground,
        };
        let sizes = contract.sizes(contract.input_size(ANY_FRAME))?;
        Ok((contract, sizes))
    }

    /// The input's size for frames of `frame` size.
    pub fn input_size(&self, frame: Size) -> Size {
        let (fixed, open) = self.picture_sides();
        OpenSides::pick(open, fixed, self.description.input.open_size(frame))
    }

    /// The picture's sides, and which of them are open.
    fn picture_sides(&self) -> (Size, [bool; 2]) {
        let (width, height) = match (&self.picture.shape[..], self.description.input.layout) {
            (&[_, _, height, width], TensorLayout::Nchw)
            | (&[_, height, width, _], TensorLayout::Nhwc) => (width, height),
            _ => (-1, -1),
        };
        let side = |side: i64| usize::try_from(side).unwrap_or(0);
        (Size { width: side(width), height: side(height) }, [width < 0, height < 0])
    }

    /// All sizes, for a picture of one.
    pub fn sizes(&self, input: Size) -> Result<Sizes, String> {
        let layout = self.description.input.layout;
        let picture = picture_shape(&self.picture, input, layout)?;
        let (matte, output) = resolve_output(&self.matte, "output", input, layout)?;
        for &channel in self.description.output.channels() {
            if channel >= output.channels {
                return Err(format!(
                    "output `{}` has {} channels, and the description asks for channel {channel}",
                    self.matte.name, output.channels
                ));
            }
        }
        let previous = self.previous.iter().map(|port| previous_shape(port, input));
        let previous = previous.collect::<Result<_, _>>()?;
        let foreground = self.foreground.as_ref().map(|port| {
            let (shape, colors) = resolve_output(port, "foreground", input, layout)?;
            if colors.channels != 3 || colors.size != output.size {
                return Err(format!(
                    "foreground {port} does not hold three colours of the matte's {}",
                    output.size
                ));
            }
            if input != output.size {
                return Err(format!(
                    "foreground {port} has colours of {}, and its picture {input}",
                    output.size
                ));
            }
            Ok((shape, colors.interleaved))
        });
        let foreground = foreground.transpose()?;
        Ok(Sizes { input, picture, matte, output, previous, foreground })
    }

    /// As the rest of the matting sees it, at one of its sizes.
    pub fn shape(&self, sizes: &Sizes) -> NetworkShape {
        let (_, input) = self.picture_sides();
        let (height, width) = match (&self.matte.shape[..], self.description.input.layout) {
            (&[h, w] | &[_, h, w], _) => (h, w),
            (&[_, _, h, w], TensorLayout::Nchw) | (&[_, h, w, _], TensorLayout::Nhwc) => (h, w),
            _ => (0, 0),
        };
        let mut shape =
            NetworkShape::new(self.description.input.clone(), sizes.input, sizes.output.size);
        shape.memory =
            Memory { states: !self.states.is_empty(), previous: !self.previous.is_empty() };
        shape.has_foreground = self.foreground.is_some();
        shape.open = OpenSides { input, mask: [width < 0, height < 0] };
        shape
    }

    /// Whether it is a picture and a matte, and nothing else.
    pub fn is_plain(&self) -> bool {
        self.constants.is_empty()
            && self.states.is_empty()
            && self.previous.is_empty()
            && self.foreground.is_none()
    }
}

impl StatePorts {
    fn check(input: Port, output: Port, first: &[usize]) -> Result<Self, String> {
        input.check_float()?;
        output.check_float()?;
        if input.ty != output.ty {
            return Err(format!("state {input} does not take what {output} gives"));
        }
        let first: Vec<i64> = match first {
            [] => input.shape.clone(),
            first => first.iter().map(|&side| side as i64).collect(),
        };
        if first.iter().any(|&side| side < 1) {
            return Err(format!(
                "state {input} has open sides, and the description has no `shape` for the first one"
            ));
        }
        if !input.takes(&first) {
            return Err(format!("state {input} cannot begin with shape {}", show(&first)));
        }
        let may_follow = input.shape.len() == output.shape.len()
            && input.shape.iter().zip(&output.shape).all(|(&a, &b)| a < 0 || b < 0 || a == b);
        if !may_follow {
            return Err(format!("state {input} does not take what {output} gives"));
        }
        Ok(Self { input, output, first })
    }
}

fn find(ports: &[Port], name: &str, kind: &str, what: &str) -> Result<Port, String> {
    ports.iter().find(|port| port.name == name).cloned().ok_or_else(|| {
        let list: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        format!("it has no {kind} `{name}` for {what} (but {})", list.join(", "))
    })
}

fn find_outlet(outputs: &[Outlet], name: &str, what: &str) -> Result<Port, String> {
    match outputs.iter().find(|output| output.name == name) {
        Some(output) => Port::of(output, "output"),
        None => Err(format!("it has no output `{name}` for {what} (but {})", names(outputs))),
    }
}

fn check_constant(port: &Port, value: &ConstantValue) -> Result<(), String> {
    let numbers = value.numbers(ANY_FRAME);
    let open = port.shape.iter().filter(|&&side| side < 0).count();
    let fixed = port.shape.iter().filter(|&&side| side >= 0).product::<i64>() as usize;
    let fits = match open {
        0 => numbers.len() == fixed,
        1 => fixed > 0 && numbers.len().is_multiple_of(fixed),
        _ => numbers.len() == 1,
    };
    if !fits {
        return Err(format!("constant {port} does not take {} numbers", numbers.len()));
    }
    match numbers.iter().find(|&&number| !port.ty.holds(number)) {
        Some(number) => Err(format!("constant {port} cannot hold {number}")),
        None => Ok(()),
    }
}

/// The picture among the inputs that nothing else is said of.
fn select_picture<'a>(rest: &[&'a Port], description: &Description) -> Result<&'a Port, String> {
    if let Some(name) = &description.input.name {
        return rest.iter().find(|port| port.name == *name).copied().ok_or_else(|| {
            let list: Vec<_> = rest.iter().map(|port| port.name.as_str()).collect();
            format!("it has no input `{name}` for the picture (but {})", list.join(", "))
        });
    }
    let may_be = |port: &&&Port| port.shape.len() == 4 && port.ty.is_float();
    let pictures: Vec<_> = rest.iter().filter(may_be).collect();
    match (&pictures[..], rest) {
        ([picture], _) => Ok(picture),
        // Its shape or type is what is wrong.
        ([], [only]) => Ok(only),
        _ => {
            let list: Vec<_> = rest.iter().map(|port| port.name.as_str()).collect();
            Err(format!(
                "it has {} inputs ({}), and nothing says which takes the picture",
                rest.len(),
                list.join(", ")
            ))
        }
    }
}

fn picture_shape(port: &Port, input: Size, layout: TensorLayout) -> Result<Vec<i64>, String> {
    let wrong = || format!("its input has shape {}", show(&port.shape));
    let (batch, channels) = match (&port.shape[..], layout) {
        (&[batch, channels, _, _], TensorLayout::Nchw)
        | (&[batch, _, _, channels], TensorLayout::Nhwc) => (batch, channels),
        _ => return Err(wrong()),
    };
    if !matches!(batch, -1 | 1) || !matches!(channels, -1 | 3) || !is_sensible(input) {
        return Err(wrong());
    }
    let (w, h) = (input.width as i64, input.height as i64);
    Ok(match layout {
        TensorLayout::Nchw => vec![1, 3, h, w],
        TensorLayout::Nhwc => vec![1, h, w, 3],
    })
}

/// The shape of a matte before: one channel, of the input's size.
fn previous_shape(port: &Port, input: Size) -> Result<Vec<i64>, String> {
    let (w, h) = (input.width as i64, input.height as i64);
    let shapes = [vec![1, 1, h, w], vec![1, h, w, 1], vec![1, h, w], vec![h, w]];
    shapes.into_iter().find(|shape| port.takes(shape)).ok_or_else(|| {
        format!("input {port} does not take a matte before, of one channel and the input's {input}")
    })
}

/// The output that the description names; without one, the only one that nothing else is said of, or DAViD's
/// multi-task foreground: the third of depth, normal, foreground.
fn select_output(outputs: &[Outlet], description: &Description) -> Result<Port, String> {
    if let Some(name) = &description.output.name {
        return find_outlet(outputs, name, "the matte");
    }
    let states = description.states.iter().map(|state| &state.output);
    let described: Vec<_> =
        states.chain(description.foreground.as_ref().map(|foreground| &foreground.name)).collect();
    let rest: Vec<_> = outputs.iter().filter(|output| !described.contains(&&output.name)).collect();
    let is_normal = |outlet: &Outlet| match &outlet.dtype {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => shape.get(1) == Some(&3),
        _ => false,
    };
    let output = match (description.output.index, &rest[..]) {
        (Some(index), _) => outputs.get(index).ok_or_else(|| {
            format!("it has {} outputs, and the description asks for output {index}", outputs.len())
        })?,
        (None, [only]) => only,
        (None, [_, normal, foreground]) if is_normal(normal) => foreground,
        (None, _) => {
            return Err(format!(
                "it has {} outputs ({}), and nothing says which is the matte",
                rest.len(),
                rest.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ")
            ));
        }
    };
    Port::of(output, "output")
}

fn resolve_output(
    port: &Port,
    kind: &str,
    input: Size,
    layout: TensorLayout,
) -> Result<(Vec<i64>, OutputLayout), String> {
    let wrong = || format!("its {kind} has shape {}", show(&port.shape));
    let (channels, height, width, interleaved) = match (&port.shape[..], layout) {
        (&[h, w], _) => (1, h, w, false),
        (&[-1 | 1, h, w], _) => (1, h, w, false),
        (&[-1 | 1, c, h, w], TensorLayout::Nchw) => (c, h, w, false),
        (&[-1 | 1, h, w, c], TensorLayout::Nhwc) => (c, h, w, true),
        _ => return Err(wrong()),
    };
    // An open dimension of the output is that of the input, an open number of channels one, or three.
    let side = |side: i64, open: usize| if side < 0 { open } else { side as usize };
    let size = Size { width: side(width, input.width), height: side(height, input.height) };
    let channels = side(channels, if kind == "foreground" { 3 } else { 1 });
    if !is_sensible(size) || !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(wrong());
    }
    let (w, h, c) = (size.width as i64, size.height as i64, channels as i64);
    let shape = match (port.shape.len(), interleaved) {
        (2, _) => vec![h, w],
        (3, _) => vec![1, h, w],
        (_, false) => vec![1, c, h, w],
        (_, true) => vec![1, h, w, c],
    };
    Ok((shape, OutputLayout { size, channels, interleaved }))
}
