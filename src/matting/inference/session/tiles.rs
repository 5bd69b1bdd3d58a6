// SPDX-License-Identifier: MIT

//! The network that refines tiles, in ONNX Runtime.

use std::sync::Arc;

use ort::session::IoBinding;

use super::load::{InTurn, Loaded, Place, Runtime};
use super::ports::{Port, Type};
use super::tensors::Floats;
use super::{Device, SessionOptions};
use crate::matting::detail::patches::PATCH;
use crate::matting::error::{Error, one_line};
use crate::matting::inference::affine::{self, CELLS, COEFFICIENTS};
use crate::matting::inference::tiles::{PLANES, TileNetwork};
use crate::matting::model::catalog::ModelSource;
use crate::matting::model::detail::SIDE;

/// Tiles of a run on the processor, which larger batches do not make quicker, and where tiles that are not
/// filled cost as much as others.
const FEW: usize = 4;
/// Copies of the network on the processor at most.
const MOST_COPIES: usize = 4;
/// On a device, which has to be asked for each run.
const MANY: usize = 32;

/// The network's input and output.
const TILES: &str = "tiles";
const FUNCTIONS: &str = "coefficients";

/// The library's own network for tiles.
pub struct TileSession {
    bound: Bound,
    options: SessionOptions,
    warning: Option<Error>,
}

/// The network on one device, and its tensors.
struct Bound {
    loaded: Arc<Loaded>,
    binding: InTurn<IoBinding>,
    tiles: Floats,
    functions: Floats,
    mattes: Vec<f32>,
    batch: usize,
    /// Bound inputs are copied to a device when they are bound.
    bind_again: bool,
}

impl TileSession {
    /// Loads the network for a device, or, where it cannot be had there, for the processor: several times
    /// there, to work at the same time, each in one thread. So small a network gains little from more.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`], and what keeps it from the processor.
    pub fn load(options: &SessionOptions, device: Device) -> Result<Vec<Self>, Error> {
        let mut refused = None;
        if !matches!(device, Device::Auto | Device::Cpu) {
            let runtime = Runtime::get()?;
            let place = Place::find(&runtime, options, device);
            match place.and_then(|place| Bound::new(&runtime, options, place, 0)) {
                Ok(bound) => return Ok(vec![Self { bound, options: *options, warning: None }]),
                Err(error) => refused = Some((device.name().to_owned(), error.to_string())),
            }
        }
        let copies = 0..options.cpu_threads().min(MOST_COPIES);
        let sessions = copies.map(|copy| Self::on_processor(options, copy));
        let mut sessions = sessions.collect::<Result<Vec<_>, _>>()?;
        if let Some((first, (device, reason))) = sessions.first_mut().zip(refused) {
            let active = first.bound.loaded.place.name(&first.options);
            first.warning = Some(Error::RefinedElsewhere { device, reason, active });
        }
        Ok(sessions)
    }

    fn on_processor(options: &SessionOptions, copy: usize) -> Result<Self, Error> {
        let options = SessionOptions { threads: 1, ..*options };
        let place = Place::BuiltIn(Device::Cpu);
        let bound = Bound::new(&Runtime::get()?, &options, place, copy)?;
        Ok(Self { bound, options, warning: None })
    }

    /// Goes on on the processor, after a device failed for `reason`; what to tell of that.
    fn retreat(&mut self, reason: String) -> Result<Error, Error> {
        let device = self.bound.loaded.place.name(&self.options);
        *self = Self::on_processor(&self.options, 0)?;
        let active = self.bound.loaded.place.name(&self.options);
        Ok(Error::RefinedElsewhere { device, reason, active })
    }
}

impl Bound {
    fn new(
        runtime: &Runtime,
        options: &SessionOptions,
        place: Place,
        copy: usize,
    ) -> Result<Self, Error> {
        let source = ModelSource::detail();
        let loaded = Loaded::get(runtime, &source, options, &place, false, copy)?;
        let is_cpu = loaded.place.device() == Device::Cpu;
        let batch = if is_cpu { FEW } else { MANY };
        let floats = |name: &str, shape: [usize; 4]| {
            let shape = shape.map(|length| length as i64);
            let port = Port { name: name.into(), ty: Type::F32, shape: shape.to_vec() };
            Floats::new(&port, &shape)
        };
        let bind = || -> ort::Result<_> {
            let tiles = floats(TILES, [batch, PLANES, SIDE, SIDE])?;
            let mut functions = floats(FUNCTIONS, [batch, CELLS, CELLS, COEFFICIENTS])?;
            let binding = loaded.take(|session| -> ort::Result<_> {
                let mut binding = session.create_binding()?;
                tiles.bind_input(&mut binding, TILES)?;
                functions.bind_output(&mut binding, FUNCTIONS)?;
                Ok(binding)
            })?;
            Ok((InTurn::new(binding, &loaded.place), tiles, functions))
        };
        let unreadable = |error: ort::Error| Error::ModelUnreadable {
            path: source.label(),
            reason: one_line(&error),
        };
        let (binding, tiles, functions) = bind().map_err(unreadable)?;
        let mattes = vec![0.0; batch * PATCH * PATCH];
        Ok(Self { loaded, binding, tiles, functions, mattes, batch, bind_again: !is_cpu })
    }

