//! Runs of analysis: every measurement is good and takes no time, and the next one comes after its interval.

use chrono::{DateTime, TimeDelta, Utc};
use crds::analysis::{AnalysisPhase, AnalysisRunSpec, Metric};
use crds::duration;
use operator_analysis::arguments::without_secrets;
use operator_analysis::validate::whole;
use operator_core::world::AnalysisRun;

/// A run and when it is over; `None`: not before somebody ends it.
#[derive(Clone, Debug)]
pub(super) struct VirtualRun {
    pub(super) object: AnalysisRun,
    pub(super) over: Option<DateTime<Utc>>,
}

impl VirtualRun {
    /// What is known of it at this moment.
    pub(super) fn observed(&self, now: DateTime<Utc>) -> AnalysisRun {
        let over = self.over.is_some_and(|over| over <= now);
        let phase = if over { AnalysisPhase::Successful } else { AnalysisPhase::Running };
        AnalysisRun { phase: Some(phase), ..self.object.clone() }
    }

    /// It is told to end: what it has measured was good.
    pub(super) fn terminate(&mut self, now: DateTime<Utc>) {
        self.object.terminate = true;
        self.over = Some(self.over.map_or(now, |over| over.min(now)));
    }
}

/// How long a run measures; `None`: until it is told to end.
pub(super) fn takes(run: &AnalysisRunSpec) -> Option<TimeDelta> {
    // What has no value yet is not waited for.
    let metrics = without_secrets(&run.metrics, &run.args).unwrap_or_else(|_| run.metrics.clone());
    let longest = metrics.iter().map(measures).collect::<Option<Vec<_>>>()?;
    Some(longest.into_iter().max().unwrap_or_default())
}

/// From the first moment to the last measurement; `None` if there is no last one.
fn measures(metric: &Metric) -> Option<TimeDelta> {
    let read = |written: &Option<String>| written.as_deref().and_then(|it| duration::parse(it).ok());
    let delay = read(&metric.initial_delay).unwrap_or_default();
    let Some(interval) = read(&metric.interval) else { return Some(delay) };
    let some = |number: i32| (number > 0).then_some(number);
    let enough = some(whole(metric.consecutive_success_limit.as_ref()));
    let last = some(whole(metric.count.as_ref())).into_iter().chain(enough).min()?;
    Some(delay + interval * (last - 1))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seconds(metrics: &Value, args: &Value) -> Option<i64> {
        let run: AnalysisRunSpec = serde_json::from_value(json!({"metrics": metrics, "args": args})).unwrap();
        takes(&run).map(|it| it.num_seconds())
    }

    #[test]
    fn a_run_takes_as_long_as_its_slowest_metric() {
        for (metrics, expected) in [
            (json!([{"name": "a"}]), Some(0)),
            (json!([{"name": "a", "initialDelay": "5s"}]), Some(5)),
            (json!([{"name": "a", "interval": "10s", "count": 4, "initialDelay": "1m"}]), Some(90)),
            (json!([{"name": "a", "interval": "10s", "count": "3"}, {"name": "b"}]), Some(20)),
            (json!([{"name": "a", "interval": "10s"}]), None),
            (
                json!([{"name": "a", "interval": "10s", "consecutiveSuccessLimit": 5, "failureLimit": -1}]),
                Some(40),
            ),
            (json!([{"name": "a", "interval": "10s"}, {"name": "b"}]), None),
        ] {
            assert_eq!(seconds(&metrics, &json!([])), expected, "{metrics}");
        }
        let written = json!([{"name": "a", "interval": "{{args.every}}", "count": "{{args.times}}"}]);
        let given = json!([{"name": "every", "value": "1m"}, {"name": "times", "value": "3"}]);
        assert_eq!(seconds(&written, &given), Some(120));
    }
}
