//! The state of the data plane, and what a piece of news touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

use operator_analysis::traffic::Counted;
use operator_core::traffic::{Cohort, Facts, Load, ObjectName, Proxy, Served, Split, Traffic};
use proxy_config::wire::traffic as wire;

use super::{
    convert::{self, Malformed, PodLoad, VersionName},
    tries::Tries,
};
use crate::rollouts::Reach;

/// What is known of the data plane.
#[derive(Debug)]
pub struct TrafficStore {
    state: RwLock<State>,
}

/// What a piece of news is about: the Rollouts that name one of these look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The proxies have changed, or all is known, or nothing is: every Rollout with traffic.
    pub everything: bool,
    /// Services that some split reaches or reached.
    pub services: BTreeSet<ObjectName>,
    /// Mappings that gave some split an arm or do.
    pub mappings: BTreeSet<ObjectName>,
    /// Versions of pods, or of a pod that was chosen to go: namespace and hash.
    pub versions: BTreeSet<VersionName>,
}

#[derive(Debug)]
enum State {
    NotConfigured,
    Unknown { reason: String },
    Known(Known),
}

/// The state of one stream so far.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// All that was known when the watch began has been sent.
    complete: bool,
    /// The server has compiled its complete stores.
    ready: bool,
    proxies: Vec<Proxy>,
    splits: BTreeMap<String, Split>,
    by_service: BTreeMap<ObjectName, BTreeSet<String>>,
    by_mapping: BTreeMap<ObjectName, BTreeSet<String>>,
    loads: BTreeMap<VersionName, Load>,
    pods: BTreeMap<ObjectName, PodLoad>,
    cohorts: BTreeMap<CohortKey, Cohort>,
    tries: Tries,
}

/// Why there is no telling what was counted of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Uncounted {
    /// The operator knows of no proxies.
    NotConfigured,
    /// It does not know now.
    Unknown {
        /// Why.
        reason: String,
    },
    /// Nothing sends requests to the version.
    NotRouted,
}

/// The split, the second, the arm and the version.
type CohortKey = (String, i64, String, String);

/// How long the counts of a second are kept, in seconds: longer than any come of it.
const KEPT: i64 = 50;

impl TrafficStore {
    /// Without a traffic server.
    #[must_use]
    pub fn not_configured() -> Self {
        Self { state: RwLock::new(State::NotConfigured) }
    }

    /// With a traffic server that has not been reached yet.
    #[must_use]
    pub fn waiting() -> Self {
        let reason = "the traffic server has not been reached yet".to_owned();
        Self { state: RwLock::new(State::Unknown { reason }) }
    }

    /// What matters to one Rollout.
    #[must_use]
    pub fn of(&self, reach: &Reach) -> Traffic {
        match self.state.read().unwrap_or_else(PoisonError::into_inner).known() {
            Ok(known) => Traffic::Ready(known.of(reach)),
            Err(unknown) => unknown,
        }
    }

    /// What was counted of one of the `versions` of a namespace, given by their hashes, in the `window` seconds before
    /// `now`. It is counted where there is a route to any of them: a canary that is sent nothing yet has its share still
    /// to come.
    pub(crate) fn counted(
        &self,
        version: &VersionName,
        versions: &[&str],
        window: u32,
        now: i64,
    ) -> Result<Counted, Uncounted> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let known = state.known().map_err(|unknown| match unknown {
            Traffic::Unknown { reason } => Uncounted::Unknown { reason },
            Traffic::NotConfigured | Traffic::Ready(_) => Uncounted::NotConfigured,
        })?;
        let counted = known.tries.counted(version, window, now);
        if counted.requests() == 0 && !known.routes_to(&version.namespace, versions) {
            return Err(Uncounted::NotRouted);
        }
        Ok(counted)
    }

    /// A new stream begins: what the last one told counts no more.
    pub(super) fn begin(&self, now: i64) {
        self.set(State::Known(Known { tries: Tries::since(now), ..Known::default() }));
    }

    /// The traffic server cannot be reached.
    pub(super) fn lose(&self, reason: String) -> Touched {
        let news = !matches!(&*self.state.read().unwrap_or_else(PoisonError::into_inner),
            State::Unknown { reason: earlier } if *earlier == reason);
        self.set(State::Unknown { reason });
        Touched { everything: news, ..Touched::default() }
    }

    /// Takes news that come at the second `now`.
    pub(super) fn take(&self, update: wire::Update, now: i64) -> Result<Touched, Malformed> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Known(known) => known.take(update, now),
            State::NotConfigured | State::Unknown { .. } => Ok(Touched::default()),
        }
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl State {
    fn known(&self) -> Result<&Known, Traffic> {
        let unknown = |reason: &str| Err(Traffic::Unknown { reason: reason.to_owned() });
        match self {
            Self::NotConfigured => Err(Traffic::NotConfigured),
            Self::Unknown { reason } => unknown(reason),
            Self::Known(known) if !known.complete => {
                unknown("the traffic server has not told everything yet")
            }
            Self::Known(known) if !known.ready => {
                unknown("the config server has not compiled all routes yet")
            }
            Self::Known(known) => Ok(known),
        }
    }
}

