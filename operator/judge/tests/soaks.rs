//! Ten thousand rollouts in which nothing is wrong, looked at every second: how many are condemned all the same.
//!
//! `alpha` bounds the chance; three standard deviations are allowed for luck.

#[path = "traffic/traffic.rs"]
#[expect(dead_code, reason = "the tests of power use the rest")]
mod traffic;

use operator_judge::Judge;
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::verdict::Outcome;
use traffic::{Random, Traffic, of_errors, of_latency, swinging};

const RUNS: u32 = 10_000;

/// Runs every rollout for so many seconds, and asserts that no more of them end in `wrong` than alpha and luck allow.
fn soak(
    what: &str,
    judge: &Judge,
    seconds: u32,
    traffic: impl Fn(u32) -> Traffic,
    wrong: fn(&Judge, i64) -> bool,
) {
    let hits = (0..RUNS).filter(|seed| {
        let (mut judge, mut random) = (judge.clone(), Random::new(u64::from(*seed)));
        let mut carried = random.unit();
        (1..=seconds).any(|second| {
            let tick = traffic(second).tick(second.into(), &mut carried, &mut random);
            judge.take(&tick);
            wrong(&judge, tick.second)
        })
    });
    let share = f64::from(u32::try_from(hits.count()).expect("no more than runs")) / f64::from(RUNS);
    let alpha = Level::ONE_IN_TWENTY.get();
    let luck = 3.0 * (alpha * (1.0 - alpha) / f64::from(RUNS)).sqrt();
    assert!(share <= alpha + luck, "{what}: {share} of the rollouts ended wrong");
}

fn is_condemned(judge: &Judge, _: i64) -> bool {
    judge.condemned().is_some()
}

fn passed(judge: &Judge, now: i64) -> bool {
    matches!(judge.verdict(now).outcome, Outcome::Pass)
}

#[test]
fn a_canary_that_is_the_stable_version_is_not_condemned() {
    for rate in [0.001, 0.01] {
        let judge = of_errors(rate, Margin::NONE, Level::ONE_IN_TWENTY);
        let traffic = Traffic::errors(100.0, 0.05, rate, rate);
        soak(&format!("bad: {rate}"), &judge, 300, |_| traffic, is_condemned);
    }
}

#[test]
fn a_prior_that_is_wrong_condemns_nobody() {
    let traffic = Traffic::errors(20.0, 0.2, 0.02, 0.02);
    for prior in [0.0002, 0.5] {
        let judge = of_errors(prior, Margin::NONE, Level::ONE_IN_TWENTY);
        soak(&format!("prior {prior} instead of 0.02"), &judge, 150, |_| traffic, is_condemned);
    }
}

#[test]
fn an_incident_of_both_versions_condemns_nobody() {
    let judge = of_errors(0.001, Margin::NONE, Level::ONE_IN_TWENTY);
    let traffic = |second| {
        let bad = if (60..120).contains(&second) { 0.2 } else { 0.001 };
        Traffic::errors(100.0, 0.05, bad, bad)
    };
    soak("incident", &judge, 180, traffic, is_condemned);
}

#[test]
fn a_ramp_under_swinging_rates_condemns_nobody() {
    let judge = of_errors(0.002, Margin::NONE, Level::ONE_IN_TWENTY);
    let traffic = |second: u32| {
        let share = [0.01, 0.05, 0.2, 0.5][usize::try_from((second - 1) / 100).unwrap()];
        swinging(50.0, share, (0.002, 0.002), second)
    };
    soak("ramp", &judge, 400, traffic, is_condemned);
}

#[test]
fn a_canary_at_its_margin_is_neither_condemned_nor_passed() {
    let margin = Margin::new(1.5, 0.005).unwrap();
    let judge = of_errors(0.01, margin, Level::ONE_IN_TWENTY);
    let traffic = Traffic::errors(100.0, 0.2, 0.01, 0.02);
    soak("at the margin, condemned", &judge, 200, |_| traffic, is_condemned);
    soak("at the margin, passed", &judge, 100, |_| traffic, passed);
}

#[test]
fn one_request_a_second_is_enough_to_be_right() {
    let judge = of_errors(0.05, Margin::NONE, Level::ONE_IN_TWENTY);
    let traffic = Traffic::errors(1.0, 0.3, 0.05, 0.05);
    soak("one request a second", &judge, 400, |_| traffic, is_condemned);
}

#[test]
fn latencies_of_the_stable_version_are_not_condemned() {
    let judge = of_latency(0, Level::ONE_IN_TWENTY);
    let traffic = Traffic::latency(50.0, 0.1, 0.0, 1.0);
    soak("latency", &judge, 60, |_| traffic, is_condemned);
}

#[test]
fn edges_that_the_judge_has_learned_condemn_nobody() {
    let mut settings = of_latency(0, Level::ONE_IN_TWENTY).settings().clone();
    settings.latency.as_mut().expect("latencies are watched").edges.clear();
    let traffic = Traffic::latency(50.0, 0.1, 0.0, 1.0);
    soak("learned latency", &Judge::new(settings), 60, |_| traffic, is_condemned);
}

#[test]
fn latencies_at_their_margin_are_neither_condemned_nor_passed() {
    let judge = of_latency(2, Level::ONE_IN_TWENTY);
    let traffic = Traffic::latency(20.0, 0.5, 1.0, 1.21);
    soak("latency at the margin, condemned", &judge, 40, |_| traffic, is_condemned);
    soak("latency at the margin, passed", &judge, 40, |_| traffic, passed);
}

/// How wrong a test is that was made to be read once: the share of 10 000 random walks that some of `looks` readings
/// find at 5 %. Armitage, `McPherson` & Rowe (1969).
#[test]
fn a_test_for_one_look_does_not_bear_many() {
    let table =
        [(1, 0.050), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.141), (10, 0.193), (20, 0.247), (50, 0.320)];
    for (looks, expected) in table {
        let found = (0..RUNS).filter(|seed| {
            let mut random = Random::new(u64::from(*seed));
            let mut sum = 0.0;
            (1..=looks).any(|look| {
                sum += random.normal();
                sum.abs() > 1.959_964 * f64::from(look).sqrt()
            })
        });
        let share = f64::from(u32::try_from(found.count()).unwrap()) / f64::from(RUNS);
        assert!((share - expected).abs() < 0.015, "{looks} looks: {share}");
    }
}
