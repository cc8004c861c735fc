//! The state of the data plane, and what a piece of news touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

use operator_analysis::traffic::Counted;
use operator_core::traffic::{Cohort, Facts, Load, ObjectName, Proxy, Traffic};
use proxy_config::wire::traffic as wire;

use super::{
    convert::{self, Malformed, PodLoad, VersionName},
    splits::Splits,
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
    splits: Splits,
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
        if counted.requests() == 0 && !known.splits.hold(&version.namespace, versions) {
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
    fn of(&self, reach: &Reach) -> Facts {
        let splits = self.splits.of(reach);
        let from = VersionName { namespace: reach.namespace.clone(), hash: String::new() };
        let loads = self.loads.range(from..).take_while(|(version, _)| version.namespace == reach.namespace);
        let first = ObjectName::new(&reach.namespace, "");
        let pods = self.pods.range(first..).take_while(|(pod, _)| pod.namespace == reach.namespace);
        let first = |id: &String| (id.clone(), i64::MIN, String::new(), String::new());
        let of_split = |id| self.cohorts.range(first(id)..).take_while(move |((split, ..), _)| split == id);
        let cohorts =
            splits.iter().flat_map(|it| of_split(&it.id)).map(|(_, cohort)| cohort.clone()).collect();
        Facts {
            proxies: self.proxies.clone(),
            splits,
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
            self.splits.put(split, &mut touched)?;
        }
        for id in &removed_splits {
            self.splits.remove(id, &mut touched);
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
}

/// What of a load a decision depends on: the requests under way change all the time, and matter only once nothing
/// sends new ones.
fn decisive(load: Load) -> Option<(bool, bool)> {
    (!load.routable).then_some((load.settled, load.in_flight == 0))
}

#[cfg(test)]
mod tests;
