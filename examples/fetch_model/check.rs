//! Whether a file is the model it should be.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use gstdavidmatte::matting::prelude::ModelBytes;
use gstdavidmatte::matting::prelude::*;
use sha2::{Digest, Sha256};

use crate::download::beside;
use crate::error::Error;
use crate::own_file;

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// [`Error::Read`].
pub fn sha256(path: &Path) -> Result<String, Error> {
    let fail = |reason| Error::Read { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The SHA-256 that was recorded beside a model when it was first fetched.
///
/// # Errors
/// [`Error::Read`] for a record that is there and cannot be read.
pub fn recorded(model: &Path) -> Result<Option<String>, Error> {
    let path = beside(model, "sha256");
    let bytes = own_file::read(&path).map_err(|reason| Error::Read { path, reason })?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).to_lowercase());
    Ok(text.and_then(|text| text.split_whitespace().next().map(str::to_owned)))
}

/// Records a model's SHA-256 in the form that `sha256sum --check` reads.
///
/// # Errors
/// [`Error::Write`].
pub fn record(model: &Path, sha256: &str) -> Result<(), Error> {
    let path = beside(model, "sha256");
    let file = model.file_name().unwrap_or_default().to_string_lossy();
    own_file::write(&path, format!("{sha256}  {file}\n").as_bytes())
        .map_err(|reason| Error::Write { path, reason })
}

/// Loads a network on the CPU, which checks its inputs and outputs.
///
/// # Errors
/// Those of [`Session::load`].
pub fn load(path: &Path, known: &KnownModel) -> Result<(), gstdavidmatte::matting::error::Error> {
    let source = ModelSource {
        bytes: ModelBytes::File(path.to_owned()),
        description: Some(known.description()),
        noncommercial: None,
    };
    let options = SessionOptions { device: Device::Cpu, ..Default::default() };
    Session::load(&source, &options).map(drop)
}

/// Fails where there is no ONNX Runtime, which a model is of no use without.
///
/// # Errors
/// Those of [`Session::load`].
pub fn runtime() -> Result<(), Error> {
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..Default::default() };
    Ok(Session::load(&ModelSource::builtin(), &options).map(drop)?)
}
