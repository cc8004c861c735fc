//! How fast a bad canary is found: medians over seeded runs, looked at every second.
//!
//! `reference` is what a simulation of the same tests in another language and with other random numbers gave, over 200
//! to 400 runs each, so that it is good for a tenth or two; `golden` is what this one gives. A change that moves a
//! median by more than 15 % shows. Where the canary has less than one request a second we are faster, because requests
//! wait for some of the other version.

#[path = "traffic/traffic.rs"]
mod traffic;

use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::power::{Question, Stretch};
use traffic::{Random, Traffic, median, of_errors, of_latency};

/// Requests a second, the canary's share, rates of bad requests of the stable version and of the canary, seconds:
/// reference, golden.
const ERRORS: [(f64, f64, f64, f64, u32, u32); 13] = [
    (100.0, 0.05, 0.001, 0.005, 187, 190),
    (100.0, 0.05, 0.001, 0.01, 55, 57),
    (100.0, 0.05, 0.001, 0.05, 8, 8),
    (100.0, 0.05, 0.001, 0.3, 2, 2),
    (100.0, 0.05, 0.01, 0.02, 203, 202),
    (100.0, 0.01, 0.001, 0.01, 294, 303),
    (100.0, 0.01, 0.001, 0.05, 37, 33),
    (1000.0, 0.01, 0.001, 0.01, 30, 28),
    (1000.0, 0.01, 0.001, 0.05, 4, 4),
    (10.0, 0.1, 0.001, 0.01, 411, 352),
    (10.0, 0.1, 0.001, 0.05, 54, 43),
    (1.0, 0.5, 0.001, 0.05, 681, 252),
    (1.0, 0.5, 0.001, 0.3, 96, 40),
];

/// Requests a second, the canary's share, the share of its requests that are slower, how many times, by how many buckets
/// of 10 % it may be slower, seconds: reference, golden.
const LATENCY: [(f64, f64, f64, f64, usize, u32, u32); 9] = [
    (100.0, 0.05, 1.0, 1.1, 0, 218, 197),
    (100.0, 0.05, 1.0, 1.2, 0, 59, 54),
    (100.0, 0.05, 1.0, 1.5, 0, 8, 9),
    (100.0, 0.05, 1.0, 2.0, 0, 4, 4),
    (100.0, 0.05, 0.01, 10.0, 0, 253, 238),
    (100.0, 0.05, 0.02, 10.0, 0, 80, 83),
    (100.0, 0.05, 0.05, 10.0, 0, 23, 25),
    (100.0, 0.05, 1.0, 1.3, 1, 54, 64),
    (1000.0, 0.01, 1.0, 1.2, 0, 38, 23),
];

const RUNS: u64 = 1000;

#[test]
fn bad_requests_are_found_as_fast_as_they_were() {
    for (rate, share, stable, canary, reference, golden) in ERRORS {
        let traffic = Traffic::errors(rate, share, stable, canary);
        let judge = of_errors(stable, Margin::NONE, Level::ONE_IN_TWENTY);
        let runs = (0..RUNS).map(|seed| traffic.condemned(judge.clone(), 4000, &mut Random::new(seed)));
        let found = median(runs.collect()).expect("a bad canary is found");
        let case = format!("{rate}/s, {share}, {stable} -> {canary}");
        assert!(near(found, golden), "{case}: {found} s instead of {golden} s");
        assert!(f64::from(found) <= 1.25 * f64::from(reference) + 1.0, "{case}: {found} s");
    }
}

#[test]
fn slow_requests_are_found_as_fast_as_they_were() {
    for (rate, share, some, times, shift, reference, golden) in LATENCY {
        let traffic = Traffic::latency(rate, share, some, times);
        let judge = of_latency(shift, Level::ONE_IN_TWENTY);
        let runs = (0..RUNS / 4).map(|seed| traffic.condemned(judge.clone(), 2000, &mut Random::new(seed)));
        let found = median(runs.collect()).expect("a slow canary is found");
        let case = format!("{rate}/s, {share}, {some} of the requests x {times}, {shift} allowed");
        assert!(near(found, golden), "{case}: {found} s instead of {golden} s");
        assert!(f64::from(found) <= 1.25 * f64::from(reference) + 1.0, "{case}: {found} s");
    }
}

