// SPDX-License-Identifier: MIT

//! A network's picture and matte in memory, and how they reach its device.

use std::slice;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use super::contract::{Contract, Sizes};
use super::ports::{Port, Type};

/// The memories that a tensor on a device needs.
#[derive(Clone, Debug)]
pub struct Memories {
    /// The device's own.
    pub device: AllocationDevice<'static>,
    /// Page-locked memory that the device reads and writes by itself; the program sees it too.
    pub host: AllocationDevice<'static>,
}

/// Floating-point values in the program's memory, 32 bits each, whatever the network's type.
pub enum Floats {
    Single(Tensor<f32>),
    Half(Tensor<f16>, Vec<f32>),
}

impl Floats {
    /// For an input or output, of a shape without open sides; all zeros.
    pub fn new(port: &Port, shape: &[i64]) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let mut floats = if port.ty == Type::F16 {
            let len = shape.iter().product::<i64>() as usize;
            let mut tensor = Tensor::<f16>::new(&allocator, shape.to_vec())?;
            tensor.extract_tensor_mut().1.fill(f16::ZERO);
            Self::Half(tensor, vec![0.0; len])
        } else {
            Self::Single(Tensor::<f32>::new(&allocator, shape.to_vec())?)
        };
        floats.values_mut().fill(0.0);
        Ok(floats)
    }

    /// The values, to be written before [`send`](Self::send).
    pub fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Single(tensor) => tensor.extract_tensor_mut().1,
            Self::Half(_, values) => values,
        }
    }

    /// The values, as [`receive`](Self::receive) left them.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Single(tensor) => tensor.extract_tensor().1,
            Self::Half(_, values) => values,
        }
    }

    /// Brings the values into the network's type.
    pub fn send(&mut self) {
        if let Self::Half(tensor, values) = self {
            tensor.extract_tensor_mut().1.convert_from_f32_slice(values);
        }
    }

    /// Brings the network's values out of its type.
    pub fn receive(&mut self) {
        if let Self::Half(tensor, values) = self {
            tensor.extract_tensor().1.convert_to_f32_slice(values);
        }
    }

    pub fn bind_input(&self, binding: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Single(tensor) => binding.bind_input(name, tensor),
            Self::Half(tensor, _) => binding.bind_input(name, tensor),
        }
    }

    pub fn bind_output(&mut self, binding: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Single(tensor) => binding.bind_output(name, tensor),
            Self::Half(tensor, _) => binding.bind_output(name, tensor),
        }
    }
}

/// A network's picture and matte, bound to it.
pub enum Tensors {
    /// In the program's memory; a provider that needs them elsewhere copies them.
    Host {
        picture: Floats,
        matte: Floats,
        /// Bound inputs are copied to a device when they are bound.
        bind_again: bool,
    },
    /// In a device's memory, at the same place for every run.
    Device { picture: ToDevice, matte: FromDevice },
}

impl Tensors {
    /// Makes and binds them in the program's memory.
    pub fn on_host(
        contract: &Contract,
        sizes: &Sizes,
        binding: &mut IoBinding,
        bind_again: bool,
    ) -> ort::Result<Self> {
        let picture = Floats::new(&contract.picture, &sizes.picture)?;
        let mut matte = Floats::new(&contract.matte, &sizes.matte)?;
        picture.bind_input(binding, &contract.picture.name)?;
        matte.bind_output(binding, &contract.matte.name)?;
        Ok(Self::Host { picture, matte, bind_again })
    }

    /// Makes and binds them in a device's memory.
    pub fn on_device(
        contract: &Contract,
        sizes: &Sizes,
        session: &Session,
        binding: &mut IoBinding,
        memories: &Memories,
        id: i32,
    ) -> ort::Result<Self> {
        let picture = ToDevice::new(&contract.picture, session, &sizes.picture, memories, id)?;
        let mut matte = FromDevice::new(&contract.matte, session, &sizes.matte, memories, id)?;
        picture.bind(binding, &contract.picture.name)?;
        matte.bind(binding, &contract.matte.name)?;
        Ok(Self::Device { picture, matte })
    }

    /// The picture's values.
    pub fn picture(&mut self) -> &mut [f32] {
        match self {
            Self::Host { picture, .. } => picture.values_mut(),
            Self::Device { picture, .. } => picture.values_mut(),
        }
    }

    /// Brings the picture to where the network reads it.
    pub fn send(&mut self, contract: &Contract, binding: &mut IoBinding) -> ort::Result<()> {
        match self {
            Self::Host { picture, bind_again, .. } => {
                picture.send();
                match bind_again {
                    true => picture.bind_input(binding, &contract.picture.name),
                    false => Ok(()),
                }
            }
            Self::Device { picture, .. } => picture.send(),
        }
    }

