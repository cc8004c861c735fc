//! Rules by slot.

use std::sync::Arc;

use super::Rule;
use crate::router::Slot;

/// How many slots a chunk has.
const CHUNK: usize = 128;

/// Rules by slot. A copy shares the chunks that a change does not touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// All of the same length.
    chunks: Vec<Arc<Vec<Option<Arc<Rule>>>>>,
}

impl Rules {
    /// The rule in a slot.
    pub(super) fn get(&self, Slot(slot): Slot) -> Option<&Arc<Rule>> {
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref()
    }

    /// Puts a rule into a slot, or leaves it empty.
    pub(super) fn set(&mut self, Slot(slot): Slot, rule: Option<Arc<Rule>>) {
        let index = slot / CHUNK;
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, || Arc::new(vec![None; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[index])[slot % CHUNK] = rule;
    }
}
