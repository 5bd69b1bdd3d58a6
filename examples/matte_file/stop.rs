//! Ctrl-C, and other ways of asking the program to end.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// From here on, Ctrl-C, termination and the closing of the terminal are counted, and end nothing.
///
/// # Errors
/// [`Error::Signals`].
pub fn listen() -> Result<(), Error> {
    let count = || {
        ASKED.fetch_add(1, Ordering::SeqCst);
    };
    ctrlc::set_handler(count).map_err(|error| Error::Signals(error.to_string()))
}

/// Whether the program is to end.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst) > 0
}

/// Whether it is to end without finishing anything.
pub fn is_asked_again() -> bool {
    ASKED.load(Ordering::SeqCst) > 1
}