    fn run(&mut self) -> ort::Result<()> {
        let Self { loaded, binding, tiles, functions, mattes, bind_again, .. } = self;
        loaded.take(|session| {
            tiles.send();
            if *bind_again {
                tiles.bind_input(binding, TILES)?;
            }
            drop(session.run_binding(binding)?);
            binding.synchronize_outputs()
        })?;
        functions.receive();
        let tiles = tiles.values().chunks_exact(PLANES * SIDE * SIDE);
        let functions = functions.values().chunks_exact(COEFFICIENTS * CELLS * CELLS);
        for ((tile, functions), matte) in
            tiles.zip(functions).zip(mattes.chunks_exact_mut(PATCH * PATCH))
        {
            affine::apply(tile, functions, matte);
        }
        Ok(())
    }
}

impl TileNetwork for TileSession {
    fn side(&self) -> usize {
        SIDE
    }

    fn batch(&self) -> usize {
        self.bound.batch
    }

    fn input(&mut self) -> &mut [f32] {
        self.bound.tiles.values_mut()
    }

    fn run(&mut self) -> Result<&[f32], Error> {
        if let Err(error) = self.bound.run() {
            let reason = one_line(&error);
            return Err(match self.bound.loaded.place.device() {
                Device::Cpu => Error::Inference { reason },
                _ => self.retreat(reason)?,
            });
        }
        Ok(&self.bound.mattes)
    }

    fn take_warning(&mut self) -> Option<Error> {
        self.warning.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> TileSession {
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..Default::default() };
        TileSession::load(&options, Device::Cpu).unwrap().remove(0)
    }

    /// Whatever it is shown, and however little sense that makes.
    #[test]
    fn every_tile_becomes_a_matte() {
        let mut session = session();
        for fill in [0.0, 0.5, 1.0] {
            session.input().fill(fill);
            let mattes = session.run().unwrap();
            assert_eq!(mattes.len(), FEW * PATCH * PATCH);
            assert!(mattes.iter().all(|value| (0.0..=1.0).contains(value)));
        }
        for (i, value) in session.input().iter_mut().enumerate() {
            *value = (i as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32;
        }
        let mattes = session.run().unwrap();
        assert!(mattes.iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn where_a_device_cannot_be_had_the_processor_does_it_and_says_so() {
        let options = SessionOptions { device: Device::Cpu, threads: 3, ..Default::default() };
        // Nobody has it here.
        let mut sessions = TileSession::load(&options, Device::DirectMl).unwrap();
        assert_eq!(sessions.len(), 3, "one for each thread");
        let warnings: Vec<_> = sessions.iter_mut().filter_map(|one| one.take_warning()).collect();
        let [warning] = &warnings[..] else { panic!("{warnings:?} is not one warning") };
        let told = warning.to_string();
        assert!(told.contains("on directml (") && told.contains("on cpu (1 thread)"), "{told}");
    }

    /// What lies in one tile says nothing of another.
    #[test]
    fn tiles_are_apart() {
        let mut session = session();
        let area = SIDE * SIDE;
        let tile = |of: usize, i: usize| ((i * (7 + of) + i / 80 * 31) % 97) as f32 / 96.0;
        let mut run = |order: [usize; FEW]| {
            for (values, of) in session.input().chunks_exact_mut(PLANES * area).zip(order) {
                values.iter_mut().enumerate().for_each(|(i, value)| *value = tile(of, i));
            }
            session.run().unwrap().to_vec()
        };
        let (one, other) = (run([0, 1, 2, 3]), run([3, 1, 0, 2]));
        let plane = |mattes: &[f32], index: usize| {
            mattes[index * PATCH * PATCH..][..PATCH * PATCH].to_vec()
        };
        for (index, at) in [(0, 2), (1, 1), (2, 3), (3, 0)] {
            let pairs = plane(&one, index).into_iter().zip(plane(&other, at));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