impl Known {
    /// Whether some arm holds one of these versions.
    fn routes_to(&self, namespace: &str, versions: &[&str]) -> bool {
        let first = ObjectName::new(namespace, "");
        let services =
            self.by_service.range(first..).take_while(|(service, _)| service.namespace == namespace);
        let splits = services.flat_map(|(_, ids)| ids).filter_map(|id| self.splits.get(id));
        let mut arms = splits.flat_map(contents).flat_map(|served| &served.arms);
        arms.any(|arm| {
            arm.service.namespace == namespace
                && versions.iter().any(|hash| arm.endpoints.contains_key(*hash))
        })
    }

    fn of(&self, reach: &Reach) -> Facts {
        let services = reach.services.iter().filter_map(|it| self.by_service.get(it));
        let mappings = reach.mappings.iter().filter_map(|it| self.by_mapping.get(it));
        let ids: BTreeSet<&String> = services.chain(mappings).flatten().collect();
        let from = VersionName { namespace: reach.namespace.clone(), hash: String::new() };
        let loads = self.loads.range(from..).take_while(|(version, _)| version.namespace == reach.namespace);
        let first = ObjectName::new(&reach.namespace, "");
        let pods = self.pods.range(first..).take_while(|(pod, _)| pod.namespace == reach.namespace);
        let first = |id: &String| (id.clone(), i64::MIN, String::new(), String::new());
        let of_split = |id| self.cohorts.range(first(id)..).take_while(move |((split, ..), _)| split == id);
        let cohorts = ids.iter().copied().flat_map(of_split).map(|(_, cohort)| cohort.clone()).collect();
        Facts {
            proxies: self.proxies.clone(),
            splits: ids.into_iter().filter_map(|id| self.splits.get(id).cloned()).collect(),
            loads: loads.map(|(version, load)| (version.hash.clone(), *load)).collect(),
            draining: pods.map(|(pod, told)| (pod.name.clone(), told.load)).collect(),
            cohorts,
        }
    }

    fn take(&mut self, update: wire::Update, now: i64) -> Result<Touched, Malformed> {
        let wire::Update {
            splits,
            removed_splits,
            fleet,
            loads,
            pods,
            removed_pods,
            cohorts,
            tries,
            complete,
        } = update;
        let mut touched = Touched::default();
        for split in splits {
            let split = convert::split(split)?;
            if self.splits.get(&split.id) == Some(&split) {
                continue;
            }
            self.unlink(&split.id, &mut touched);
            self.link(split, &mut touched);
        }
        for id in &removed_splits {
            self.unlink(id, &mut touched);
        }
        if let Some(fleet) = fleet {
            self.proxies = fleet.proxies.into_iter().map(convert::proxy).collect::<Result<_, _>>()?;
            self.ready = fleet.ready;
            touched.everything = true;
        }
        for load in &loads {
            let (version, load) = convert::load(load);
            let earlier = self.loads.insert(version.clone(), load);
            if earlier.map(decisive) != Some(decisive(load)) {
                touched.versions.insert(version);
            }
        }
        for pod in pods {
            let (pod, told) = convert::pod_load(pod)?;
            let earlier = self.pods.insert(pod, told.clone());
            if earlier.map(|it| decisive(it.load)) != Some(decisive(told.load)) {
                touched.versions.insert(told.version);
            }
        }
        for pod in &removed_pods {
            touched.versions.extend(self.pods.remove(&convert::name(pod)?).map(|gone| gone.version));
        }
        // They change all the time: whoever judges by them looks by itself.
        self.count(cohorts.into_iter().map(convert::cohort));
        self.tries.take(tries, now);
        if complete && !self.complete {
            self.complete = true;
            touched.everything = true;
        }
        // Before everything has been told nobody acts, so there is nobody to tell.
        Ok(if self.complete { touched } else { Touched::default() })
    }

