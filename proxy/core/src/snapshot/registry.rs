//! What outlives snapshots: lines of draws, endpoints with their in-flight counts, counters.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use proxy_config::model::{self, ArmId, ClusterId, MirrorId, SplitId, Version};

use super::mirror::MirrorCounters;
use crate::{
    balance::Turns,
    breaker::Usage,
    clients::{Clients, Table},
    cohorts::Cohorts,
    counters::ArmCounters,
    endpoint::{Endpoint, EndpointId},
    few::Few,
    latency::Counted,
    outlier::Interval,
    split::Line,
};

/// How many counters of versions that are no endpoint any more are kept per split, the newest first. A version
/// that comes back within them goes on counting.
const PAST_VERSIONS: usize = 32;

/// Everything that is kept by name across snapshots.
#[derive(Debug, Default)]
pub(super) struct Registry {
    splits: HashMap<SplitId, Kept>,
    endpoints: HashMap<EndpointKey, Weak<Endpoint>>,
    refused: BTreeMap<String, Arc<Refused>>,
    turns: HashMap<ClusterId, Arc<Turns>>,
    usages: HashMap<ClusterId, Arc<Usage>>,
    /// What clients have, by the name that their routes count under.
    tables: HashMap<String, Weak<Table>>,
    intervals: HashMap<ClusterId, Arc<Interval>>,
    next_endpoint: u64,
    /// With how many endpoints those that are gone are forgotten next.
    tidy_at: usize,
    /// The second that has begun last.
    second: Option<i64>,
    /// Counts how often counters were asked for; orders them by age.
    clock: u64,
    retired: Counted,
}

/// By cluster as well: a Service whose selector changes is a new cluster at the same address, and must not get the
/// connections to the pods before. By how it is spoken to: what was opened in the clear must not carry what is meant for
/// TLS. By pod: an address that is given to another pod is another endpoint.
type EndpointKey = (ClusterId, Arc<Transport>, model::Address, Version, Arc<str>);

/// How endpoints are spoken to.
pub(super) type Transport = (model::UpstreamProtocol, Option<Box<model::UpstreamTls>>);

/// What is kept of one split for as long as it exists.
#[derive(Debug, Default)]
struct Kept {
    lines: Few<ArmId, Arc<Line>>,
    counters: Few<(ArmId, Arc<str>), (u64, Arc<ArmCounters>)>,
    cohorts: Few<(ArmId, Version), Arc<Cohorts>>,
    mirrors: Few<MirrorId, (Arc<Line>, Arc<MirrorCounters>)>,
}

/// What is counted by the second: the requests of which split, arm and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterKey<'a> {
    /// The split.
    pub split: &'a SplitId,
    /// Its arm.
    pub arm: &'a ArmId,
    /// The version; the default one for requests that found no endpoint.
    pub version: &'a Version,
}

/// How often a refusal that the configuration asks for was answered.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: String,
    count: AtomicU64,
}

/// The requests that one version of pods has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionLoad {
    /// The version.
    pub version: Version,
    /// Its requests, over all its endpoints and all threads.
    pub requests: u64,
}

/// The requests that a pod has now which gets no new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLoad {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub pod: Arc<str>,
    /// Its requests, over all its endpoints that get no new ones and all threads.
    pub requests: u64,
}

impl Registry {
    pub(super) fn line(&mut self, split: &SplitId, arm: &ArmId, random: impl FnOnce() -> u64) -> Arc<Line> {
        let lines = &mut self.splits.entry(split.clone()).or_default().lines;
        Arc::clone(lines.get_or_insert_with(arm.clone(), || Arc::new(Line::new(random()))))
    }

    pub(super) fn counters(&mut self, split: &SplitId, arm: &ArmId, version: &Version) -> Arc<ArmCounters> {
        self.clock += 1;
        let counters = &mut self.splits.entry(split.clone()).or_default().counters;
        let made = || (0, Arc::new(ArmCounters::new(split.clone(), arm.clone(), version)));
        let (used, counters) = counters.get_or_insert_with((arm.clone(), Arc::clone(&version.hash)), made);
        *used = self.clock;
        Arc::clone(counters)
    }

