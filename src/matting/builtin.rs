//! The network that is part of the library, so that matting works with nothing to download.

/// The network as ONNX; `None` in a build without one.
pub const BYTES: Option<&[u8]> = None;

/// Its description.
pub const DESCRIPTION: &str = "";
