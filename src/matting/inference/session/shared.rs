// SPDX-License-Identifier: MIT

//! Loaded networks that several streams of a process use: two cameras do not load one twice.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use super::{Device, SessionOptions};
use crate::matting::model::catalog::{ModelBytes, ModelSource};

/// What has to be the same for streams to use one loaded network.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    bytes: Bytes,
    device: Device,
    device_id: i32,
    threads: usize,
    /// Whether runs are captured and replayed.
    captured: bool,
    /// Which of several that are to run at the same time.
    copy: usize,
    /// ONNX Runtime's threads have the priority of the one that loads.
    priority: i32,
}

#[derive(Clone, Debug, PartialEq)]
enum Bytes {
    /// A file as it was: one that is replaced is another network.
    File(PathBuf, u64, Option<SystemTime>),
    Builtin(&'static str),
}

impl Key {
    pub fn new(
        source: &ModelSource,
        options: &SessionOptions,
        device: Device,
        captured: bool,
        copy: usize,
    ) -> Self {
        let bytes = match &source.bytes {
            ModelBytes::Builtin(name, _) => Bytes::Builtin(name),
            ModelBytes::File(path) => {
                let metadata = std::fs::metadata(path).ok();
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
                Bytes::File(path, metadata.map_or(0, |metadata| metadata.len()), modified)
            }
        };
        let SessionOptions { device_id, .. } = *options;
        Self {
            bytes,
            device,
            device_id,
            threads: options.cpu_threads(),
            captured,
            copy,
            priority: priority(),
        }
    }
}

/// That of this thread, where it is a thread's own.
fn priority() -> i32 {
    #[cfg(target_os = "linux")]
    return rustix::process::getpriority_process(None).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    return 0;
}

/// One network, or room for it while it is loaded.
type Room<T> = Arc<Mutex<Weak<T>>>;

/// Networks by what they are.
pub struct Shelf<T>(Mutex<Vec<(Key, Room<T>)>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Shelf<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The network that is loaded already, or what `load` gives. Whoever asks for one that is being loaded
    /// waits for that; for others nobody waits.
    pub fn get<E>(&self, key: Key, load: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let room = {
            let mut rooms = lock(&self.0);
            // Those that are not in use any more, and not being loaded.
            rooms.retain(|(_, room)| match room.try_lock() {
                Ok(network) => Arc::strong_count(room) > 1 || network.strong_count() > 0,
                Err(_) => true,
            });
            match rooms.iter().find(|(known, _)| *known == key) {
                Some((_, room)) => room.clone(),
                None => {
                    let room = Room::default();
                    rooms.push((key, room.clone()));
                    room
                }
            }
        };
        let mut network = lock(&room);
        if let Some(network) = network.upgrade() {
            return Ok(network);
        }
        let loaded = Arc::new(load()?);
        *network = Arc::downgrade(&loaded);
        Ok(loaded)
    }
}

/// Something that one thread at a time may use, in the order in which they ask: a stream waits for no more
/// than one run of each other.
pub struct Turns<T> {
    value: Mutex<T>,
    /// The next ticket, and the one whose turn it is.
    tickets: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl<T> Turns<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), tickets: Mutex::new((0, 0)), changed: Condvar::new() }
    }

    /// Waits for its turn, and uses it.
    pub fn take<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut tickets = lock(&self.tickets);
        let own = tickets.0;
        tickets.0 += 1;
        while tickets.1 != own {
            tickets = self.changed.wait(tickets).unwrap_or_else(PoisonError::into_inner);
        }
        drop(tickets);
        // The next one's turn comes even if this one panics.
        let _ends = Turn(self);
        let mut value = lock(&self.value);
        work(&mut value)
    }
}

struct Turn<'a, T>(&'a Turns<T>);

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        lock(&self.0.tickets).1 += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn key(threads: usize) -> Key {
        let options = SessionOptions { threads, ..Default::default() };
        Key::new(&ModelSource::builtin(), &options, Device::Cpu, false, 0)
    }

    #[test]
    fn what_is_in_use_is_not_loaded_again() {
        let shelf = Shelf::new();
        let loads = AtomicUsize::new(0);
        let get = |key| {
            let load = || Ok::<_, Infallible>(loads.fetch_add(1, Ordering::Relaxed));
            shelf.get(key, load).unwrap()
        };
        let first = get(key(1));
        assert_eq!((*get(key(1)), *get(key(2)), *first), (0, 1, 0));
        drop(first);
        assert_eq!(*get(key(1)), 2, "nobody used it any more");
    }

    #[test]
    fn whoever_asks_at_once_loads_once() {
        let shelf = Shelf::new();
        let loads = AtomicUsize::new(0);
        let all = std::thread::scope(|scope| {
            let ask = || {
                let load = || {
                    std::thread::sleep(Duration::from_millis(20));
                    Ok::<_, Infallible>(loads.fetch_add(1, Ordering::Relaxed))
                };
                shelf.get(key(1), load).unwrap()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(loads.into_inner(), 1);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_failure_is_tried_again() {
        let shelf = Shelf::<u8>::new();
        assert_eq!(shelf.get(key(1), || Err("no")).unwrap_err(), "no");
        assert_eq!(*shelf.get(key(1), || Ok::<_, Infallible>(7)).unwrap(), 7);
    }

    #[test]
    fn turns_are_taken_in_order_and_go_on_after_a_panic() {
        let turns = Turns::new(Vec::new());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            turns.take(|_| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        std::thread::scope(|scope| {
            let hold =
                scope.spawn(|| turns.take(|_| std::thread::sleep(Duration::from_millis(50))));
            while lock(&turns.tickets).0 < 2 {
                std::thread::yield_now();
            }
            for number in 0..4u64 {
                let turns = &turns;
                scope.spawn(move || turns.take(|list| list.push(number)));
                while lock(&turns.tickets).0 < number + 3 {
                    std::thread::yield_now();
                }
            }
            hold.join().unwrap();
        });
        assert_eq!(turns.take(|list| list.clone()), [0, 1, 2, 3]);
    }
}
