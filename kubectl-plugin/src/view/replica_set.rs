//! A ReplicaSet: its state, the part it plays, its pods.

use chrono::{DateTime, Utc};
use crds::Rollout;
use crds::contract::{POD_TEMPLATE_HASH_LABEL, SCALE_DOWN_DEADLINE_ANNOTATION};
use crds::rollout::status::PingPongRole;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::icon::{Icon, Status};
use super::text::{Colour, Text};
use super::tree::{Kind, Node};
use super::{age, annotation, is_owned, label, name, pod_status, revision};

/// The part that a ReplicaSet plays in its Rollout. It may play several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The last version that was fully promoted.
    Stable,
    /// The version on its way.
    Canary,
    /// Blue-green: the version behind the active Service.
    Active,
    /// Blue-green: the version behind the preview Service.
    Preview,
    /// Behind the ping Service.
    Ping,
    /// Behind the pong Service.
    Pong,
}

impl Role {
    /// The word in the INFO column and behind images.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Preview => "preview",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// The colour of the word and of the ReplicaSet's name.
    #[must_use]
    pub const fn colour(self) -> Colour {
        match self {
            Self::Stable | Self::Active => Colour::Green,
            Self::Canary => Colour::Yellow,
            Self::Preview => Colour::Blue,
            Self::Ping | Self::Pong => Colour::Default,
        }
    }
}

/// The roles of a ReplicaSet of this Rollout, in the order in which they are shown.
#[must_use]
pub fn roles(rollout: &Rollout, replica_set: &ReplicaSet) -> Vec<Role> {
    let (Some(status), Some(hash)) = (&rollout.status, label(&replica_set.metadata, POD_TEMPLATE_HASH_LABEL))
    else {
        return Vec::new();
    };
    let has = |wanted: &Option<String>| wanted.as_deref() == Some(hash);
    let mut roles = Vec::new();
    if let Some(canary) = &rollout.spec.strategy.canary {
        let stable_is_ping = status.canary.stable_ping_pong == Some(PingPongRole::Ping);
        if has(&status.stable_rs) {
            roles.push(Role::Stable);
            roles.extend(canary.ping_pong.is_some().then_some(ping_if(stable_is_ping)));
        } else if has(&status.current_pod_hash) {
            roles.push(Role::Canary);
            roles.extend(canary.ping_pong.is_some().then_some(ping_if(!stable_is_ping)));
        }
    }
    if rollout.spec.strategy.blue_green.is_some() {
        roles.extend(has(&status.stable_rs).then_some(Role::Stable));
        if has(&status.blue_green.active_selector) {
            roles.push(Role::Active);
        } else if has(&status.blue_green.preview_selector) {
            roles.push(Role::Preview);
        }
    }
    roles
}

/// How a ReplicaSet is doing. Until the controller has seen the newest spec, its numbers say nothing.
#[must_use]
pub fn status(replica_set: &ReplicaSet) -> Status {
    let wanted = replica_set.spec.as_ref().and_then(|spec| spec.replicas);
    let status = replica_set.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let failure = conditions.iter().find(|condition| condition.type_ == "ReplicaFailure");
    let (icon, word) = if replica_set.metadata.generation.unwrap_or_default() > observed {
        (Icon::Progressing, "Progressing")
    } else if failure.is_some_and(|condition| condition.status == "True") {
        (Icon::Bad, "ReplicaFailure")
    } else if wanted.is_some_and(|wanted| available < wanted) {
        (Icon::Progressing, "Progressing")
    } else if wanted == Some(0) {
        (Icon::Neutral, "ScaledDown")
    } else {
        (Icon::Ok, "Healthy")
    };
    Status { icon, word: word.to_owned() }
}

/// A ReplicaSet and its pods as a node of the tree.
#[must_use]
pub fn node(replica_set: &ReplicaSet, roles: &[Role], pods: &[Pod], now: DateTime<Utc>) -> Node {
    let mut pods: Vec<_> = pods.iter().filter(|pod| is_owned(&pod.metadata, &replica_set.metadata)).collect();
    pods.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), name(&pod.metadata)));
    let metadata = &replica_set.metadata;
    let info = roles.iter().map(|role| Text::coloured(role.as_str(), role.colour()));
    let info =
        info.chain(scale_down_delay(replica_set, now).map(|delay| Text::plain(format!("delay:{delay}"))));
    let colour = roles.last().map_or(Colour::Default, |role| role.colour());
    Node {
        kind: Kind::ReplicaSet,
        name: Text::coloured(name(metadata), colour),
        status: Some(status(replica_set)),
        age: age::of(metadata, now),
        info: Text::join(info, ","),
        children: pods.into_iter().map(|pod| pod_node(pod, now)).collect(),
    }
}

/// ReplicaSets in the order in which they are shown: newest revision first, then by name.
pub fn sort(replica_sets: &mut [&ReplicaSet]) {
    replica_sets.sort_by(|a, b| {
        let newest_first = revision(&b.metadata).cmp(&revision(&a.metadata));
        newest_first.then_with(|| name(&a.metadata).cmp(name(&b.metadata)))
    });
}

/// Time until the ReplicaSet is scaled to 0: a duration, `passed`, or nothing for a deadline that cannot be read.
/// Absent without a deadline.
fn scale_down_delay(replica_set: &ReplicaSet, now: DateTime<Utc>) -> Option<String> {
    let written = annotation(&replica_set.metadata, SCALE_DOWN_DEADLINE_ANNOTATION)?;
    let Ok(deadline) = DateTime::parse_from_rfc3339(written) else { return Some(String::new()) };
    let left = deadline.to_utc() - now;
    Some(if left < chrono::TimeDelta::zero() { String::from("passed") } else { age::human(left) })
}

fn pod_node(pod: &Pod, now: DateTime<Utc>) -> Node {
    let summary = pod_status::of(pod);
    let ready = format!("ready:{}", summary.ready);
    let info = if summary.restarts > 0 { format!("{ready},restarts:{}", summary.restarts) } else { ready };
    Node {
        kind: Kind::Pod,
        name: Text::plain(name(&pod.metadata)),
        status: Some(summary.status),
        age: age::of(&pod.metadata, now),
        info: Text::plain(info),
        children: Vec::new(),
    }
}

const fn ping_if(ping: bool) -> Role {
    if ping { Role::Ping } else { Role::Pong }
}
