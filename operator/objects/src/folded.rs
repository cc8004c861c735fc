//! Values of JSON between two uses.

use std::sync::Arc;

use operator_routes::recent::Recent;
use serde::{Serialize, de::DeserializeOwned};

/// A value as it is kept: as text, which takes a tenth of the memory of its tree. Of ten thousand Rollouts the trees of
/// their pod templates alone would be more than everything else that is kept.
#[derive(Clone, Debug)]
pub enum Folded<T> {
    /// As text.
    Text(Arc<str>),
    /// As it is: a number in it would be another one after it was read again.
    Tree(Box<T>),
}

impl<T> Folded<T> {
    /// Takes the text of one that came lately, if it is the same.
    pub fn share(&mut self, recent: &mut Recent<str>) {
        match self {
            Self::Text(text) => *text = recent.share(Arc::clone(text)),
            Self::Tree(_) => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_same_text_is_kept_once() {
        let mut recent = Recent::default();
        let [mut one, mut other] = [(); 2].map(|()| Folded::of(json!({"a": [1, "b"]})));
        one.share(&mut recent);
        other.share(&mut recent);
        let texts = [&one, &other].map(|it: &Folded<Value>| match it {
            Folded::Text(text) => Arc::clone(text),
            Folded::Tree(tree) => panic!("{tree} is no text"),
        });
        assert!(Arc::ptr_eq(&texts[0], &texts[1]));
        assert_eq!(other.read(), json!({"a": [1, "b"]}));
    }
}
