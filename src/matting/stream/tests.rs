// SPDX-License-Identifier: MIT

//! The law of a stream, over random schedules, with a network and a clock that are made up: each frame
//! leaves once, in order, with the matte of its own brightness; the end comes.

mod simulated;

use self::simulated::{Luma, LumaState, Sim};
use super::*;
use crate::matting::frame::pixel_format::PixelFormat;
use proptest::prelude::*;
use std::sync::Mutex;

const WIDTH: usize = 64;
const HEIGHT: usize = 48;

/// What a frame shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    /// One brightness everywhere.
    Flat(u8),
    /// Somebody of some brightness before black, whose left upper corner is there.
    Somebody(u8, usize, usize),
}

/// The side of somebody.
const BODY: usize = 20;

impl Shows {
    fn brightness(self) -> f32 {
        let (Self::Flat(code) | Self::Somebody(code, ..)) = self;
        f32::from(code) / 255.0
    }

    /// Where the brightness is to be found in the frame.
    fn middle(self) -> [usize; 2] {
        match self {
            Self::Flat(_) => [WIDTH / 2, HEIGHT / 2],
            Self::Somebody(_, x, y) => [x + BODY / 2, y + BODY / 2],
        }
    }

    fn frame(self) -> OwnedFrame {
        let mut frame = OwnedFrame::new(layout());
        for y in 0..HEIGHT {
            for (x, code) in frame.view_mut().row_mut(0, y).iter_mut().enumerate() {
                *code = match self {
                    Self::Flat(code) => code,
                    Self::Somebody(code, left, top) => {
                        let inside = |at: usize, from: usize| (from..from + BODY).contains(&at);
                        if inside(x, left) && inside(y, top) { code } else { 0 }
                    }
                };
            }
        }
        frame
    }
}

fn layout() -> FrameLayout {
    FrameLayout::new(PixelFormat::Gray8, WIDTH, HEIGHT)
}

/// A frame that knows its place in what was fed.
struct Numbered {
    number: usize,
    settings: FrameSettings,
    shows: Shows,
    picture: OwnedFrame,
    /// From one frame to the next in the film that they are of.
    apart: Option<Duration>,
}

impl Frame for Numbered {
    fn time(&self) -> Option<Duration> {
        Some(self.apart? * self.number as u32)
    }

