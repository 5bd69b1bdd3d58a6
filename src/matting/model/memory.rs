// SPDX-License-Identifier: MIT

//! What a network takes besides the picture, and gives besides the matte.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::description::{CodeRange, Description};
use crate::matting::frame::size::Size;

/// An input that never changes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// The input's name.
    pub name: String,
    /// What it holds.
    pub value: ConstantValue,
}

/// What a constant holds, in the network's own type.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "it must be a list of numbers, a number, or \"longest-512\"")]
pub enum ConstantValue {
    /// One number.
    Number(f64),
    /// So many numbers as the input holds.
    Numbers(Vec<f64>),
    /// Computed.
    Rule(ConstantRule),
}

/// How a constant is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ConstantRule {
    /// min(512 / longer side of the input, 1): what the authors of Robust Video Matting use for the
    /// size at which their network looks for people.
    #[serde(rename = "longest-512")]
    Longest512,
}

impl ConstantValue {
    /// The numbers, for an input picture of `input` size.
    pub fn numbers(&self, input: Size) -> Vec<f64> {
        match self {
            Self::Number(number) => vec![*number],
            Self::Numbers(numbers) => numbers.clone(),
            Self::Rule(ConstantRule::Longest512) => {
                vec![(512.0 / input.width.max(input.height).max(1) as f64).min(1.0)]
            }
        }
    }
}

/// What goes from one frame to the next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The input that takes it.
    pub input: String,
    /// The output that gives the next one.
    pub output: String,
    /// Of the first one, which is all zeros; the network's own where it has no open dimension.
    #[serde(default)]
    pub shape: Vec<usize>,
}

/// An input that is given the matte before, brought to the present frame; zeros where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The input's name.
    pub name: String,
}

/// The network's own colours of the person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForegroundDescription {
    /// The output's name.
    pub name: String,
    /// Whether they are multiplied by the matte.
    #[serde(default)]
    pub premultiplied: bool,
}

/// The most values that a constant or a state may hold at first: more is a mistake.
const MOST_VALUES: usize = 1 << 24;

/// Fails on what contradicts itself; what contradicts the network is found when that is loaded.
pub(super) fn check(description: &Description) -> Result<(), String> {
    let mut inputs = BTreeMap::new();
    let mut outputs = BTreeMap::new();
    let mut once = |kind: &'static str, name: &str, what: String| {
        let seen = if kind == "input" { &mut inputs } else { &mut outputs };
        if name.is_empty() {
            return Err(format!("{what} has an empty name"));
        }
        match seen.insert(name.to_owned(), what.clone()) {
            Some(before) => Err(format!("{kind} `{name}` is both {before} and {what}")),
            None => Ok(()),
        }
    };
    if let Some(name) = &description.input.name {
        once("input", name, "the picture".into())?;
    }
    if let Some(name) = &description.output.name {
        once("output", name, "the matte".into())?;
    }
    if let Some(foreground) = &description.foreground {
        once("output", &foreground.name, "the foreground".into())?;
        // How bright they are would hang on a number that only the input knows.
        if description.input.range == CodeRange::PictureMax {
            return Err("[foreground] does not go with input.range = \"picture-max\"".into());
        }
    }
    for Constant { name, value } in &description.constants {
        once("input", name, "a constant".into())?;
        let numbers = value.numbers(Size { width: 1, height: 1 });
        if numbers.is_empty() || numbers.len() > MOST_VALUES {
            return Err(format!("constant `{name}` holds {} numbers", numbers.len()));
        }
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(format!("constant `{name}` holds {number}, and must be finite"));
        }
    }
    for State { input, output, shape } in &description.states {
        once("input", input, format!("the state that `{output}` gives"))?;
        once("output", output, format!("the state of `{input}`"))?;
        let values = shape.iter().try_fold(1usize, |values, &side| values.checked_mul(side));
        if values.is_none_or(|values| values == 0 || values > MOST_VALUES) {
            return Err(format!(
                "state `{input}` begins with shape {shape:?}, which is empty or too large"
            ));
        }
    }
    for Previous { name } in &description.previous {
        once("input", name, "the matte before".into())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Result<Description, String> {
        Description::parse(text, Path::new("net.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_network_with_a_memory_is_described() {
        let description = parse(
            r#"
            [input]
            name = "src"
            size = { short = 512, multiple = 32, max = 1024 }
            [[constant]]
            name = "downsample_ratio"
            value = "longest-512"
            [[constant]]
            name = "steps"
            value = [1, 2.5]
            [[state]]
            input = "r1i"
            output = "r1o"
            shape = [1, 1, 1, 1]
            [[previous]]
            name = "prior"
            [output]
            name = "pha"
            classes = [1, 3]
            normalize = "min-max"
            [foreground]
            name = "fgr"
            "#,
        )
        .unwrap();
        let input = Size { width: 1024, height: 576 };
        let numbers = |constant: &Constant| constant.value.numbers(input);
        assert_eq!(
            description.constants.iter().map(numbers).collect::<Vec<_>>(),
            [vec![0.5], vec![1.0, 2.5]]
        );
        assert_eq!(description.states[0].output, "r1o");
        assert_eq!(description.previous[0].name, "prior");
        assert_eq!(description.output.channels(), [1, 3]);
        assert!(!description.foreground.unwrap().premultiplied);
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let state = |input: &str, output: &str| {
            format!("[[state]]\ninput = \"{input}\"\noutput = \"{output}\"\nshape = [1]\n")
        };
        for (text, words) in [
            (state("a", "x") + &state("a", "y"), ["`a`", "both"]),
            (state("a", "x") + &state("b", "x"), ["`x`", "both"]),
            (state("a", "x") + "[[previous]]\nname = \"a\"", ["`a`", "the matte before"]),
            (state("a", "pha") + "[output]\nname = \"pha\"", ["`pha`", "the matte"]),
            ("[[state]]\ninput = \"a\"\noutput = \"b\"\nshape = [0]".into(), ["`a`", "empty"]),
            ("[[state]]\ninput = \"a\"".into(), ["output", "missing"]),
            ("[[constant]]\nname = \"c\"\nvalue = [inf]".into(), ["`c`", "finite"]),
            ("[[constant]]\nname = \"c\"\nvalue = \"longest-9\"".into(), ["longest-512", "number"]),
            ("[output]\nclasses = [1]\ncomplement = 0".into(), ["classes", "complement"]),
            ("[output]\nclasses = [1, 1]".into(), ["classes", "twice"]),
            ("[input]\nsize = { shrot = 1 }".into(), ["size", "short"]),
            ("[foreground]\npremultiplied = true".into(), ["name", "missing"]),
            (
                "[input]\nrange = \"picture-max\"\n[foreground]\nname = \"fgr\"".into(),
                ["foreground", "picture-max"],
            ),
        ] {
            let message = parse(&text).expect_err(&text);
            assert!(words.iter().all(|word| message.contains(word)), "{text}: {message}");
        }
    }
}
