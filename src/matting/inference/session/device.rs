// SPDX-License-Identifier: MIT

//! Devices that inference may run on, and ONNX Runtime's providers for them.

use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use ort::memory::AllocationDevice;

use super::tensors::Memories;
use crate::matting::model::folders;

/// Where inference may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Device {
    /// The fastest that is there.
    Auto,
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
    MiGraphX,
    CoreMl,
    DirectMl,
    WebGpu,
}

impl Device {
    /// Every device.
    pub const ALL: &[Self] = &[
        Self::Auto,
        Self::Cpu,
        Self::Cuda,
        Self::TensorRt,
        Self::OpenVino,
        Self::MiGraphX,
        Self::CoreMl,
        Self::DirectMl,
        Self::WebGpu,
    ];

    /// What `Auto` tries before the CPU, in order. TensorRT is left out: building its engines
    /// takes minutes, which nobody should wait for unasked.
    pub(super) const ACCELERATORS: [Self; 6] =
        [Self::Cuda, Self::MiGraphX, Self::CoreMl, Self::DirectMl, Self::OpenVino, Self::WebGpu];

    /// Whether its provider may come as a library of its own, which is registered.
    pub(super) const fn may_be_registered(self) -> bool {
        matches!(self, Self::WebGpu | Self::OpenVino | Self::Cuda | Self::TensorRt)
    }

    /// As in the setting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::MiGraphX => "migraphx",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
            Self::WebGpu => "webgpu",
        }
    }

    /// Whether the loaded library was built for this device.
    pub(super) fn is_built_in(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::MiGraphX => ep::MIGraphX::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
            // Where it is built in, it is so under the same name.
            Self::WebGpu => Ok(false),
        }
        .unwrap_or(false)
    }

    /// Where tensors that stay on this device lie; none where its provider has no memory to give.
    pub(super) fn memories(self) -> Option<Memories> {
        match self {
            Self::Cuda | Self::TensorRt => {
                let (device, host) = (AllocationDevice::CUDA, AllocationDevice::CUDA_PINNED);
                Some(Memories { device, host })
            }
            _ => None,
        }
    }

    /// ONNX Runtime's provider for this device, made to fail loudly. `captured` has the device
    /// replay a whole run at once where it can (CUDA graphs), which needs tensors that stay where
    /// they are.
    pub(super) fn provider(self, id: i32, captured: bool) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            Self::Auto | Self::Cpu | Self::WebGpu => return None,
            Self::Cuda => ep::CUDA::default().with_device_id(id).with_cuda_graph(captured).build(),
            Self::TensorRt => tensor_rt(id).with_cuda_graph(captured).build(),
            // It would take bfloat16 on processors that have it, which moves mattes by up to a tenth.
            Self::OpenVino => ep::OpenVINO::default().with_precision("ACCURACY").build(),
            Self::MiGraphX => ep::MIGraphX::default().with_device_id(id).build(),
            Self::CoreMl => ep::CoreML::default().build(),
            Self::DirectMl => ep::DirectML::default().with_device_id(id).build(),
        };
        Some(provider.error_on_failure())
    }
}

/// TensorRT in half precision, which its devices are built for, with its engines kept: making one
/// takes minutes. Where there is no folder for them, they are made every time.
fn tensor_rt(id: i32) -> ep::TensorRT {
    let provider = ep::TensorRT::default().with_device_id(id).with_fp16(true);
    match folders::private_cache_folder("tensorrt") {
        Some(folder) => {
            let folder = folder.display().to_string();
            provider
                .with_engine_cache(true)
                .with_engine_cache_path(&folder)
                .with_timing_cache(true)
                .with_timing_cache_path(&folder)
        }
        None => provider,
    }
}