    fn view<R>(&self, read: impl FnOnce(&FrameView<'_>) -> R) -> Result<R, Error> {
        Ok(read(&self.picture.view()))
    }
}

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Step {
    Feed { shows: Shows, late: bool },
    Set { follows: bool, temporal: bool, interval: u32 },
    Flush,
    Fit { in_flight: usize },
    Succeed { milliseconds: Vec<u64> },
    Drain,
}

/// So far apart, brightnesses are told from each other, and change is not smoothed.
fn level() -> impl Strategy<Value = u8> {
    (0u8..9).prop_map(|level| [0, 0, 30, 64, 96, 128, 160, 200, 255][usize::from(level)])
}

/// Frames of one scene. Somebody stands still or walks, and comes after a flash of white: nobody is
/// found by following who is elsewhere from one frame to the next.
fn scene() -> impl Strategy<Value = Vec<Shows>> {
    let flat = (level(), 1usize..5).prop_map(|(code, count)| vec![Shows::Flat(code); count]);
    let place = (0..WIDTH - BODY, 0..HEIGHT - BODY);
    let somebody =
        (100u8..=255, place, 0usize..3, 1usize..8).prop_map(|(code, (x, y), speed, count)| {
            let walk = |n: usize| Shows::Somebody(code, (x + speed * n).min(WIDTH - BODY), y);
            std::iter::once(Shows::Flat(255)).chain((0..count).map(walk)).collect()
        });
    prop_oneof![flat, somebody]
}

/// Somebody who walks to and fro, quickly enough that a region has to follow.
fn stroll() -> impl Strategy<Value = Vec<Shows>> {
    (100u8..=255, 0..WIDTH - BODY, 0..HEIGHT - BODY, 1usize..6, 4usize..20).prop_map(
        |(code, x, y, speed, count)| {
            let most = WIDTH - BODY;
            let at = |n: usize| (x + speed * n) % (2 * most);
            let walk = |n: usize| Shows::Somebody(code, at(n).min(2 * most - at(n)), y);
            (0..count).map(walk).collect()
        },
    )
}

fn milliseconds(fails: bool) -> impl Strategy<Value = Vec<u64>> {
    let least = if fails { 0 } else { 1 };
    prop::collection::vec(least..90u64, 1..5)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scene = (scene(), prop::bool::weighted(0.1)).prop_map(|(scene, late)| {
        scene.into_iter().map(|shows| Step::Feed { shows, late }).collect::<Vec<_>>()
    });
    let set = (any::<bool>(), any::<bool>(), 0u32..5)
        .prop_map(|(follows, temporal, interval)| Step::Set { follows, temporal, interval });
    let other = prop_oneof![
        3 => set,
        1 => Just(Step::Flush),
        1 => (1usize..9).prop_map(|in_flight| Step::Fit { in_flight }),
        1 => milliseconds(false).prop_map(|milliseconds| Step::Succeed { milliseconds }),
        1 => Just(Step::Drain),
    ];
    let group = prop_oneof![
        6 => scene,
        1 => other.prop_map(|step| vec![step]),
    ];
    prop::collection::vec(group, 1..12).prop_map(|groups| groups.concat())
}

fn durations(milliseconds: &[u64]) -> Vec<Duration> {
    milliseconds.iter().copied().map(Duration::from_millis).collect()
}

/// Feeds a stream and checks what leaves.
struct Checked {
    stream: Stream<Numbered>,
    network: Arc<Mutex<LumaState>>,
    /// Whether a run of the network may fail.
    may_fail: bool,
    clock: Arc<Sim>,
    settings: FrameSettings,
    fed: Vec<Shows>,
    /// The next one to leave.
    next: usize,
    /// Of the frames that may be shown instead of the own one: those inferred last, in this scene.
    last_inferred: Option<Shows>,
    /// Mattes that were carried count in those that are smoothed with them.
    mixed: bool,
    ended: bool,
    /// Whether frames are composed while others are taken in.
    overlaps: bool,
    /// Whether networks take the shape of what they see.
    adapts: bool,
    /// From one frame to the next in the film that they are of, if they are of one.
    apart: Option<Duration>,
    /// The mattes that frames left with.
    left: Vec<(usize, Option<Vec<f32>>)>,
    /// Whether somebody may be quicker than a region follows, and be lost.
    may_lose: bool,
}

const FRAME: Duration = Duration::from_millis(40);

impl Checked {
    fn new(milliseconds: &[u64], overlaps: bool, pacing: Pacing) -> Self {
        Self::of_a_network(milliseconds, false, overlaps, pacing)
    }

    fn of_a_network(milliseconds: &[u64], adapts: bool, overlaps: bool, pacing: Pacing) -> Self {
        let clock = Arc::new(Sim::default());
        let network = Luma::new(&clock, durations(milliseconds), adapts);
        let state = network.state.clone();
        let mut stream = Stream::new(network, clock.clone());
        stream.fit(&options(pacing));
        Self {
            stream,
            network: state,
            may_fail: milliseconds.contains(&0),
            clock,
            settings: FrameSettings::default(),
            fed: Vec::new(),
            next: 0,
            last_inferred: None,
            mixed: false,
            ended: false,
            overlaps,
            adapts,
            apart: None,
            left: Vec::new(),
            may_lose: false,
        }
    }