    pub(super) fn cohorts(&mut self, split: &SplitId, arm: &ArmId, version: &Version) -> Arc<Cohorts> {
        let cohorts = &mut self.splits.entry(split.clone()).or_default().cohorts;
        let made = || {
            let made = Cohorts::default();
            self.second.iter().for_each(|now| made.make_ready(*now));
            Arc::new(made)
        };
        Arc::clone(cohorts.get_or_insert_with((arm.clone(), version.clone()), made))
    }

    /// Those that nothing is counted in any more are forgotten once their seconds are over.
    pub(super) fn begin_second(&mut self, now: i64) {
        if self.second.replace(now) == Some(now) {
            return;
        }
        for kept in self.splits.values_mut() {
            kept.cohorts.retain(|_, cohorts| {
                cohorts.make_ready(now);
                Arc::strong_count(cohorts) > 1 || cohorts.counted().next().is_some()
            });
        }
    }

    pub(super) fn all_cohorts(&self) -> impl Iterator<Item = (CounterKey<'_>, &Cohorts)> {
        self.splits.iter().flat_map(|(split, kept)| {
            let key = move |(arm, version)| CounterKey { split, arm, version };
            kept.cohorts.iter().map(move |((arm, version), cohorts)| (key((arm, version)), &**cohorts))
        })
    }

    pub(super) fn mirror(
        &mut self,
        split: &SplitId,
        mirror: &MirrorId,
        random: impl FnOnce() -> u64,
    ) -> (Arc<Line>, Arc<MirrorCounters>) {
        let mirrors = &mut self.splits.entry(split.clone()).or_default().mirrors;
        let made = || {
            let counters = MirrorCounters::new(split.clone(), mirror.clone());
            (Arc::new(Line::new(random())), Arc::new(counters))
        };
        mirrors.get_or_insert_with(mirror.clone(), made).clone()
    }

    /// Forgets the mirrors that the split does not have any more.
    pub(super) fn tidy_mirrors(&mut self, split: &model::Split) {
        if let Some(kept) = self.splits.get_mut(&split.id) {
            kept.mirrors.retain(|id, _| split.mirrors.iter().any(|mirror| mirror.id == *id));
        }
    }

    /// Forgets arms that the split does not have any more and the oldest of the unused counters.
    pub(super) fn tidy(&mut self, split: &SplitId, has: impl Fn(&ArmId) -> bool) {
        let Some(kept) = self.splits.get_mut(split) else { return };
        kept.lines.retain(|arm, _| has(arm));
        let unused = |(_, counters): &(u64, Arc<ArmCounters>)| Arc::strong_count(counters) == 1;
        let mut ages: Vec<_> =
            kept.counters.values().filter(|it| unused(it)).map(|(used, _)| *used).collect();
        if let Some(surplus) = ages.len().checked_sub(PAST_VERSIONS + 1) {
            let (_, youngest_surplus, _) = ages.select_nth_unstable(surplus);
            let limit = *youngest_surplus;
            kept.counters.retain(|_, it| {
                let keeps = !unused(it) || it.0 > limit;
                if !keeps {
                    retire(&mut self.retired, &it.1);
                }
                keeps
            });
        }
    }

    pub(super) fn forget(&mut self, split: &SplitId) {
        let Some(gone) = self.splits.remove(split) else { return };
        gone.counters.values().for_each(|(_, counters)| retire(&mut self.retired, counters));
    }

    /// The latencies of counters that are gone.
    pub(super) fn retired(&self) -> &Counted {
        &self.retired
    }

    pub(super) fn endpoint(
        &mut self,
        cluster: &ClusterId,
        transport: &Arc<Transport>,
        endpoint: &model::Endpoint,
    ) -> Arc<Endpoint> {
        let model::Endpoint { address, version, pod, draining, zones: _ } = endpoint;
        let key = (cluster.clone(), Arc::clone(transport), address.clone(), version.clone(), Arc::clone(pod));
        if let Some(known) = self.endpoints.get(&key).and_then(Weak::upgrade) {
            known.set_draining(*draining);
            return known;
        }
        // Those that are gone are forgotten from time to time: seldom enough to cost less than making them did, and often
        // enough that the map does not grow for them.
        if self.endpoints.len() >= self.tidy_at.max(1_024) {
            self.endpoints.retain(|_, it| it.strong_count() > 0);
            self.tidy_at = self.endpoints.len() + self.endpoints.len() / 4;
        }
        self.next_endpoint += 1;
        let id = EndpointId(self.next_endpoint);
        let made = Arc::new(Endpoint::new(id, address.clone(), version.clone(), Arc::clone(pod)));
        made.set_draining(*draining);
        self.endpoints.insert(key, Arc::downgrade(&made));
        made
    }

