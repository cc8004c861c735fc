//! What dashboards show of objects: gauges under Argo's names, read off an object and nothing else (reference §6).
//!
//! Each function hands out its samples one by one, because there are thousands of objects and every scrape asks for
//! all of them. Who renders them chooses the format.

mod analysis;
mod duration;
mod rollout;

pub use self::{
    analysis::{of_analysis_run, of_analysis_template, of_experiment},
    duration::{Update, ended},
    rollout::{of_rollout, of_unreadable_rollout},
};

/// One value of one gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Of which gauge.
    pub gauge: Gauge,
    /// Name and value of each label, by name.
    pub labels: &'a [(&'static str, &'a str)],
    /// Pods, or 1 and 0 for yes and no.
    pub value: i64,
}

macro_rules! gauges {
    ($($(#[$doc:meta])* $gauge:ident: $name:literal, $help:literal;)*) => {
        /// The gauges, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Gauge {
            $($(#[$doc])* $gauge,)*
        }

        impl Gauge {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$gauge),*];

            /// The name in the exposition.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$gauge => $name,)*
                }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$gauge => $help,)*
                }
            }
        }
    };
}

gauges! {
    /// 1 for each run, with its phase.
    AnalysisRunInfo: "analysis_run_info", "An AnalysisRun and its phase.";
    /// 1 at the phase of a metric of a run, 0 at the others.
    AnalysisRunMetricPhase: "analysis_run_metric_phase", "The phase of each metric of an AnalysisRun.";
    /// 1 for each metric of a run, with its provider.
    AnalysisRunMetricType: "analysis_run_metric_type", "The provider of each metric of an AnalysisRun.";
    /// 1 at the phase of a run, 0 at the others.
    AnalysisRunPhase: "analysis_run_phase", "The phase of an AnalysisRun (deprecated: analysis_run_info has it).";
    /// 1 for each template.
    AnalysisTemplateInfo: "analysis_template_info", "An AnalysisTemplate or ClusterAnalysisTemplate.";
    /// 1 for each metric of a template, with its provider.
    AnalysisTemplateMetricInfo: "analysis_template_metric_info", "The provider of each metric of a template.";
    /// 1 for each Experiment, with its phase.
    ExperimentInfo: "experiment_info", "An Experiment and its phase.";
    /// 1 at the phase of an Experiment, 0 at the others.
    ExperimentPhase: "experiment_phase", "The phase of an Experiment (deprecated: experiment_info has it).";
    /// 1 for each Rollout, with strategy, router and phase.
    RolloutInfo: "rollout_info", "A Rollout, its strategy, who splits its traffic, and its phase.";
    /// Available pods.
    RolloutReplicasAvailable: "rollout_info_replicas_available", "Available pods of a Rollout.";
    /// Wanted pods.
    RolloutReplicasDesired: "rollout_info_replicas_desired", "Wanted pods of a Rollout.";
    /// Pods that are not available; below zero while more are available than `status.replicas` counts.
    RolloutReplicasUnavailable: "rollout_info_replicas_unavailable", "Pods of a Rollout that are not available.";
    /// Pods of the newest template.
    RolloutReplicasUpdated: "rollout_info_replicas_updated", "Pods of a Rollout that have the newest template.";
    /// 1 at the phase of a Rollout, 0 at the others.
    RolloutPhase: "rollout_phase", "The phase of a Rollout (deprecated: rollout_info has it).";
    /// 1 for each Rollout whose guard judges an update, with the verdict. Sluice's own.
    RolloutGuard: "sluice_rollout_guard", "What the guard of a Rollout says of the update that it judges.";
}

/// 1 for yes, 0 for no.
fn flag(yes: bool) -> i64 {
    i64::from(yes)
}
