//! How much of a kind one thread has under way at the most.

use std::{cell::Cell, rc::Rc};

/// So many places.
#[derive(Debug)]
pub(super) struct Quota {
    most: u32,
    taken: Rc<Cell<u32>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken(Rc<Cell<u32>>);

impl Quota {
    pub(super) fn new(most: u32) -> Self {
        Self { most, taken: Rc::default() }
    }

    /// Takes a place. `None`: none is free.
    pub(super) fn take(&self) -> Option<Taken> {
        let taken = self.taken.get();
        (taken < self.most).then(|| {
            self.taken.set(taken + 1);
            Taken(Rc::clone(&self.taken))
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
