//! Keys, which are read one by one while the program runs.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use gstdavidmatte::davidmatte::BackgroundKind;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The person over this background.
    Background(BackgroundKind),
    /// The matte alone.
    Matte,
    /// The person with an alpha channel.
    Cutout,
    /// The end.
    Quit,
}

/// The keys, in a line.
pub const HELP: &str =
    "Keys: c colour, b blur, i image, k checkerboard, m matte, x cut-out, q quit";

/// A terminal that hands on every key at once, until this is dropped or the program panics.
pub struct Keys(());

impl Keys {
    /// None where nobody can press keys: no terminal, or one that another program is at.
    pub fn listen() -> Option<Self> {
        if !io::stdin().is_terminal() || is_in_background() {
            return None;
        }
        enable_raw_mode().ok()?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Before the message, which would run across the screen otherwise.
            let _ = disable_raw_mode();
            hook(panic);
        }));
        Some(Self(()))
    }

    /// The command of the next key that was pressed, if one was.
    pub fn next(&self) -> Option<Command> {
        while event::poll(Duration::ZERO).ok()? {
            if let Event::Key(key) = event::read().ok()?
                && let Some(command) = command(key)
            {
                return Some(command);
            }
        }
        None
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = disable_raw_mode();
    }
}

/// Whether the terminal belongs to another job; to change its settings would stop this one.
#[cfg(unix)]
fn is_in_background() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group != rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn is_in_background() -> bool {
    false
}

fn command(key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        // What a raw terminal does not turn into a signal.
        KeyCode::Char('c' | 'd') if is_control => Some(Command::Quit),
        _ if is_control => None,
        KeyCode::Char('q') | KeyCode::Esc => Some(Command::Quit),
        KeyCode::Char('c') => Some(Command::Background(BackgroundKind::Color)),
        KeyCode::Char('b') => Some(Command::Background(BackgroundKind::Blur)),
        KeyCode::Char('i') => Some(Command::Background(BackgroundKind::Image)),
        KeyCode::Char('k') => Some(Command::Background(BackgroundKind::Checkerboard)),
        KeyCode::Char('m') => Some(Command::Matte),
        KeyCode::Char('x') => Some(Command::Cutout),
        _ => None,
    }
}
