//! The reason for a plan: one value that feeds the condition, the metric label and `kubectl sluice explain`.

use std::fmt;

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;
use crds::go_json::rfc3339_seconds;

use crate::key;

/// Why a plan does what it does, or what it waits for.
///
/// The text ([`fmt::Display`]) is for people and names objects; [`Why::label`] has few values and is for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The Rollout is at its stable version and nothing is left to do.
    UpToDate,
    /// The Rollout is being deleted; what it owns goes with it.
    Deleting,
    /// The spec or an object it names is wrong; nothing moves until it is fixed.
    InvalidSpec {
        /// What is wrong.
        message: String,
    },
    /// The ReplicaSet of the new template is being created.
    Creating {
        /// Its name.
        replica_set: String,
    },
    /// All steps are done, and the guard holds the promotion.
    HeldByGuard {
        /// Evidence that ends it is expected.
        on_its_way: bool,
    },
    /// Another template with the same hash exists; the hash is computed anew with a higher collision count.
    HashCollision {
        /// The name that is taken.
        replica_set: String,
    },
    /// The template or the steps changed: the update starts at its first step.
    Restarted {
        /// Hash of the template.
        hash: String,
    },
    /// Pods are not available yet.
    WaitingForPods {
        /// The ReplicaSet.
        replica_set: String,
        /// Available pods.
        available: i32,
        /// Pods needed.
        wanted: i32,
    },
    /// A ReplicaSet of the update has another size than it should; it is being scaled.
    Scaling {
        /// The ReplicaSet.
        replica_set: String,
        /// `spec.replicas` to reach.
        to: i32,
    },
    /// A Service or a canary Mapping was just written.
    RouteWritten,
    /// The canary arm does not yet hold exactly the new version on every proxy.
    WaitingForCanaryArm {
        /// How far it is.
        progress: String,
    },
    /// The stable arm does not yet hold exactly the new version on every proxy.
    WaitingForStableArm {
        /// How far it is.
        progress: String,
    },
    /// Some proxy may still send a request for the active Service elsewhere than to the new version.
    WaitingForActiveService {
        /// How far it is.
        progress: String,
    },
    /// Somebody else has set a weight again soon after it was put right.
    Overwritten {
        /// The canary Mapping.
        mapping: String,
        /// When it is put right.
        until: DateTime<Utc>,
    },
    /// A weight is being written.
    Weighting {
        /// In percent, or in parts of `maxTrafficWeight`.
        weight: i32,
    },
    /// A weight is written and not yet served everywhere.
    WaitingForWeight {
        /// How far it is.
        progress: String,
    },
    /// A change of the route is given time, because nobody acknowledges it.
    Settling {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// There is no proxy that could serve a raised weight.
    NoProxy,
    /// What the proxies serve is not known.
    DataPlaneUnknown {
        /// Why.
        reason: String,
    },
    /// The stable version has too few pods to take all traffic back at once.
    StableShort {
        /// Its available pods.
        available: i32,
        /// `spec.replicas`.
        wanted: i32,
        /// The weight that the canary keeps for now, in the same parts.
        weight: i32,
    },
    /// Pods are older than `spec.restartAt` and are being replaced.
    ReplacingPods {
        /// How many there are.
        left: usize,
    },
    /// A step is complete.
    StepCompleted {
        /// Its number, from 1.
        step: usize,
        /// Number of steps.
        of: usize,
    },
    /// A pause step waits.
    Paused {
        /// Until when; `None`: until the user promotes.
        until: Option<DateTime<Utc>>,
    },
    /// `spec.paused` is set.
    UserPaused,
    /// An `AnalysisRun` is being created.
    StartingAnalysis {
        /// Its name.
        run: String,
    },
    /// An `AnalysisRun` has no verdict yet.
    WaitingForAnalysis {
        /// Its name.
        run: String,
        /// Its phase; `None`: it has not begun.
        phase: Option<AnalysisPhase>,
    },
    /// An `AnalysisRun` is neither good nor bad; the user decides.
    Inconclusive {
        /// Its name.
        run: String,
    },
    /// An `AnalysisRun` or Experiment cannot be created.
    AnalysisBlocked {
        /// What is wrong.
        message: String,
    },
    /// An Experiment is being created.
    StartingExperiment {
        /// Its name.
        experiment: String,
    },
    /// An Experiment has no verdict yet.
    WaitingForExperiment {
        /// Its name.
        experiment: String,
        /// Its phase; `None`: it has not begun.
        phase: Option<AnalysisPhase>,
    },
    /// An Experiment is neither good nor bad; the user decides.
    InconclusiveExperiment {
        /// Its name.
        experiment: String,
    },
    /// The new version is promoted.
    Promoted {
        /// Its hash.
        hash: String,
    },
    /// The update was aborted; all traffic is at the stable version.
    Aborted,
    /// The stable version's ReplicaSet is gone, so there is nothing to go back to.
    StableGone {
        /// The stable hash.
        hash: String,
    },
    /// A canary Mapping is being removed.
    RemovingMapping {
        /// Its name.
        mapping: String,
    },
    /// A ReplicaSet can still get requests.
    StillRouted {
        /// The ReplicaSet.
        replica_set: String,
    },
    /// A ReplicaSet still has requests under way.
    Draining {
        /// The ReplicaSet.
        replica_set: String,
        /// Requests.
        in_flight: u64,
        /// When it is scaled down all the same.
        until: DateTime<Utc>,
    },
    /// A ReplicaSet waits for its scale-down delay.
    ScaleDownDelay {
        /// The ReplicaSet.
        replica_set: String,
        /// Until when.
        until: DateTime<Utc>,
    },
}

