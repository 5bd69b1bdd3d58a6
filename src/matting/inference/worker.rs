// SPDX-License-Identifier: MIT

//! Inference in a thread of its own, so that frames can be prepared and finished meanwhile.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::inference::clock::Clock;
use crate::matting::inference::network::{Network, NetworkShape, Terminator};
use crate::matting::input::geometry::MaskLayout;

/// How long a thread may take to end before it is left behind: a run that was told to end does so
/// between two of its operators, a device that hangs never.
const PATIENCE: Duration = Duration::from_secs(3);

/// What goes to the thread and comes back: a tensor, and room for the mask.
#[derive(Debug)]
pub struct Exchange {
    /// Whoever submits it knows by this what comes back.
    pub number: u64,
    /// The size of the picture in the tensor.
    pub input: Size,
    /// The network's input.
    pub tensor: Vec<f32>,
    /// Whether the network forgets what it kept of runs before.
    pub anew: bool,
    /// The matte before, for a network that [takes](NetworkShape::memory) it.
    pub previous: Vec<f32>,
    /// The mask of that input.
    pub mask: Vec<f32>,
    /// What the person's own colours add to the picture's, where the network
    /// [tells](NetworkShape::has_foreground).
    pub foreground: Vec<f32>,
}

impl Exchange {
    /// For a network of that shape.
    pub fn new(shape: &NetworkShape) -> Self {
        let mut exchange = Self {
            number: 0,
            input: shape.input,
            tensor: Vec::new(),
            anew: false,
            previous: Vec::new(),
            mask: Vec::new(),
            foreground: Vec::new(),
        };
        exchange.set_layout(shape, &shape.masks());
        exchange
    }

    /// From now on for a picture whose mask lies so; values may be anything.
    pub fn set_layout(&mut self, shape: &NetworkShape, layout: &MaskLayout) {
        let MaskLayout { input, mask, .. } = *layout;
        self.input = input;
        self.tensor.resize(3 * input.area(), 0.0);
        self.previous.resize(if shape.memory.previous { input.area() } else { 0 }, 0.0);
        self.mask.resize(mask.area(), 0.0);
        self.foreground.resize(if shape.has_foreground { 3 * mask.area() } else { 0 }, 0.0);
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Done {
    /// What was submitted, with the mask where `result` is good.
    pub exchange: Exchange,
    /// As [`Network::run`] gave it.
    pub result: Result<(), Error>,
    /// What there is to tell of a run that succeeded.
    pub warning: Option<Error>,
    /// What the run took.
    pub duration: Duration,
}

/// How waiting for a run ended.
// It lives for a moment, on the stack: nothing is taken from the heap for a frame.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Waited {
    /// It is over.
    Done(Done),
    /// The time was up first.
    Late,
    /// Somebody asked not to wait any longer.
    Interrupted,
}

/// Whatever runs a network on one tensor after the other: a [`Worker`], or what tests put in its
/// place.
pub trait Runner: Send {
    /// What the network takes and gives.
    fn shape(&self) -> &NetworkShape;

    /// From now on the network takes frames of `frame` size, which its [shape](Self::shape) may follow.
    fn fit(&mut self, frame: Size);

    /// A tensor to fill; one that was [given back](Self::give_back), where there is one, of whatever size
    /// that was.
    fn exchange(&self) -> Exchange;

    /// Takes back what is not needed any more.
    fn give_back(&self, exchange: Exchange);

    /// Runs the network on a tensor, after those submitted before.
    fn submit(&self, exchange: Exchange);

    /// Whether nothing is under way and nothing waits to be fetched.
    fn is_idle(&self) -> bool;

    /// The next run in order, if it is over.
    fn try_next(&self) -> Option<Done>;

    /// The next run in order, waiting for it until the clock shows `deadline`, or for as long as it
    /// takes.
    fn next(&self, deadline: Option<Duration>) -> Waited;

    /// Forgets all that was submitted. A run that is under way goes on, but nobody sees its result.
    fn discard(&self);
}

/// What the thread and its owner share.
#[derive(Default)]
struct State {
    jobs: VecDeque<Exchange>,
    done: VecDeque<Done>,
    running: bool,
    /// The run that is under way is of no use any more.
    stale: bool,
    spare: Vec<Exchange>,
    interrupted: bool,
    quit: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(
        &self,
        state: MutexGuard<'a, State>,
        duration: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, duration);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A network that runs in its own thread, one tensor after the other.
pub struct Worker {
    shared: Arc<Shared>,
    shape: NetworkShape,
    terminator: Option<Terminator>,
    clock: Arc<dyn Clock>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub fn new(network: Box<dyn Network>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let (shape, terminator) = (network.shape(), network.terminator());
        let thread = std::thread::Builder::new()
            .name("davidmatte-infer".into())
            .spawn({
                let shared = shared.clone();
                move || work(&shared, network)
            })
            .map_err(|error| Error::Inference {
                reason: format!("no thread could be started: {error}"),
            })?;
        Ok(Self { shared, shape, terminator, clock, thread: Some(thread) })
    }

