//! A plan in the making. Every step of the decision adds to it; nothing is taken back.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use crds::rollout::RolloutStatus;
use crds::rollout::status::GuardStatus;

use super::guard::Gate;
use super::{Plan, Wake};
use crate::effect::{Effect, Event, EventKind, Target};
use crate::why::Why;
use crate::world::{ReplicaSet, World};

/// What has been decided so far.
#[derive(Debug)]
pub(super) struct Draft {
    /// The wanted status; the steps change it in place.
    pub(super) status: RolloutStatus,
    /// The stable ReplicaSet is gone in the middle of an update: what the user is told.
    pub(super) stable_gone: Option<String>,
    /// A deadline has just passed.
    pub(super) out_of_time: bool,
    /// What is known of the canary now.
    pub(super) guard: Option<GuardStatus>,
    /// What that means for its promotion.
    pub(super) gate: Gate,
    /// Why this plan aborts the update.
    pub(super) abort_reason: Option<String>,
    /// An `AnalysisRun` or Experiment cannot be created: what the user is told.
    pub(super) analysis_blocked: Option<String>,
    /// Somebody else set a weight, and it rests: what the user is told.
    pub(super) overwritten: Option<String>,
    effects: Vec<Effect>,
    /// Changes of ReplicaSets, one patch each, carried out after the other effects.
    replica_sets: BTreeMap<String, Change>,
    /// Changes of pods, carried out after those of their ReplicaSets, and what must not keep those from being made.
    last: Vec<Effect>,
    events: Vec<Event>,
    /// When to look again. A deadline that does not count now may lie in the past.
    wakes: BTreeSet<DateTime<Utc>>,
    why: Option<Why>,
}

/// All that a plan changes in one ReplicaSet.
#[derive(Debug)]
struct Change {
    target: Target,
    revision: i64,
    from: i32,
    to: i32,
    annotations: BTreeMap<String, Option<String>>,
}

impl Draft {
    /// Nothing changes yet.
    pub(super) fn new(world: &World) -> Self {
        Self {
            status: world.rollout.status.clone().unwrap_or_default(),
            stable_gone: None,
            analysis_blocked: None,
            overwritten: None,
            out_of_time: false,
            guard: None,
            gate: Gate::Open,
            abort_reason: None,
            effects: Vec::new(),
            replica_sets: BTreeMap::new(),
            last: Vec::new(),
            events: Vec::new(),
            wakes: BTreeSet::new(),
            why: None,
        }
    }

