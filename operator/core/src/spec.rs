//! `Rollout.spec`, parsed: the form that the engine works with, which cannot be wrong.
//!
//! [`Spec::parse`] is the only way in. It applies Argo's validation ([`validate`]), in Argo's order and words, then
//! refuses what this version does not act on ([`unsupported`]), so that nothing a user wrote is silently ignored.
//! What needs other objects (Services, Mappings) is checked by [`crate::references`].

mod amount;
mod analysis;
pub mod beside;
mod blue_green;
mod canary;
mod experiment;
mod gateway;
mod guard;
mod invalid;
mod managed_route;
mod pods;
mod pruned;
mod selector;
mod step;
pub mod unsupported;
pub mod validate;

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::Rollout;
use crds::rollout::status::PingPongRole;

pub use self::amount::Amount;
pub use self::analysis::{
    Analysis, Argument, ArgumentValue, Background, DEFAULT_RUN_HISTORY_LIMIT, RunHistory, Version,
};
pub use self::blue_green::{BlueGreen, Promotion};
pub use self::canary::{Canary, Confirm, IngressRouting, MappingRouting, Routing, split_objects};
pub use self::experiment::{Experiment, ExperimentAnalysis, ExperimentTemplate};
pub use self::gateway::{GatewayRouting, PLUGIN as GATEWAY_API_PLUGIN};
pub use self::guard::Guard;
pub use self::invalid::{Invalid, Problem};
pub use self::managed_route::{Action, Condition, ManagedRoute, Text};
pub use self::pods::{AntiAffinity, Roles, ScaleDown};
pub(crate) use self::pruned::pruned;
pub use self::selector::Selector;
pub use self::step::{CanaryScale, Step};
use crate::replicas::basic::Limits;

/// `spec.replicas` where it is not set.
pub const DEFAULT_REPLICAS: i32 = 1;
/// `spec.progressDeadlineSeconds` where it is not set.
pub const DEFAULT_PROGRESS_DEADLINE_SECONDS: i32 = 600;
/// `spec.revisionHistoryLimit` where it is not set.
pub const DEFAULT_REVISION_HISTORY_LIMIT: i32 = 10;
/// `scaleDownDelaySeconds` and `abortScaleDownDelaySeconds` where they are not set, with traffic routing or blue-green.
pub const DEFAULT_SCALE_DOWN_DELAY_SECONDS: i32 = 30;
/// `confirm.settleSeconds` where it is not set.
pub const DEFAULT_SETTLE_SECONDS: i32 = 5;
/// `confirm.warnAfterSeconds` where it is not set.
pub const DEFAULT_WARN_AFTER_SECONDS: i32 = 10;
/// `confirm.drainDeadlineSeconds` where it is not set. Twice the default `terminationGracePeriodSeconds` of a pod: a
/// request that may outlive it would be cut off by the kubelet anyway.
pub const DEFAULT_DRAIN_DEADLINE_SECONDS: i32 = 60;
/// `spec.progressDeadlineSeconds` with this value means: no deadline.
pub const NO_PROGRESS_DEADLINE: i32 = i32::MAX;

/// What the user wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Name of the Rollout.
    pub name: String,
    /// Number of pods, 0 or more.
    pub replicas: i32,
    /// Which pods belong to the Rollout.
    pub selector: Selector,
    /// Seconds a pod is ready before it is available, 0 or more.
    pub min_ready_seconds: i32,
    /// How long a lack of progress is fine; `None`: for ever.
    pub progress_deadline: Option<TimeDelta>,
    /// Abort when the deadline passes.
    pub progress_deadline_abort: bool,
    /// How many old ReplicaSets without pods are kept.
    pub revision_history_limit: usize,
    /// `analysis`: how many finished `AnalysisRuns` are kept.
    pub run_history: RunHistory,
    /// `rollbackWindow.revisions`: how far back a rollback skips the steps; `None`: never.
    pub rollback_window: Option<usize>,
    /// The user's pause.
    pub paused: bool,
    /// Pods that were created before this moment are restarted in place.
    pub restart_at: Option<DateTime<Utc>>,
    /// How one version follows another.
    pub strategy: Strategy,
}

