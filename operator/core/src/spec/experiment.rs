//! The step `experiment`: what the Experiment that it starts is made of.

use std::collections::BTreeSet;

use crds::analysis::DryRun;
use crds::experiment::TemplateService;
use crds::rollout::{
    AnalysisRunMetadata, AnalysisTemplateRef, ExperimentAnalysisTemplateRef, ExperimentStep,
    ExperimentStepTemplate, PodMetadata, SpecRef,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Argument, Invalid, Version};
use crate::duration;
use crate::weight::{Total, Weight};

/// What one Experiment is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// The ReplicaSets that it runs.
    pub templates: Vec<ExperimentTemplate>,
    /// How long it runs once all pods are available, as a Go duration that can be read; `None`: until its analyses end.
    pub duration: Option<String>,
    /// What judges it.
    pub analyses: Vec<ExperimentAnalysis>,
    /// Metrics that are measured but do not count.
    pub dry_run: Vec<DryRun>,
    /// Metadata that its runs get in addition.
    pub run_metadata: AnalysisRunMetadata,
    /// How long its pods keep running afterwards; `None`: as long as an Experiment that says nothing.
    pub scale_down_delay_seconds: Option<i32>,
}

/// One ReplicaSet of an [`Experiment`].
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentTemplate {
    /// Its name within the Experiment, unlike all others.
    pub name: String,
    /// Whose pod template it has.
    pub version: Version,
    /// Number of pods; `None`: 1.
    pub replicas: Option<i32>,
    /// Metadata that its pods get in addition.
    pub metadata: PodMetadata,
    /// Selector instead of the Rollout's.
    pub selector: Option<LabelSelector>,
    /// The Service that it gets.
    pub service: Option<TemplateService>,
    /// Its share of the requests; `None`: it has none. One with a share has a Service.
    pub weight: Option<Weight>,
}

/// One analysis of an [`Experiment`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExperimentAnalysis {
    /// Its name within the Experiment, unlike all others.
    pub name: String,
    /// Its template. That it exists is for the Experiment to check.
    pub template: AnalysisTemplateRef,
    /// Values for the template's arguments.
    pub arguments: Vec<Argument>,
    /// The Experiment does not end before it.
    pub required: bool,
}

impl Experiment {
    /// `field` is the path of the step's `experiment`.
    ///
    /// Argo takes every step and leaves it to the Experiment to find out; then the Rollout waits for it for ever.
    pub(super) fn read(field: &str, step: &ExperimentStep) -> Result<Self, Invalid> {
        if let Some(written) = &step.duration
            && let Err(why) = duration::parse(written)
        {
            return Err(Invalid::value(format!("{field}.duration"), written, why.to_string()));
        }
        unique(field, "templates", step.templates.iter().map(|it| it.name.as_str()))?;
        unique(field, "analyses", step.analyses.iter().map(|it| it.name.as_str()))?;
        let analyses = step.analyses.iter().enumerate();
        Ok(Self {
            templates: (step.templates.iter().enumerate())
                .map(|(index, it)| ExperimentTemplate::read(&format!("{field}.templates[{index}]"), it))
                .collect::<Result<_, _>>()?,
            duration: step.duration.clone(),
            analyses: analyses
                .map(|(index, it)| ExperimentAnalysis::read(&format!("{field}.analyses[{index}]"), it))
                .collect::<Result<_, _>>()?,
            dry_run: step.dry_run.clone(),
            run_metadata: step.analysis_run_metadata.clone(),
            scale_down_delay_seconds: step.scale_down_delay_seconds,
        })
    }
}

