// SPDX-License-Identifier: MIT

//! How frames and mattes come together.

use std::time::Duration;

/// The share of a frame's duration that a frame of a live stream may wait for its own matte; the
/// rest is for all that is done besides inference.
const PATIENCE: f64 = 0.7;

/// What a frame lasts where nothing tells.
const USUAL_FRAME: Duration = Duration::from_millis(33);

/// What an application asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// [`Exact`](Self::Exact), or in a live stream no longer than each frame lasts.
    Auto,
    /// Each frame waits for its own matte.
    Exact,
    /// No frame waits.
    Latest,
}

/// What is known of a stream before its first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Frames come when they come, and have to leave soon.
    pub is_live: bool,
    /// What each lasts, where that is known.
    pub frame: Option<Duration>,
}

/// How frames and mattes come together in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pacing {
    /// Each frame waits for its own matte, so many of them at once, at least one.
    Exact {
        /// Frames that are worked on at once.
        in_flight: usize,
    },
    /// No frame waits; if `patient`, none waits longer than most of what it lasts.
    Latest {
        /// Whether a frame waits for its own matte as long as it has time.
        patient: bool,
    },
}

impl Pacing {
    /// What `wanted` comes to. Where each frame `refines` its matte, or nobody knows what it lasts, one
    /// is worked on at once: what follows from a first matte needs its frame, latency is told in time,
    /// and whoever feeds frames one by one and waits for each would wait without end.
    pub fn choose(wanted: Wanted, timing: Timing, in_flight: usize, refines: bool) -> Self {
        match wanted {
            Wanted::Latest => Self::Latest { patient: false },
            Wanted::Auto if timing.is_live => Self::Latest { patient: true },
            _ if timing.frame.is_none() || refines => Self::Exact { in_flight: 1 },
            _ => Self::Exact { in_flight: in_flight.max(1) },
        }
    }

    /// Whether each frame has a matte of its own.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Exact { .. })
    }

    /// So many frames are held back before the oldest leaves.
    pub fn depth(self) -> usize {
        match self {
            Self::Exact { in_flight } => in_flight,
            Self::Latest { .. } => 1,
        }
    }

    /// How long a frame may wait for its own matte; none is without end.
    pub fn patience(self, frame: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Exact { .. } => None,
            Self::Latest { patient: true } => Some(frame.unwrap_or(USUAL_FRAME).mul_f64(PATIENCE)),
            Self::Latest { patient: false } => Some(Duration::ZERO),
        }
    }

    /// The time by which frames leave later than they came, computing aside.
    pub fn latency(self, frame: Option<Duration>) -> Duration {
        match self {
            Self::Exact { in_flight } => frame.unwrap_or_default() * (in_flight as u32 - 1),
            Self::Latest { .. } => self.patience(frame).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);
    const LIVE: Timing = Timing { is_live: true, frame: Some(FRAME) };
    const FILE: Timing = Timing { is_live: false, frame: Some(FRAME) };

    #[test]
    fn only_frames_of_a_known_duration_are_held_back() {
        let choose = |timing, refines| Pacing::choose(Wanted::Exact, timing, 3, refines);
        assert_eq!(choose(FILE, false), Pacing::Exact { in_flight: 3 });
        assert_eq!(choose(FILE, true), Pacing::Exact { in_flight: 1 });
        for is_live in [false, true] {
            let unknown = Timing { is_live, frame: None };
            assert_eq!(choose(unknown, false), Pacing::Exact { in_flight: 1 });
        }
        let auto = |timing| Pacing::choose(Wanted::Auto, timing, 2, false);
        assert_eq!(auto(FILE), Pacing::Exact { in_flight: 2 });
        assert_eq!(auto(LIVE), Pacing::Latest { patient: true });
    }

    #[test]
    fn every_wait_is_told_as_latency() {
        let latency = |pacing: Pacing| pacing.latency(Some(FRAME));
        assert_eq!(latency(Pacing::Exact { in_flight: 1 }), Duration::ZERO);
        assert_eq!(latency(Pacing::Exact { in_flight: 3 }), 2 * FRAME);
        assert_eq!(latency(Pacing::Latest { patient: false }), Duration::ZERO);
        assert_eq!(latency(Pacing::Latest { patient: true }), Duration::from_millis(28));
    }
}