/// `spec.strategy`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one of a Rollout")]
pub enum Strategy {
    /// `canary`: step by step.
    Canary(Canary),
    /// `blueGreen`: the new version in full beside the old one, then all requests at once.
    BlueGreen(BlueGreen),
}

impl Spec {
    /// Parses and validates. The error is the first one that Argo would report, or that a field is not acted on by
    /// this version.
    pub fn parse(rollout: &Rollout) -> Result<Self, Invalid> {
        validate::validate(rollout)?;
        unsupported::check(rollout)?;
        let spec = &rollout.spec;
        let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
        let history = spec.revision_history_limit.unwrap_or(DEFAULT_REVISION_HISTORY_LIMIT);
        Ok(Self {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            replicas: spec.replicas.unwrap_or(DEFAULT_REPLICAS),
            selector: Selector::parse(spec.selector.as_ref())?,
            min_ready_seconds: spec.min_ready_seconds,
            progress_deadline: (deadline != NO_PROGRESS_DEADLINE).then(|| seconds(deadline)),
            progress_deadline_abort: spec.progress_deadline_abort,
            revision_history_limit: usize::try_from(history).unwrap_or_default(),
            run_history: RunHistory::read(spec.analysis.as_ref()),
            rollback_window: spec
                .rollback_window
                .as_ref()
                .map(|window| usize::try_from(window.revisions).unwrap_or_default()),
            paused: spec.paused,
            restart_at: spec.restart_at,
            strategy: match &spec.strategy.blue_green {
                Some(blue_green) => Strategy::BlueGreen(BlueGreen::read(blue_green)?),
                None => Strategy::Canary(Canary::read(
                    validate::canary(spec)?,
                    guard::of(rollout)?,
                    stable_ping_pong(rollout),
                )?),
            },
        })
    }

    /// With `pingPong`, which of its Services is the stable one.
    #[must_use]
    pub fn ping_pong(&self) -> Option<PingPongRole> {
        match &self.strategy {
            Strategy::Canary(Canary { routing: Routing::Mappings(routing), .. }) => routing.ping_pong,
            Strategy::Canary(Canary { routing: Routing::Replicas { .. }, .. }) | Strategy::BlueGreen(_) => {
                None
            }
        }
    }

    /// The steps of an update; none with a strategy that has no steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        match &self.strategy {
            Strategy::Canary(canary) => &canary.steps,
            Strategy::BlueGreen(_) => &[],
        }
    }
}

impl Strategy {
    /// How many of the pods may be missing while nothing is wrong.
    #[must_use]
    pub fn max_unavailable(&self, replicas: i32) -> i32 {
        match self {
            Self::Canary(canary) => Limits::of(canary, replicas).unavailable,
            Self::BlueGreen(blue_green) => blue_green.max_unavailable.rounded_down(replicas).min(replicas),
        }
    }

    /// What pods carry for the role they play.
    #[must_use]
    pub fn pod_metadata(&self) -> Roles<'_> {
        match self {
            Self::Canary(canary) => {
                Roles { new: canary.canary_metadata.as_ref(), stable: canary.stable_metadata.as_ref() }
            }
            Self::BlueGreen(blue_green) => Roles {
                new: blue_green.preview_metadata.as_ref(),
                stable: blue_green.active_metadata.as_ref(),
            },
        }
    }

    /// When a change of routes counts as served, and how long requests get to end.
    #[must_use]
    pub fn confirm(&self) -> Confirm {
        match self {
            Self::Canary(Canary { routing: Routing::Mappings(routing), .. }) => routing.confirm,
            Self::Canary(Canary { routing: Routing::Replicas { .. }, .. }) => Confirm::default(),
            Self::BlueGreen(blue_green) => blue_green.confirm,
        }
    }

    /// How strictly a new version stays off the nodes of the stable one.
    #[must_use]
    pub fn anti_affinity(&self) -> Option<AntiAffinity> {
        match self {
            Self::Canary(canary) => canary.anti_affinity,
            Self::BlueGreen(blue_green) => blue_green.anti_affinity,
        }
    }
}

/// The Service of `pingPong` that is the stable one, as recorded.
fn stable_ping_pong(rollout: &Rollout) -> Option<PingPongRole> {
    rollout.status.as_ref()?.canary.stable_ping_pong
}

fn seconds(seconds: i32) -> TimeDelta {
    TimeDelta::seconds(seconds.into())
}
