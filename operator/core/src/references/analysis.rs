//! The templates of an analysis: they fit together, their arguments have values, and they come to an end where the
//! rollout waits for them.

use crds::analysis::{AnalysisTemplateSpec, Argument, Metric};
use crds::rollout::RolloutStrategy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::analysis::arguments::Given;
use crate::analysis::{Role, Template, merge, templates};
use crate::spec::{Analysis, Invalid, Spec, Step, Strategy};
use crate::world::World;

/// An analysis of a spec, with the templates that it names.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// What it is for.
    pub role: Role,
    /// What the spec says of it.
    pub analysis: &'a Analysis,
    /// Its templates, those of the namespace first, nested ones included.
    pub templates: Vec<Template<'a>>,
}

/// The analyses of a spec, all of whose templates must exist.
///
/// While an update is aborted or promoted in full no analysis can start, so that none can be in the way: a template
/// that is missing then is no error, unlike with Argo.
pub fn find<'a>(world: &'a World, spec: &'a Spec) -> Result<Vec<Named<'a>>, Invalid> {
    let status = world.rollout.status.as_ref();
    if status.is_some_and(|status| status.abort || status.promote_full) {
        return Ok(Vec::new());
    }
    all(spec)
        .map(|(role, analysis)| {
            let found = templates::find(&analysis.templates, &world.analysis.templates);
            match found {
                Ok(templates) => Ok(Named { role, analysis, templates }),
                Err(missing) => Err(Invalid::value(templates_of(role), &missing.name, missing.why)),
            }
        })
        .collect()
}

/// In Argo's order.
fn all(spec: &Spec) -> impl Iterator<Item = (Role, &Analysis)> {
    let (canary, blue_green) = match &spec.strategy {
        Strategy::Canary(canary) => (Some(canary), None),
        Strategy::BlueGreen(blue_green) => (None, Some(blue_green)),
    };
    let steps = spec.steps().iter().enumerate().filter_map(|(index, step)| match step {
        Step::Analysis(analysis) => Some((Role::Step(index), analysis.as_ref())),
        // The templates of an Experiment are its own to look for.
        Step::SetWeight(_)
        | Step::Pause(_)
        | Step::SetCanaryScale(_)
        | Step::SetRoute(_)
        | Step::Experiment(_) => None,
    });
    let background = canary.and_then(|canary| canary.analysis.as_ref());
    let promotions = blue_green.into_iter().flat_map(|it| {
        let before = it.pre_promotion.as_ref().map(|analysis| (Role::PrePromotion, analysis));
        let after = it.post_promotion.as_ref().map(|analysis| (Role::PostPromotion, analysis));
        [before, after].into_iter().flatten()
    });
    promotions.chain(steps).chain(background.map(|it| (Role::Background, &it.analysis)))
}

/// Whether an analysis can run.
pub fn check(world: &World, Named { role, analysis, templates }: &Named<'_>) -> Result<(), Invalid> {
    let arguments: Vec<&str> = analysis.arguments.iter().map(|it| it.name.as_str()).collect();
    check_templates(&world.rollout.spec.strategy, *role, templates, &arguments)
}

/// Whether an analysis can run: its `templates`, those of the namespace first, with the `arguments` that the Rollout
/// gives.
pub fn check_templates(
    strategy: &RolloutStrategy,
    role: Role,
    templates: &[Template<'_>],
    arguments: &[&str],
) -> Result<(), Invalid> {
    let field = templates_of(role);
    if let Err(why) = fit_together(strategy, templates, arguments) {
        let names: Vec<&str> = templates.iter().map(|template| template.name).collect();
        return Err(Invalid::value(field, &format!("templateNames: [{}]", names.join(" ")), why));
    }
    for Template { name, spec } in templates {
        let checked = match role {
            Role::PrePromotion | Role::PostPromotion | Role::Step(_) => ends(name, spec),
            Role::Background => is_given(strategy, spec),
        };
        checked.map_err(|why| Invalid::value(field.clone(), name, why))?;
    }
    Ok(())
}

fn templates_of(role: Role) -> String {
    format!("{}.templates", role.path())
}

/// What is wrong with all templates together. The values of arguments do not matter yet.
fn fit_together(
    strategy: &RolloutStrategy,
    templates: &[Template<'_>],
    given: &[&str],
) -> Result<(), String> {
    let merged = merge::flatten(templates)?;
    let given: Vec<Given> =
        given.iter().map(|name| Given { name: (*name).to_owned(), value: String::new() }).collect();
    merge::arguments(merged.args, &given)?;
    // Argo puts the rules of every step to those of every analysis.
    for step in
        strategy.canary.iter().flat_map(|canary| &canary.steps).filter_map(|step| step.analysis.as_ref())
    {
        merge::dry_runs(step.dry_run.iter().chain(&merged.dry_run))?;
        merge::retentions(step.measurement_retention.iter().chain(&merged.measurement_retention))?;
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(strategy: Value, spec: Value) -> Option<String> {
        let strategy = serde_json::from_value(strategy).unwrap();
        let spec = serde_json::from_value(spec).unwrap();
        let templates = [Template { name: "t", spec: &spec }];
        check_templates(&strategy, Role::Step(0), &templates, &[]).err().map(|invalid| invalid.to_string())
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