    pub(super) fn turns(&mut self, cluster: &ClusterId) -> Arc<Turns> {
        Arc::clone(self.turns.entry(cluster.clone()).or_default())
    }

    /// What this process has with a cluster, whatever its limits and endpoints were before.
    pub(super) fn usage(&mut self, cluster: &ClusterId) -> Arc<Usage> {
        Arc::clone(self.usages.entry(cluster.clone()).or_default())
    }

    /// The limits of a route with what its clients have, whatever its limits were before.
    pub(super) fn clients(&mut self, limits: &model::ClientLimits) -> Clients {
        let known = self.tables.get(&limits.id).and_then(Weak::upgrade);
        let table = known.unwrap_or_else(|| {
            self.tables.retain(|_, table| table.strong_count() > 0);
            let made = Arc::default();
            self.tables.insert(limits.id.clone(), Arc::downgrade(&made));
            made
        });
        Clients::new(limits.clone(), table)
    }

    /// When its endpoints are compared next, whatever they were before.
    pub(super) fn interval(&mut self, cluster: &ClusterId) -> Arc<Interval> {
        Arc::clone(self.intervals.entry(cluster.clone()).or_default())
    }

    pub(super) fn forget_cluster(&mut self, cluster: &ClusterId) {
        self.turns.remove(cluster);
        self.usages.remove(cluster);
        self.intervals.remove(cluster);
    }

    pub(super) fn refused(&mut self, reason: &str) -> Arc<Refused> {
        let made = || Arc::new(Refused { reason: reason.to_owned(), count: AtomicU64::new(0) });
        Arc::clone(self.refused.entry(reason.to_owned()).or_insert_with(made))
    }

    pub(super) fn loads(&self) -> Vec<VersionLoad> {
        let mut loads = BTreeMap::<Version, u64>::new();
        for endpoint in self.endpoints.values().filter_map(Weak::upgrade) {
            let in_flight = u64::from(endpoint.in_flight());
            if in_flight > 0 {
                *loads.entry(endpoint.version.clone()).or_default() += in_flight;
            }
        }
        loads.into_iter().map(|(version, requests)| VersionLoad { version, requests }).collect()
    }

    pub(super) fn draining(&self) -> Vec<PodLoad> {
        let mut loads = BTreeMap::<(Arc<str>, Arc<str>), u64>::new();
        for endpoint in self.endpoints.values().filter_map(Weak::upgrade) {
            let in_flight = u64::from(endpoint.in_flight());
            if in_flight > 0 && !endpoint.is_routable() && !endpoint.pod.is_empty() {
                let pod = (Arc::clone(&endpoint.version.namespace), Arc::clone(&endpoint.pod));
                *loads.entry(pod).or_default() += in_flight;
            }
        }
        loads.into_iter().map(|((namespace, pod), requests)| PodLoad { namespace, pod, requests }).collect()
    }

    pub(super) fn unhealthy(&self) -> usize {
        let known = self.endpoints.values().filter_map(Weak::upgrade);
        known.filter(|it| it.is_routable() && !it.passes_checks()).count()
    }

    pub(super) fn all_counters(&self) -> impl Iterator<Item = &Arc<ArmCounters>> {
        self.splits.values().flat_map(|it| it.counters.values().map(|(_, counters)| counters))
    }

    pub(super) fn all_mirrors(&self) -> impl Iterator<Item = &Arc<MirrorCounters>> {
        self.splits.values().flat_map(|it| it.mirrors.values().map(|(_, counters)| counters))
    }

    pub(super) fn all_refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.values().map(AsRef::as_ref)
    }
}

/// A sum of all must not become smaller when a route goes.
fn retire(retired: &mut Counted, counters: &ArmCounters) {
    if let Some(counted) = counters.latencies() {
        retired.add(&counted);
    }
}

impl Refused {
    /// One request was answered with it.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