    /// The value of the shown mask in the middle of what a frame shows.
    fn shown_at(stream: &Stream<Numbered>, [x, y]: [usize; 2]) -> Option<f32> {
        let (Inferred { mask: values, .. }, masks) = stream.shown()?;
        let [across, down] = masks.axes(Size { width: WIDTH, height: HEIGHT });
        let at = |axis: crate::matting::input::geometry::AxisGeometry,
                  pixel: usize,
                  mask: usize| {
            let sample = axis.frame_edge(mask) + (pixel as f32 + 0.5) * axis.mask_per_frame(mask);
            (sample as usize).min(mask - 1)
        };
        let (column, row) = (at(across, x, masks.mask.width), at(down, y, masks.mask.height));
        Some(values[row * masks.mask.width + column])
    }

    /// The oldest frame leaves, and must be right.
    fn leave(&mut self, carried_before: u64, finished: &Finished<Numbered>) {
        let Numbered { number, shows, settings, .. } = finished.frame;
        assert_eq!(number, self.next, "in order");
        self.next += 1;
        let mask = self.stream.shown().map(|(inferred, _)| inferred.mask.to_vec());
        self.left.push((number, mask));
        self.ended |= finished.failure.is_some();
        if self.may_lose {
            return;
        }
        let value = Self::shown_at(&self.stream, shows.middle());
        let was_carried = self.stream.stats().carried > carried_before;
        self.mixed = settings.temporal > 0.0 && value.is_some() && (was_carried || self.mixed);
        match value {
            // A frame whose inference failed, or before which a scene ended, shows nothing.
            None => {
                assert!(self.may_fail, "{number} has no matte");
                self.last_inferred = None;
            }
            Some(value) if was_carried => {
                // Some earlier frame's, and where that is flat its brightness.
                if let Some(Shows::Flat(_)) = self.last_inferred
                    && let Shows::Flat(_) = shows
                {
                    let from = self.last_inferred.unwrap().brightness();
                    assert!((value - from).abs() < 0.02, "{number}: {value}, carried {from}");
                }
            }
            Some(_) if self.mixed => self.last_inferred = Some(shows),
            Some(value) => {
                let own = shows.brightness();
                assert!((value - own).abs() < 0.06, "{number} {shows:?}: {value}, not {own}");
                self.last_inferred = Some(shows);
            }
        }
    }

    fn pull(&mut self) {
        let carried = self.stream.stats().carried;
        let finished = self.stream.finish().unwrap().expect("a frame is in flight");
        self.leave(carried, &finished);
    }

    fn feed(&mut self, shows: Shows, late: bool) {
        let number = self.fed.len();
        self.fed.push(shows);
        let (settings, picture) = (self.settings, shows.frame());
        let frame = Numbered { number, settings, shows, picture, apart: self.apart };
        if self.overlaps && self.stream.could_overlap() {
            let carried = self.stream.stats().carried;
            let finished = self.stream.finish().unwrap().expect("a frame is in flight");
            self.leave(carried, &finished);
            let before = self.stream.shown().map(|(inferred, _)| inferred.mask.to_vec());
            let (composed, accepted) =
                self.stream.accept_while((frame, self.settings, late), |shown| {
                    shown.map(|(inferred, _)| inferred.mask.to_vec())
                });
            accepted.unwrap();
            assert_eq!(composed, before, "what is composed is what was shown");
        } else {
            self.stream.accept(frame, self.settings, late).unwrap();
        }
        if self.stream.is_full() {
            self.pull();
        }
    }

