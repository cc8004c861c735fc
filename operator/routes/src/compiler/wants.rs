//! Which Secrets and `ConfigMaps` are needed, and who needs each: of all others only names are known.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::pending::Pending;
use crate::object::ObjectName;

/// What may be needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    Secret(ObjectName),
    ConfigMap(ObjectName),
}

/// Who may need it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanter {
    /// Hosts, TLS contexts and Ingresses.
    Entrances,
    Gateway(ObjectName),
    Policy(ObjectName),
}

#[derive(Debug, Default)]
pub(super) struct Wants {
    wanted: BTreeMap<Wanter, BTreeSet<Wanted>>,
    wanters: BTreeMap<Wanted, BTreeSet<Wanter>>,
}

impl Wants {
    /// Somebody needs exactly these now.
    pub(super) fn set(&mut self, wanter: &Wanter, now: BTreeSet<Wanted>, pending: &mut Pending) {
        let before = self.wanted.get_mut(wanter).map(mem::take).unwrap_or_default();
        for gone in before.difference(&now) {
            let Some(wanters) = self.wanters.get_mut(gone) else { continue };
            wanters.remove(wanter);
            if wanters.is_empty() {
                self.wanters.remove(gone);
                pending.want(gone, false);
            }
        }
        for new in &now {
            self.wanters.entry(new.clone()).or_default().insert(wanter.clone());
            pending.want(new, true);
        }
        if now.is_empty() {
            self.wanted.remove(wanter);
        } else {
            self.wanted.insert(wanter.clone(), now);
        }
    }

    /// Who needs it.
    pub(super) fn wanters(&self, wanted: &Wanted) -> impl Iterator<Item = &Wanter> {
        self.wanters.get(wanted).into_iter().flatten()
    }
}
