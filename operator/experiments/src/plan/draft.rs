//! A plan in the making.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use crds::experiment::{ExperimentAnalysisRunStatus, ExperimentStatus, TemplateStatus};
use operator_core::effect::{Effect, Event, EventKind};
use operator_core::plan::Wake;

use super::{News, Plan, Scene};

/// What has been decided so far.
#[derive(Debug)]
pub(super) struct Draft {
    /// The wanted status; the steps change it in place.
    pub(super) status: ExperimentStatus,
    effects: Vec<Effect>,
    news: Vec<News>,
    wakes: BTreeSet<DateTime<Utc>>,
}

impl Draft {
    /// Nothing changes yet.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        Self { status: scene.before.clone(), effects: Vec::new(), news: Vec::new(), wakes: BTreeSet::new() }
    }

    pub(super) fn finish(self, scene: &Scene<'_>) -> Plan {
        let wake = self.wakes.into_iter().find(|wake| *wake > scene.now());
        Plan {
            effects: self.effects,
            status: self.status,
            news: self.news,
            wake: wake.map_or(Wake::OnChange, Wake::At),
        }
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Tells what the effect before it does: unlike news, also if the status comes to be recorded by another plan.
    pub(super) fn done(&mut self, reason: &str, message: String) {
        let event = Event { kind: EventKind::Normal, reason: reason.to_owned(), message };
        self.effects.push(Effect::Event(event));
    }

    pub(super) fn tell(&mut self, kind: EventKind, reason: String, message: String) {
        self.news.push(News { event: Event { kind, reason, message }, concerns_rollout: false });
    }

    /// The same, also to the Rollout that the Experiment belongs to.
    pub(super) fn tell_rollout(&mut self, kind: EventKind, reason: String, message: String) {
        self.news.push(News { event: Event { kind, reason, message }, concerns_rollout: true });
    }

    /// The earliest wish that lies ahead counts.
    pub(super) fn wake_at(&mut self, moment: DateTime<Utc>) {
        self.wakes.insert(moment);
    }

    /// Records how a template stands.
    pub(super) fn note_template(&mut self, status: TemplateStatus) {
        let statuses = &mut self.status.template_statuses;
        match statuses.iter_mut().find(|held| held.name == status.name) {
            Some(held) => *held = status,
            None => statuses.push(status),
        }
    }

    /// Records how an analysis stands.
    pub(super) fn note_analysis(&mut self, status: ExperimentAnalysisRunStatus) {
        let statuses = &mut self.status.analysis_runs;
        match statuses.iter_mut().find(|held| held.name == status.name) {
            Some(held) => *held = status,
            None => statuses.push(status),
        }
    }
}
