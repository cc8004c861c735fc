//! Splits that stand for Mappings in no route, so that whoever waits for such a Mapping learns why.

use std::sync::Arc;

use foldhash::HashSet;

use super::pending::Pending;
use crate::{
    compiled::{SplitReport, rejected_split},
    object::ObjectName,
};

/// The Mappings that a split stands for. Almost always there are few, and those in a route need not be asked for.
#[derive(Debug, Default)]
pub(super) struct StandIns(HashSet<ObjectName>);

impl StandIns {
    /// This stands for a Mapping now; `None`: it is in a route, or there is no such Mapping.
    pub(super) fn set(&mut self, mapping: &ObjectName, report: Option<SplitReport>, pending: &mut Pending) {
        let differs = match &report {
            Some(_) => {
                self.0.insert(mapping.clone());
                true
            }
            None => self.0.remove(mapping),
        };
        if differs {
            pending.splits.insert(rejected_split(mapping), report.map(Arc::new));
        }
    }
}
