//! Which versions of pods can still get requests, and since when not.

use std::collections::{BTreeMap, BTreeSet};

use operator_routes::SplitReport;
use proxy_config::model::{Epoch, Share, Version};

use crate::config_server::{
    fleet::{Counted, Fleet},
    history::{History, Revision},
};

/// What is said of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) in_flight: u64,
    pub(super) routable: bool,
    pub(super) settled: bool,
}

impl Load {
    /// Of a version that nobody knows.
    pub(super) const NONE: Self = Self { in_flight: 0, routable: false, settled: true };

    /// Of two scopes together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            in_flight: self.in_flight + other.in_flight,
            routable: self.routable || other.routable,
            settled: self.settled && other.settled,
        }
    }
}

/// The versions that arms with a share send to, by revision.
#[derive(Debug, Default)]
pub(super) struct Routability {
    history: History<Version, ()>,
    /// How many arms with a share send to a version in the newest revision.
    arms: BTreeMap<Version, usize>,
    /// The revision that took the last such arm away, until nothing is left of the version.
    removed: BTreeMap<Version, Revision>,
}

impl Routability {
    /// A split has another content from `revision` on.
    pub(super) fn replace(
        &mut self,
        revision: Revision,
        before: Option<&SplitReport>,
        now: Option<&SplitReport>,
    ) {
        let (before, now) = (targets(before), targets(now));
        for version in &now {
            let arms = self.arms.entry(version.clone()).or_default();
            *arms += 1;
            if *arms == 1 {
                self.history.set(revision, version.clone(), Some(()));
                self.removed.remove(version);
            }
        }
        for version in before {
            let Some(arms) = self.arms.get_mut(&version) else { continue };
            *arms -= 1;
            if *arms == 0 {
                self.arms.remove(&version);
                self.history.set(revision, version.clone(), None);
                self.removed.insert(version, revision);
            }
        }
    }

    pub(super) fn forget_before(&mut self, floor: Revision) {
        self.history.forget_before(floor);
    }

    /// The load of every version of which there are arms or requests. Of all of which there are `pods` as well, unless
    /// every proxy has told what it serves and has nothing of before: then those without arms and requests have none.
    pub(super) fn loads(
        &mut self,
        pods: &BTreeSet<Version>,
        epoch: Epoch,
        counted: &[Counted],
        fleet: &Fleet,
    ) -> BTreeMap<Version, Load> {
        let is_fresh = |proxy: &Counted| {
            proxy.members.is_some() && fleet.get(&proxy.id).is_some_and(|it| it.has_settled(epoch, 1))
        };
        let mut versions: BTreeSet<Version> = self.history.keys().cloned().collect();
        if !counted.iter().all(is_fresh) {
            versions.extend(pods.iter().cloned());
        }
        versions.extend(self.removed.keys().cloned());
        let reports = fleet.proxies().filter_map(|(_, proxy)| proxy.report.as_ref());
        versions.extend(reports.flat_map(|report| report.in_flight.keys().cloned()));
        let mut loads = BTreeMap::new();
        for version in versions {
            let load = self.load(&version, epoch, counted, fleet);
            if load.settled && load.in_flight == 0 && !pods.contains(&version) {
                self.removed.remove(&version);
            } else {
                loads.insert(version, load);
            }
        }
        loads
    }

    fn load(&self, version: &Version, epoch: Epoch, counted: &[Counted], fleet: &Fleet) -> Load {
        let routable = counted.iter().any(|proxy| match &proxy.members {
            None => true,
            Some(members) => members.iter().any(|revision| self.history.at(version, *revision).is_some()),
        });
        // What was never routable in this epoch is out of the proxies' sight from its first revision on.
        let since = self.removed.get(version).copied().unwrap_or(1);
        let settled = !routable
            && counted
                .iter()
                .all(|it| fleet.get(&it.id).is_some_and(|proxy| proxy.has_settled(epoch, since)));
        let in_flight =
            counted.iter().filter_map(|it| fleet.get(&it.id)).map(|it| it.in_flight(version)).sum();
        Load { in_flight, routable, settled }
    }
}

/// The versions that a split sends new requests to.
fn targets(report: Option<&SplitReport>) -> BTreeSet<Version> {
    let mut targets = BTreeSet::new();
    let served = report.into_iter().map(|report| &report.served);
    // A copy is work for its pod as well.
    for arm in served.flat_map(|served| served.arms.iter().chain(&served.mirrors)) {
        let Some(service) = arm.service.as_ref().filter(|_| arm.share > Share::ZERO) else { continue };
        for (hash, _) in arm.endpoints.iter().filter(|(_, ready)| **ready > 0) {
            targets.insert(Version { namespace: service.namespace.clone(), hash: hash.clone() });
        }
    }
    targets
}
