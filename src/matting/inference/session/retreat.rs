// SPDX-License-Identifier: MIT

//! What becomes of a stream whose device fails while it runs: a GPU that was taken out, whose driver began
//! anew, or whose memory is full. Where [`Device::Auto`] chose it, the processor goes on.

use super::load::{Place, Runtime};
use super::{Device, Session, SessionOptions};
use crate::matting::error::Error;
use crate::matting::inference::network::Network;
use crate::matting::model::catalog::ModelSource;

/// How to go on without the device.
pub struct Retreat {
    source: ModelSource,
    options: SessionOptions,
}

impl Retreat {
    /// For a model that was loaded so.
    pub fn new(source: &ModelSource, options: &SessionOptions) -> Self {
        Self { source: source.clone(), options: *options }
    }

    /// The same network on the processor, with the picture that `failed` was given, its matte in `mask`.
    /// None where it fails there too: then it is not the device.
    fn take(&self, failed: &mut Session, mask: &mut [f32]) -> Option<Session> {
        let runtime = Runtime::get().ok()?;
        let place = Place::BuiltIn(Device::Cpu);
        let mut session = Session::load_on(&runtime, &self.source, &self.options, place).ok()?;
        session.resize(failed.bound.sizes.input).ok()?;
        session.input().copy_from_slice(failed.input());
        session.previous().copy_from_slice(failed.previous());
        session.runs = failed.runs.clone();
        session.runs.go_by(&session.bound.run_options);
        session.run_or_fail(mask).ok()?;
        Some(session)
    }
}

impl Session {
    /// Infers on the processor what failed with `error`, and stays there, if that is to be and can be.
    pub(super) fn retreat(&mut self, error: Error, mask: &mut [f32]) -> Result<(), Error> {
        let Some(retreat) = self.retreat.take().filter(|_| !self.runs.are_ended()) else {
            return Err(error);
        };
        let Some(mut processor) = retreat.take(self, mask) else {
            self.retreat = Some(retreat);
            return Err(error);
        };
        let Error::Inference { reason } = error else { return Err(error) };
        processor.warning = Some(Error::DeviceLost {
            device: self.active_device.clone(),
            reason,
            active: processor.active_device.clone(),
        });
        *self = processor;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");

    /// No device can be taken out here: a network that fails in its second run stands for one, and another of
    /// the same picture for what it is on the processor.
    fn failing(retreat: &str) -> Session {
        let options = SessionOptions { device: Device::Cpu, ..Default::default() };
        let source = |name: &str| ModelSource::find(&format!("{FIXTURES}{name}")).unwrap();
        let mut source_of_failing = source("growing.onnx");
        let state = "[[state]]\ninput = \"state\"\noutput = \"next\"\nshape = [1, 1]";
        let path = std::path::Path::new("growing.toml");
        source_of_failing.description =
            Some(crate::matting::model::description::Description::parse(state, path).unwrap());
        let mut session = Session::load(&source_of_failing, &options).unwrap();
        session.retreat = Some(Retreat::new(&source(retreat), &options));
        session.active_device = "gpu:0".into();
        session.input().fill(0.25);
        let mut mask = vec![0.0; session.shape().mask.area()];
        session.run(&mut mask).unwrap();
        session.input().fill(0.5);
        session
    }

    fn has_runtime() -> bool {
        let has = std::env::var_os("ORT_DYLIB_PATH").is_some();
        if !has {
            eprintln!("skipped: ORT_DYLIB_PATH is not set");
        }
        has
    }

    #[test]
    fn the_run_that_failed_is_done_by_the_processor() {
        if !has_runtime() {
            return;
        }
        let mut session = failing("half.onnx");
        let mut mask = vec![0.0; session.shape().mask.area()];
        session.run(&mut mask).unwrap();
        assert!(mask.iter().all(|value| (value - 0.5).abs() < 1e-2), "{}", mask[0]);
        let Some(Error::DeviceLost { device, active, .. }) = session.take_warning() else {
            panic!("nothing was told");
        };
        assert_eq!(device, "gpu:0");
        assert!(active.starts_with("cpu"), "{active}");
        // From then on it goes by itself, and tells nothing.
        session.run(&mut mask).unwrap();
        assert!(session.take_warning().is_none());
    }

    #[test]
    fn a_run_that_fails_everywhere_fails() {
        if !has_runtime() {
            return;
        }
        let mut session = failing("nan.onnx");
        let mut mask = vec![0.0; session.shape().mask.area()];
        let error = session.run(&mut mask).unwrap_err();
        assert!(matches!(error, Error::Inference { .. }), "{error}");
        assert_eq!(session.active_device(), "gpu:0");
        // What was ended by somebody is not begun anew elsewhere.
        let mut session = failing("half.onnx");
        session.terminator().unwrap()();
        session.run(&mut mask).unwrap_err();
        assert_eq!(session.active_device(), "gpu:0");
    }
}
