//! Readiness: what a process waits for before it says that it is ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// All that has to be there before `/readyz` answers 200. A standby is ready too: readiness means "my stores are
/// complete", not "I hold the lease".
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

/// One thing that has to be there. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// A new thing to wait for, closed.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        self.set(name, false);
        Gate { name, readiness: self.clone() }
    }

    /// The names of the gates that are still closed.
    #[must_use]
    pub fn closed(&self) -> Vec<&'static str> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().filter(|(_, open)| !**open).map(|(name, _)| *name).collect()
    }

    fn set(&self, name: &'static str, open: bool) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).insert(name, open);
    }
}

impl Gate {
    /// It is there, for good.
    pub fn open(&self) {
        self.readiness.set(self.name, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_gate_is_open() {
        let readiness = Readiness::default();
        assert!(readiness.closed().is_empty());
        let (stores, routes) = (readiness.gate("stores"), readiness.gate("routes"));
        stores.open();
        assert_eq!(readiness.closed(), ["routes"]);
        routes.open();
        assert!(readiness.closed().is_empty());
    }
}
