//! Rules by a text of their host.

use std::{collections::HashMap, sync::Arc};

use super::paths::Paths;

/// How many shards there are: with 10 000 hosts a change copies about 150 entries.
const SHARDS: usize = 64;

/// A map in shards. A copy shares all shards that a change does not touch.
#[derive(Clone, Debug)]
pub(super) struct Named {
    shards: Box<[Arc<Shard>]>,
    len: usize,
}

type Shard = HashMap<Arc<str>, Arc<Paths>>;

impl Named {
    /// The rules of a text.
    pub(super) fn get(&self, text: &str) -> Option<&Arc<Paths>> {
        if self.len == 0 { None } else { self.shards[shard_of(text)].get(text) }
    }

    /// How many texts have rules.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Changes the rules of a text.
    pub(super) fn edit(&mut self, text: &str, edit: impl FnOnce(&mut Paths)) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(text)]);
        let before = shard.len();
        let paths = Arc::make_mut(shard.entry(text.into()).or_default());
        edit(paths);
        if paths.is_empty() {
            shard.remove(text);
        }
        self.len = self.len - before + shard.len();
    }
}

impl Default for Named {
    fn default() -> Self {
        Self { shards: vec![Arc::default(); SHARDS].into(), len: 0 }
    }
}

/// Any function that spreads texts will do (this one is FNV-1a): within a shard they are hashed with a secret.
fn shard_of(text: &str) -> usize {
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize % SHARDS
}