    fn count(&mut self, cohorts: impl Iterator<Item = Cohort>) {
        for cohort in cohorts {
            let (split, arm, hash) = (cohort.split.clone(), cohort.arm.clone(), cohort.hash.clone());
            self.cohorts.insert((split, cohort.second, arm, hash), cohort);
        }
        let newest = self.cohorts.keys().map(|(_, second, ..)| *second).max();
        self.cohorts.retain(|(_, second, ..), _| newest.is_some_and(|newest| *second > newest - KEPT));
    }

    fn link(&mut self, split: Split, touched: &mut Touched) {
        for (mapping, service) in arms(&split) {
            self.by_mapping.entry(mapping.clone()).or_default().insert(split.id.clone());
            self.by_service.entry(service.clone()).or_default().insert(split.id.clone());
            touched.mappings.insert(mapping.clone());
            touched.services.insert(service.clone());
        }
        self.splits.insert(split.id.clone(), split);
    }

    fn unlink(&mut self, id: &str, touched: &mut Touched) {
        let Some(split) = self.splits.remove(id) else { return };
        for (mapping, service) in arms(&split) {
            remove(&mut self.by_mapping, mapping, id);
            remove(&mut self.by_service, service, id);
            touched.mappings.insert(mapping.clone());
            touched.services.insert(service.clone());
        }
    }
}

/// What of a load a decision depends on: the requests under way change all the time, and matter only once nothing
/// sends new ones.
fn decisive(load: Load) -> Option<(bool, bool)> {
    (!load.routable).then_some((load.settled, load.in_flight == 0))
}

/// Mapping and Service of every arm that anyone may serve.
fn arms(split: &Split) -> impl Iterator<Item = (&ObjectName, &ObjectName)> {
    contents(split).flat_map(|it| &it.arms).map(|arm| (&arm.mapping, &arm.service))
}

/// All that anyone may serve.
fn contents(split: &Split) -> impl Iterator<Item = &Served> {
    split.views.iter().filter_map(|it| it.served.as_ref()).chain(&split.compiled)
}

