//! `list experiments`: one row an Experiment.

use chrono::{DateTime, Utc};
use operator_core::duration;

use super::experiment::Experiment;
use super::text::{Paint, Text};
use super::{age, columns, name};

/// The header and a row for each. Cells are as wide as Argo's at least.
#[must_use]
pub fn render(experiments: &[Experiment], all_namespaces: bool, now: DateTime<Utc>) -> String {
    let mut header: Vec<Text> = Vec::new();
    header.extend(all_namespaces.then(|| Text::plain("NAMESPACE")));
    header.extend(["NAME", "STATUS", "DURATION", "REMAINING", "AGE"].map(Text::plain));
    let rows = experiments.iter().map(|it| cells(it, all_namespaces, now));
    let lines: Vec<_> = std::iter::once(header).chain(rows).collect();
    columns::render(&lines, Paint::Plain)
}

fn cells(experiment: &Experiment, all_namespaces: bool, now: DateTime<Utc>) -> Vec<Text> {
    let metadata = &experiment.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let mut cells: Vec<String> = Vec::new();
    cells.extend(all_namespaces.then(|| format!("{namespace:<9}")));
    cells.extend([
        format!("{:<10}", name(metadata)),
        format!("{:<6}", experiment.status.phase),
        format!("{:<8}", lasts(experiment).unwrap_or_else(none)),
        format!("{:<9}", remains(experiment, now).unwrap_or_else(none)),
        format!("{:<3}", age::of(metadata, now)),
    ]);
    cells.into_iter().map(Text::plain).collect()
}

/// How long it is to run.
fn lasts(experiment: &Experiment) -> Option<String> {
    duration::parse(&experiment.spec.duration).ok().map(age::human)
}

/// How long it goes on.
fn remains(experiment: &Experiment, now: DateTime<Utc>) -> Option<String> {
    let status = &experiment.status;
    let over = matches!(status.phase.as_str(), "Successful" | "Failed" | "Error" | "Inconclusive");
    let end = status.available_at? + duration::parse(&experiment.spec.duration).ok()?;
    (!over && end > now).then(|| age::human(end - now))
}

fn none() -> String {
    String::from("-")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_list_has_argos_columns() {
        let experiment = |name: &str, spec: Value, status: Value| -> Experiment {
            let metadata =
                json!({"name": name, "namespace": "prod", "creationTimestamp": "2030-03-04T05:01:07Z"});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
        };
        let experiments = [
            experiment(
                "trial",
                json!({"duration": "5m"}),
                json!({"phase": "Running", "availableAt": "2030-03-04T05:02:07Z"}),
            ),
            experiment(
                "over",
                json!({"duration": "1h"}),
                json!({"phase": "Failed", "availableAt": "2030-03-04T05:02:07Z"}),
            ),
            experiment("new", json!({}), json!({})),
        ];
        let now = "2030-03-04T05:06:07Z".parse().unwrap();
        insta::assert_snapshot!(render(&experiments, false, now), @r"
        NAME        STATUS   DURATION  REMAINING  AGE
        trial       Running  5m        60s        5m 
        over        Failed   60m       -          5m 
        new                  -         -          5m 
        ");
        insta::assert_snapshot!(render(&experiments[..1], true, now), @r"
        NAMESPACE  NAME        STATUS   DURATION  REMAINING  AGE
        prod       trial       Running  5m        60s        5m 
        ");
    }
}
