//! `create analysisrun`: the run of a template.

use crds::contract::INSTANCE_ID_LABEL;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// How the run is named, and where it is.
#[derive(Clone, Debug, Default)]
pub struct Name {
    /// Its name.
    pub whole: Option<String>,
    /// The beginning of its name, if it has none: the API server adds the rest.
    pub beginning: Option<String>,
    /// Which operator looks after it.
    pub instance: Option<String>,
    /// Its namespace.
    pub namespace: String,
}

/// Why no run can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRun {
    /// The template asks for a value that nobody gives.
    #[error("args.{0} was not resolved")]
    Unresolved(String),
    /// A value for something that the template does not ask for.
    #[error("the template has no argument \"{0}\"")]
    NoArgument(String),
    /// It is put together from others.
    #[error(
        "template \"{0}\" refers to other templates: create the run by a Rollout, or name their metrics in one template"
    )]
    Nested(String),
    /// The object is something else.
    #[error("failed to make an AnalysisRun of {0}")]
    NoTemplate(String),
}

/// The run: the template's spec, with these values for its arguments.
pub fn of_template(
    template: &DynamicObject,
    values: &[(String, String)],
    name: Name,
) -> Result<DynamicObject, NoRun> {
    let kind = template.types.as_ref().map(|it| it.kind.as_str()).unwrap_or_default();
    if !["AnalysisTemplate", "ClusterAnalysisTemplate"].contains(&kind) {
        return Err(NoRun::NoTemplate(
            if kind.is_empty() { "an object without a kind" } else { kind }.to_owned(),
        ));
    }
    let of = template.metadata.name.clone().unwrap_or_default();
    let mut spec = template.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    if spec["templates"].as_array().is_some_and(|it| !it.is_empty()) {
        return Err(NoRun::Nested(of));
    }
    let mut arguments = spec["args"].as_array().cloned().unwrap_or_default();
    for (argument, value) in values {
        let known = arguments.iter_mut().find(|it| it["name"] == *argument);
        let known = known.ok_or_else(|| NoRun::NoArgument(argument.clone()))?;
        // A value goes before where else one could come from.
        known["value"] = json!(value);
        if let Some(fields) = known.as_object_mut() {
            fields.remove("valueFrom");
        }
    }
    if let Some(open) = arguments.iter().find(|it| it["value"].is_null() && it["valueFrom"].is_null()) {
        return Err(NoRun::Unresolved(open["name"].as_str().unwrap_or_default().to_owned()));
    }
    if !arguments.is_empty() {
        spec["args"] = Value::Array(arguments);
    }
    let mut metadata = json!({"namespace": name.namespace});
    match name.whole {
        Some(whole) => metadata["name"] = json!(whole),
        None => metadata["generateName"] = json!(name.beginning.unwrap_or_else(|| format!("{of}-"))),
    }
    if let Some(instance) = name.instance {
        metadata["labels"] = json!({INSTANCE_ID_LABEL: instance});
    }
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": metadata, "spec": spec,
    });
    serde_json::from_value(run).map_err(|error| NoRun::NoTemplate(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(spec: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"name": "checks", "uid": "u", "labels": {"a": "b"}}, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    fn spec() -> Value {
        json!({
            "metrics": [{"name": "up"}], "dryRun": [{"metricName": ".*"}],
            "args": [{"name": "a", "value": "1"}, {"name": "b", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "c"}],
        })
    }

    fn values(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_take_the_place_of_what_the_template_has() {
        let name = Name { instance: Some("x".to_owned()), namespace: "shop".to_owned(), ..Name::default() };
        let run = of_template(&template(&spec()), &values(&[("b", "2"), ("c", "")]), name).unwrap();
        assert_eq!(
            serde_json::to_value(run).unwrap(),
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
                "metadata": {
                    "generateName": "checks-", "namespace": "shop",
                    "labels": {"argo-rollouts.argoproj.io/controller-instance-id": "x"},
                },
                "spec": {
                    "metrics": [{"name": "up"}], "dryRun": [{"metricName": ".*"}],
                    "args": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c", "value": ""}],
                },
            })
        );
        let named =
            Name { whole: Some("run".to_owned()), beginning: Some("other-".to_owned()), ..Name::default() };
        let run = of_template(&template(&spec()), &values(&[("c", "3")]), named).unwrap();
        assert_eq!((run.metadata.name.as_deref(), run.metadata.generate_name), (Some("run"), None));
    }

    #[test]
    fn what_cannot_be_a_run_is_told() {
        let refused = |spec: Value, given: &[(&str, &str)]| {
            of_template(&template(&spec), &values(given), Name::default()).unwrap_err()
        };
        assert_eq!(refused(spec(), &[]), NoRun::Unresolved("c".to_owned()));
        assert_eq!(refused(spec(), &[("d", "1")]), NoRun::NoArgument("d".to_owned()));
        let nested = json!({"templates": [{"templateName": "other"}]});
        assert_eq!(refused(nested, &[]), NoRun::Nested("checks".to_owned()));
        let mut other = template(&json!({}));
        other.types.as_mut().unwrap().kind = "Pod".to_owned();
        assert_eq!(
            of_template(&other, &[], Name::default()).unwrap_err(),
            NoRun::NoTemplate("Pod".to_owned())
        );
    }
}
