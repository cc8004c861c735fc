//! What the operator is told each second.

use std::{collections::HashMap, sync::Arc};

use proxy_config::{
    model::{ArmId, SplitId, Version},
    wire::config as wire,
};
use proxy_core::{
    cohorts::{Cohort, Cohorts},
    counters::ArmCounters,
    latency::BUCKETS,
    snapshot::{self, PodLoad, VersionLoad},
};

use super::State;

/// Remembers what one stream has been told, so that a report names only what changed.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    told: HashMap<CounterKey, Counted>,
    /// `None` before the first report: what ended earlier is nobody's news.
    told_tries: Option<HashMap<CounterKey, Tries>>,
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

/// First tries that have ended since the proxy began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tries {
    bad: u64,
    /// By bucket of latency; nothing where none has ended.
    ended: Option<Box<[u64; BUCKETS]>>,
}

impl Reporter {
    /// Everything about this moment.
    pub(super) fn whole(&mut self, state: &State) -> wire::Report {
        let mut arms = Vec::new();
        let mut told = HashMap::with_capacity(self.told.len());
        for counters in state.builder().counters() {
            let counted = Counted { requests: counters.requests(), bad: counters.bad() };
            // What is not told is none: most routes of many have no requests.
            if counted == Counted::default() {
                continue;
            }
            let key = (counters.split.clone(), counters.arm.clone(), Arc::clone(&counters.hash));
            if self.told.get(&key).copied().unwrap_or_default() != counted {
                arms.push(arm_count(&key, &counters.namespace, counted));
            }
            told.insert(key, counted);
        }
        self.told = told;
        let cohorts = self.cohorts(state);
        let tries = self.tries(state);
        wire::Report { arms, cohorts, tries, ..settled(state) }
    }

    fn tries(&mut self, state: &State) -> Vec<wire::ArmTries> {
        let first = self.told_tries.is_none();
        let before = self.told_tries.take().unwrap_or_default();
        let (mut told, mut news) = (HashMap::with_capacity(before.len()), Vec::new());
        for counters in state.builder().counters() {
            let now = Tries::of(counters);
            if now == Tries::default() {
                continue;
            }
            let key = (counters.split.clone(), counters.arm.clone(), Arc::clone(&counters.hash));
            let since = now.since(before.get(&key));
            if !first && since != Tries::default() {
                news.push(arm_tries(&key, &counters.namespace, since));
            }
            told.insert(key, now);
        }
        self.told_tries = Some(told);
        news
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

impl Tries {
    fn of(counters: &ArmCounters) -> Self {
        // Each is counted by its latency first: a bad one whose latency is not seen yet must not be told without it.
        let bad = counters.bad();
        Self { bad, ended: counters.latencies().map(|it| Box::new(it.buckets)) }
    }

    /// What has come since; an arm that was made anew counts from nothing.
    fn since(&self, before: Option<&Self>) -> Self {
        let (Some(now), Some(Self { bad, ended: Some(before) })) = (&self.ended, before) else {
            return self.clone();
        };
        if now.iter().zip(before.iter()).any(|(now, before)| now < before) {
            return self.clone();
        }
        let mut since = now.clone();
        since.iter_mut().zip(before.iter()).for_each(|(now, before)| *now -= before);
        let any = since.iter().any(|count| *count > 0);
        Self { bad: self.bad.saturating_sub(*bad), ended: any.then_some(since) }
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

fn arm_tries((split, arm, hash): &CounterKey, namespace: &str, tries: Tries) -> wire::ArmTries {
    let Tries { bad, ended } = tries;
    wire::ArmTries {
        split: split.to_string(),
        arm: arm.to_string(),
        namespace: namespace.to_owned(),
        hash: hash.to_string(),
        bad,
        ended: ended.map(|it| without_zeros(&it[..])).unwrap_or_default(),
    }
}

/// Without those at the end.
fn without_zeros<T: Copy + Default + PartialEq + Into<u64>>(counts: &[T]) -> Vec<u64> {
    let used = counts.iter().rposition(|count| *count != T::default()).map_or(0, |last| last + 1);
    counts[..used].iter().map(|count| (*count).into()).collect()
}

fn second(cohort: &Cohort) -> wire::Cohort {
    let Cohort { second, requests, bad, shares, ended, changes: _ } = *cohort;
    let ended = without_zeros(&ended);
    wire::Cohort { second, requests: requests.into(), bad: bad.into(), shares, ended }
}
