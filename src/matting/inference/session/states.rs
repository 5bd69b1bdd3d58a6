// SPDX-License-Identifier: MIT

//! What a network with a memory gives to itself from one run to the next.

use half::f16;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, SessionOutputs};
use ort::value::{DynValue, Tensor};

use super::contract::StatePorts;
use super::ports::{Type, show};

/// A state, and where it goes.
struct State {
    ports: StatePorts,
    /// The first one.
    zeros: DynValue,
    /// What the run before gave; none where the next run is the first.
    last: Option<DynValue>,
}

/// All states of a network, of one stream.
pub struct States {
    states: Vec<State>,
    /// Where the network leaves them.
    memory: MemoryInfo<'static>,
}

/// Why states are of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value is not finite.
    NotFinite(String),
    /// It changed its shape; a sentence.
    Changed(String),
}

impl States {
    /// All zeros. They stay on `device`, where it has a memory of its own.
    pub fn new(
        ports: &[StatePorts],
        device: Option<(AllocationDevice<'static>, i32)>,
    ) -> ort::Result<Self> {
        let memory = match device {
            Some((device, id)) => {
                MemoryInfo::new(device, id, AllocatorType::Device, MemoryType::Default)?
            }
            None => MemoryInfo::new(
                AllocationDevice::CPU,
                0,
                AllocatorType::Device,
                MemoryType::CPUOutput,
            )?,
        };
        let state = |ports: &StatePorts| {
            let len = ports.first.iter().product::<i64>() as usize;
            let zeros = match ports.input.ty {
                Type::F16 => {
                    Tensor::from_array((ports.first.clone(), vec![f16::ZERO; len]))?.into_dyn()
                }
                _ => Tensor::from_array((ports.first.clone(), vec![0.0f32; len]))?.into_dyn(),
            };
            Ok(State { ports: ports.clone(), zeros, last: None })
        };
        Ok(Self { states: ports.iter().map(state).collect::<ort::Result<_>>()?, memory })
    }

    /// The next run begins with zeros.
    pub fn start_anew(&mut self) {
        self.states.iter_mut().for_each(|state| state.last = None);
    }

    /// Binds what the next run takes, and lets it leave its own in memory that nothing else is in:
    /// what it reads stays as it is.
    pub fn bind(&self, binding: &mut IoBinding) -> ort::Result<()> {
        for State { ports, zeros, last } in &self.states {
            binding.bind_input(ports.input.name.as_str(), last.as_ref().unwrap_or(zeros))?;
            binding.bind_output_to_device(ports.output.name.as_str(), &self.memory)?;
        }
        Ok(())
    }

    /// Keeps what a run gave.
    ///
    /// # Errors
    /// What is wrong with it; the states begin anew then.
    pub fn keep(&mut self, outputs: &mut SessionOutputs<'_>) -> Result<(), Fault> {
        let kept = self.states.iter_mut().try_for_each(|state| {
            let output = &state.ports.output.name;
            let Some(value) = outputs.remove(output.as_str()) else {
                return Err(Fault::Changed(format!("the network gave no state `{output}`")));
            };
            if !is_finite(&value) {
                return Err(Fault::NotFinite(output.clone()));
            }
            let shape = |value: &DynValue| value.shape().to_vec();
            if let Some(last) = &state.last
                && shape(last) != shape(&value)
            {
                return Err(Fault::Changed(format!(
                    "the network's state `{output}` changed from {} to {}",
                    show(&shape(last)),
                    show(&shape(&value))
                )));
            }
            state.last = Some(value);
            Ok(())
        });
        if kept.is_err() {
            self.start_anew();
        }
        kept
    }
}

/// Whether all values are finite, as far as the program sees them.
fn is_finite(value: &DynValue) -> bool {
    if let Ok((_, values)) = value.try_extract_tensor::<f32>() {
        // The sum of zeros is zero, and that of anything with a NaN or an infinity is not. It vectorises.
        return values.iter().map(|value| value * 0.0).sum::<f32>() == 0.0;
    }
    match value.try_extract_tensor::<f16>() {
        Ok((_, values)) => values.iter().all(|value| value.is_finite()),
        Err(_) => true,
    }
}