    /// Something that ends waiting, for another thread.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::downgrade(&self.shared))
    }
}

impl Runner for Worker {
    fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    fn fit(&mut self, frame: Size) {
        self.shape = self.shape.fitted(frame);
    }

    fn exchange(&self) -> Exchange {
        let spare = self.shared.lock().spare.pop();
        let spare = spare.map(|exchange| Exchange { anew: false, ..exchange });
        spare.unwrap_or_else(|| Exchange::new(&self.shape))
    }

    fn give_back(&self, exchange: Exchange) {
        self.shared.lock().spare.push(exchange);
    }

    fn submit(&self, exchange: Exchange) {
        self.shared.lock().jobs.push_back(exchange);
        self.shared.changed.notify_all();
    }

    fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        state.jobs.is_empty() && state.done.is_empty() && !state.running
    }

    fn try_next(&self) -> Option<Done> {
        self.shared.lock().done.pop_front()
    }

    fn next(&self, deadline: Option<Duration>) -> Waited {
        let mut state = self.shared.lock();
        loop {
            if let Some(done) = state.done.pop_front() {
                return Waited::Done(done);
            }
            if state.interrupted || state.ended {
                return Waited::Interrupted;
            }
            state = match deadline {
                None => self.shared.wait(state),
                Some(deadline) => {
                    let left = deadline.saturating_sub(self.clock.now());
                    if left.is_zero() {
                        return Waited::Late;
                    }
                    self.shared.wait_for(state, left)
                }
            };
        }
    }

    fn discard(&self) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        state.stale |= state.running;
        state.spare.extend(state.jobs.drain(..));
        state.spare.extend(state.done.drain(..).map(|done| done.exchange));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.changed.notify_all();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !state.ended && Instant::now() < deadline {
            // More than once, since a run may begin between asking and listening.
            if let (true, Some(terminate)) = (state.running, &self.terminator) {
                terminate();
            }
            state = self.shared.wait_for(state, Duration::from_millis(20));
        }
        let ended = state.ended;
        drop(state);
        if let (true, Some(thread)) = (ended, self.thread.take()) {
            // It catches its panics; there is nothing to learn from its end.
            drop(thread.join());
        }
    }
}

/// Ends the waiting of a [`Worker`]'s owner, for as long as there is one; keeps nothing alive.
#[derive(Clone)]
pub struct Interrupter(Weak<Shared>);

