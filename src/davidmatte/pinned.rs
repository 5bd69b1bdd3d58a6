// SPDX-License-Identifier: MIT

//! One `output` for a whole negotiation, whatever is set meanwhile: the base class asks several times what caps become,
//! and finds nothing where the answers are of different outputs.

use std::cell::RefCell;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::caps;
use super::flow::lock;
use super::imp::DavidMatte;
use super::streaming::Streaming;
use crate::matting::prelude::Output;

thread_local! {
    /// The elements that negotiate on this thread, one inside another, and with which outputs.
    static PINNED: RefCell<Vec<(usize, Output)>> = const { RefCell::new(Vec::new()) };
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
        self.with_output(self.output(), work)
    }

    /// The same for the negotiation of what comes with such caps. Where they cannot become what was set since they were
    /// chosen, they become what they can, as until now, and others are asked for.
    pub(super) fn with_output_for<T>(&self, caps: &gst::Caps, work: impl FnOnce() -> T) -> T {
        let wanted = self.output();
        let Some(last) = lock(&self.streaming).as_ref().and_then(Streaming::output) else {
            return self.with_output(wanted, work);
        };
        let taken = self.obj().src_pad().peer_query_caps(None);
        let suits = |output: &Output| caps::suits(&taken, caps, *output);
        let found = [wanted, last].into_iter().chain(Output::ALL).find(suits).unwrap_or(wanted);
        let result = self.with_output(found, work);
        if found != wanted {
            self.obj().reconfigure_sink();
        }
        result
    }

    fn with_output<T>(&self, output: Output, work: impl FnOnce() -> T) -> T {
        PINNED.with_borrow_mut(|pinned| pinned.push((self.address(), output)));
        let _unpin = Unpin;
        work()
    }

    /// The output that is negotiated on this thread, else the one that is set.
    pub(super) fn output(&self) -> Output {
        let of_this = |&&(address, _): &&(usize, Output)| address == self.address();
        let pinned = PINNED.with_borrow(|pinned| pinned.iter().rfind(of_this).copied());
        pinned.map_or_else(|| lock(&self.settings).output.into(), |(_, output)| output)
    }

    fn address(&self) -> usize {
        self.obj().as_ptr() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_set_meanwhile_counts_afterwards() {
        gst::init().unwrap();
        let (element, other): (super::super::DavidMatte, super::super::DavidMatte) =
            (gst::glib::Object::new(), gst::glib::Object::new());
        let set = |output: &str| element.set_property_from_str("output", output);
        let imp = element.imp();
        imp.with_one_output(|| {
            set("cutout");
            assert_eq!(imp.output(), Output::Composite);
            assert_eq!(other.imp().output(), Output::Composite);
            other.set_property_from_str("output", "alpha");
            assert_eq!(other.imp().output(), Output::Alpha, "another element's");
            std::thread::scope(|scope| {
                let elsewhere = scope.spawn(|| element.imp().output());
                assert_eq!(elsewhere.join().unwrap(), Output::Cutout, "another thread's");
            });
        });
        assert_eq!(imp.output(), Output::Cutout);
    }
}
