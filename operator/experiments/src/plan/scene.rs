//! The world as the decision reads it.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use crds::analysis::AnalysisPhase;
use crds::contract::{WEIGHTS_ANNOTATION, WEIGHTS_AWAITED};
use crds::duration;
use crds::experiment::{ExperimentSpec, ExperimentStatus, ExperimentTemplate, TemplatePhase, TemplateStatus};
use operator_core::traffic::{Load, Traffic};

use crate::validate::DEFAULT_PROGRESS_DEADLINE_SECONDS;
use crate::world::{ReplicaSet, Service, World};

/// `scaleDownDelaySeconds` where it is not set.
const DEFAULT_SCALE_DOWN_DELAY_SECONDS: i32 = 30;

/// What one decision reads.
#[derive(Debug)]
pub(crate) struct Scene<'w> {
    pub(crate) world: &'w World,
    pub(crate) spec: &'w ExperimentSpec,
    pub(crate) name: &'w str,
    /// The status as it was recorded last.
    pub(crate) before: ExperimentStatus,
    /// It is over, or was told to end, or cannot end well any more: nothing begins, and everything ends.
    pub(super) terminating: bool,
}

impl<'w> Scene<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        let spec = &world.experiment.spec;
        let before = world.experiment.status.clone().unwrap_or_default();
        Self {
            world,
            spec,
            name: world.experiment.metadata.name.as_deref().unwrap_or_default(),
            terminating: is_terminating(spec, &before),
            before,
        }
    }

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

    /// How long a lack of progress is fine.
    pub(super) fn progress_deadline_seconds(&self) -> i32 {
        self.spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS)
    }

    /// Its time does not begin before every proxy serves the weights of its templates.
    pub(super) fn awaits_weights(&self) -> bool {
        self.weights() == Some(WEIGHTS_AWAITED)
    }

    /// Whether pods of a ReplicaSet may go: no proxy sends them anything, and their last request has ended. Only pods that
    /// have a share of the requests are waited for; whoever leads requests to others looks after that himself.
    pub(super) fn is_idle(&self, set: &ReplicaSet) -> bool {
        if self.weights().is_none() {
            return true;
        }
        match &self.world.traffic {
            Traffic::NotConfigured => true,
            Traffic::Unknown { .. } => false,
            Traffic::Ready(facts) => {
                let load = facts.loads.get(&set.hash).copied().unwrap_or(Load::NONE);
                facts.proxies.iter().all(|proxy| proxy.known) && load == Load::NONE
            }
        }
    }

    fn weights(&self) -> Option<&'w str> {
        let annotations = self.world.experiment.metadata.annotations.as_ref()?;
        annotations.get(WEIGHTS_ANNOTATION).map(String::as_str)
    }

    /// How long ReplicaSets keep running afterwards.
    pub(super) fn scale_down_delay(&self) -> TimeDelta {
        let seconds = self.spec.scale_down_delay_seconds.unwrap_or(DEFAULT_SCALE_DOWN_DELAY_SECONDS);
        TimeDelta::seconds(seconds.max(0).into())
    }

    /// When the time is over for which it runs; `None` while that has not begun, or without such a time.
    pub(super) fn ends_at(&self) -> Option<DateTime<Utc>> {
        let duration = duration::parse(self.spec.duration.as_deref()?).ok()?;
        self.before.available_at?.checked_add_signed(duration)
    }

    /// The time for which it runs is over.
    pub(super) fn time_is_over(&self) -> bool {
        self.ends_at().is_some_and(|end| end <= self.now())
    }

    /// The ReplicaSet of a template.
    pub(crate) fn replica_set(&self, template: &str) -> Option<&'w ReplicaSet> {
        self.world.replica_sets.iter().find(|set| set.template.as_deref() == Some(template))
    }

    /// The Service of a template.
    pub(super) fn service(&self, template: &str) -> Option<&'w Service> {
        self.world.services.iter().find(|it| it.template.as_deref() == Some(template))
    }

    /// How many pods a template is to have now.
    pub(super) fn wanted(&self, template: &ExperimentTemplate, status: &TemplateStatus) -> i32 {
        let over = self.terminating || status.status.is_some_and(TemplatePhase::is_completed);
        if over { 0 } else { template.replicas.unwrap_or(1).max(0) }
    }

    /// Name of the ReplicaSet of a template, and of its Service unless that has a name of its own.
    pub(super) fn replica_set_name(&self, template: &str) -> String {
        format!("{}-{template}", self.name)
    }
}

fn is_terminating(spec: &ExperimentSpec, status: &ExperimentStatus) -> bool {
    let failed = |it: &TemplateStatus| match it.status {
        Some(TemplatePhase::Failed | TemplatePhase::Error) => true,
        Some(TemplatePhase::Progressing | TemplatePhase::Running | TemplatePhase::Successful) | None => false,
    };
    let bad = |phase: AnalysisPhase| phase.is_completed() && phase != AnalysisPhase::Successful;
    spec.terminate
        || status.phase.is_some_and(AnalysisPhase::is_completed)
        || status.template_statuses.iter().any(failed)
        || status.analysis_runs.iter().any(|run| run.phase.is_some_and(bad))
        || required_are_good(spec, status)
}

/// There are analyses that the Experiment does not end before, and all of them were good.
pub(super) fn required_are_good(spec: &ExperimentSpec, status: &ExperimentStatus) -> bool {
    let mut required = spec.analyses.iter().filter(|it| it.required_for_completion).peekable();
    let good = |name: &str| {
        let run = status.analysis_runs.iter().find(|run| run.name == name);
        run.is_some_and(|run| run.phase == Some(AnalysisPhase::Successful))
    };
    required.peek().is_some() && required.all(|it| good(&it.name))
}
