//! Rules that name metrics by an expression: which ones do not count, and how many measurements are kept.

use std::collections::{BTreeMap, BTreeSet};

use crds::analysis::{AnalysisRunSpec, Metric};
use regex::Regex;

/// Measurements that are kept of a metric where nothing is said.
pub const KEPT: usize = 10;

/// The metrics that are measured and do not count: those in whose names an expression is found.
///
/// # Errors
/// If an expression is found in no name.
pub fn dry_runs(spec: &AnalysisRunSpec, metrics: &[Metric]) -> Result<BTreeSet<String>, String> {
    let mut dry = BTreeSet::new();
    for (index, rule) in spec.dry_run.iter().enumerate() {
        let found = found(&rule.metric_name, metrics);
        if found.is_empty() {
            return Err(format!("dryRun[{index}]: Rule didn't match any metric name(s)"));
        }
        dry.extend(found);
    }
    Ok(dry)
}

/// How many measurements are kept of the metrics for which a rule says so.
///
/// # Errors
/// If an expression is found in no name.
pub fn retention(spec: &AnalysisRunSpec, metrics: &[Metric]) -> Result<BTreeMap<String, usize>, String> {
    let mut kept = BTreeMap::new();
    for (index, rule) in spec.measurement_retention.iter().enumerate() {
        let found = found(&rule.metric_name, metrics);
        if found.is_empty() {
            return Err(format!("measurementRetention[{index}]: Rule didn't match any metric name(s)"));
        }
        // Argo takes a limit of nothing for no rule.
        let limit = usize::try_from(rule.limit).ok().filter(|it| *it > 0).unwrap_or(KEPT);
        kept.extend(found.into_iter().map(|name| (name, limit)));
    }
    Ok(kept)
}

/// Names in which an expression is found. One that cannot be read is found in none, as in Argo.
fn found(expression: &str, metrics: &[Metric]) -> Vec<String> {
    let Ok(expression) = Regex::new(expression) else { return Vec::new() };
    let names = metrics.iter().map(|it| it.name.as_str()).filter(|it| expression.is_match(it));
    names.map(str::to_owned).collect()
}