impl Why {
    /// A label of few values, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::Deleting => "deleting",
            Self::InvalidSpec { .. } => "invalid-spec",
            Self::Creating { .. } => "creating",
            Self::HeldByGuard { .. } => "held-by-guard",
            Self::HashCollision { .. } => "hash-collision",
            Self::Restarted { .. } => "restarted",
            Self::WaitingForPods { .. } => "waiting-for-pods",
            Self::Scaling { .. } => "scaling",
            Self::RouteWritten => "route-written",
            Self::WaitingForCanaryArm { .. } => "waiting-for-canary-arm",
            Self::WaitingForStableArm { .. } => "waiting-for-stable-arm",
            Self::WaitingForActiveService { .. } => "waiting-for-active-service",
            Self::Overwritten { .. } => "overwritten",
            Self::Weighting { .. } => "weighting",
            Self::WaitingForWeight { .. } => "waiting-for-weight",
            Self::Settling { .. } => "settling",
            Self::NoProxy => "no-proxy",
            Self::DataPlaneUnknown { .. } => "data-plane-unknown",
            Self::StableShort { .. } => "stable-short",
            Self::ReplacingPods { .. } => "replacing-pods",
            Self::StepCompleted { .. } => "step-completed",
            Self::Paused { .. } => "paused",
            Self::UserPaused => "user-paused",
            Self::StartingAnalysis { .. } => "starting-analysis",
            Self::WaitingForAnalysis { .. } => "waiting-for-analysis",
            Self::Inconclusive { .. } => "inconclusive",
            Self::AnalysisBlocked { .. } => "analysis-blocked",
            Self::StartingExperiment { .. } => "starting-experiment",
            Self::WaitingForExperiment { .. } => "waiting-for-experiment",
            Self::InconclusiveExperiment { .. } => "inconclusive-experiment",
            Self::Promoted { .. } => "promoted",
            Self::Aborted => "aborted",
            Self::StableGone { .. } => "stable-gone",
            Self::RemovingMapping { .. } => "removing-mapping",
            Self::StillRouted { .. } => "still-routed",
            Self::Draining { .. } => "draining",
            Self::ScaleDownDelay { .. } => "scale-down-delay",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("the rollout is up to date"),
            Self::Deleting => f.write_str("the rollout is being deleted"),
            Self::InvalidSpec { message } => write!(f, "nothing moves: {message}"),
            Self::Creating { replica_set } => write!(f, "creating ReplicaSet {replica_set}"),
            Self::HeldByGuard { on_its_way: true } => {
                f.write_str("the guard holds the promotion until there is more evidence")
            }
            Self::HeldByGuard { on_its_way: false } => f.write_str(
                "the guard holds the promotion, and no evidence is in sight: see the condition Guard, promote or abort",
            ),
            Self::HashCollision { replica_set } => {
                write!(f, "ReplicaSet {replica_set} holds another template; trying another name")
            }
            Self::Restarted { hash } => write!(f, "starting the update to {hash}"),
            Self::WaitingForPods { replica_set, available, wanted } => {
                write!(f, "{available} of {wanted} pods of {replica_set} are available")
            }
            Self::Scaling { replica_set, to } => write!(f, "scaling {replica_set} to {to}"),
            Self::RouteWritten => f.write_str("waiting for the new route to be served"),
            Self::WaitingForCanaryArm { progress } => {
                write!(f, "waiting for the canary arm to hold the new pods: {progress}")
            }
            Self::WaitingForStableArm { progress } => {
                write!(f, "waiting for the stable arm to hold the new pods: {progress}")
            }
            Self::WaitingForActiveService { progress } => {
                write!(f, "waiting for the active Service to lead to the new pods: {progress}")
            }
            Self::Overwritten { mapping, until } => {
                let until = rfc3339_seconds(*until);
                write!(
                    f,
                    "somebody else sets the weight of {}; it is put right at {until}",
                    key::show(mapping)
                )
            }
            Self::Weighting { weight } => write!(f, "setting weight {weight}"),
            Self::WaitingForWeight { progress } => f.write_str(progress),
            Self::Settling { until } => {
                write!(f, "no data plane reports back; allowing time until {}", rfc3339_seconds(*until))
            }
            Self::NoProxy => f.write_str("no proxy serves the route, so its weight is not raised"),
            Self::DataPlaneUnknown { reason } => write!(f, "what the proxies serve is not known: {reason}"),
            Self::StableShort { available, wanted, weight } => write!(
                f,
                "the stable version has {available} of {wanted} pods, so the canary keeps weight {weight} for now"
            ),
            Self::ReplacingPods { left: 1 } => {
                f.write_str("1 pod is older than spec.restartAt and is being replaced")
            }
            Self::ReplacingPods { left } => {
                write!(f, "{left} pods are older than spec.restartAt and are being replaced")
            }
            Self::StepCompleted { step, of } => write!(f, "step {step}/{of} is complete"),
            Self::Paused { until: Some(until) } => write!(f, "paused until {}", rfc3339_seconds(*until)),
            Self::Paused { until: None } => f.write_str("paused until promoted"),
            Self::UserPaused => f.write_str("paused by spec.paused"),
            Self::StartingAnalysis { run } => write!(f, "starting AnalysisRun {run}"),
            Self::WaitingForAnalysis { run, phase } => {
                write!(f, "AnalysisRun {run} is {}", phase.map_or("not started", AnalysisPhase::as_str))
            }
            Self::Inconclusive { run } => {
                write!(f, "AnalysisRun {run} is inconclusive: promote, or abort")
            }
            Self::StartingExperiment { experiment } => write!(f, "starting Experiment {experiment}"),
            Self::WaitingForExperiment { experiment, phase } => {
                write!(f, "Experiment {experiment} is {}", phase.map_or("not started", AnalysisPhase::as_str))
            }
            Self::InconclusiveExperiment { experiment } => {
                write!(f, "Experiment {experiment} is inconclusive: promote, or abort")
            }
            Self::AnalysisBlocked { message } => write!(f, "an AnalysisRun cannot be created: {message}"),
            Self::Promoted { hash } => write!(f, "{hash} is the stable version now"),
            Self::Aborted => f.write_str("the update was aborted; the stable version has all traffic"),
            Self::StableGone { hash } => write!(
                f,
                "the ReplicaSet of the stable version {hash} is gone: bring its template back, or promote in full"
            ),
            Self::RemovingMapping { mapping } => write!(f, "removing canary {}", key::show(mapping)),
            Self::StillRouted { replica_set } => {
                write!(f, "{replica_set} stays, because requests may still be routed to it")
            }
            Self::Draining { replica_set, in_flight, until } => write!(
                f,
                "{replica_set} stays until its {in_flight} requests have ended, at most until {}",
                rfc3339_seconds(*until)
            ),
            Self::ScaleDownDelay { replica_set, until } => {
                write!(f, "{replica_set} stays until {} (scale-down delay)", rfc3339_seconds(*until))
            }
        }
    }
}
