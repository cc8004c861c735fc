//! What a strategy says of its analyses: `canary.analysis`, the step `analysis`, `blueGreen.prePromotionAnalysis` and
//! `blueGreen.postPromotionAnalysis`.

use std::collections::BTreeMap;

use crds::analysis::{DryRun, MeasurementRetention};
use crds::rollout::{
    AnalysisRetention, AnalysisRunArgument, AnalysisTemplateRef, BackgroundAnalysis, RolloutAnalysis,
};

use super::Invalid;

/// Finished runs of a kind that are kept where `spec.analysis` does not say how many.
pub const DEFAULT_RUN_HISTORY_LIMIT: usize = 5;

/// What one `AnalysisRun` is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// The templates. That they exist is [`crate::references`]' to check.
    pub templates: Vec<AnalysisTemplateRef>,
    /// Values for the templates' arguments.
    pub arguments: Vec<Argument>,
    /// Metrics that are measured but do not count.
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    pub retention: Vec<MeasurementRetention>,
    /// Labels that the run gets in addition.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the run gets in addition.
    pub annotations: BTreeMap<String, String>,
}

/// An analysis that runs beside the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Background {
    /// What to run.
    pub analysis: Analysis,
    /// It begins when the step index is at least this.
    pub starting_step: usize,
}

/// An argument of a template, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: ArgumentValue,
}

/// Where the value of an argument comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentValue {
    /// It is written there.
    Text(String),
    /// The pod template hash of a version.
    Hash(Version),
    /// The field of the Rollout at this path.
    Field(String),
}

/// A version, by the role that it plays in an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest one.
    Latest,
    /// The one that was promoted last.
    Stable,
}

/// How many finished runs are kept besides those that the status names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHistory {
    /// Successful ones.
    pub successful: usize,
    /// Failed, errored and inconclusive ones.
    pub unsuccessful: usize,
}

impl Analysis {
    /// `field` is the path of the analysis.
    pub(super) fn read(field: &str, analysis: &RolloutAnalysis) -> Result<Self, Invalid> {
        let metadata = analysis.analysis_run_metadata.clone().unwrap_or_default();
        let arguments = analysis.args.iter().enumerate();
        Ok(Self {
            templates: analysis.templates.clone(),
            arguments: arguments
                .map(|(index, argument)| Argument::read(&format!("{field}.args[{index}]"), argument))
                .collect::<Result<_, _>>()?,
            dry_run: analysis.dry_run.clone(),
            retention: analysis.measurement_retention.clone(),
            labels: metadata.labels,
            annotations: metadata.annotations,
        })
    }
}

impl Background {
    /// `None` without templates: then there is nothing to run, as in Argo.
    pub(super) fn read(field: &str, background: &BackgroundAnalysis) -> Result<Option<Self>, Invalid> {
        if background.analysis.templates.is_empty() {
            return Ok(None);
        }
        let starting_step = background.starting_step.unwrap_or_default();
        Ok(Some(Self {
            analysis: Analysis::read(field, &background.analysis)?,
            starting_step: usize::try_from(starting_step).unwrap_or_default(),
        }))
    }
}

impl Argument {
    pub(super) fn read(field: &str, argument: &AnalysisRunArgument) -> Result<Self, Invalid> {
        let from = argument.value_from.as_ref();
        let hash = from.and_then(|from| from.pod_template_hash_value.as_deref());
        let path = from.and_then(|from| from.field_ref.as_ref());
        let value = match (hash, path) {
            (Some("Latest"), _) => ArgumentValue::Hash(Version::Latest),
            (Some("Stable"), _) => ArgumentValue::Hash(Version::Stable),
            (Some(other), _) => {
                let field = format!("{field}.valueFrom.podTemplateHashValue");
                return Err(Invalid::unsupported(field, other, &["Latest", "Stable"]));
            }
            (None, Some(field)) => ArgumentValue::Field(field.field_path.clone()),
            (None, None) => ArgumentValue::Text(argument.value.clone()),
        };
        Ok(Self { name: argument.name.clone(), value })
    }
}

impl RunHistory {
    pub(super) fn read(retention: Option<&AnalysisRetention>) -> Self {
        let limit = |written: Option<i32>| {
            written.map_or(DEFAULT_RUN_HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or_default())
        };
        let retention = retention.copied().unwrap_or_default();
        Self {
            successful: limit(retention.successful_run_history_limit),
            unsuccessful: limit(retention.unsuccessful_run_history_limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(analysis: Value) -> Result<Analysis, String> {
        let analysis = serde_json::from_value(analysis).unwrap();
        Analysis::read("spec.a", &analysis).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn arguments_have_one_source() {
        let analysis = read(json!({
            "templates": [{"templateName": "t"}],
            "args": [
                {"name": "a", "value": "1"},
                {"name": "b", "valueFrom": {"podTemplateHashValue": "Latest"}},
                {"name": "c", "valueFrom": {"podTemplateHashValue": "Stable"}},
                {"name": "d", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "e"},
            ],
        }))
        .unwrap();
        let values: Vec<ArgumentValue> = analysis.arguments.into_iter().map(|it| it.value).collect();
        assert_eq!(
            values,
            [
                ArgumentValue::Text("1".to_owned()),
                ArgumentValue::Hash(Version::Latest),
                ArgumentValue::Hash(Version::Stable),
                ArgumentValue::Field("metadata.name".to_owned()),
                ArgumentValue::Text(String::new()),
            ]
        );
    }

    #[test]
    fn a_version_that_does_not_exist_is_refused() {
        let latest = json!([{"name": "a", "valueFrom": {"podTemplateHashValue": "latest"}}]);
        assert_eq!(
            read(json!({"templates": [{"templateName": "t"}], "args": latest})).unwrap_err(),
            "spec.a.args[0].valueFrom.podTemplateHashValue: Unsupported value: \"latest\": supported values: \
             \"Latest\", \"Stable\""
        );
    }
}
