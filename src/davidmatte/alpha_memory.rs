//! Memory for alpha planes that are appended to frames.

use super::output::is_ours;

/// How many planes are kept for use again; more are in flight only behind long queues.
const KEPT: usize = 8;

/// Planes of one size, used again when nothing downstream holds them any more.
///
/// Kept in buffers: a memory's writability counts the buffers that hold it, not the references.
#[derive(Default)]
pub struct AlphaMemory {
    planes: Vec<gst::Buffer>,
}

impl AlphaMemory {
    /// Memory of `size` bytes that nobody else sees.
    pub fn take(&mut self, size: usize) -> gst::Memory {
        self.planes.retain(|plane| plane.size() == size);
        match self.planes.iter_mut().position(is_ours) {
            Some(index) => self
                .planes
                .swap_remove(index)
                .memory(0)
                .unwrap_or_else(|| gst::Memory::with_size(size)),
            None => gst::Memory::with_size(size),
        }
    }

    /// Remembers a plane that goes downstream.
    pub fn remember(&mut self, plane: gst::Memory) {
        if self.planes.len() < KEPT {
            let mut buffer = gst::Buffer::new();
            buffer.make_mut().append_memory(plane);
            self.planes.push(buffer);
        }
    }
}
