//! What the operator is told each second.

use std::{collections::HashMap, sync::Arc};

use proxy_config::{
    model::{ArmId, SplitId},
    wire::config as wire,
};
use proxy_core::snapshot::{PodLoad, VersionLoad};

use super::State;

/// Remembers what one stream has been told, so that a report names only what changed.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    told: HashMap<CounterKey, Counted>,
}

type CounterKey = (SplitId, ArmId, Arc<str>);

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
        wire::Report { arms, ..settled(state) }
    }
}

/// What somebody may be waiting for, without the counters.
pub(super) fn settled(state: &State) -> wire::Report {
    let served = state.served().map(Into::into);
    // Before in-flight: a request that has left its snapshot is in flight by then, or over.
    let oldest_pinned = state.oldest_pinned().map(Into::into);
    let in_flight = state.builder().loads().into_iter().map(in_flight).collect();
    let draining = state.builder().draining().into_iter().map(pod_load).collect();
    wire::Report { served, oldest_pinned, in_flight, draining, arms: Vec::new() }
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
