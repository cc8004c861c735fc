//! The templates of an analysis: they fit together, their arguments have values, and they come to an end where the
//! rollout waits for them.

use std::collections::BTreeSet;

use crds::analysis::{AnalysisTemplateSpec, Argument, Metric};
use crds::rollout::{AnalysisRunArgument, RolloutStrategy};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::spec::Invalid;

/// Which analysis of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// `blueGreen.prePromotionAnalysis`.
    PrePromotion,
    /// `blueGreen.postPromotionAnalysis`.
    PostPromotion,
    /// `canary.steps[index].analysis`.
    Step(usize),
    /// `canary.analysis`: beside the steps, which do not wait for it.
    Background,
}

impl Analysis {
    fn field(self) -> String {
        match self {
            Self::PrePromotion => "spec.strategy.blueGreen.prePromotionAnalysis.templates".to_owned(),
            Self::PostPromotion => "spec.strategy.blueGreen.postPromotionAnalysis.templates".to_owned(),
            Self::Step(index) => format!("spec.strategy.canary.steps[{index}].analysis.templates"),
            Self::Background => "spec.strategy.canary.analysis.templates".to_owned(),
        }
    }
}

/// An `AnalysisTemplate` or `ClusterAnalysisTemplate`.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says. Templates that it names in turn are in the list themselves.
    pub spec: &'a AnalysisTemplateSpec,
}

/// Whether an analysis can run: its `templates`, those of the namespace first, with the `arguments` that the Rollout
/// gives.
pub fn check(
    strategy: &RolloutStrategy,
    analysis: Analysis,
    templates: &[Template<'_>],
    arguments: &[AnalysisRunArgument],
) -> Result<(), Invalid> {
    let field = analysis.field();
    if let Err(why) = merge(strategy, templates, arguments) {
        let names: Vec<&str> = templates.iter().map(|template| template.name).collect();
        return Err(Invalid::value(field, &format!("templateNames: [{}]", names.join(" ")), why));
    }
    for Template { name, spec } in templates {
        let checked = match analysis {
            Analysis::PrePromotion | Analysis::PostPromotion | Analysis::Step(_) => ends(name, spec),
            Analysis::Background => is_given(strategy, spec),
        };
        checked.map_err(|why| Invalid::value(field.clone(), name, why))?;
    }
    Ok(())
}

/// What is wrong with all templates together.
fn merge(
    strategy: &RolloutStrategy,
    templates: &[Template<'_>],
    given: &[AnalysisRunArgument],
) -> Result<(), String> {
    let specs = || templates.iter().map(|template| template.spec);
    if let Some(name) = repeated(specs().flat_map(|spec| &spec.metrics).map(|it| it.name.as_str())) {
        return Err(format!("two metrics have the same name '{name}'"));
    }
    let dry_runs = || specs().flat_map(|spec| &spec.dry_run);
    let retentions = || specs().flat_map(|spec| &spec.measurement_retention);
    let two_dry_runs = |name: &str| format!("two Dry-Run metric rules have the same name '{name}'");
    let two_retentions =
        |name: &str| format!("two Measurement Retention metric rules have the same name '{name}'");
    if let Some(name) = repeated(dry_runs().map(|it| it.metric_name.as_str())) {
        return Err(two_dry_runs(name));
    }
    if let Some(name) = repeated(retentions().map(|it| it.metric_name.as_str())) {
        return Err(two_retentions(name));
    }
    let mut merged: Vec<&Argument> = Vec::new();
    for argument in specs().flat_map(|spec| &spec.args) {
        match merged.iter_mut().find(|known| known.name == argument.name) {
            None => merged.push(argument),
            Some(known) => match (&known.value, &argument.value) {
                (Some(one), Some(other)) if one != other => {
                    return Err(format!(
                        "Argument `{}` specified multiple times with different values: '{one}', '{other}'",
                        argument.name
                    ));
                }
                (None, _) => *known = argument,
                (Some(_), _) => {}
            },
        }
    }
    let unresolved = |argument: &&&Argument| {
        argument.value.is_none()
            && argument.value_from.is_none()
            && !given.iter().any(|given| given.name == argument.name)
    };
    if let Some(argument) = merged.iter().find(unresolved) {
        return Err(format!("args.{} was not resolved", argument.name));
    }
    // Argo puts the rules of every step to those of every analysis.
    for step in
        strategy.canary.iter().flat_map(|canary| &canary.steps).filter_map(|step| step.analysis.as_ref())
    {
        if let Some(name) = repeated(step.dry_run.iter().chain(dry_runs()).map(|it| it.metric_name.as_str()))
        {
            return Err(two_dry_runs(name));
        }
        let rules = step.measurement_retention.iter().chain(retentions());
        if let Some(name) = repeated(rules.map(|it| it.metric_name.as_str())) {
            return Err(two_retentions(name));
        }
    }
    Ok(())
}

/// The metrics of a template refer to its own arguments, and each ends by itself.
fn ends(name: &str, spec: &AnalysisTemplateSpec) -> Result<(), String> {
    if let Some(both) = spec.args.iter().find(|it| it.value.is_some() && it.value_from.is_some()) {
        return Err(format!(
            "AnalysisTemplate {name}: arg '{}' has both Value and ValueFrom fields",
            both.name
        ));
    }
    if let Some(tag) = spec.metrics.iter().find_map(|metric| unknown_tag(metric, &spec.args)) {
        return Err(format!("AnalysisTemplate {name}: failed to resolve {{{{{tag}}}}}"));
    }
    match spec.metrics.iter().find(|metric| is_endless(metric)) {
        Some(Metric { name: metric, count, .. }) => {
            let count = match count {
                None => "<nil>".to_owned(),
                Some(IntOrString::Int(count)) => count.to_string(),
                Some(IntOrString::String(count)) => count.clone(),
            };
            Err(format!(
                "AnalysisTemplate {name} has metric {metric} which runs indefinitely. Invalid value for count: {count}"
            ))
        }
        None => Ok(()),
    }
}

/// Measured again and again, without a number of times. A number that is an argument is known when the run is made.
fn is_endless(metric: &Metric) -> bool {
    let count = match &metric.count {
        None => 0,
        Some(IntOrString::Int(count)) => *count,
        Some(IntOrString::String(count)) if count.contains("{{") => return false,
        Some(IntOrString::String(count)) => count.parse().unwrap_or_default(),
    };
    count == 0 && metric.interval.is_some()
}

/// A `{{tag}}` in a metric that no argument fills.
fn unknown_tag(metric: &Metric, arguments: &[Argument]) -> Option<String> {
    let json = serde_json::to_string(metric).ok()?;
    let mut tags = json.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0));
    let is_known = |tag: &str| {
        let name = tag.trim().strip_prefix("args.");
        name.is_some_and(|name| arguments.iter().any(|argument| argument.name == name))
    };
    tags.find(|tag| !is_known(tag)).map(str::to_owned)
}

