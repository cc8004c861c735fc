//! What happened, act by act.

use std::fmt;

use serde_json::Value;

/// All that a row or a run of our engine tells.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) acts: Vec<Act>,
    /// Weights move by Mappings, not by numbers of pods.
    pub(crate) routed: bool,
    /// The status at the end, as far as it is compared.
    pub(crate) end: Value,
    /// The row ends before the controller came to rest: the last act is a beginning, and the end is no end.
    pub(crate) cut_off: bool,
}

/// What one action of a user led to.
#[derive(Debug)]
pub(crate) struct Act {
    /// What the user did.
    pub(crate) action: String,
    /// Changes and events, in order.
    pub(crate) changes: Vec<Change>,
}

/// One change of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created {
        set: String,
        manifest: Value,
    },
    Scaled {
        set: String,
        revision: String,
        desired: String,
        from: i64,
        to: i64,
    },
    Numbered {
        set: String,
        revision: String,
    },
    /// A scale-down deadline so many seconds ahead; `None`: it was taken away.
    Deadline {
        set: String,
        seconds: Option<i64>,
    },
    Deleted {
        set: String,
    },
    Switched {
        service: String,
        from: String,
        to: String,
        taken_over: bool,
    },
    Mapped {
        mapping: String,
        weight: i64,
    },
    Reweighted {
        mapping: String,
        weight: i64,
    },
    Unmapped {
        mapping: String,
    },
    /// An `AnalysisRun` was created.
    Analysed {
        run: String,
        manifest: Value,
    },
    /// An `AnalysisRun` was told to end.
    Ended {
        run: String,
    },
    Revision {
        to: String,
    },
    DefaultReplicas,
    Event {
        reason: String,
        message: String,
    },
}

impl Change {
    /// The object, or stream of events, within which order is compared. Argo changes one ReplicaSet a pass, and its
    /// trace does not tell the order of changes of Services, Rollouts and Mappings within a pass; what matters of
    /// the order across objects, the simulator checks at every effect.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Created { set, .. }
            | Self::Scaled { set, .. }
            | Self::Numbered { set, .. }
            | Self::Deadline { set, .. }
            | Self::Deleted { set } => format!("ReplicaSet {set}"),
            Self::Switched { .. } => "Services".to_owned(),
            Self::Mapped { .. } | Self::Reweighted { .. } | Self::Unmapped { .. } => "Mappings".to_owned(),
            Self::Analysed { .. } | Self::Ended { .. } => "AnalysisRuns".to_owned(),
            Self::Revision { .. } => "revision".to_owned(),
            Self::DefaultReplicas => "spec.replicas".to_owned(),
            // A switch is told before a weight or after it, as they are made: see `Services` and `Mappings`.
            Self::Event { reason, .. } if reason == "SwitchService" => "events of Services".to_owned(),
            Self::Event { .. } => "events".to_owned(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scaled { revision, desired, from, to, .. } => {
                write!(f, "scaled {from} -> {to} (revision {revision} of {desired} pods)")
            }
            Self::Numbered { revision, .. } => write!(f, "numbered {revision}"),
            Self::Deadline { seconds: Some(seconds), .. } => write!(f, "deadline in {seconds} s"),
            Self::Deadline { seconds: None, .. } => f.write_str("no deadline"),
            Self::Deleted { .. } => f.write_str("deleted"),
            Self::Switched { service, from, to, taken_over } => {
                write!(f, "{service} {from} -> {to}{}", if *taken_over { ", taken over" } else { "" })
            }
            Self::Mapped { mapping, weight } => write!(f, "created {mapping} with weight {weight}"),
            Self::Reweighted { mapping, weight } => write!(f, "{mapping} weight {weight}"),
            Self::Unmapped { mapping } => write!(f, "deleted {mapping}"),
            Self::Created { manifest, .. } | Self::Analysed { manifest, .. } => {
                write!(f, "created {manifest}")
            }
            Self::Ended { run } => write!(f, "{run} ends"),
            Self::Revision { to } => write!(f, "revision {to}"),
            Self::DefaultReplicas => f.write_str("replicas 1"),
            Self::Event { reason, message } => write!(f, "{reason}: {message}"),
        }
    }
}
