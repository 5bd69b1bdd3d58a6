//! The network that is part of the library, so that matting works with nothing to download.

/// The network as ONNX.
pub const BYTES: &[u8] = include_bytes!("../../../models/builtin.onnx");
