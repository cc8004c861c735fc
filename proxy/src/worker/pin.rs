//! Which snapshots requests may still route by.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proxy_core::snapshot::Snapshot;

use crate::shared::Shared;

/// The snapshots of one worker that are current or pinned by a request.
#[derive(Debug)]
pub(super) struct Pins {
    generations: RefCell<BTreeSet<u64>>,
    oldest: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

/// A snapshot for as long as somebody routes by it. A request holds it from its start to its response head:
/// after that it cannot be sent to another endpoint.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) snapshot: Arc<Snapshot>,
    generation: u64,
    pins: Rc<Pins>,
}

impl Pins {
    pub(super) fn new(oldest: Arc<AtomicU64>, shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self { generations: RefCell::default(), oldest, shared })
    }

    pub(super) fn pin(self: &Rc<Self>, snapshot: Arc<Snapshot>, generation: u64) -> Rc<Pin> {
        self.generations.borrow_mut().insert(generation);
        Rc::new(Pin { snapshot, generation, pins: Rc::clone(self) })
    }

    fn release(&self, generation: u64) {
        let mut generations = self.generations.borrow_mut();
        generations.remove(&generation);
        if let Some(oldest) = generations.first() {
            // Release: whoever reads the new value also sees the in-flight counts of the requests that left.
            if self.oldest.swap(*oldest, Ordering::Release) != *oldest {
                self.shared.settled.notify_one();
            }
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.release(self.generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Told;

    #[test]
    fn the_oldest_generation_is_the_oldest_that_somebody_holds() {
        let oldest = Arc::new(AtomicU64::new(0));
        let pins = Pins::new(Arc::clone(&oldest), Arc::new(Shared::new(1, 1, Told::default(), None)));
        let read = || oldest.load(Ordering::Acquire);
        let first = pins.pin(Arc::default(), 1);
        let request = Rc::clone(&first);
        let second = pins.pin(Arc::default(), 2);
        drop(first);
        assert_eq!(read(), 0, "the request still holds the first");
        let third = pins.pin(Arc::default(), 3);
        drop(second);
        assert_eq!(read(), 1, "nobody holds the second, somebody the first");
        drop(request);
        assert_eq!(read(), 3);
        drop(third);
        assert_eq!(read(), 3, "nothing is left to be older");
    }
}
