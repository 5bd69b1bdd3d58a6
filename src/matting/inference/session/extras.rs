// SPDX-License-Identifier: MIT

//! What a network takes besides the picture, and gives to itself, bound to it.

use half::f16;
use ort::memory::AllocationDevice;
use ort::session::{IoBinding, SessionOutputs};
use ort::value::{DynValue, Tensor};

use super::contract::{Contract, Sizes};
use super::foreground::Foreground;
use super::ports::{Port, Type};
use super::states::{Fault, States};
use super::tensors::Floats;

/// All of it, of one stream and for one size of the picture.
pub struct Extras {
    states: States,
    previous: Vec<(String, Floats)>,
    foreground: Option<Foreground>,
    /// Bound inputs are copied to a device when they are bound.
    bind_again: bool,
}

impl Extras {
    pub fn new(
        contract: &Contract,
        sizes: &Sizes,
        binding: &mut IoBinding,
        device: Option<(AllocationDevice<'static>, i32)>,
        bind_again: bool,
    ) -> ort::Result<Self> {
        for (port, value) in &contract.constants {
            let constant = constant(port, &value.numbers(sizes.input))?;
            binding.bind_input(port.name.as_str(), &constant)?;
        }
        let mut previous = Vec::new();
        for (port, shape) in contract.previous.iter().zip(&sizes.previous) {
            let floats = Floats::new(port, shape)?;
            floats.bind_input(binding, &port.name)?;
            previous.push((port.name.clone(), floats));
        }
        let foreground = Foreground::bind(contract, sizes, binding)?;
        let states = States::new(&contract.states, device)?;
        Ok(Self { states, previous, foreground, bind_again })
    }

    /// The matte before, of which all inputs for it get the same.
    pub fn previous(&mut self) -> &mut [f32] {
        self.previous.first_mut().map_or(&mut [], |(_, floats)| floats.values_mut())
    }

    /// What the colours of the last run add to the picture's, as planes.
    pub fn foreground(&self) -> &[f32] {
        self.foreground.as_ref().map_or(&[], Foreground::differences)
    }

    /// Takes the colours that a run gave for a picture, of which `mask` is the matte.
    pub fn receive(&mut self, picture: &[f32], mask: &[f32]) {
        if let Some(foreground) = &mut self.foreground {
            foreground.receive(picture, mask);
        }
    }

    pub fn start_anew(&mut self) {
        self.states.start_anew();
        self.previous().fill(0.0);
    }

    /// Brings all to where the network reads it.
    pub fn send(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        self.states.bind(binding)?;
        if let Some(((_, first), others)) = self.previous.split_first_mut() {
            for (_, other) in others {
                other.values_mut().copy_from_slice(first.values());
            }
        }
        for (name, floats) in &mut self.previous {
            floats.send();
            if self.bind_again {
                floats.bind_input(binding, name)?;
            }
        }
        Ok(())
    }

    /// Keeps the states that a run gave.
    ///
    /// # Errors
    /// As [`States::keep`].
    pub fn keep(&mut self, outputs: &mut SessionOutputs<'_>) -> Result<(), Fault> {
        self.states.keep(outputs)
    }
}

/// A tensor of numbers, in an input's type; a side that is open takes what is left.
fn constant(port: &Port, numbers: &[f64]) -> ort::Result<DynValue> {
    let fixed: i64 = port.shape.iter().filter(|&&side| side >= 0).product();
    let rest = numbers.len() as i64 / fixed.max(1);
    let mut rest = Some(rest);
    let shape: Vec<i64> = (port.shape.iter())
        .map(|&side| if side < 0 { rest.take().unwrap_or(1) } else { side })
        .collect();
    let numbers = numbers.iter().copied();
    Ok(match port.ty {
        Type::F32 => {
            Tensor::from_array((shape, numbers.map(|n| n as f32).collect::<Vec<_>>()))?.into_dyn()
        }
        Type::F16 => {
            Tensor::from_array((shape, numbers.map(f16::from_f64).collect::<Vec<_>>()))?.into_dyn()
        }
        Type::I64 => {
            Tensor::from_array((shape, numbers.map(|n| n as i64).collect::<Vec<_>>()))?.into_dyn()
        }
        Type::I32 => {
            Tensor::from_array((shape, numbers.map(|n| n as i32).collect::<Vec<_>>()))?.into_dyn()
        }
    })
}
