// SPDX-License-Identifier: MIT

//! A network and a clock that are made up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::inference::network::{NetworkShape, OpenSides};
use crate::matting::inference::worker::{Done, Exchange, Runner, Waited};
use crate::matting::model::description::InputDescription;
use crate::matting::model::size_rule::{Shaped, SizeRule};
use crate::matting::stream::Clock;

/// Of the network's input.
const SIDE: Size = Size { width: 32, height: 32 };

/// A clock that moves when something is waited for.
#[derive(Default)]
pub struct Sim(Mutex<Duration>);

impl Sim {
    pub fn advance(&self, to: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = to.max(*now);
    }
}

impl Clock for Sim {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// A network whose matte is the brightness of what it sees, and which takes its time.
pub struct Luma {
    clock: Arc<Sim>,
    shape: NetworkShape,
    pub state: Arc<Mutex<LumaState>>,
    /// What runs take, one after the other, from the beginning again; one of no time fails.
    runs: Vec<Duration>,
}

#[derive(Default)]
pub struct LumaState {
    jobs: VecDeque<(Exchange, Duration, bool)>,
    /// When each run was done, and the brightness that it saw.
    pub log: Vec<(Duration, f32)>,
    free_at: Duration,
    count: usize,
}

impl Luma {
    /// On that clock, with an input of an open size or not.
    pub fn new(clock: &Arc<Sim>, runs: Vec<Duration>, adapts: bool) -> Box<Self> {
        let mut description = InputDescription::default();
        let rule = Shaped::of_area(SIDE.width, 4);
        description.size = adapts.then_some(SizeRule::Shaped(rule));
        let mut shape = NetworkShape::new(description, SIDE, SIDE);
        shape.open = OpenSides { input: [adapts; 2], mask: [adapts; 2] };
        Box::new(Self { clock: clock.clone(), shape, state: Arc::default(), runs })
    }

    fn done(&self, (mut exchange, _, fails): (Exchange, Duration, bool)) -> Done {
        let area = exchange.input.area();
        exchange.mask.copy_from_slice(&exchange.tensor[..area]);
        let result = match fails {
            true => Err(Error::Inference { reason: "made up".into() }),
            false => Ok(()),
        };
        Done { exchange, result, warning: None, duration: self.runs[0] }
    }
}

impl Runner for Luma {
    fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    fn exchange(&self) -> Exchange {
        let mut exchange = Exchange { number: u64::MAX, ..Exchange::new(&self.shape) };
        exchange.tensor.fill(f32::NAN);
        exchange.mask.fill(f32::NAN);
        exchange
    }

    fn fit(&mut self, frame: Size) {
        self.shape = self.shape.fitted(frame);
    }

    fn give_back(&self, _: Exchange) {}

    fn submit(&self, exchange: Exchange) {
        let mut state = self.state.lock().unwrap();
        let takes = self.runs[state.count % self.runs.len()];
        state.count += 1;
        state.free_at = state.free_at.max(self.clock.now()) + takes;
        let ready = state.free_at;
        let middle = exchange.input.area() / 2;
        state.log.push((ready, exchange.tensor[middle]));
        state.jobs.push_back((exchange, ready, takes.is_zero()));
    }

    fn is_idle(&self) -> bool {
        self.state.lock().unwrap().jobs.is_empty()
    }

    fn try_next(&self) -> Option<Done> {
        let now = self.clock.now();
        let job = self.state.lock().unwrap().jobs.pop_front_if(|(_, ready, _)| *ready <= now)?;
        Some(self.done(job))
    }

    fn next(&self, deadline: Option<Duration>) -> Waited {
        let mut state = self.state.lock().unwrap();
        let Some((_, ready, _)) = state.jobs.front() else {
            panic!("something is waited for that nobody began");
        };
        if deadline.is_some_and(|deadline| deadline < *ready) {
            self.clock.advance(deadline.unwrap_or_default());
            return Waited::Late;
        }
        self.clock.advance(*ready);
        let job = state.jobs.pop_front().unwrap();
        Waited::Done(self.done(job))
    }

    fn discard(&self) {
        self.state.lock().unwrap().jobs.clear();
    }
}