    /// The matte's values, from where the network wrote them.
    pub fn receive(&mut self) -> ort::Result<&[f32]> {
        match self {
            Self::Host { matte, .. } => {
                matte.receive();
                Ok(matte.values())
            }
            Self::Device { matte, .. } => matte.receive(),
        }
    }
}

/// What the program writes and a device reads.
pub enum ToDevice {
    Single { from: PageLocked, device: Tensor<f32> },
    Half { values: Vec<f32>, from: Tensor<f16>, device: Tensor<f16> },
}

impl ToDevice {
    fn new(
        port: &Port,
        session: &Session,
        shape: &[i64],
        memories: &Memories,
        id: i32,
    ) -> ort::Result<Self> {
        let device = allocator(session, &memories.device, id)?;
        Ok(match Floats::new(port, shape)? {
            Floats::Single(_) => Self::Single {
                from: PageLocked::new(session, shape, &memories.host, id)?,
                device: Tensor::new(&device, shape.to_vec())?,
            },
            Floats::Half(from, values) => {
                Self::Half { values, from, device: Tensor::new(&device, shape.to_vec())? }
            }
        })
    }

    fn bind(&self, binding: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Single { device, .. } => binding.bind_input(name, device),
            Self::Half { device, .. } => binding.bind_input(name, device),
        }
    }

    fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Single { from, .. } => from.values_mut(),
            Self::Half { values, .. } => values,
        }
    }

    fn send(&mut self) -> ort::Result<()> {
        match self {
            Self::Single { from, device } => from.tensor.copy_into(device),
            Self::Half { values, from, device } => {
                from.extract_tensor_mut().1.convert_from_f32_slice(values);
                from.copy_into(device)
            }
        }
    }
}

/// What a device writes and the program reads.
///
/// It is received in the program's own memory: ONNX Runtime 1.28 does not copy from a device's memory to
/// page-locked memory, which it counts among the device's ("dst_data != src_data was false").
pub enum FromDevice {
    Single { device: Tensor<f32>, to: Tensor<f32> },
    Half { device: Tensor<f16>, to: Tensor<f16>, values: Vec<f32> },
}

impl FromDevice {
    fn new(
        port: &Port,
        session: &Session,
        shape: &[i64],
        memories: &Memories,
        id: i32,
    ) -> ort::Result<Self> {
        let device = allocator(session, &memories.device, id)?;
        Ok(match Floats::new(port, shape)? {
            Floats::Single(to) => {
                Self::Single { device: Tensor::new(&device, shape.to_vec())?, to }
            }
            Floats::Half(to, values) => {
                Self::Half { device: Tensor::new(&device, shape.to_vec())?, to, values }
            }
        })
    }

    fn bind(&mut self, binding: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Single { device, .. } => binding.bind_output(name, device),
            Self::Half { device, .. } => binding.bind_output(name, device),
        }
    }

    fn receive(&mut self) -> ort::Result<&[f32]> {
        match self {
            Self::Single { device, to } => {
                device.copy_into(&mut *to)?;
                Ok(to.extract_tensor().1)
            }
            Self::Half { device, to, values } => {
                device.copy_into(&mut *to)?;
                to.extract_tensor().1.convert_to_f32_slice(values);
                Ok(values)
            }
        }
    }
}

/// Memory that a device reads by itself, and the program writes.
pub struct PageLocked {
    tensor: Tensor<f32>,
    len: usize,
}

impl PageLocked {
    /// All zeros.
    fn new(
        session: &Session,
        shape: &[i64],
        memory: &AllocationDevice<'static>,
        id: i32,
    ) -> ort::Result<Self> {
        let mut tensor = Tensor::<f32>::new(&allocator(session, memory, id)?, shape.to_vec())?;
        let len = shape.iter().product::<i64>() as usize;
        // SAFETY: `Memories::host` is memory that the program sees, and holds `len` values; it may
        // not have been written yet, which is made up for here.
        unsafe { tensor.data_ptr_mut().cast::<f32>().write_bytes(0, len) };
        Ok(Self { tensor, len })
    }

    /// ort refuses to show page-locked memory, which ONNX Runtime counts among the device's from 1.23 on.
    fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `new`, which initialised all `len` values; the tensor is borrowed for as
        // long as the slice lives.
        unsafe { slice::from_raw_parts_mut(self.tensor.data_ptr_mut().cast::<f32>(), self.len) }
    }
}

fn allocator(
    session: &Session,
    memory: &AllocationDevice<'static>,
    id: i32,
) -> ort::Result<Allocator> {
    let memory = MemoryInfo::new(memory.clone(), id, AllocatorType::Device, MemoryType::Default)?;
    Allocator::new(session, memory)
}
