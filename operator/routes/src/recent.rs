//! Values of which many are equal, such as the parents that thousands of routes name and what is said of these.

use std::{collections::VecDeque, sync::Arc};

/// How many different ones are remembered: Gateways of a cluster come in turns.
const MOST: usize = 16;

/// The values that came last. One that comes again is the same allocation.
#[derive(Clone, Debug)]
pub struct Recent<T: ?Sized>(VecDeque<Arc<T>>);

impl<T: ?Sized> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq + ?Sized> Recent<T> {
    /// The value, shared with those that are equal to it and came lately.
    pub fn share(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        if let Some(known) = self.0.iter().find(|it| **it == value) {
            return Arc::clone(known);
        }
        self.0.truncate(MOST - 1);
        self.0.push_front(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_allocation_and_only_some_are_remembered() {
        let mut recent = Recent::default();
        let first = recent.share(0);
        assert!(Arc::ptr_eq(&first, &recent.share(0)));
        for value in 1..=MOST {
            assert_eq!(*recent.share(value), value);
        }
        assert!(!Arc::ptr_eq(&first, &recent.share(0)), "it is too long ago");
        assert_eq!(recent.0.len(), MOST);
    }
}