impl ExperimentTemplate {
    fn read(field: &str, template: &ExperimentStepTemplate) -> Result<Self, Invalid> {
        let refused = |percent: i32| {
            let why = "the weight of a template needs to be between 0 and 100";
            Invalid::value(format!("{field}.weight"), &percent, why)
        };
        let weight = template
            .weight
            .map(|it| Weight::new(it, Total::PERCENT).ok_or_else(|| refused(it)))
            .transpose()?;
        let weight = weight.filter(|it| *it > Weight::ZERO);
        Ok(Self {
            name: template.name.clone(),
            version: match template.spec_ref {
                SpecRef::Stable => Version::Stable,
                SpecRef::Canary => Version::Latest,
            },
            replicas: template.replicas,
            metadata: template.metadata.clone(),
            selector: template.selector.clone(),
            service: template.service.clone().or_else(|| weight.map(|_| TemplateService::default())),
            weight,
        })
    }
}

impl Experiment {
    /// The templates that have a share of the requests, with it.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = (&ExperimentTemplate, Weight)> {
        self.templates.iter().filter_map(|it| Some((it, it.weight?)))
    }
}

impl ExperimentAnalysis {
    fn read(field: &str, analysis: &ExperimentAnalysisTemplateRef) -> Result<Self, Invalid> {
        let arguments = analysis.args.iter().enumerate();
        Ok(Self {
            name: analysis.name.clone(),
            template: AnalysisTemplateRef {
                template_name: analysis.template_name.clone(),
                cluster_scope: analysis.cluster_scope,
            },
            arguments: arguments
                .map(|(index, it)| Argument::read(&format!("{field}.args[{index}]"), it))
                .collect::<Result<_, _>>()?,
            required: analysis.required_for_completion,
        })
    }
}

/// Names that are there and each once.
fn unique<'a>(field: &str, list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let field = || format!("{field}.{list}[{index}].name");
        if name.is_empty() {
            return Err(Invalid::required(field(), "give it a name"));
        }
        if !seen.insert(name) {
            return Err(Invalid::duplicate(field(), name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(step: Value) -> Result<Experiment, String> {
        let step = serde_json::from_value(step).unwrap();
        Experiment::read("s.experiment", &step).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_step_that_would_wait_for_ever_is_refused() {
        let template = |name: &str| json!({"name": name, "specRef": "canary"});
        for (step, problem) in [
            (json!({"duration": "5 minutes"}), "s.experiment.duration: Invalid value: \"5 minutes\": time: "),
            (json!({"templates": [template("")]}), "s.experiment.templates[0].name: Required value"),
            (
                json!({"templates": [template("a"), template("a")]}),
                "s.experiment.templates[1].name: Duplicate value: \"a\"",
            ),
            (
                json!({"analyses": [{"name": "a", "templateName": "t"}, {"name": "a", "templateName": "u"}]}),
                "s.experiment.analyses[1].name: Duplicate value: \"a\"",
            ),
            (
                json!({"templates": [{"name": "a", "specRef": "canary", "weight": 101}]}),
                "s.experiment.templates[0].weight: Invalid value: 101: the weight of a template needs to be between",
            ),
        ] {
            let refusal = read(step).unwrap_err();
            assert!(refusal.starts_with(problem), "{refusal}");
        }
    }

    #[test]
    fn a_template_with_a_weight_has_a_service() {
        let template = |name: &str, weight: i32| json!({"name": name, "specRef": "canary", "weight": weight});
        let read = read(json!({"templates": [template("a", 10), template("b", 0)]})).unwrap();
        let services: Vec<bool> = read.templates.iter().map(|it| it.service.is_some()).collect();
        assert_eq!(services, [true, false]);
        let weighted: Vec<(&str, i32)> =
            read.weighted().map(|(it, weight)| (it.name.as_str(), weight.percent())).collect();
        assert_eq!(weighted, [("a", 10)]);
    }

    #[test]
    fn a_version_is_what_its_reference_says() {
        let templates = json!([{"name": "old", "specRef": "stable"}, {"name": "new", "specRef": "canary"}]);
        let versions = read(json!({"templates": templates, "duration": "1h30m"})).unwrap().templates;
        let versions: Vec<Version> = versions.into_iter().map(|it| it.version).collect();
        assert_eq!(versions, [Version::Stable, Version::Latest]);
    }
}
