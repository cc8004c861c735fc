//! What a judge says, and when it says nothing.

#![expect(clippy::panic, reason = "a verdict that was not expected ends the test")]

use operator_judge::Judge;
use operator_judge::counts::{Arm, Sample, Second, Tick};
use operator_judge::evidence::Prior;
use operator_judge::saved::{NotRestored, Saved};
use operator_judge::settings::{Edge, Errors, Latency, Metric, Settings};
use operator_judge::verdict::{Outcome, Towards, Waiting};

/// One second, in which the canary was meant to get a tenth.
fn tick(second: Second, canary: (u64, u64), stable: (u64, u64)) -> Tick {
    let sample = |(requests, bad)| Sample { arm: Arm { requests, bad }, latency: vec![requests - bad, 0] };
    Tick { second, canary: sample(canary), stable: sample(stable), canary_share: Some(0.1) }
}

fn judged(settings: Settings, seconds: Second, canary: (u64, u64), stable: (u64, u64)) -> Judge {
    let mut judge = Judge::new(settings);
    (0..seconds).for_each(|second| judge.take(&tick(second, canary, stable)));
    judge
}

fn waiting(judge: &Judge, now: Second) -> Waiting {
    match judge.verdict(now).outcome {
        Outcome::Continue(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_canary_fails_and_stays_failed() {
    let mut judge = judged(Settings::default(), 30, (10, 3), (90, 0));
    let Outcome::Fail(condemned) = judge.verdict(30).outcome else { panic!("{}", judge.verdict(30)) };
    assert!(condemned.second < 3, "{condemned:?}");
    assert_eq!(condemned.evidence.metric, Metric::Errors);
    (30..4_000).for_each(|second| judge.take(&tick(second, (10, 0), (90, 1))));
    assert_eq!(judge.condemned(), Some(&condemned));
    let restored = Judge::restore(judge.save()).unwrap();
    assert!(matches!(restored.verdict(9_999_999).outcome, Outcome::Fail(_)));
}

#[test]
fn a_good_canary_passes_when_there_is_evidence() {
    let judge = judged(Settings::default(), 10, (10, 0), (90, 0));
    let Waiting::Evidence { metric: Metric::Errors, towards: Towards::Pass, eta: Some(eta) } =
        waiting(&judge, 10)
    else {
        panic!("{}", judge.verdict(10))
    };
    let all = 10 + i64::try_from(eta).unwrap();
    let later = judged(Settings::default(), all * 3 / 2, (10, 0), (90, 0));
    assert!(matches!(later.verdict(all * 3 / 2).outcome, Outcome::Pass), "{eta}: {}", later.verdict(all));
}

#[test]
fn a_canary_that_is_getting_worse_says_when_it_will_fail() {
    let judge = judged(Settings::default(), 4, (10, 1), (90, 5));
    let Waiting::Evidence { towards: Towards::Fail, eta: Some(_), .. } = waiting(&judge, 4) else {
        panic!("{}", judge.verdict(4))
    };
}

#[test]
fn what_cannot_be_judged_is_held() {
    let watched = Settings::default();
    let unwatched = Settings { errors: None, ..Settings::default() };
    assert_eq!(waiting(&judged(unwatched, 5, (10, 0), (90, 0)), 5), Waiting::NothingToJudge);
    assert_eq!(waiting(&Judge::new(watched.clone()), 5), Waiting::NoData { since: None });
    let idle = judged(watched.clone(), 600, (0, 0), (90, 0));
    assert_eq!(waiting(&idle, 600), Waiting::NoData { since: None });
    // Half of the canary's requests were not counted.
    let broken = judged(watched, 600, (5, 0), (95, 0));
    assert!(matches!(waiting(&broken, 600), Waiting::SplitNotAsIntended { now: Some(_) }));
}

#[test]
fn a_broken_split_does_not_save_a_bad_canary() {
    let judge = judged(Settings::default(), 600, (5, 4), (95, 0));
    assert!(judge.verdict(600).split.is_broken());
    assert!(matches!(judge.verdict(600).outcome, Outcome::Fail(_)));
}

#[test]
fn mixed_seconds_are_counted_and_nothing_else() {
    let mut judge = Judge::new(Settings::default());
    judge.drop(1);
    judge.drop(1);
    judge.take(&tick(1, (10, 10), (90, 0)));
    judge.drop(2);
    let verdict = judge.verdict(2);
    assert_eq!((verdict.dropped, verdict.evidence[0].counts.canary.requests), (2, 0));
}

#[test]
fn a_request_waits_for_one_of_the_other_version_but_not_longer_than_a_minute() {
    let seen = |pause: Second| {
        let mut judge = Judge::new(Settings::default());
        judge.take(&tick(0, (1, 1), (0, 0)));
        judge.take(&tick(pause, (0, 0), (4, 0)));
        let counts = judge.verdict(pause).evidence[0].counts;
        (counts.canary.requests, counts.stable.requests)
    };
    assert_eq!(seen(59), (1, 4));
    assert_eq!(seen(60), (0, 0));
}

#[test]
fn verdicts_say_what_they_rest_on() {
    let fail = judged(Settings::default(), 3, (10, 3), (90, 0)).verdict(3).to_string();
    assert!(
        fail.starts_with("FAIL: 6 of 20 requests of the canary were bad, 0 of 180 of the stable version; "),
        "{fail}"
    );
    let hold = Judge::new(Settings::default()).verdict(0).to_string();
    assert!(
        hold.starts_with("CONTINUE: no second yet in which both versions had requests; 0 of 0 "),
        "{hold}"
    );
}

#[test]
fn alpha_is_shared_by_what_is_watched() {
    let edges = vec![Edge { bucket: 0, prior: Prior::new(0.5, 100) }];
    let latency = Some(Latency { edges, shift: 0, allowance: 0.0, part: 3.0 });
    let both = Settings { latency, ..Settings::default() };
    let [errors, slow] = [Metric::Errors, Metric::Latency].map(|metric| both.alpha_of(metric).get());
    assert!((errors - 0.000_25).abs() < 1e-12 && (slow - 0.000_75).abs() < 1e-12, "{errors} {slow}");
    assert!((Settings::default().alpha_of(Metric::Errors).get() - 0.001).abs() < 1e-12);
}

#[test]
fn a_judge_is_small_and_comes_back() {
    let plain = serde_json::to_string(&judged(Settings::default(), 3_600, (10, 1), (90, 9)).save()).unwrap();
    assert!(plain.len() < 500, "{} bytes: {plain}", plain.len());
    let edge = |bucket| Edge {
        bucket,
        prior: Prior::new(0.5 / f64::from(u32::try_from(bucket).unwrap() + 1), 2000),
    };
    let latency = Some(Latency { edges: (0..7).map(edge).collect(), shift: 1, allowance: 0.001, part: 1.0 });
    let settings = Settings { latency, errors: Some(Errors::default()), ..Settings::default() };
    let judge = judged(settings, 3_600, (10, 1), (90, 9));
    let text = serde_json::to_string(&judge.save()).unwrap();
    // Evidence has five digits, so that little is lost where it is written down every second.
    assert!(text.len() < 1_400, "{} bytes: {text}", text.len());
    let saved: Saved = serde_json::from_str(&text).unwrap();
    let restored = Judge::restore(saved).unwrap();
    assert_eq!(restored.save(), judge.save());
    assert_eq!(restored.settings(), judge.settings());
}

#[test]
fn a_judge_that_is_written_down_every_second_loses_next_to_nothing() {
    let mut kept = Judge::new(Settings::default());
    let mut written = kept.clone();
    for second in 0..3_600 {
        let tick = tick(second, (5, u64::from(second % 50 == 0)), (95, u64::from(second % 3 == 0)));
        kept.take(&tick);
        written.take(&tick);
        written = Judge::restore(written.save()).unwrap();
    }
    let [kept, written] = [kept, written].map(|it| it.verdict(3_600).evidence[0]);
    assert!((0.0..0.25).contains(&(kept.healthy - written.healthy)), "{kept:?} {written:?}");
    assert!((0.0..0.25).contains(&(kept.against - written.against)), "{kept:?} {written:?}");
}

#[test]
fn a_judge_of_another_version_or_shape_is_not_restored() {
    let whole = serde_json::to_value(judged(Settings::default(), 5, (10, 0), (90, 0)).save()).unwrap();
    let changed = |key: &str, value: serde_json::Value| {
        let mut changed = whole.clone();
        changed[key] = value;
        serde_json::from_value(changed).map(Judge::restore)
    };
    assert_eq!(changed("version", 2.into()).unwrap(), Err(NotRestored::Version { found: 2 }));
    let shorter = serde_json::json!([[0], [0], [0, 0]]);
    let shapes = [("errors", serde_json::Value::Null), ("errors", shorter)];
    for (key, value) in shapes {
        assert!(matches!(changed(key, value).unwrap(), Err(NotRestored::Shape { .. })), "{key}");
    }
    assert!(changed("split", serde_json::json!([0, 1.5, [1, 1]])).unwrap().is_err());
    assert!(changed("pace", "fast".into()).is_err());
}
