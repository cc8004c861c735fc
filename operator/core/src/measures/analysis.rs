//! Gauges of runs of analysis, of their templates, and of Experiments.

use std::collections::BTreeSet;

use crds::{
    analysis::{
        AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, AnalysisTemplateSpec, MetricProvider,
    },
    experiment::Experiment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use regex::Regex;

use super::{Gauge, Sample, flag};

/// The phases of runs and of their metrics.
const PHASES: [AnalysisPhase; 6] = [
    AnalysisPhase::Error,
    AnalysisPhase::Failed,
    AnalysisPhase::Inconclusive,
    AnalysisPhase::Pending,
    AnalysisPhase::Running,
    AnalysisPhase::Successful,
];

/// The phases of `experiment_phase`: a failed Experiment is 0 at all of them.
const EXPERIMENT_PHASES: [AnalysisPhase; 5] = [
    AnalysisPhase::Error,
    AnalysisPhase::Inconclusive,
    AnalysisPhase::Pending,
    AnalysisPhase::Running,
    AnalysisPhase::Successful,
];

/// Shows an AnalysisRun and each of its metrics.
pub fn of_analysis_run(run: &AnalysisRun, show: &mut impl FnMut(Sample<'_>)) {
    let (namespace, name) = names(&run.metadata);
    let nothing = AnalysisRunStatus::default();
    let status = run.status.as_ref().unwrap_or(&nothing);
    of_phase(Gauge::AnalysisRunInfo, Gauge::AnalysisRunPhase, &PHASES, &run.metadata, status.phase, show);
    let dry = dry_runs(&run.spec);
    for metric in &run.spec.metrics {
        let provider = provider(&metric.provider);
        show(Sample {
            gauge: Gauge::AnalysisRunMetricType,
            labels: &[("metric", &metric.name), ("name", name), ("namespace", namespace), ("type", provider)],
            value: 1,
        });
        let result = status.metric_results.iter().find(|it| it.name == metric.name);
        let phase = result.and_then(|it| it.phase).unwrap_or(AnalysisPhase::Pending);
        let dry_run = if dry.contains(metric.name.as_str()) { "true" } else { "false" };
        for word in PHASES {
            show(Sample {
                gauge: Gauge::AnalysisRunMetricPhase,
                labels: &[
                    ("dry_run", dry_run),
                    ("metric", &metric.name),
                    ("name", name),
                    ("namespace", namespace),
                    ("phase", word.as_str()),
                    ("type", provider),
                ],
                value: flag(word == phase),
            });
        }
    }
}

/// Shows an AnalysisTemplate, or a cluster-wide one, which has no namespace, and each of its metrics.
pub fn of_analysis_template(
    metadata: &ObjectMeta,
    template: &AnalysisTemplateSpec,
    show: &mut impl FnMut(Sample<'_>),
) {
    let (namespace, name) = names(metadata);
    let labels = [("name", name), ("namespace", namespace)];
    show(Sample { gauge: Gauge::AnalysisTemplateInfo, labels: &labels, value: 1 });
    for metric in &template.metrics {
        let labels = [
            ("metric", metric.name.as_str()),
            ("name", name),
            ("namespace", namespace),
            ("type", provider(&metric.provider)),
        ];
        show(Sample { gauge: Gauge::AnalysisTemplateMetricInfo, labels: &labels, value: 1 });
    }
}

/// Shows an Experiment.
pub fn of_experiment(experiment: &Experiment, show: &mut impl FnMut(Sample<'_>)) {
    let phase = experiment.status.as_ref().and_then(|it| it.phase);
    let gauges = (Gauge::ExperimentInfo, Gauge::ExperimentPhase);
    of_phase(gauges.0, gauges.1, &EXPERIMENT_PHASES, &experiment.metadata, phase, show);
}

/// Shows the phase of an object twice: in words, where none is none, and as flags, where none is `Pending`.
fn of_phase(
    info: Gauge,
    deprecated: Gauge,
    words: &[AnalysisPhase],
    metadata: &ObjectMeta,
    phase: Option<AnalysisPhase>,
    show: &mut impl FnMut(Sample<'_>),
) {
    let (namespace, name) = names(metadata);
    let mut sample = |gauge, word, value| {
        let labels = [("name", name), ("namespace", namespace), ("phase", word)];
        show(Sample { gauge, labels: &labels, value });
    };
    sample(info, phase.map_or("", AnalysisPhase::as_str), 1);
    let phase = phase.unwrap_or(AnalysisPhase::Pending);
    for word in words {
        sample(deprecated, word.as_str(), flag(*word == phase));
    }
}

/// The metrics that are measured and do not count: those in whose names an expression is found. An expression that is
/// found nowhere, or is none, ends the search, as in Argo.
fn dry_runs(spec: &AnalysisRunSpec) -> BTreeSet<&str> {
    let mut dry = BTreeSet::new();
    for rule in &spec.dry_run {
        let Ok(expression) = Regex::new(&rule.metric_name) else { break };
        let found = spec.metrics.iter().map(|it| it.name.as_str()).filter(|it| expression.is_match(it));
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            break;
        }
        dry.extend(found);
    }
    dry
}

/// Argo's name of who measures. Of several, the first in Argo's order.
fn provider(provider: &MetricProvider) -> &'static str {
    provider.named().next().unwrap_or("Unknown Provider")
}

fn names(metadata: &ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}
