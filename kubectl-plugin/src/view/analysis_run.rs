//! An AnalysisRun: its verdict, counts of measurements, and the Jobs that measured.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::icon::{Icon, Status, analysis_name};
use super::text::Text;
use super::tree::{Kind, Node};
use super::{age, is_owned, name, revision};

/// What is read of an AnalysisRun: only what is shown, so that a spec which this version does not understand does
/// not hide the run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRun {
    /// Name, owner, revision, age.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Verdict and counts.
    #[serde(default)]
    pub status: AnalysisRunStatus,
}

/// `status` of an AnalysisRun.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisRunStatus {
    /// The verdict so far; any word.
    pub phase: String,
    /// One a metric.
    pub metric_results: Vec<MetricResult>,
}

/// The measurements of one metric.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricResult {
    /// Measurements that met the success condition.
    pub successful: i64,
    /// Measurements that met the failure condition.
    pub failed: i64,
    /// Measurements that met neither.
    pub inconclusive: i64,
    /// Measurements that could not be made.
    pub error: i64,
    /// The last ones.
    pub measurements: Vec<Measurement>,
}

/// One measurement.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measurement {
    /// Its outcome; any word.
    pub phase: String,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// What the provider adds; `job-name` for Jobs.
    pub metadata: BTreeMap<String, String>,
}

const JOB_NAME: &str = "job-name";

/// The `AnalysisRuns` of `owner`, newest revision first, then oldest first.
#[must_use]
pub fn owned_by<'a>(owner: &ObjectMeta, runs: &'a [AnalysisRun]) -> Vec<&'a AnalysisRun> {
    let mut sorted: Vec<_> = runs.iter().filter(|run| is_owned(&run.metadata, owner)).collect();
    sorted.sort_by_key(|run| {
        let metadata = &run.metadata;
        (Reverse(revision(metadata)), metadata.creation_timestamp.clone(), Reverse(name(metadata)))
    });
    sorted
}

/// An AnalysisRun and its Jobs as a node of the tree.
#[must_use]
pub fn node(run: &AnalysisRun, now: DateTime<Utc>) -> Node {
    let results = &run.status.metric_results;
    let counts: [(Icon, i64); 4] = [
        (Icon::Ok, results.iter().map(|result| result.successful).sum()),
        (Icon::Bad, results.iter().map(|result| result.failed).sum()),
        (Icon::Unknown, results.iter().map(|result| result.inconclusive).sum()),
        (Icon::Warning, results.iter().map(|result| result.error).sum()),
    ];
    let info = counts.into_iter().filter(|(_, count)| *count > 0);
    let info = info.map(|(icon, count)| icon.text().then(Text::plain(format!(" {count}"))));
    let measurements = results.iter().flat_map(|result| &result.measurements);
    Node {
        kind: Kind::AnalysisRun,
        name: analysis_name(name(&run.metadata), &run.status.phase),
        status: Some(Status::of_analysis(&run.status.phase)),
        age: age::of(&run.metadata, now),
        info: Text::join(info, ","),
        children: measurements.filter_map(|measurement| job(measurement, now)).collect(),
    }
}

/// The Job that made a measurement, if one did.
fn job(measurement: &Measurement, now: DateTime<Utc>) -> Option<Node> {
    let name = measurement.metadata.get(JOB_NAME)?;
    Some(Node {
        kind: Kind::Job,
        name: analysis_name(name, &measurement.phase),
        status: Some(Status::of_analysis(&measurement.phase)),
        age: measurement.started_at.map_or_else(age::unknown, |started| age::since(started, now)),
        info: Text::default(),
        children: Vec::new(),
    })
}
