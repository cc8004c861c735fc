//! `plan`: what an update would do. Needs files, no cluster.

use std::io::Read as _;
use std::path::Path;

use chrono::TimeDelta;
use operator_core::spec::Guard;
use operator_forecast::power::{Load, Power, power};
use operator_forecast::{Assumptions, Forecast, Manifests, forecast};
use operator_judge::margin::Margin;
use operator_judge::settings::Metric;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{Form, Plan};
use crate::failure::Failure;
use crate::view;
use crate::view::text::Paint;

/// Everything that a plan says, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    #[serde(flatten)]
    forecast: &'a Forecast,
    #[serde(skip_serializing_if = "Option::is_none")]
    power: Option<&'a Power>,
}

/// Reads the files and forecasts.
pub fn run(arguments: &Plan, paint: Paint) -> Result<String, Failure> {
    let mut objects = Vec::new();
    for file in &arguments.files {
        objects.extend(documents(file)?);
    }
    let manifests = Manifests::read(&objects)?;
    let pod_start = TimeDelta::from_std(arguments.pod_start).unwrap_or(TimeDelta::MAX);
    let mut forecast = forecast(&manifests, Assumptions { pod_start })?;
    let power = arguments.rps.map(|rps| power(&forecast, &load(arguments, manifests.guard(), rps)));
    if power.is_some() && manifests.guard().is_none() {
        forecast.assumptions.push("somebody acts on these counts: the Rollout has no guard".to_owned());
    }
    let printed = Printed { forecast: &forecast, power: power.as_ref() };
    match arguments.output {
        None => Ok(view::plan::render(&forecast, power.as_ref(), paint)),
        Some(Form::Json) => serde_json::to_string_pretty(&printed)
            .map(|text| text + "\n")
            .map_err(|error| Failure::Form(error.to_string())),
        Some(Form::Yaml) => {
            serde_saphyr::to_string(&printed).map_err(|error| Failure::Form(error.to_string()))
        }
    }
}

/// What is asked of the traffic: what the command line says, or else the guard, or else what a guard says by default.
fn load(arguments: &Plan, guard: Option<&Guard>, requests: f64) -> Load {
    let settings = guard.map(|it| it.settings.clone()).unwrap_or_default();
    let guarded = settings.errors.unwrap_or_default().margin;
    let factor = arguments.margin.unwrap_or_else(|| guarded.factor());
    let allowance = arguments.allowance.unwrap_or_else(|| guarded.allowance());
    Load {
        requests,
        error_rate: arguments.error_rate,
        // The command line takes nothing that a margin does not.
        margin: Margin::new(factor, allowance).unwrap_or(Margin::NONE),
        alpha: if settings.errors.is_some() { settings.alpha_of(Metric::Errors) } else { settings.alpha },
        beta: settings.beta,
    }
}

/// The objects of a file, those of lists one by one.
fn documents(path: &Path) -> Result<Vec<Value>, Failure> {
    let file = path.display().to_string();
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|source| Failure::File { file: file.clone(), source })?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| Failure::Yaml { file, why: error.to_string() })?;
    let items = |document: Value| match document.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![document],
    };
    Ok(documents.into_iter().flat_map(items).collect())
}
