//! Values of JSON between two uses.

use serde::{Serialize, de::DeserializeOwned};

/// A value as it is kept: as text, which takes a tenth of the memory of its tree. Of ten thousand Rollouts the trees of
/// their pod templates alone would be more than everything else that is kept.
#[derive(Clone, Debug)]
pub enum Folded<T> {
    /// As text.
    Text(Box<str>),
    /// As it is: a number in it would be another one after it was read again.
    Tree(Box<T>),
}

impl<T: Clone + PartialEq + Serialize + DeserializeOwned> Folded<T> {
    /// Folds a value.
    pub fn of(value: T) -> Self {
        let text = serde_json::to_string(&value).ok();
        match text.filter(|text| serde_json::from_str(text).is_ok_and(|read: T| read == value)) {
            Some(text) => Self::Text(text.into()),
            None => Self::Tree(Box::new(value)),
        }
    }

    /// The value exactly as it was.
    ///
    /// # Panics
    /// Never: what is kept as text was read from it before.
    #[must_use]
    pub fn read(&self) -> T {
        match self {
            // It was read before it was kept.
            Self::Text(text) => serde_json::from_str(text).expect("what was read can be read again"),
            Self::Tree(value) => T::clone(value),
        }
    }
}