    /// The plan. Events come last: they tell what was done.
    pub(super) fn finish(mut self, now: DateTime<Utc>) -> Plan {
        // Pods come before pods go.
        let changes = std::mem::take(&mut self.replica_sets).into_values();
        let (shrinking, other): (Vec<_>, Vec<_>) = changes.partition(|change| change.to < change.from);
        for change in other.into_iter().chain(shrinking) {
            self.flush(change);
        }
        self.effects.append(&mut self.last);
        self.effects.extend(self.events.into_iter().map(Effect::Event));
        Plan {
            effects: self.effects,
            status: self.status,
            guard: self.guard,
            wake: self.wakes.into_iter().find(|wake| *wake > now).map_or(Wake::OnChange, Wake::At),
            why: self.why.unwrap_or(Why::UpToDate),
        }
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// An effect that comes after all changes of ReplicaSets.
    pub(super) fn afterwards(&mut self, effect: Effect) {
        self.last.push(effect);
    }

    /// Whether a ReplicaSet gets another size.
    pub(super) fn scales(&self) -> bool {
        self.replica_sets.values().any(|change| change.from != change.to)
    }

    /// Whether pods of a ReplicaSet go.
    pub(super) fn shrinks(&self) -> bool {
        self.replica_sets.values().any(|change| change.to < change.from)
    }

    /// Whether a Service or a Mapping is written.
    pub(super) fn writes_route(&self) -> bool {
        self.effects.iter().any(|effect| match effect {
            Effect::SetServiceSelector { .. }
            | Effect::CreateMapping { .. }
            | Effect::UpdateMapping { .. }
            | Effect::DeleteMapping { .. }
            | Effect::SetRouteWeights { .. } => true,
            Effect::CreateReplicaSet { .. }
            | Effect::AdoptReplicaSet { .. }
            | Effect::ScaleReplicaSet { .. }
            | Effect::AnnotateReplicaSet { .. }
            | Effect::SetEphemeralMetadata { .. }
            | Effect::ChangePod { .. }
            | Effect::EvictPod { .. }
            | Effect::ScaleWorkload { .. }
            | Effect::DeleteReplicaSet { .. }
            | Effect::CreateAnalysisRun { .. }
            | Effect::TerminateAnalysisRun { .. }
            | Effect::DeleteAnalysisRun { .. }
            | Effect::CreateExperiment { .. }
            | Effect::BeginExperiment { .. }
            | Effect::TerminateExperiment { .. }
            | Effect::DeleteExperiment { .. }
            | Effect::CreateService { .. }
            | Effect::DeleteService { .. }
            | Effect::SetRolloutRevision { .. }
            | Effect::SetWorkloadGeneration { .. }
            | Effect::DefaultReplicas { .. }
            | Effect::Event(_) => false,
        })
    }

    /// The hash that the plan makes a Service select, if it switches it.
    pub(super) fn switched(&self, service: &str) -> Option<&str> {
        self.effects.iter().find_map(|effect| {
            let Effect::SetServiceSelector { target, to, .. } = effect else { return None };
            (target.name == service).then_some(to.as_str())
        })
    }

    pub(super) fn normal(&mut self, reason: &str, message: String) {
        self.events.push(Event { kind: EventKind::Normal, reason: reason.to_owned(), message });
    }

    pub(super) fn warning(&mut self, reason: &str, message: String) {
        self.events.push(Event { kind: EventKind::Warning, reason: reason.to_owned(), message });
    }

    /// The earliest wish that lies ahead counts.
    pub(super) fn wake_at(&mut self, moment: DateTime<Utc>) {
        self.wakes.insert(moment);
    }

    /// The first reason counts: what is decided first is what the rest waits for.
    pub(super) fn because(&mut self, why: Why) {
        self.why.get_or_insert(why);
    }

    /// The plan waits for an old version to be released, for an analysis or Experiment, or for evidence that is on its way,
    /// which takes the time it takes.
    pub(super) fn waits_on_purpose(&self) -> bool {
        matches!(
            self.why,
            Some(
                Why::ScaleDownDelay { .. }
                    | Why::Draining { .. }
                    | Why::StillRouted { .. }
                    | Why::StartingAnalysis { .. }
                    | Why::WaitingForAnalysis { .. }
                    | Why::StartingExperiment { .. }
                    | Why::WaitingForExperiment { .. }
                    | Why::HeldByGuard { on_its_way: true }
            )
        )
    }

    /// Sets `spec.replicas`, and what belongs to a scaling.
    pub(super) fn scale(&mut self, set: &ReplicaSet, to: i32) {
        self.change(set).to = to;
    }

    /// Sets or removes an annotation.
    pub(super) fn annotate(&mut self, set: &ReplicaSet, key: &str, value: Option<String>) {
        self.change(set).annotations.insert(key.to_owned(), value);
    }

    /// The revision a ReplicaSet has once the plan is carried out, for events.
    pub(super) fn set_revision(&mut self, set: &ReplicaSet, revision: i64) {
        self.change(set).revision = revision;
    }

    fn change(&mut self, set: &ReplicaSet) -> &mut Change {
        self.replica_sets.entry(set.name.clone()).or_insert_with(|| Change {
            target: target_of(set),
            revision: set.annotations.revision.unwrap_or_default(),
            from: set.replicas,
            to: set.replicas,
            annotations: BTreeMap::new(),
        })
    }

    fn flush(&mut self, change: Change) {
        let Change { target, revision, from, to, annotations } = change;
        if from == to {
            if !annotations.is_empty() {
                self.effects.push(Effect::AnnotateReplicaSet { target, annotations });
            }
            return;
        }
        let direction = if to > from { "up" } else { "down" };
        let message = format!(
            "Scaled {direction} ReplicaSet {} (revision {revision}) from {from} to {to}",
            target.name
        );
        self.effects.push(Effect::ScaleReplicaSet { target, from, to, annotations });
        self.effects.push(Effect::Event(Event {
            kind: EventKind::Normal,
            reason: "ScalingReplicaSet".to_owned(),
            message,
        }));
    }
}

/// The ReplicaSet as an effect names it.
pub(super) fn target_of(set: &ReplicaSet) -> Target {
    Target { name: set.name.clone(), uid: set.uid.clone(), resource_version: set.resource_version.clone() }
}
