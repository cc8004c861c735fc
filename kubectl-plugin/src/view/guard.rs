//! `explain ROLLOUT`: what the guard knows of an update, reckoned anew from what the status has recorded.

use std::fmt::Write as _;

use chrono::DateTime;
use crds::go_json::rfc3339_seconds;
use crds::rollout::Rollout;
use crds::rollout::status::GuardStatus;
use operator_judge::Judge;
use operator_judge::saved::Saved;
use operator_judge::settings::Metric;
use operator_judge::verdict::{Evidence, Outcome, Verdict};

/// The verdict with all that it rests on, and whether the status says the same; the sentence that there is nothing to
/// explain.
pub fn explain(rollout: &Rollout) -> Result<String, String> {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    let watched = rollout.spec.strategy.canary.as_ref().is_some_and(|it| it.guard.is_some());
    let known = rollout.status.as_ref().and_then(|it| it.canary.guard.as_ref());
    let Some(guard) = known else {
        return Err(if watched {
            format!("the guard of rollout '{name}' has nothing to judge: there is no update")
        } else {
            format!("rollout '{name}' has no guard (spec.strategy.canary.guard)")
        });
    };
    let saved: Option<Saved> = serde_json::from_str(&guard.judge).ok();
    let Some(judge) = saved.and_then(|it| Judge::restore(it).ok()) else {
        return Ok(format!("{}\nThe status has no evidence to reckon with.\n", guard.message));
    };
    Ok(text(name, guard, &judge, &judge.verdict(guard.at)))
}

fn text(name: &str, guard: &GuardStatus, judge: &Judge, verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        // A String takes everything.
        let _ = writeln!(text, "{label:<12}{value}");
    };
    let time = |second: i64| DateTime::from_timestamp(second, 0).map(rfc3339_seconds).unwrap_or_default();
    line("Name:", name.to_owned());
    line("Version:", guard.pod_hash.clone());
    line("As of:", time(guard.at));
    if let Some(since) = guard.held_since {
        line("Promotion:", format!("held since {}", time(since)));
    }
    line("Verdict:", summary(verdict));
    for evidence in &verdict.evidence {
        line(metric(evidence), counts(evidence));
        line("", format!("the canary may have {:.3} %", 100.0 * evidence.limit));
        line("", odds(evidence));
    }
    let happened = if verdict.split.is_broken() { "not as intended" } else { "as intended" };
    let now = verdict.split.now.map(|(share, [canary, stable])| {
        let percent = 100.0 * share;
        format!("{happened}; now {canary} of {} where {percent:.2} % are meant", canary + stable)
    });
    line("Split:", now.unwrap_or_else(|| "not known".to_owned()));
    if verdict.dropped > 0 {
        line("Left out:", format!("{} seconds in which versions were mixed", verdict.dropped));
    }
    line("Alpha:", judge.settings().alpha.get().to_string());
    let same = verdict.to_string() == guard.message;
    line("Status:", if same { "says the same".to_owned() } else { format!("says: {}", guard.message) });
    text
}

fn summary(verdict: &Verdict) -> String {
    match &verdict.outcome {
        Outcome::Fail(_) => "FAIL: the canary is worse than its margin allows".to_owned(),
        Outcome::Pass => "PASS: there is evidence that the canary is no worse than allowed".to_owned(),
        Outcome::Continue(waiting) => format!("CONTINUE: {waiting}"),
    }
}

fn metric(evidence: &Evidence) -> &'static str {
    match evidence.metric {
        Metric::Errors => "Errors:",
        Metric::Latency => "Latencies:",
    }
}

/// What was counted, without the evidence that comes after it.
fn counts(evidence: &Evidence) -> String {
    let all = evidence.to_string();
    all.split_once("; ").map_or_else(String::new, |(counts, _)| counts.to_owned())
}

fn odds(evidence: &Evidence) -> String {
    let all = evidence.to_string();
    all.split_once("; ").map_or_else(String::new, |(_, odds)| format!("{odds} that it takes"))
}

#[cfg(test)]
mod tests {
    use operator_judge::counts::{Arm, Sample, Tick};
    use operator_judge::settings::Settings;
    use serde_json::json;

    use super::*;

    /// A Rollout whose guard has seen ten seconds of these bad requests of the canary, of 30 a second.
    fn rollout(bad: u64, message: Option<&str>) -> Rollout {
        let mut judge = Judge::since(Settings::default(), 1_000);
        for second in 1_001..=1_010 {
            let sample = |requests, bad| Sample { arm: Arm { requests, bad }, latency: vec![requests] };
            let (canary, stable) = (sample(30, bad), sample(70, 0));
            judge.take(&Tick { second, canary, stable, canary_share: Some(0.3) });
        }
        let saved = judge.save();
        let said = Judge::restore(saved.clone()).unwrap().verdict(1_013).to_string();
        let guard = json!({
            "podHash": "5d8f7", "verdict": "Continue", "message": message.unwrap_or(&said), "at": 1_013,
            "judge": serde_json::to_string(&saved).unwrap(),
        });
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "shop"},
            "spec": {
                "template": {"spec": {"containers": []}},
                "strategy": {"canary": {"guard": {"errorRate": {}}}},
            },
            "status": {"canary": {"guard": guard}},
        }))
        .unwrap()
    }

    #[test]
    fn what_the_status_recorded_gives_the_verdict_that_it_says() {
        insta::assert_snapshot!(explain(&rollout(2, None)).unwrap());
        let failed = explain(&rollout(9, None)).unwrap();
        assert!(failed.contains("FAIL: the canary is worse") && failed.contains("says the same"), "{failed}");
    }

    #[test]
    fn a_status_that_says_something_else_is_shown_beside_it() {
        let text = explain(&rollout(0, Some("PASS: really"))).unwrap();
        assert!(text.contains("says: PASS: really"), "{text}");
    }

    #[test]
    fn without_a_guard_or_an_update_there_is_nothing_to_explain() {
        let mut quiet = rollout(0, None);
        quiet.status = None;
        assert!(explain(&quiet).unwrap_err().contains("there is no update"));
        quiet.spec.strategy.canary.as_mut().unwrap().guard = None;
        assert!(explain(&quiet).unwrap_err().contains("has no guard"));
    }
}
