// SPDX-License-Identifier: MIT

//! When the whole of a frame is searched for people, and when the region that holds them is chosen anew.

use std::time::Duration;

/// Where a part of the frame is followed, the whole is searched this often while anything moves beyond that part.
pub const SEARCH: Duration = Duration::from_millis(400);

/// Whoever begins to walk in is little to be seen at first: as long as this after the first search, and after one that
/// follows a rest, it may be searched so many times as often.
const SOON: f64 = 4.0;

/// While nothing moves beyond the part, the whole is searched every so many times as long.
const QUIET: u32 = 5;

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
    /// The frame that was searched last, and the last one that was after a rest.
    last: Option<Which>,
    first: Option<Which>,
    era: Era,
}

impl Searches {
    /// Of frames that last so long, where that is known.
    pub fn new(frame: Option<Duration>) -> Self {
        let every = frame.map_or(USUAL_SEARCH, |frame| {
            (SEARCH.as_secs_f64() / frame.as_secs_f64().max(1e-6)).round().max(2.0) as u64
        });
        let time = frame.map_or(SEARCH, |frame| frame.mul_f64(every as f64)).max(SEARCH / 2);
        Self { every, time, last: None, first: None, era: None }
    }

    /// Nothing was searched.
    pub fn forget(&mut self) {
        (self.last, self.first) = (None, None);
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

    /// Whether a frame may be searched.
    pub fn may_be(&self, frame: Which) -> bool {
        let (Some(last), Some(first)) = (self.last, self.first) else { return true };
        let is_soon = self.times(first, frame) < 1.0;
        self.times(last, frame) >= if is_soon { SOON.recip() } else { 1.0 }
    }

    /// Whether a frame has to be searched, whatever moves.
    pub fn are_due(&self, frame: Which) -> bool {
        self.last.is_none_or(|last| self.times(last, frame) >= f64::from(QUIET))
    }

    /// A frame is searched.
    pub fn take_note(&mut self, frame: Which) {
        if self.last.is_none_or(|last| self.times(last, frame) > 1.0) {
            self.first = Some(frame);
        }
        self.last = Some(frame);
    }

    /// Whether a frame, or one after it, was searched.
    pub fn have_seen(&self, frame: u64) -> bool {
        self.last.is_some_and(|last| last.number >= frame)
    }

    /// From one frame to another, in usual times from search to search. By the frames' own times it is the same in a part
    /// of a film as in the whole.
    fn times(&self, last: Which, frame: Which) -> f64 {
        match (last.time, frame.time) {
            (Some(last), Some(frame)) => frame.abs_diff(last).div_duration_f64(self.time),
            _ => frame.number.abs_diff(last.number) as f64 / self.every as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Which frames of 30 a second are searched, of those in which something moves beyond the region.
    fn searched(moves: &[bool], timed: bool) -> Vec<usize> {
        let frame = Duration::from_secs(1) / 30;
        let mut searches = Searches::new(Some(frame));
        let which = |index: usize| Which {
            number: index as u64,
            time: timed.then(|| frame * index as u32),
        };
        let is_searched = |&(index, &moves): &(usize, &bool)| {
            let which = which(index);
            let is_due = searches.may_be(which) && (moves || searches.are_due(which));
            if is_due {
                searches.take_note(which);
            }
            is_due
        };
        moves.iter().enumerate().filter(is_searched).map(|(index, _)| index).collect()
    }

    #[test]
    fn a_rest_is_searched_every_two_seconds() {
        for timed in [true, false] {
            assert_eq!(searched(&[false; 130], timed), [0, 60, 120]);
        }
    }

    #[test]
    fn whoever_comes_is_looked_for_at_once_and_soon_again() {
        let moves: Vec<_> = (0..80).map(|index| index >= 40).collect();
        for timed in [true, false] {
            assert_eq!(searched(&moves, timed), [0, 40, 43, 46, 49, 61, 73]);
        }
    }

    proptest! {
        /// Whatever moves, the first frame in which something does is searched after a rest, a frame is searched every two
        /// seconds, and at most five are in any 0.4 s.
        #[test]
        fn nobody_is_missed_for_long(
            stretches in prop::collection::vec((1usize..40, any::<bool>()), 1..20), timed in any::<bool>(),
        ) {
            let moves: Vec<bool> =
                stretches.iter().flat_map(|&(count, moves)| std::iter::repeat_n(moves, count)).collect();
            let searched = searched(&moves, timed);
            prop_assert_eq!(searched[0], 0);
            for pair in searched.windows(2) {
                prop_assert!(pair[1] - pair[0] <= 60);
                // After 0.4 s without a search, the next frame that moves is searched.
                let rested = (pair[0] + 13..pair[1]).find(|&index| moves[index]);
                prop_assert_eq!(rested, None);
            }
            for six in searched.windows(6) {
                prop_assert!(six[5] - six[0] > 12);
            }
        }
    }
}
