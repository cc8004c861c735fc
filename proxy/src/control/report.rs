//! What the operator is told each second.

use std::{collections::HashMap, sync::Arc};

use proxy_config::{
    model::{ArmId, SplitId, Version},
    wire::config as wire,
};
use proxy_core::{
    cohorts::{Cohort, Cohorts},
    snapshot::{self, PodLoad, VersionLoad},
};

use super::State;

/// Remembers what one stream has been told, so that a report names only what changed.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    told: HashMap<CounterKey, Counted>,
    /// By what is compared and second: how much had changed.
    told_cohorts: HashMap<CohortKey, u32>,
}

type CounterKey = (SplitId, ArmId, Arc<str>);
type CohortKey = (SplitId, ArmId, Version, i64);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    requests: u64,
    bad: u64,
}

impl Reporter {
    /// Everything about this moment.
    pub(super) fn whole(&mut self, state: &State) -> wire::Report {
        let mut arms = Vec::new();
        let mut told = HashMap::with_capacity(self.told.len());
        for counters in state.builder().counters() {
            let key = (counters.split.clone(), counters.arm.clone(), Arc::clone(&counters.hash));
            let counted = Counted { requests: counters.requests(), bad: counters.bad() };
            if self.told.get(&key).copied().unwrap_or_default() != counted {
                arms.push(arm_count(&key, &counters.namespace, counted));
            }
            told.insert(key, counted);
        }
        self.told = told;
        let cohorts = self.cohorts(state);
        wire::Report { arms, cohorts, ..settled(state) }
    }

    fn cohorts(&mut self, state: &State) -> Vec<wire::ArmCohorts> {
        let mut told = HashMap::with_capacity(self.told_cohorts.len());
        let mut news = |(key, cohorts): (snapshot::CounterKey<'_>, &Cohorts)| {
            let snapshot::CounterKey { split, arm, version } = key;
            let changed = cohorts.counted().filter(|cohort| {
                let key = (split.clone(), arm.clone(), version.clone(), cohort.second);
                let before = self.told_cohorts.get(&key).copied();
                told.insert(key, cohort.changes);
                before != Some(cohort.changes)
            });
            let seconds: Vec<_> = changed.map(|it| second(&it)).collect();
            (!seconds.is_empty()).then(|| wire::ArmCohorts {
                split: split.to_string(),
                arm: arm.to_string(),
                namespace: version.namespace.to_string(),
                hash: version.hash.to_string(),
                seconds,
            })
        };
        let cohorts = state.builder().cohorts().filter_map(&mut news).collect();
        self.told_cohorts = told;
        cohorts
    }
}

/// What somebody may be waiting for, without the counters.
pub(super) fn settled(state: &State) -> wire::Report {
    let served = state.served().map(Into::into);
    // Before in-flight: a request that has left its snapshot is in flight by then, or over.
    let oldest_pinned = state.oldest_pinned().map(Into::into);
    let in_flight = state.builder().loads().into_iter().map(in_flight).collect();
    let draining = state.builder().draining().into_iter().map(pod_load).collect();
    wire::Report { served, oldest_pinned, in_flight, draining, ..wire::Report::default() }
}

fn in_flight(load: VersionLoad) -> wire::InFlight {
    let VersionLoad { version, requests } = load;
    wire::InFlight { namespace: version.namespace.to_string(), hash: version.hash.to_string(), requests }
}

fn pod_load(load: PodLoad) -> wire::PodLoad {
    let PodLoad { namespace, pod, requests } = load;
    wire::PodLoad { namespace: namespace.to_string(), pod: pod.to_string(), requests }
}

fn arm_count((split, arm, hash): &CounterKey, namespace: &str, counted: Counted) -> wire::ArmCount {
    let Counted { requests, bad } = counted;
    wire::ArmCount {
        split: split.to_string(),
        arm: arm.to_string(),
        hash: hash.to_string(),
        namespace: namespace.to_owned(),
        requests,
        bad,
    }
}

fn second(cohort: &Cohort) -> wire::Cohort {
    let Cohort { second, requests, bad, shares, ended, changes: _ } = *cohort;
    let used = ended.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let ended = ended[..used].iter().copied().map(u64::from).collect();
    wire::Cohort { second, requests: requests.into(), bad: bad.into(), shares, ended }
}