impl Interrupter {
    /// Ends waiting, now and until it is allowed again.
    pub fn interrupt(&self, interrupted: bool) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.lock().interrupted = interrupted;
        shared.changed.notify_all();
    }

    /// Whether the worker is gone.
    pub fn is_obsolete(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// The thread's life.
fn work(shared: &Shared, mut network: Box<dyn Network>) {
    loop {
        let mut state = shared.lock();
        while state.jobs.is_empty() && !state.quit {
            state = shared.wait(state);
        }
        let job = state.jobs.pop_front().filter(|_| !state.quit);
        let Some(mut exchange) = job else { break };
        state.running = true;
        drop(state);

        let start = Instant::now();
        let result = run(&mut *network, &mut exchange);
        let warning = network.take_warning();
        let done = Done { exchange, result, warning, duration: start.elapsed() };

        let mut state = shared.lock();
        state.running = false;
        if std::mem::take(&mut state.stale) {
            state.spare.push(done.exchange);
        } else {
            state.done.push_back(done);
        }
        drop(state);
        shared.changed.notify_all();
    }
    // A network takes its time to go; nobody has to wait for that under the lock.
    drop(network);
    shared.lock().ended = true;
    shared.changed.notify_all();
}

fn run(network: &mut dyn Network, exchange: &mut Exchange) -> Result<(), Error> {
    let run = AssertUnwindSafe(|| {
        let Exchange { input, tensor, anew, previous, mask, foreground, .. } = exchange;
        network.resize(*input)?;
        if *anew {
            network.start_anew();
        }
        network.input().copy_from_slice(tensor);
        if !previous.is_empty() {
            network.previous().copy_from_slice(previous);
        }
        network.run(mask)?;
        if !foreground.is_empty() {
            foreground.copy_from_slice(network.foreground());
        }
        Ok(())
    });
    catch_unwind(run)
        .unwrap_or_else(|_| Err(Error::Inference { reason: "the network's code panicked".into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::inference::clock::SystemClock;
    use crate::matting::model::description::InputDescription;
    use std::sync::mpsc;

    const SIDE: Size = Size { width: 2, height: 1 };

    /// Gives the first two values of its tensor; before that it does what `during` does.
    struct Stub<F> {
        tensor: Vec<f32>,
        during: F,
    }

    impl<F: FnMut(f32) -> Result<(), Error> + Send> Network for Stub<F> {
        fn shape(&self) -> NetworkShape {
            NetworkShape::new(InputDescription::default(), SIDE, SIDE)
        }

        fn input(&mut self) -> &mut [f32] {
            &mut self.tensor
        }

        fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
            (self.during)(self.tensor[0])?;
            mask.copy_from_slice(&self.tensor[..2]);
            Ok(())
        }
    }

    fn worker(during: impl FnMut(f32) -> Result<(), Error> + Send + 'static) -> Worker {
        let stub = Stub { tensor: vec![0.0; 6], during };
        Worker::new(Box::new(stub), Arc::new(SystemClock::default())).unwrap()
    }

    fn submit(worker: &Worker, value: f32) {
        let mut exchange = worker.exchange();
        exchange.tensor[0] = value;
        worker.submit(exchange);
    }

    fn soon(worker: &Worker) -> Option<Duration> {
        Some(worker.clock.now() + Duration::from_secs(30))
    }

    fn value(waited: Waited) -> f32 {
        match waited {
            Waited::Done(Done { exchange, result: Ok(()), .. }) => exchange.mask[0],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn results_come_in_the_order_of_submission() {
        let worker = worker(|_| Ok(()));
        (0..5).for_each(|i| submit(&worker, i as f32));
        for i in 0..5 {
            assert_eq!(value(worker.next(soon(&worker))), i as f32);
        }
        assert!(worker.is_idle());
    }

    #[test]
    fn what_is_discarded_never_comes() {
        let (hold, held) = mpsc::channel::<()>();
        let worker = worker(move |value| {
            if value < 10.0 {
                let _ = held.recv();
            }
            Ok(())
        });
        submit(&worker, 1.0);
        while !worker.shared.lock().running {
            std::thread::yield_now();
        }
        submit(&worker, 2.0);
        worker.discard();
        submit(&worker, 30.0);
        hold.send(()).unwrap();
        assert_eq!(value(worker.next(soon(&worker))), 30.0);
    }

    #[test]
    fn waiting_ends_in_time_and_when_told() {
        let (hold, held) = mpsc::channel::<()>();
        let worker = worker(move |_| {
            let _ = held.recv();
            Ok(())
        });
        submit(&worker, 1.0);
        let deadline = worker.clock.now() + Duration::from_millis(5);
        assert!(matches!(worker.next(Some(deadline)), Waited::Late));
        let interrupter = worker.interrupter();
        let other = std::thread::spawn(move || interrupter.interrupt(true));
        assert!(matches!(worker.next(None), Waited::Interrupted));
        other.join().unwrap();
        worker.interrupter().interrupt(false);
        hold.send(()).unwrap();
        assert_eq!(value(worker.next(soon(&worker))), 1.0);
    }

    #[test]
    fn failures_and_panics_are_results() {
        let worker = worker(|value| match value {
            1.0 => Err(Error::Inference { reason: "lost".into() }),
            _ => panic!("on purpose"),
        });
        for value in [1.0, 2.0] {
            submit(&worker, value);
            let Waited::Done(done) = worker.next(soon(&worker)) else { panic!() };
            assert!(matches!(done.result, Err(Error::Inference { .. })));
            worker.give_back(done.exchange);
        }
    }

    #[test]
    fn a_network_that_hangs_is_left_behind() {
        let (hold, held) = mpsc::channel::<()>();
        let worker = worker(move |_| {
            let _ = held.recv();
            Ok(())
        });
        submit(&worker, 1.0);
        let start = Instant::now();
        drop(worker);
        assert!(start.elapsed() < 10 * PATIENCE);
        drop(hold);
    }
}
