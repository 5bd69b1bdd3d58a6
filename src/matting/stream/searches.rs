// SPDX-License-Identifier: MIT

//! When the whole of a frame is searched for people, and when the region that holds them is chosen anew.

use std::time::Duration;

/// Where a part of the frame is followed, the whole is searched this often, so that whoever walks
/// in is found within half a second.
pub const SEARCH: Duration = Duration::from_millis(400);

/// Frames from one search to the next where nobody knows what a frame lasts.
const USUAL_SEARCH: u64 = 12;

/// Where every frame waits for its own matte, the region is chosen anew at multiples of this in the
/// frames' own time, by the frame that is shown then. So a film that is begun in its middle has the
/// regions of the whole film from the next of these times on.
pub const ANEW: Duration = Duration::from_secs(4);

/// A frame's number, and when it is shown, in the time of the stream that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Which {
    pub number: u64,
    pub time: Option<Duration>,
}

/// From one time at which the region is chosen [anew](ANEW) to the next, counted; none before the first,
/// and where frames have no time.
pub type Era = Option<u128>;

/// Which frames are searched.
pub struct Searches {
    /// From one search to the next: frames, and how long these last.
    every: u64,
    time: Duration,
    /// The [turn](Self::turn) of the frame that was searched last.
    last: Option<u64>,
    /// That frame's number.
    last_frame: Option<u64>,
    era: Era,
}

impl Searches {
    /// Of frames that last so long, where that is known.
    pub fn new(frame: Option<Duration>) -> Self {
        let every = frame.map_or(USUAL_SEARCH, |frame| {
            (SEARCH.as_secs_f64() / frame.as_secs_f64().max(1e-6)).round().max(2.0) as u64
        });
        let time = frame.map_or(SEARCH, |frame| frame.mul_f64(every as f64)).max(SEARCH / 2);
        Self { every, time, last: None, last_frame: None, era: None }
    }

    /// Nothing was searched.
    pub fn forget(&mut self) {
        (self.last, self.last_frame) = (None, None);
    }

    /// The era of the last frame that began one.
    pub fn era(&self) -> Era {
        self.era
    }

    /// Goes on with the era of a frame; whether that is another one, in which nothing was searched.
    pub fn begin_era(&mut self, frame: Which) -> bool {
        let era = frame.time.map(|time| time.as_nanos() / ANEW.as_nanos());
        let is_another = std::mem::replace(&mut self.era, era) != era;
        if is_another {
            self.forget();
        }
        is_another
    }

    /// Whether nothing was searched yet.
    pub fn is_first(&self) -> bool {
        self.last.is_none()
    }

    /// Whether it is time to search a frame.
    pub fn are_due(&self, frame: Which) -> bool {
        self.last != Some(self.turn(frame))
    }

    /// A frame is searched.
    pub fn take_note(&mut self, frame: Which) {
        (self.last, self.last_frame) = (Some(self.turn(frame)), Some(frame.number));
    }

    /// Whether a frame, or one after it, was searched.
    pub fn have_seen(&self, frame: u64) -> bool {
        self.last_frame.is_some_and(|last| last >= frame)
    }

    /// The search that a frame belongs to. It goes by the frame's own time, so that a part of a film
    /// is searched where the whole film is.
    fn turn(&self, frame: Which) -> u64 {
        match frame.time {
            Some(time) => (time.as_nanos() / self.time.as_nanos()) as u64,
            None => frame.number / self.every,
        }
    }
}
