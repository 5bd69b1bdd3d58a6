// SPDX-License-Identifier: MIT

//! What of a stream is bound to a network, for each size of its picture.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::{IoBinding, NoSelectedOutputs, RunOptions};

use super::Device;
use super::contract::{Contract, Sizes};
use super::extras::Extras;
use super::load::{InTurn, Loaded};
use super::tensors::{Memories, Tensors};
use crate::matting::frame::size::Size;
use crate::matting::inference::decode::Range;

/// So many sizes are kept bound besides the one at hand: a stream goes to and fro between the whole of its
/// frames and parts of them.
const KEPT: usize = 3;

/// Tells the runs of streams that share a captured network from each other, and those of one stream by their
/// sizes.
static NEXT_GRAPH: AtomicU32 = AtomicU32::new(1);

/// What is bound to a network, for one size of the picture.
pub struct Bound {
    pub sizes: Sizes,
    pub binding: InTurn<IoBinding>,
    pub tensors: Tensors,
    pub extras: Extras,
    pub run_options: Arc<RunOptions<NoSelectedOutputs>>,
    /// Of the mattes, where their range is to be learnt.
    pub range: Range,
}

impl Bound {
    /// In `memories`, where there are some; `id` is the device's.
    pub fn new(
        loaded: &Loaded,
        contract: &Contract,
        sizes: Sizes,
        memories: Option<&Memories>,
        id: i32,
    ) -> ort::Result<Self> {
        let copies = loaded.place.device() != Device::Cpu;
        let mut run_options = RunOptions::new()?;
        if loaded.captured {
            // What is replayed reads and writes where it did when it was captured.
            let graph = NEXT_GRAPH.fetch_add(1, Ordering::Relaxed).to_string();
            run_options.set("gpu_graph_id", graph)?;
        }
        loaded.take(|session| {
            let mut binding = session.create_binding()?;
            let tensors = match memories {
                Some(memories) => {
                    Tensors::on_device(contract, &sizes, session, &mut binding, memories, id)?
                }
                None => Tensors::on_host(contract, &sizes, &mut binding, copies)?,
            };
            let device = loaded.place.memories().map(|memories| (memories.device, id));
            let extras = Extras::new(contract, &sizes, &mut binding, device, copies)?;
            let binding = InTurn::new(binding, &loaded.place);
            let (run_options, range) = (Arc::new(run_options), Range::default());
            Ok(Self { sizes, binding, tensors, extras, run_options, range })
        })
    }

    /// Forgets what goes from one frame to the next.
    pub fn start_anew(&mut self) {
        self.extras.start_anew();
        self.range = Range::default();
    }
}

/// What was bound for other sizes and may be wanted again, the one used last at the end.
#[derive(Default)]
pub struct Others(Vec<Bound>);

impl Others {
    /// What is kept for a picture of `input` size.
    pub fn take(&mut self, input: Size) -> Option<Bound> {
        let index = self.0.iter().position(|bound| bound.sizes.input == input)?;
        Some(self.0.remove(index))
    }

    /// Keeps what was bound for a size. All of what was captured is: nobody can make a provider forget it.
    pub fn keep(&mut self, bound: Bound, captured: bool) {
        if !captured && self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(bound);
    }
}

/// The runs of a stream, which somebody may end from another thread.
#[derive(Default)]
pub struct Runs {
    ended: AtomicBool,
    options: Mutex<Option<Arc<RunOptions<NoSelectedOutputs>>>>,
}

impl Runs {
    /// From now on runs go by these options.
    pub fn go_by(&self, options: &Arc<RunOptions<NoSelectedOutputs>>) {
        let mut current = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(options.clone());
        if self.are_ended() {
            // Fails only where there is nothing to end.
            drop(options.terminate());
        }
    }

    /// Ends the one that is under way, and all that come.
    pub fn end(&self) {
        let current = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        self.ended.store(true, Ordering::Relaxed);
        drop(current.as_ref().map(|options| options.terminate()));
    }

    /// Whether somebody has ended them.
    pub fn are_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
