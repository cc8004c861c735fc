//! The world as the decision reads it: the spec parsed, every ReplicaSet in its role.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use crds::rollout::RolloutStatus;

use super::accept::Accepted;
use crate::effect::Target;
use crate::spec::Spec;
use crate::world::{Owner, ReplicaSet, World};

/// What one decision reads.
#[derive(Debug)]
pub(super) struct Scene<'w> {
    pub(super) world: &'w World,
    pub(super) spec: &'w Spec,
    /// Hash of the spec's pod template.
    pub(super) hash: String,
    /// Hash of the spec's steps; `None` with a strategy that has no steps.
    pub(super) step_hash: Option<String>,
    /// The ReplicaSet of the spec's template.
    pub(super) new: Option<&'w ReplicaSet>,
    /// The ReplicaSet that was last promoted. Can be the new one.
    pub(super) stable: Option<&'w ReplicaSet>,
    /// All others, newest revision first.
    pub(super) others: Vec<&'w ReplicaSet>,
    /// The status as it was recorded last.
    pub(super) before: RolloutStatus,
}

impl<'w> Scene<'w> {
    pub(super) fn new(world: &'w World, accepted: &'w Accepted) -> Self {
        let Accepted { spec, hash, step_hash } = accepted;
        let before = world.rollout.status.clone().unwrap_or_default();
        let stable_hash = before.stable_rs.clone().unwrap_or_default();
        let (mut new, mut stable, mut others) = (None, None, Vec::new());
        for set in world.replica_sets.iter().filter(|set| set.owner == Owner::ThisRollout) {
            let is_stable = !stable_hash.is_empty() && set.hash == stable_hash;
            if is_stable {
                stable = Some(set);
            }
            if set.hash == *hash {
                new = Some(set);
            } else if !is_stable {
                others.push(set);
            }
        }
        others
            .sort_by_key(|set| (std::cmp::Reverse(set.annotations.revision), std::cmp::Reverse(set.created)));
        Self { world, spec, hash: hash.clone(), step_hash: step_hash.clone(), new, stable, others, before }
    }

    /// The moment of the world.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.world.now
    }

    /// The moment as it is written into objects: whole seconds.
    pub(super) fn stamp(&self) -> DateTime<Utc> {
        self.world.now.trunc_subsecs(0)
    }

    /// The moment as the beginning of a time that has to last: the next whole second, so that what is written into
    /// objects never makes it shorter.
    pub(super) fn start(&self) -> DateTime<Utc> {
        let stamp = self.stamp();
        if stamp == self.world.now { stamp } else { stamp + TimeDelta::seconds(1) }
    }

    /// Number of steps.
    pub(super) fn steps(&self) -> usize {
        self.spec.steps().len()
    }

    /// The step index that means "all steps are done"; `None` without steps.
    pub(super) fn all_done(&self) -> Option<i32> {
        (self.steps() > 0).then(|| i32::try_from(self.steps()).unwrap_or(i32::MAX))
    }

    /// The step index that an update begins with; `None` without steps.
    pub(super) fn first_step(&self) -> Option<i32> {
        (self.steps() > 0).then_some(0)
    }

    /// The Rollout as an effect names it.
    pub(super) fn rollout(&self) -> Target {
        rollout_of(self.world)
    }

    /// The ReplicaSets of this Rollout, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &'w ReplicaSet> {
        let distinct_stable = self.stable.filter(|stable| self.new.is_none_or(|new| new.name != stable.name));
        self.new.into_iter().chain(distinct_stable).chain(self.others.iter().copied())
    }

    /// By hash.
    pub(super) fn by_hash(&self) -> BTreeMap<&'w str, &'w ReplicaSet> {
        self.all().map(|set| (set.hash.as_str(), set)).collect()
    }
}

/// The Rollout of a world as an effect names it.
pub(super) fn rollout_of(world: &World) -> Target {
    let metadata = &world.rollout.metadata;
    Target {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}
