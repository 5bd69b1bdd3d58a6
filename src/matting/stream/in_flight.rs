// SPDX-License-Identifier: MIT

//! Frames that have not left yet, each with a slot for its own matte.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::FrameSettings;
use super::matted::{Failed, Matted};
use crate::matting::time::guide::Guide;

/// Where a frame's matte comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its own inference.
    Own,
    /// The newest matte before it.
    Carried,
    /// Its own, where that is there in time, or else the newest.
    Newest {
        /// Its own inference was begun.
        begun: bool,
    },
    /// It needs none.
    Untouched,
}

/// What has become of a frame's own inference.
#[derive(Debug)]
pub enum Slot {
    /// Nothing yet, or there is none.
    Waiting,
    /// It gave a matte.
    Ready(Matted),
    /// It failed.
    Failed(Failed),
}

/// A frame that has not left yet.
#[derive(Debug)]
pub struct InFlight<F> {
    /// Counts the frames of the stream.
    pub id: u64,
    /// The frame.
    pub frame: F,
    /// What was set when it came.
    pub settings: FrameSettings,
    /// Where it was looked at.
    pub guide: Option<Arc<Guide>>,
    /// Where its matte comes from.
    pub source: Source,
    /// When it came, by the stream's clock.
    pub arrived: Duration,
    /// The scene that it shows, counted.
    pub scene: u64,
    /// Its own matte.
    pub slot: Slot,
}

/// The frames that have not left yet, in their order.
#[derive(Debug)]
pub struct Queue<F>(VecDeque<InFlight<F>>);

impl<F> Default for Queue<F> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<F> Queue<F> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in a frame, which came after all others.
    pub fn push(&mut self, frame: InFlight<F>) {
        debug_assert!(self.0.back().is_none_or(|last| last.id < frame.id));
        self.0.push_back(frame);
    }

    /// The frame that leaves next.
    pub fn oldest(&self) -> Option<&InFlight<F>> {
        self.0.front()
    }

    /// The frame that leaves next, to be changed.
    pub fn oldest_mut(&mut self) -> Option<&mut InFlight<F>> {
        self.0.front_mut()
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &InFlight<F>> {
        self.0.iter()
    }

    /// A frame by its number, as long as it has not left.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut InFlight<F>> {
        self.0.iter_mut().find(|frame| frame.id == id)
    }

    /// The oldest frame leaves.
    pub fn pop(&mut self) -> Option<InFlight<F>> {
        self.0.pop_front()
    }

    /// All are forgotten.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
