// SPDX-License-Identifier: MIT

//! Inputs and outputs of a network, as its file declares them.

use std::fmt;

use ort::value::{TensorElementType, ValueType};

/// An input or output as the network's file declares it, of whatever kind.
#[derive(Clone, Debug)]
pub struct Outlet {
    pub name: String,
    pub dtype: ValueType,
}

impl Outlet {
    pub fn all(outlets: &[ort::value::Outlet]) -> Vec<Self> {
        let own = |outlet: &ort::value::Outlet| Self {
            name: outlet.name().into(),
            dtype: outlet.dtype().clone(),
        };
        outlets.iter().map(own).collect()
    }
}

/// The types that tensors have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    F32,
    F16,
    I64,
    I32,
}

impl Type {
    fn of(ty: TensorElementType) -> Option<Self> {
        match ty {
            TensorElementType::Float32 => Some(Self::F32),
            TensorElementType::Float16 => Some(Self::F16),
            TensorElementType::Int64 => Some(Self::I64),
            TensorElementType::Int32 => Some(Self::I32),
            _ => None,
        }
    }

    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// Whether a number can be one of this type.
    pub fn holds(self, number: f64) -> bool {
        match self {
            Self::F32 => (number as f32).is_finite(),
            Self::F16 => half::f16::from_f64(number).is_finite(),
            Self::I64 => number.fract() == 0.0 && number.abs() < 2f64.powi(63),
            Self::I32 => number.fract() == 0.0 && number.abs() < 2f64.powi(31),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::I64 => "int64",
            Self::I32 => "int32",
        })
    }
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub ty: Type,
    /// -1 stands for an open side.
    pub shape: Vec<i64>,
}

impl Port {
    /// # Errors
    /// What it is instead of a tensor of a known type.
    pub fn of(outlet: &Outlet, kind: &str) -> Result<Self, String> {
        match &outlet.dtype {
            ValueType::Tensor { ty, shape, .. } => match Type::of(*ty) {
                Some(ty) => Ok(Self { name: outlet.name.clone(), ty, shape: shape.to_vec() }),
                None => Err(format!(
                    "{kind} `{}` holds {ty:?} instead of float32 or float16",
                    outlet.name
                )),
            },
            _ => Err(format!("{kind} `{}` is not a tensor", outlet.name)),
        }
    }

    /// # Errors
    /// A sentence, for one of integers.
    pub fn check_float(&self) -> Result<(), String> {
        match self.ty.is_float() {
            true => Ok(()),
            false => {
                Err(format!("`{}` holds {} instead of float32 or float16", self.name, self.ty))
            }
        }
    }

    /// Whether a tensor of this shape is one of the port's.
    pub fn takes(&self, shape: &[i64]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(&side, &given)| side < 0 || side == given)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({} {})", self.name, self.ty, show(&self.shape))
    }
}

/// A shape as in messages, `?` for an open dimension.
pub fn show(shape: &[i64]) -> String {
    let sides: Vec<_> = shape
        .iter()
        .map(|&side| if side < 0 { "?".to_owned() } else { side.to_string() })
        .collect();
    format!("({})", sides.join(", "))
}

/// The names of outlets, as in messages.
pub fn names(outlets: &[Outlet]) -> String {
    outlets.iter().map(|outlet| outlet.name.as_str()).collect::<Vec<_>>().join(", ")
}