fn remove(index: &mut BTreeMap<ObjectName, BTreeSet<String>>, name: &ObjectName, id: &str) {
    if let Some(ids) = index.get_mut(name) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(id: &str, service: &str, weight: u32) -> wire::SplitState {
        let arm = wire::Arm {
            id: "web/app".to_owned(),
            mapping: "web/app".to_owned(),
            service: format!("web/{service}"),
            written: weight,
            share: 10_000,
            endpoints: vec![wire::VersionEndpoints { hash: "abc".to_owned(), ready: 2 }],
        };
        let served = wire::Served { arms: vec![arm], ..wire::Served::default() };
        wire::SplitState {
            id: id.to_owned(),
            views: vec![wire::View { served: Some(served), proxies: vec!["p".to_owned()] }],
            compiled: None,
            problem: String::new(),
            scope: String::new(),
        }
    }

    fn fleet(ready: bool) -> wire::Fleet {
        let proxy =
            wire::Proxy { id: "p".to_owned(), pod: "sluice/p".to_owned(), known: true, scope: String::new() };
        wire::Fleet { proxies: vec![proxy], ready }
    }

    fn reach(service: &str) -> Reach {
        Reach {
            namespace: "web".to_owned(),
            services: vec![ObjectName::new("web", service)],
            mappings: Vec::new(),
        }
    }

    #[test]
    fn nothing_is_known_before_all_has_been_told() {
        let store = TrafficStore::waiting();
        assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
        store.begin(0);
        let first = wire::Update { splits: vec![split("s", "app", 20)], ..wire::Update::default() };
        assert_eq!(store.take(first, 0).unwrap(), Touched::default());
        assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
        let complete =
            |ready| wire::Update { fleet: Some(fleet(ready)), complete: true, ..wire::Update::default() };
        assert!(store.take(complete(false), 0).unwrap().everything);
        assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
        store.take(complete(true), 0).unwrap();
        let Traffic::Ready(facts) = store.of(&reach("app")) else { panic!("all has been told") };
        assert_eq!(facts.splits[0].views[0].served.as_ref().unwrap().arms[0].written, Some(20));
        assert_eq!(facts.proxies.len(), 1);
    }

    #[test]
    fn a_rollout_sees_its_own_splits_and_loads() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let load = |namespace: &str| wire::VersionLoad {
            namespace: namespace.to_owned(),
            hash: "abc".to_owned(),
            in_flight: 3,
            routable: true,
            settled: false,
        };
        let all = wire::Update {
            splits: vec![split("a", "app", 101), split("b", "other", 101)],
            fleet: Some(fleet(true)),
            loads: vec![load("web"), load("shop")],
            complete: true,
            ..wire::Update::default()
        };
        store.take(all, 0).unwrap();
        let Traffic::Ready(facts) = store.of(&reach("app")) else { panic!("all has been told") };
        assert_eq!(facts.splits.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(facts.splits[0].views[0].served.as_ref().unwrap().arms[0].written, None);
        assert_eq!(facts.loads.len(), 1);
        assert_eq!(facts.loads["abc"].in_flight, 3);
    }

    #[test]
    fn a_split_that_moves_touches_the_service_it_left() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let update = |split| wire::Update { splits: vec![split], complete: true, ..wire::Update::default() };
        store.take(update(split("s", "old", 101)), 0).unwrap();
        let touched = store.take(update(split("s", "new", 101)), 0).unwrap();
        let services = ["new", "old"].map(|it| ObjectName::new("web", it));
        assert_eq!(touched.services, BTreeSet::from(services));
        let gone = wire::Update { removed_splits: vec!["s".to_owned()], ..wire::Update::default() };
        assert_eq!(store.take(gone, 0).unwrap().services, BTreeSet::from([ObjectName::new("web", "new")]));
    }

    #[test]
    fn requests_under_way_matter_once_nothing_sends_new_ones() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let told = |in_flight, routable, settled| {
            let (namespace, hash) = ("web".to_owned(), "abc".to_owned());
            let load = wire::VersionLoad { namespace, hash, in_flight, routable, settled };
            let update = wire::Update { loads: vec![load], complete: true, ..wire::Update::default() };
            !store.take(update, 0).unwrap().versions.is_empty()
        };
        assert!(told(3, true, false));
        for (in_flight, routable, settled, touches) in [
            (5, true, false, false),
            (0, true, false, false),
            (4, false, false, true),
            (3, false, false, false),
            (3, false, true, true),
            (0, false, true, true),
            (0, false, true, false),
            (1, true, false, true),
        ] {
            assert_eq!(told(in_flight, routable, settled), touches, "{in_flight} {routable} {settled}");
        }
    }

    #[test]
    fn a_pod_that_was_chosen_to_go_is_seen_in_its_namespace_until_it_is_wanted_again() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let pod = |pod: &str, in_flight| wire::PodLoad {
            pod: pod.to_owned(),
            hash: "abc".to_owned(),
            in_flight,
            routable: false,
            settled: true,
        };
        let take = |pods, removed_pods| {
            let all = wire::Update { fleet: Some(fleet(true)), complete: true, ..wire::Update::default() };
            store.take(wire::Update { pods, removed_pods, ..all }, 0).unwrap().versions
        };
        let version = VersionName { namespace: "web".to_owned(), hash: "abc".to_owned() };
        assert!(take(vec![pod("web/a", 2), pod("weber/a", 9)], vec![]).contains(&version));
        let draining = || match store.of(&reach("app")) {
            Traffic::Ready(facts) => facts.draining,
            other @ (Traffic::NotConfigured | Traffic::Unknown { .. }) => panic!("{other:?}"),
        };
        let load = |in_flight| Load { in_flight, routable: false, settled: true };
        assert_eq!(draining(), BTreeMap::from([("a".to_owned(), load(2))]));
        assert_eq!(take(vec![pod("web/a", 1)], vec![]), BTreeSet::new(), "it is not over");
        assert_eq!(take(vec![pod("web/a", 0)], vec![]), BTreeSet::from([version.clone()]));
        assert_eq!(draining()["a"], load(0));
        assert_eq!(take(vec![], vec!["web/a".to_owned()]), BTreeSet::from([version]));
        assert_eq!(draining(), BTreeMap::new());
    }

    #[test]
    fn requests_are_seen_by_who_reaches_their_split_for_a_while() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let cohort = |split: &str, second, requests| wire::Cohort {
            second,
            split: split.to_owned(),
            requests,
            ..wire::Cohort::default()
        };
        let take = |cohorts| {
            let (splits, fleet) = (vec![split("s", "app", 20), split("t", "other", 20)], Some(fleet(true)));
            store.take(wire::Update { cohorts, splits, fleet, complete: true, ..wire::Update::default() }, 0)
        };
        let seen = || match store.of(&reach("app")) {
            Traffic::Ready(facts) => {
                facts.cohorts.iter().map(|it| (it.second, it.requests)).collect::<Vec<_>>()
            }
            other @ (Traffic::NotConfigured | Traffic::Unknown { .. }) => panic!("{other:?}"),
        };
        take(vec![cohort("s", 10, 1), cohort("s", 11, 5), cohort("t", 11, 9)]).unwrap();
        take(vec![cohort("s", 10, 2)]).unwrap();
        assert_eq!(seen(), [(10, 2), (11, 5)]);
        take(vec![cohort("s", 10 + KEPT, 7)]).unwrap();
        assert_eq!(seen(), [(11, 5), (10 + KEPT, 7)]);
    }

    #[test]
    fn what_is_counted_of_a_version_is_told_where_there_is_a_route_to_one_of_its_rollout() {
        let store = TrafficStore::waiting();
        let version = |hash: &str| VersionName { namespace: "web".to_owned(), hash: hash.to_owned() };
        let counted = |hash: &str, versions: &[&str]| store.counted(&version(hash), versions, 60, 30);
        let unknown = |reason: &str| Err(Uncounted::Unknown { reason: reason.to_owned() });
        assert_eq!(counted("abc", &["abc"]), unknown("the traffic server has not been reached yet"));
        store.begin(0);
        assert_eq!(counted("abc", &["abc"]), unknown("the traffic server has not told everything yet"));
        let tries = wire::VersionTries {
            namespace: "web".to_owned(),
            hash: "gone".to_owned(),
            bad: 1,
            ended: vec![2],
        };
        let (splits, fleet) = (vec![split("s", "app", 20)], Some(fleet(true)));
        let all =
            wire::Update { splits, fleet, tries: vec![tries], complete: true, ..wire::Update::default() };
        store.take(all, 10).unwrap();
        let nothing = Counted { seconds: 30, ..Counted::default() };
        assert_eq!(counted("abc", &["abc"]), Ok(nothing.clone()));
        assert_eq!(counted("new", &["new", "abc"]), Ok(nothing), "its share is still to come");
        assert_eq!(counted("new", &["new"]), Err(Uncounted::NotRouted));
        assert_eq!(counted("gone", &["gone"]), Ok(Counted { seconds: 30, bad: 1, ended: vec![2] }));
        let never = TrafficStore::not_configured().counted(&version("abc"), &["abc"], 60, 30);
        assert_eq!(never, Err(Uncounted::NotConfigured));
    }

    #[test]
    fn an_equal_split_touches_nothing() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let update = || wire::Update {
            splits: vec![split("s", "app", 20)],
            complete: true,
            ..wire::Update::default()
        };
        store.take(update(), 0).unwrap();
        assert_eq!(store.take(update(), 0).unwrap(), Touched::default());
    }

    #[test]
    fn losing_the_server_is_told_once_for_each_reason() {
        let store = TrafficStore::waiting();
        assert!(store.lose("refused".to_owned()).everything);
        assert!(!store.lose("refused".to_owned()).everything);
        assert!(store.lose("timed out".to_owned()).everything);
    }

    #[test]
    fn a_malformed_message_is_refused() {
        let store = TrafficStore::waiting();
        store.begin(0);
        let update = |split| wire::Update { splits: vec![split], ..wire::Update::default() };
        assert_eq!(store.take(update(split("s", "app", 102)), 0), Err(Malformed::Weight(102)));
        let mut bad = split("s", "app", 20);
        bad.views[0].served.as_mut().unwrap().arms[0].mapping = "app".to_owned();
        assert_eq!(store.take(update(bad), 0), Err(Malformed::Name("app".to_owned())));
    }
}
