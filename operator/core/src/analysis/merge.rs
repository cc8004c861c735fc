//! Many templates as one run.

use std::collections::BTreeSet;

use crds::analysis::{AnalysisRunSpec, AnalysisTemplateSpec, Argument, DryRun, MeasurementRetention};

use super::Template;
use super::arguments::{Facts, Given};
use super::field;
use crate::spec::Analysis;

/// The run that an analysis starts.
///
/// # Errors
///
/// What is wrong, in Argo's words: names that are there twice, an argument without a value, a field of the Rollout that
/// is not there.
pub fn run(
    analysis: &Analysis,
    templates: &[Template<'_>],
    facts: &Facts<'_>,
) -> Result<AnalysisRunSpec, String> {
    let AnalysisTemplateSpec { metrics, args, dry_run, measurement_retention, templates: _ } =
        flatten(templates)?;
    let given = facts.values(&analysis.arguments)?;
    Ok(AnalysisRunSpec {
        metrics,
        args: arguments(args, &given)?
            .into_iter()
            .map(|it| of_rollout(it, facts))
            .collect::<Result<_, _>>()?,
        terminate: false,
        dry_run: dry_runs(analysis.dry_run.iter().chain(&dry_run))?,
        measurement_retention: retentions(analysis.retention.iter().chain(&measurement_retention))?,
        ttl_strategy: None,
    })
}

/// The run that an Experiment starts. It gives its arguments values by itself, also from Secrets; its own rules go before
/// those of the templates.
///
/// # Errors
///
/// What is wrong, in Argo's words: names that are there twice, an argument without a value.
pub fn of_experiment(
    templates: &[Template<'_>],
    given: &[Argument],
    dry_run: &[DryRun],
    retention: &[MeasurementRetention],
) -> Result<AnalysisRunSpec, String> {
    let mut flat = flatten(templates)?;
    for argument in &mut flat.args {
        let given = given.iter().rfind(|given| given.name == argument.name);
        if let Some(given) = given.filter(|it| it.value.is_some() || it.value_from.is_some()) {
            argument.clone_from(given);
        }
    }
    Ok(AnalysisRunSpec {
        metrics: flat.metrics,
        args: arguments(flat.args, &[])?,
        terminate: false,
        dry_run: dry_runs(dry_run.iter().chain(&flat.dry_run))?,
        measurement_retention: retentions(retention.iter().chain(&flat.measurement_retention))?,
        ttl_strategy: None,
    })
}

/// What the templates say together.
pub(crate) fn flatten(templates: &[Template<'_>]) -> Result<AnalysisTemplateSpec, String> {
    let specs = || templates.iter().map(|template| template.spec);
    if let Some(name) = repeated(specs().flat_map(|spec| &spec.metrics).map(|it| it.name.as_str())) {
        return Err(format!("two metrics have the same name '{name}'"));
    }
    let dry_run = dry_runs(specs().flat_map(|spec| &spec.dry_run))?;
    let measurement_retention = retentions(specs().flat_map(|spec| &spec.measurement_retention))?;
    let mut args: Vec<Argument> = Vec::new();
    for argument in specs().flat_map(|spec| &spec.args) {
        match args.iter_mut().find(|known| known.name == argument.name) {
            None => args.push(argument.clone()),
            Some(known) => match (&known.value, &argument.value) {
                (Some(one), Some(other)) if one != other => {
                    return Err(format!(
                        "Argument `{}` specified multiple times with different values: '{one}', '{other}'",
                        argument.name
                    ));
                }
                (None, _) => known.clone_from(argument),
                (Some(_), _) => {}
            },
        }
    }
    Ok(AnalysisTemplateSpec {
        metrics: specs().flat_map(|spec| &spec.metrics).cloned().collect(),
        args,
        dry_run,
        measurement_retention,
        templates: Vec::new(),
    })
}

/// The templates' arguments with the values that the Rollout gives, which go before their own. Others that it gives are
/// left out, as in Argo.
pub(crate) fn arguments(mut args: Vec<Argument>, given: &[Given]) -> Result<Vec<Argument>, String> {
    for argument in &mut args {
        // The last one of a name counts.
        if let Some(given) = given.iter().rfind(|given| given.name == argument.name) {
            argument.value = Some(given.value.clone());
            argument.value_from = None;
        }
        if argument.value.is_none() && argument.value_from.is_none() {
            return Err(format!("args.{} was not resolved", argument.name));
        }
    }
    Ok(args)
}

/// A template's `fieldRef` is about the Rollout, which only we know; a Secret is read when it is measured.
fn of_rollout(argument: Argument, facts: &Facts<'_>) -> Result<Argument, String> {
    let field = argument.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
    match field.filter(|_| argument.value.is_none()) {
        None => Ok(argument),
        Some(field) => {
            let value = field::value(facts.rollout, &field.field_path)?;
            Ok(Argument { value: Some(value), value_from: None, ..argument })
        }
    }
}

/// Rules about dry runs, each name once.
pub(crate) fn dry_runs<'a>(rules: impl Iterator<Item = &'a DryRun> + Clone) -> Result<Vec<DryRun>, String> {
    match repeated(rules.clone().map(|it| it.metric_name.as_str())) {
        Some(name) => Err(format!("two Dry-Run metric rules have the same name '{name}'")),
        None => Ok(rules.cloned().collect()),
    }
}

/// Rules about how many measurements are kept, each name once.
pub(crate) fn retentions<'a>(
    rules: impl Iterator<Item = &'a MeasurementRetention> + Clone,
) -> Result<Vec<MeasurementRetention>, String> {
    match repeated(rules.clone().map(|it| it.metric_name.as_str())) {
        Some(name) => Err(format!("two Measurement Retention metric rules have the same name '{name}'")),
        None => Ok(rules.cloned().collect()),
    }
}

/// The first name that is there twice.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
