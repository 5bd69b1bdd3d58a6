//! Memory for alpha planes that are appended to frames.

/// How many planes are kept for use again; more are in flight only behind long queues.
const KEPT: usize = 8;

/// Planes of one size, used again when nothing downstream holds them any more.
#[derive(Default)]
pub struct AlphaMemory {
    planes: Vec<gst::Memory>,
}

impl AlphaMemory {
    /// Memory of `size` bytes that nobody else sees.
    pub fn take(&mut self, size: usize) -> gst::Memory {
        self.planes.retain(|plane| plane.size() == size);
        match self.planes.iter_mut().position(|plane| plane.get_mut().is_some()) {
            Some(index) => self.planes.swap_remove(index),
            None => gst::Memory::with_size(size),
        }
    }

    /// Remembers a plane that goes downstream.
    pub fn remember(&mut self, plane: gst::Memory) {
        if self.planes.len() < KEPT {
            self.planes.push(plane);
        }
    }
}