/// A ramp in five minute steps, the stable version's rate swinging by four fifths: weights may change, and so may
/// rates. The reference: 301 seconds, in which 312 requests went to the canary.
#[test]
fn a_ramp_goes_on_with_the_evidence_that_there_is() {
    let mut exposed = Vec::new();
    let found = (0..RUNS).map(|seed| {
        let mut random = Random::new(seed);
        let mut judge = of_errors(0.002, Margin::NONE, Level::ONE_IN_TWENTY);
        let (mut carried, mut requests) = (random.unit(), 0);
        let found = (1..=1200_u32).find(|second| {
            let share = [0.01, 0.05, 0.2, 0.5][usize::try_from((second - 1) / 300).unwrap()];
            let traffic = traffic::swinging(100.0, share, (0.002, 0.01), *second);
            let tick = traffic.tick(i64::from(*second), &mut carried, &mut random);
            requests += tick.canary.arm.requests;
            judge.take(&tick);
            judge.condemned().is_some()
        });
        exposed.push(u32::try_from(requests).ok());
        found
    });
    let found = median(found.collect()).expect("it is found");
    let exposed = median(exposed).expect("it had requests");
    assert!(near(found, 272) && near(exposed, 271), "{found} s, {exposed} requests");
}

/// A canary that is good for an hour and then begins to fail is found in minutes: half of the runs within this time.
#[test]
fn a_quiet_hour_does_not_hide_what_comes_after_it() {
    let quiet = Traffic::errors(100.0, 0.05, 0.001, 0.001);
    let failing = Traffic::errors(100.0, 0.05, 0.001, 0.05);
    let found = (0..RUNS / 4).map(|seed| {
        let (mut random, mut carried) = (Random::new(seed), 0.0);
        let mut judge = of_errors(0.001, Margin::NONE, Level::ONE_IN_TWENTY);
        (1..=5_400_u32).find(|second| {
            let traffic = if *second <= 3_600 { quiet } else { failing };
            judge.take(&traffic.tick((*second).into(), &mut carried, &mut random));
            *second > 3_600 && judge.condemned().is_some()
        })
    });
    let found = median(found.collect()).expect("it is found") - 3_600;
    assert!(found <= 60, "{found} s");
}

/// What is promised before a rollout is kept in it.
#[test]
fn predictions_come_true() {
    for (rate, share, stable, canary, _, golden) in ERRORS {
        let question = Question::of_errors(Margin::NONE, Level::ONE_IN_TWENTY, stable);
        let stretches = [Stretch { seconds: 4000.0, rate, share }];
        let predicted = |chance| question.seconds(canary, &stretches, chance).expect("within an hour");
        let case = format!("{rate}/s, {share}, {stable} -> {canary}");
        let (half, most) = (predicted(0.5), predicted(0.95));
        let off = half / f64::from(golden);
        assert!((0.8..1.2).contains(&off) || (half - f64::from(golden)).abs() <= 1.0, "{case}: {half}");
        let seconds = seconds(most);
        let judge = of_errors(stable, Margin::NONE, Level::ONE_IN_TWENTY);
        let runs = (0..RUNS).filter(|seed| {
            Traffic::errors(rate, share, stable, canary)
                .condemned(judge.clone(), seconds, &mut Random::new(*seed))
                .is_some()
        });
        let kept = runs.count();
        assert!(kept >= 930, "{case}: {kept} of 1000 were found within {seconds} s");
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 4000")]
fn seconds(seconds: f64) -> u32 {
    seconds.ceil() as u32
}

/// Within 15 %, or a second.
fn near(found: u32, golden: u32) -> bool {
    let (found, golden) = (f64::from(found), f64::from(golden));
    (found - golden).abs() <= (0.15 * golden).max(1.0)
}