/// A background analysis gets its arguments from the Rollout. What is wrong is the name of the argument, as in Argo.
fn is_given(strategy: &RolloutStrategy, spec: &AnalysisTemplateSpec) -> Result<(), String> {
    let given =
        strategy.canary.as_ref().and_then(|canary| canary.analysis.as_ref()).map(|it| &it.analysis.args);
    let mut wanted = spec.args.iter().filter(|it| it.value.is_none() && it.value_from.is_none());
    match given.filter(|given| !given.is_empty()) {
        None if wanted.next().is_some() => Err("missing analysis arguments in rollout spec".to_owned()),
        None => Ok(()),
        Some(given) => match wanted.find(|it| !given.iter().any(|given| given.name == it.name)) {
            Some(argument) => Err(argument.name.clone()),
            None => Ok(()),
        },
    }
}

/// The first name that is there twice.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(strategy: Value, spec: Value) -> Option<String> {
        let strategy = serde_json::from_value(strategy).unwrap();
        let spec = serde_json::from_value(spec).unwrap();
        let templates = [Template { name: "t", spec: &spec }];
        check(&strategy, Analysis::Step(0), &templates, &[]).err().map(|invalid| invalid.to_string())
    }

    #[test]
    fn rules_for_metrics_are_there_once() {
        let rules = json!({"dryRun": [{"metricName": "m"}], "measurementRetention": [{"metricName": "m", "limit": 1}]});
        assert_eq!(says(json!({}), rules.clone()), None);
        let step = |analysis: Value| json!({"canary": {"steps": [{"analysis": analysis}]}});
        for (analysis, expected) in [
            (json!({"dryRun": [{"metricName": "m"}]}), "two Dry-Run metric rules have the same name 'm'"),
            (
                json!({"measurementRetention": [{"metricName": "m", "limit": 2}]}),
                "two Measurement Retention metric rules have the same name 'm'",
            ),
        ] {
            let expected = format!(
                "spec.strategy.canary.steps[0].analysis.templates: Invalid value: \"templateNames: [t]\": {expected}"
            );
            assert_eq!(says(step(analysis), rules.clone()), Some(expected));
        }
    }

    #[test]
    fn a_count_may_be_an_argument() {
        let metric = |count: Value| {
            json!({"metrics": [{"name": "m", "interval": "1m", "count": count}], "args": [
                {"name": "count", "value": "3"},
            ]})
        };
        assert_eq!(says(json!({}), metric(json!("{{ args.count }}"))), None);
        assert_eq!(says(json!({}), metric(json!("3"))), None);
        assert!(says(json!({}), metric(json!("many"))).is_some_and(|it| it.ends_with("for count: many")));
    }
}
