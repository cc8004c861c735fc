//! What a watcher is told, as `traffic.proto` says it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use operator_routes::{ObjectName, Scope, Served, ServedArm, SplitReport};
use proxy_config::{
    model::{SplitId, Version},
    wire::traffic as wire,
};

use super::{Cohort, CohortKey, Load, PodLoad, State, Tries, Watcher, scoped::Scoped};
use crate::config_server::fleet::Counted;

/// How many splits one message holds: far below the limit of a message, however many arms they have.
const SPLITS_PER_UPDATE: usize = 200;
/// In `Arm.written`: the object has no weight.
const NO_WEIGHT: u32 = 101;
/// In `VersionEndpoints.hash`: pods without a hash.
const NO_HASH: &str = "none";

impl State {
    /// The next message, which is made when it can be sent: all splits of thousands of routes in messages at once would
    /// take as much room as the routes. What else there is comes behind the last split, so that nobody is told of a proxy
    /// before what it serves.
    pub(super) fn update_for(&mut self, watcher: &mut Watcher) -> Option<wire::Update> {
        let mut update = wire::Update::default();
        while let Some(id) = watcher.news.splits.pop_first() {
            match self.split_state(&id) {
                Some(state) => update.splits.push(state),
                None => update.removed_splits.push(id.to_string()),
            }
            if update.splits.len() + update.removed_splits.len() >= SPLITS_PER_UPDATE {
                break;
            }
        }
        if !watcher.news.splits.is_empty() {
            return Some(update);
        }
        if std::mem::take(&mut watcher.news.fleet) {
            update.fleet = Some(self.fleet_message());
        }
        if std::mem::take(&mut watcher.news.loads) {
            let loads = self.loads();
            update.loads.extend(
                loads
                    .iter()
                    .filter(|(version, load)| watcher.told.get(version) != Some(load))
                    .map(load_message),
            );
            let gone = watcher.told.keys().filter(|version| !loads.contains_key(version));
            update.loads.extend(gone.map(|version| load_message((version, &Load::NONE))));
            watcher.told = loads;
            self.pods_for(watcher, &mut update);
        }
        let cohorts = std::mem::take(&mut watcher.news.cohorts);
        let news = cohorts.iter().filter_map(|key| Some((key, self.cohorts.sum(key)?)));
        update.cohorts.extend(news.map(cohort_message));
        update.tries.extend(std::mem::take(&mut watcher.news.tries).0.into_iter().map(tries_message));
        if !watcher.complete {
            watcher.complete = true;
            update.complete = true;
        }
        (update != wire::Update::default()).then_some(update)
    }

    /// The loads of all versions, over all scopes.
    fn loads(&mut self) -> BTreeMap<Version, Load> {
        let mut loads: BTreeMap<Version, Load> =
            self.versions.iter().map(|version| (version.clone(), Load::NONE)).collect();
        for scoped in self.scopes.values_mut() {
            for (version, load) in scoped.loads(&self.versions) {
                let sum = loads.entry(version).or_insert(Load::NONE);
                *sum = sum.and(load);
            }
        }
        loads
    }

    /// The loads of all pods that were chosen to go, over all scopes.
    fn pod_loads(&self) -> BTreeMap<ObjectName, PodLoad> {
        let mut pods: BTreeMap<ObjectName, PodLoad> = BTreeMap::new();
        for (pod, PodLoad { hash, load }) in self.scopes.values().flat_map(Scoped::pod_loads) {
            let sum = pods.entry(pod).or_insert(PodLoad { hash, load: Load::NONE });
            sum.load = sum.load.and(load);
        }
        pods
    }

    fn pods_for(&self, watcher: &mut Watcher, update: &mut wire::Update) {
        let pods = self.pod_loads();
        let news = pods.iter().filter(|(pod, load)| watcher.told_pods.get(pod) != Some(load));
        update.pods.extend(news.map(|(pod, PodLoad { hash, load })| wire::PodLoad {
            pod: pod.to_string(),
            hash: hash.to_string(),
            in_flight: load.in_flight,
            routable: load.routable,
            settled: load.settled,
        }));
        let gone = watcher.told_pods.keys().filter(|pod| !pods.contains_key(pod));
        update.removed_pods.extend(gone.map(ToString::to_string));
        watcher.told_pods = pods;
    }

    fn fleet_message(&self) -> wire::Fleet {
        let proxy = |scope: &Scope, proxy: &Counted| wire::Proxy {
            id: proxy.id.to_string(),
            pod: proxy.name.to_string(),
            known: proxy.members.is_some(),
            scope: scope.to_string(),
        };
        let of = |(scope, scoped): (&Scope, &Scoped)| {
            scoped.counted().iter().map(|it| proxy(scope, it)).collect::<Vec<_>>()
        };
        wire::Fleet { proxies: self.scopes.iter().flat_map(of).collect(), ready: true }
    }

