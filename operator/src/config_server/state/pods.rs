//! Which of the pods that were chosen to go can still get requests, and since when not.

use std::{collections::BTreeMap, sync::Arc};

use operator_routes::{Leaving, ObjectName};
use proxy_config::model::Epoch;

use super::Load;
use crate::config_server::{
    fleet::{Counted, Fleet, Proxy},
    history::Revision,
};

/// The pods that were chosen to go.
#[derive(Debug)]
pub(super) struct Pods {
    chosen: BTreeMap<ObjectName, Chosen>,
}

#[derive(Debug)]
struct Chosen {
    hash: Arc<str>,
    /// The first revision from which on no cluster lets it be picked; `None` while one does.
    out: Option<Revision>,
}

/// What is said of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodLoad {
    pub(super) hash: Arc<str>,
    pub(super) load: Load,
}

impl Pods {
    /// What is chosen when an epoch begins with `revision`.
    pub(super) fn new(revision: Revision, leaving: &BTreeMap<ObjectName, Leaving>) -> Self {
        let chosen = leaving.iter().map(|(pod, leaving)| (pod.clone(), Chosen::new(revision, leaving)));
        Self { chosen: chosen.collect() }
    }

    /// From `revision` on something else holds of these pods.
    pub(super) fn apply(&mut self, revision: Revision, leaving: &BTreeMap<ObjectName, Option<Leaving>>) {
        for (pod, leaving) in leaving {
            match leaving {
                Some(leaving) => drop(self.chosen.insert(pod.clone(), Chosen::new(revision, leaving))),
                None => drop(self.chosen.remove(pod)),
            }
        }
    }

    /// The load of each of them.
    pub(super) fn loads(
        &self,
        epoch: Epoch,
        counted: &[Counted],
        fleet: &Fleet,
    ) -> BTreeMap<ObjectName, PodLoad> {
        let load = |(pod, chosen): (&ObjectName, &Chosen)| {
            let load = chosen.load(pod, epoch, counted, fleet);
            (pod.clone(), PodLoad { hash: Arc::clone(&chosen.hash), load })
        };
        self.chosen.iter().map(load).collect()
    }
}

impl Chosen {
    fn new(revision: Revision, leaving: &Leaving) -> Self {
        Self { hash: Arc::clone(&leaving.hash), out: (!leaving.needed).then_some(revision) }
    }

    fn load(&self, pod: &ObjectName, epoch: Epoch, counted: &[Counted], fleet: &Fleet) -> Load {
        let proxies = || counted.iter().map(|it| fleet.get(&it.id));
        let in_flight = proxies().filter_map(|proxy| proxy?.in_flight_of_pod(pod)).sum();
        let out = self.out.filter(|out| counted.iter().all(|proxy| serves_from(proxy, *out)));
        let Some(out) = out else { return Load { in_flight, routable: true, settled: false } };
        // A proxy that does not count pods never says that there is nothing left.
        let has_settled =
            |proxy: &Proxy| proxy.has_settled(epoch, out) && proxy.in_flight_of_pod(pod).is_some();
        Load { in_flight, routable: false, settled: proxies().all(|it| it.is_some_and(has_settled)) }
    }
}

/// Whether everything that the proxy may serve is of `revision` or later.
fn serves_from(proxy: &Counted, revision: Revision) -> bool {
    proxy.members.as_ref().is_some_and(|members| members.iter().all(|member| *member >= revision))
}
