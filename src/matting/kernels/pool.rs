// SPDX-License-Identifier: MIT

//! Things that several owners read, and that are made anew when none of them does any more.

use std::sync::Arc;

/// Keeps what it gave out, so that nothing is taken from the heap for each frame.
#[derive(Debug)]
pub struct Pool<T>(Vec<Arc<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pool<T> {
    /// One that nobody else holds, made where there is none, after `fill` wrote it.
    pub fn fill(&mut self, make: impl FnOnce() -> T, fill: impl FnOnce(&mut T)) -> Arc<T> {
        let free = self.0.iter_mut().position(|item| Arc::get_mut(item).is_some());
        let index = free.unwrap_or_else(|| {
            self.0.push(Arc::new(make()));
            self.0.len() - 1
        });
        if let Some(item) = Arc::get_mut(&mut self.0[index]) {
            fill(item);
        }
        self.0[index].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_written_again() {
        let mut pool = Pool::default();
        let first = pool.fill(|| 0, |number| *number = 1);
        let second = pool.fill(|| 0, |number| *number = 2);
        assert_eq!((*first, *second), (1, 2));
        drop(first);
        let third = pool.fill(|| unreachable!("there is a free one"), |number| *number = 3);
        assert_eq!((*second, *third), (2, 3));
    }
}