    /// `None` if neither the newest commit of any scope nor any counted proxy has the split.
    pub(super) fn split_state(&self, id: &SplitId) -> Option<wire::SplitState> {
        // One that has moved is told of where it is; what the proxies that had it still do with it is in the loads.
        let home = self.homes.get(id).filter(|scope| self.scopes.contains_key(scope));
        let (scope, scoped) = match home {
            Some(scope) => self.scopes.get_key_value(scope)?,
            None => self.scopes.iter().find(|(_, scoped)| scoped.splits().has(id))?,
        };
        scoped.split_state(scope, id)
    }
}

impl Scoped {
    fn split_state(&self, scope: &Scope, id: &SplitId) -> Option<wire::SplitState> {
        let compiled = self.newest(id);
        let mut views: Vec<(Option<&Arc<SplitReport>>, BTreeSet<String>)> = Vec::new();
        let mut lacking = Vec::new();
        for proxy in self.counted() {
            let missing = self.missing(&proxy.id, id);
            lacking.extend(missing.map(|feature| {
                format!("proxy {} answers with 500: it cannot do `{feature}` and needs an update", proxy.name)
            }));
            for revision in proxy.members.iter().flatten() {
                let report = self.splits().at(id, *revision).filter(|_| missing.is_none());
                // The same content is most often the same allocation, which is seen at once.
                let same = |view: Option<&Arc<SplitReport>>| match (view, report) {
                    (Some(view), Some(report)) => Arc::ptr_eq(view, report) || view.served == report.served,
                    (view, report) => view.is_none() && report.is_none(),
                };
                let proxy = proxy.id.to_string();
                match views.iter_mut().find(|(view, _)| same(*view)) {
                    Some((_, proxies)) => drop(proxies.insert(proxy)),
                    None => views.push((report, BTreeSet::from([proxy]))),
                }
            }
        }
        if compiled.is_none() && views.iter().all(|(view, _)| view.is_none()) {
            return None;
        }
        let problems =
            compiled.and_then(|report| report.problem.clone()).into_iter().chain(self.refusals(id));
        let problems: Vec<String> = problems.chain(lacking).collect();
        Some(wire::SplitState {
            id: id.to_string(),
            scope: scope.to_string(),
            views: (views.into_iter())
                .map(|(report, proxies)| wire::View {
                    served: report.map(|report| served_message(&report.served)),
                    proxies: proxies.into_iter().collect(),
                })
                .collect(),
            compiled: compiled.map(|report| served_message(&report.served)),
            problem: problems.join("; "),
        })
    }

    /// Which proxies refused a commit that changes the split.
    fn refusals(&self, id: &SplitId) -> Vec<String> {
        let mut sentences = Vec::new();
        for (_, proxy) in self.proxies() {
            let Some((refused, reason)) = &proxy.refused else { continue };
            let has = proxy.members().and_then(|members| members.first().copied()).unwrap_or(0);
            if self.splits().changed_within(has, *refused).contains(id) {
                sentences.push(format!("proxy {} refused the configuration: {reason}", proxy.name));
            }
        }
        sentences
    }
}

fn served_message(served: &Served) -> wire::Served {
    let version = |version: &operator_routes::ObjectVersion| wire::Version {
        kind: version.kind.as_str().to_owned(),
        object: version.object.to_string(),
        resource_version: version.resource_version.to_string(),
    };
    wire::Served {
        arms: served.arms.iter().map(arm_message).collect(),
        mirrors: served.mirrors.iter().map(arm_message).collect(),
        versions: served.versions.iter().map(version).collect(),
    }
}

fn arm_message(arm: &ServedArm) -> wire::Arm {
    let endpoints = arm.endpoints.iter().map(|(hash, ready)| wire::VersionEndpoints {
        hash: if hash.is_empty() { NO_HASH.to_owned() } else { hash.to_string() },
        ready: *ready,
    });
    wire::Arm {
        id: arm.id.to_string(),
        mapping: arm.mapping.to_string(),
        service: arm.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        written: arm.written.map_or(NO_WEIGHT, u32::from),
        share: arm.share.parts().into(),
        endpoints: endpoints.collect(),
    }
}

fn cohort_message((key, cohort): (&CohortKey, Cohort)) -> wire::Cohort {
    let CohortKey { second, split, arm, version } = key;
    let Cohort { requests, bad, shares, ended } = cohort;
    wire::Cohort {
        second: *second,
        split: split.to_string(),
        arm: arm.to_string(),
        namespace: version.namespace.to_string(),
        hash: if *version == Version::default() { String::new() } else { hash_of(version) },
        requests,
        bad,
        shares,
        ended,
    }
}

fn tries_message((version, tries): (Version, Tries)) -> wire::VersionTries {
    let Tries { bad, ended } = tries;
    wire::VersionTries { namespace: version.namespace.to_string(), hash: hash_of(&version), bad, ended }
}

fn hash_of(version: &Version) -> String {
    if version.hash.is_empty() { NO_HASH.to_owned() } else { version.hash.to_string() }
}

fn load_message((version, load): (&Version, &Load)) -> wire::VersionLoad {
    wire::VersionLoad {
        namespace: version.namespace.to_string(),
        hash: hash_of(version),
        in_flight: load.in_flight,
        routable: load.routable,
        settled: load.settled,
    }
}
