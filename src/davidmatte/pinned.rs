// SPDX-License-Identifier: MIT

//! One `output` for a whole negotiation, whatever is set meanwhile: the base class asks several times what caps become,
//! and finds nothing where the answers are of different outputs.

use std::cell::RefCell;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::enums::OutputKind;
use super::flow::lock;
use super::imp::DavidMatte;

thread_local! {
    /// The elements that negotiate on this thread, one inside another, and with which outputs.
    static PINNED: RefCell<Vec<(usize, OutputKind)>> = const { RefCell::new(Vec::new()) };
}

/// Ends it, also where what negotiates panics.
struct Unpin;

impl Drop for Unpin {
    fn drop(&mut self) {
        PINNED.with_borrow_mut(|pinned| pinned.pop());
    }
}

impl DavidMatte {
    /// Does something on this thread in which [`Self::output`] stays the same.
    pub(super) fn with_one_output<T>(&self, work: impl FnOnce() -> T) -> T {
        let output = self.output();
        PINNED.with_borrow_mut(|pinned| pinned.push((self.address(), output)));
        let _unpin = Unpin;
        work()
    }

    /// The output that is negotiated on this thread, else the one that is set.
    pub(super) fn output(&self) -> OutputKind {
        let of_this = |&&(address, _): &&(usize, OutputKind)| address == self.address();
        let pinned = PINNED.with_borrow(|pinned| pinned.iter().rfind(of_this).copied());
        pinned.map_or_else(|| lock(&self.settings).output, |(_, output)| output)
    }

    fn address(&self) -> usize {
        self.obj().as_ptr() as usize
    }
}
