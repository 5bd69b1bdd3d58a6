// SPDX-License-Identifier: MIT

//! A network's input and output in memory, and how they reach its device.

use std::slice;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use super::contract::Contract;

/// The memories that a tensor on a device needs.
#[derive(Clone, Debug)]
pub struct Memories {
    /// The device's own.
    pub device: AllocationDevice<'static>,
    /// Page-locked memory that the device reads and writes by itself; the program sees it too.
    pub host: AllocationDevice<'static>,
}

/// A network's input and output, bound to it.
pub enum Tensors {
    /// In the program's memory; a provider that needs them elsewhere copies them.
    Host {
        input: Tensor<f32>,
        output: Tensor<f32>,
        /// Bound inputs are copied to a device when they are bound.
        bind_again: bool,
    },
    /// In a device's memory, at the same place for every run.
    Device { input: Staged, output: Staged },
}

impl Tensors {
    /// Makes and binds them in the program's memory.
    pub fn on_host(
        contract: &Contract,
        binding: &mut IoBinding,
        bind_again: bool,
    ) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let input = Tensor::<f32>::new(&allocator, contract.input_shape.clone())?;
        let mut output = Tensor::<f32>::new(&allocator, contract.output_shape.clone())?;
        binding.bind_input(contract.input_name.as_str(), &input)?;
        binding.bind_output(contract.output_name.as_str(), &mut output)?;
        Ok(Self::Host { input, output, bind_again })
    }

    /// Makes and binds them in a device's memory.
    pub fn on_device(
        contract: &Contract,
        session: &Session,
        binding: &mut IoBinding,
        memories: &Memories,
        id: i32,
    ) -> ort::Result<Self> {
        let staged = |shape: &[i64]| Staged::new(session, shape, memories, id);
        let input = staged(&contract.input_shape)?;
        let mut output = staged(&contract.output_shape)?;
        binding.bind_input(contract.input_name.as_str(), &input.device)?;
        binding.bind_output(contract.output_name.as_str(), &mut output.device)?;
        Ok(Self::Device { input, output })
    }

    /// The input's values.
    pub fn input(&mut self) -> &mut [f32] {
        match self {
            Self::Host { input, .. } => input.extract_tensor_mut().1,
            Self::Device { input, .. } => input.host(),
        }
    }

    /// Brings the input to where the network reads it.
    pub fn send(&mut self, contract: &Contract, binding: &mut IoBinding) -> ort::Result<()> {
        match self {
            Self::Host { input, bind_again: true, .. } => {
                binding.bind_input(contract.input_name.as_str(), &*input)
            }
            Self::Host { .. } => Ok(()),
            Self::Device { input, .. } => input.host.copy_into(&mut input.device),
        }
    }

    /// The output's values, from where the network wrote them.
    pub fn receive(&mut self) -> ort::Result<&[f32]> {
        match self {
            Self::Host { output, .. } => Ok(output.extract_tensor().1),
            Self::Device { output, .. } => {
                output.device.copy_into(&mut output.host)?;
                Ok(output.host())
            }
        }
    }
}

/// A tensor on a device, and its copy that the program sees.
pub struct Staged {
    host: Tensor<f32>,
    device: Tensor<f32>,
    len: usize,
}

impl Staged {
    fn new(session: &Session, shape: &[i64], memories: &Memories, id: i32) -> ort::Result<Self> {
        let tensor = |memory: &AllocationDevice<'static>| {
            let memory =
                MemoryInfo::new(memory.clone(), id, AllocatorType::Device, MemoryType::Default)?;
            Tensor::<f32>::new(&Allocator::new(session, memory)?, shape.to_vec())
        };
        let len = shape.iter().product::<i64>() as usize;
        let mut staged =
            Self { host: tensor(&memories.host)?, device: tensor(&memories.device)?, len };
        // SAFETY: `Memories::host` is memory that the program sees, and holds `len` values; it may
        // not have been written yet, which is made up for here.
        unsafe { staged.host.data_ptr_mut().cast::<f32>().write_bytes(0, len) };
        Ok(staged)
    }

    /// The copy that the program sees. ort refuses to show page-locked memory, which ONNX Runtime
    /// counts among the device's from 1.23 on.
    fn host(&mut self) -> &mut [f32] {
        // SAFETY: as in `new`, which initialised all `len` values; the tensor is borrowed for as
        // long as the slice lives.
        unsafe { slice::from_raw_parts_mut(self.host.data_ptr_mut().cast::<f32>(), self.len) }
    }
}