    fn drain(&mut self) {
        while !self.stream.is_empty() {
            self.pull();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Feed { shows, late } => self.feed(*shows, *late),
            Step::Set { follows, temporal, interval } => {
                self.settings.follows = *follows;
                self.settings.temporal = if *temporal { 0.6 } else { 0.0 };
                self.settings.interval = *interval;
            }
            Step::Flush => {
                self.stream.flush();
                self.next = self.fed.len();
                self.last_inferred = None;
            }
            Step::Fit { in_flight } => {
                self.drain();
                self.stream.fit(&options(Pacing::Exact { in_flight: *in_flight }));
                self.last_inferred = None;
            }
            Step::Succeed { milliseconds } => {
                self.drain();
                let network = Luma::new(&self.clock, durations(milliseconds), self.adapts);
                self.stream.succeed(network);
            }
            Step::Drain => self.drain(),
        }
    }
}

fn options(pacing: Pacing) -> StreamOptions {
    StreamOptions { layout: layout(), frame: Some(FRAME), pacing, refines: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn each_frame_leaves_once_in_order_with_its_own_matte(
        steps in steps(), runs in milliseconds(true), in_flight in 1usize..9,
        overlaps in any::<bool>(), adapts in any::<bool>(),
    ) {
        let mut checked =
            Checked::of_a_network(&runs, adapts, overlaps, Pacing::Exact { in_flight });
        for step in &steps {
            checked.step(step);
            if checked.ended {
                return Ok(());
            }
        }
        checked.drain();
        prop_assert!(checked.ended || checked.next == checked.fed.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Where every frame waits for its matte, a film has the same mattes each time, however quick the network is and
    /// whatever is done at the same time; where every frame is inferred, also with other numbers of frames in flight.
    #[test]
    fn mattes_do_not_depend_on_how_long_things_take(
        steps in steps(), strolls in prop::collection::vec(stroll(), 1..4),
        runs in prop::array::uniform2(milliseconds(false)),
        apart in prop::array::uniform2(0u64..90), in_flight in prop::array::uniform2(1usize..5),
        overlaps in prop::array::uniform2(any::<bool>()), adapts in any::<bool>(),
        seconds in prop::option::of(1u64..3),
    ) {
        let feed = |shows| Step::Feed { shows, late: false };
        let mut strolls = strolls.into_iter().map(|shows| shows.into_iter().map(feed).collect::<Vec<_>>());
        let first = strolls.next().unwrap_or_default();
        let steps: Vec<_> = first.into_iter().chain(steps).chain(strolls.flatten()).collect();
        // That a matte cannot be carried to a frame is seen when that leaves.
        let carries = steps.iter().any(|step| match step {
            Step::Set { interval, .. } => *interval != 1,
            Step::Feed { late, .. } => *late,
            _ => false,
        });
        let [one, other] = [0, 1].map(|i| {
            let pacing = Pacing::Exact { in_flight: in_flight[if carries { 0 } else { i }] };
            let mut checked = Checked::of_a_network(&runs[i], adapts, overlaps[i], pacing);
            checked.apart = seconds.map(Duration::from_secs);
            checked.may_lose = true;
            for step in &steps {
                checked.clock.advance(checked.clock.now() + Duration::from_millis(apart[i]));
                checked.step(step);
            }
            checked.drain();
            checked.left
        });
        // A flush forgets more frames where fewer have left.
        let there = |number: &usize, of: &[(usize, _)]| of.iter().any(|(other, _)| other == number);
        for (number, mask) in one.iter().filter(|(number, _)| there(number, &other)) {
            let found = other.iter().find(|(found, _)| found == number);
            prop_assert_eq!(Some(mask), found.map(|(_, mask)| mask), "of frame {}", number);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// In a stream in which no frame waits, no matte is of a later frame than the one it leaves with, and
    /// none older than the newest that was there when it came.
    #[test]
    fn no_matte_is_of_a_later_frame_or_older_than_need_be(
        runs in milliseconds(false), patient in any::<bool>(), follows in any::<bool>(),
        interval in 0u32..4, count in 1usize..50, late in any::<bool>(), adapts in any::<bool>(),
    ) {
        let mut checked =
            Checked::of_a_network(&runs, adapts, false, Pacing::Latest { patient });
        checked.settings = FrameSettings { follows, temporal: 0.0, interval, untouched: false };
        let mut newest_shown = None;
        for number in 0..count {
            checked.clock.advance(FRAME * number as u32);
            // Neighbours differ too little for a cut, and all from each other.
            let shows = Shows::Flat(80 + 3 * number as u8);
            let frame = Numbered { number, settings: checked.settings, shows, picture: shows.frame(), apart: None };
            let came = checked.clock.now();
            checked.stream.accept(frame, checked.settings, late).unwrap();
            let finished = checked.stream.finish().unwrap().expect("no frame waits for another");
            prop_assert_eq!(finished.frame.number, number);
            let waited = checked.clock.now() - came;
            prop_assert!(waited <= if patient { FRAME } else { Duration::ZERO }, "{:?}", waited);
            let of = |value: f32| ((value * 255.0 - 80.0) / 3.0).round() as usize;
            let shown = Checked::shown_at(&checked.stream, shows.middle()).map(of);
            if let Some(of) = shown {
                prop_assert!(of <= number, "{} shows {}", number, of);
                prop_assert!(newest_shown.is_none_or(|newest| newest <= of), "never back");
                newest_shown = Some(of);
            }
            // Frames so far apart are of different scenes.
            let is_lost = |there: usize| shown.is_none() && number >= there + 7;
            // A frame that is followed may take two runs for a matte.
            if !follows {
                let log = &checked.network.lock().unwrap().log;
                let there = log.iter().filter(|(ready, _)| *ready <= came).map(|run| of(run.1)).max();
                prop_assert!(there.is_none_or(|there| shown >= Some(there) || is_lost(there)), "{:?}, not {:?}", shown, there);
            }
        }
        prop_assert!(checked.stream.is_empty());
    }
}

#[test]
fn a_black_frame_at_the_start_keeps_its_place() {
    let mut checked = Checked::new(&[5], true, Pacing::Exact { in_flight: 2 });
    for code in [0, 110, 120, 130, 140, 150, 160, 170] {
        checked.settings.temporal = 0.0;
        checked.feed(Shows::Flat(code), false);
    }
    checked.drain();
    assert_eq!(checked.next, 8);
}

#[test]
fn a_longer_interval_leaves_no_frame_without_a_matte() {
    // What is in flight was not looked at, and so cannot be carried.
    let mut checked = Checked::new(&[5], false, Pacing::Exact { in_flight: 2 });
    checked.settings =
        FrameSettings { follows: false, temporal: 0.0, interval: 1, untouched: false };
    (0..3).for_each(|_| checked.feed(Shows::Flat(255), false));
    checked.settings.interval = 5;
    for _ in 0..8 {
        checked.feed(Shows::Flat(255), false);
        assert!(checked.stream.shown().is_some());
    }
}

#[test]
fn a_network_rests_while_nothing_moves_and_wakes_with_the_first_frame_that_does() {
    for pacing in [Pacing::Exact { in_flight: 2 }, Pacing::Latest { patient: true }] {
        let mut checked = Checked::new(&[5], false, pacing);
        let settings =
            FrameSettings { follows: false, temporal: 0.0, interval: 0, untouched: false };
        let mut inferences = Vec::new();
        for number in 0..60usize {
            checked.clock.advance(FRAME * number as u32);
            // Somebody who stands still, takes a step, and stands still again.
            let shows = Shows::Somebody(200, if number < 30 { 2 } else { 6 }, 2);
            let frame = Numbered { number, settings, shows, picture: shows.frame(), apart: None };
            checked.stream.accept(frame, settings, false).unwrap();
            while checked.stream.is_full() || (number == 59 && !checked.stream.is_empty()) {
                let finished = checked.stream.finish().unwrap().unwrap();
                let shows = finished.frame.shows;
                let value = Checked::shown_at(&checked.stream, shows.middle()).unwrap();
                assert!((value - shows.brightness()).abs() < 0.02, "{:?}", finished.frame.number);
                // Where he was before his step, but for what the network's size smears.
                let left = Checked::shown_at(&checked.stream, [1, 12]).unwrap();
                assert!(left < 0.6, "{left}");
            }
            inferences.push(checked.stream.stats().inferences);
        }
        assert_eq!([29, 59].map(|frame| inferences[frame]), [1, 2], "{inferences:?}");
    }
}

#[test]
fn an_untouched_frame_waits_in_line() {
    let mut checked = Checked::new(&[5], false, Pacing::Exact { in_flight: 3 });
    let mut left = Vec::new();
    for number in 0..9 {
        let shows = Shows::Flat(100);
        let settings = FrameSettings { untouched: number % 2 == 1, ..FrameSettings::default() };
        let frame = Numbered {
            number,
            settings: checked.settings,
            shows,
            picture: shows.frame(),
            apart: None,
        };
        checked.stream.accept(frame, settings, false).unwrap();
        while checked.stream.is_full() || (number == 8 && !checked.stream.is_empty()) {
            let finished = checked.stream.finish().unwrap().unwrap();
            assert_eq!(finished.untouched, finished.frame.number % 2 == 1);
            assert_eq!(checked.stream.shown().is_none(), finished.untouched);
            left.push(finished.frame.number);
        }
    }
    assert_eq!(left, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_network_that_never_gave_a_matte_ends_the_stream_and_one_that_did_is_borne_with() {
    let mut broken = Checked::new(&[0], false, Pacing::Exact { in_flight: 1 });
    broken.feed(Shows::Flat(200), false);
    assert!(broken.ended);
    let mut shaky = Checked::new(&[5, 0, 5, 5], false, Pacing::Exact { in_flight: 2 });
    (0..12).for_each(|_| shaky.feed(Shows::Flat(200), false));
    shaky.drain();
    assert!(!shaky.ended);
    let notices = std::iter::from_fn(|| shaky.stream.notice()).count();
    assert_eq!(notices, 3, "one for each that failed after one that did not");
}

#[test]
fn in_latest_a_successor_takes_over_with_its_first_matte_and_one_that_fails_is_told() {
    let mut checked = Checked::new(&[5], false, Pacing::Latest { patient: true });
    let feed = |checked: &mut Checked, number: u32| {
        checked.clock.advance(FRAME * number);
        let shows = Shows::Flat(200);
        let frame = Numbered {
            number: number as usize,
            settings: checked.settings,
            shows,
            picture: shows.frame(),
            apart: None,
        };
        checked.stream.accept(frame, checked.settings, false).unwrap();
        let _finished = checked.stream.finish().unwrap().unwrap();
        assert!(checked.stream.shown().is_some());
        std::iter::from_fn(|| checked.stream.notice()).collect::<Vec<_>>()
    };
    assert!(feed(&mut checked, 0).is_empty());
    checked.stream.succeed(Luma::new(&checked.clock, durations(&[0]), false));
    let told =
        [feed(&mut checked, 1), feed(&mut checked, 2)].into_iter().flatten().collect::<Vec<_>>();
    assert!(matches!(told[..], [Notice::Refused(_)]), "{told:?}");
    checked.stream.succeed(Luma::new(&checked.clock, durations(&[60]), false));
    let told: Vec<_> = (3..8).flat_map(|number| feed(&mut checked, number)).collect();
    assert!(matches!(told[..], [Notice::Succeeded]), "{told:?}");
    assert_eq!(checked.stream.take_retired().len(), 2);
}

#[test]
fn a_cut_in_a_live_stream_lets_nobody_be_followed_any_more() {
    let mut checked = Checked::new(&[5], false, Pacing::Latest { patient: true });
    let mut shown = Vec::new();
    for number in 0..40u32 {
        checked.clock.advance(FRAME * number);
        // Somebody in a dark room, then somebody elsewhere in a bright one.
        let shows = match number {
            0..20 => Shows::Somebody(255, 2, 2),
            _ => Shows::Flat(255),
        };
        let frame = Numbered {
            number: number as usize,
            settings: checked.settings,
            shows,
            picture: shows.frame(),
            apart: None,
        };
        checked.stream.accept(frame, checked.settings, false).unwrap();
        let _finished = checked.stream.finish().unwrap().unwrap();
        shown.push(Checked::shown_at(&checked.stream, [WIDTH - 4, HEIGHT - 4]));
    }
    assert!(shown[5..20].iter().all(|value| value.is_some_and(|value| value < 0.1)), "{shown:?}");
    assert!(shown[20..].iter().all(|value| value.is_some_and(|value| value > 0.9)), "{shown:?}");
}
