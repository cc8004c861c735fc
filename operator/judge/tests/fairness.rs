//! What must hold whatever is counted.

use operator_judge::Judge;
use operator_judge::bet::{Bet, HEALTHY, Terms, WORSE};
use operator_judge::counts::{Arm, Counts, Sample, Tick};
use operator_judge::evidence::{Evidence, Prior};
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::saved::Saved;
use operator_judge::settings::{Edge, Errors, Latency, Settings};
use operator_judge::split::log_factor;
use operator_judge::verdict::{Outcome, Waiting};
use proptest::prelude::*;

/// The mean of what a stake pays in a tick in which the versions have these rates.
fn mean(bet: &Bet, (n, k): (u32, u32), (p, q): (f64, f64)) -> f64 {
    let pays = |canary, stable| bet.pays(&Counts::new(canary, stable)).exp();
    let canary = p * pays((1, 1), (0, 0)) + (1.0 - p) * pays((1, 0), (0, 0));
    let stable = q * pays((0, 0), (1, 1)) + (1.0 - q) * pays((0, 0), (1, 0));
    canary.powi(i32::try_from(n).expect("few")) * stable.powi(i32::try_from(k).expect("few"))
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let arm = |most: u64| {
        (0..most, 0.0..1.0_f64, prop::collection::vec(0_u64..20, 6)).prop_map(|(requests, bad, latency)| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "few"
            )]
            let bad = (requests as f64 * bad * bad) as u64;
            Sample { arm: Arm { requests, bad }, latency }
        })
    };
    prop::collection::vec((arm(20), arm(200)), 1..60).prop_map(|samples| {
        let tick = |(second, (canary, stable))| Tick { second, canary, stable, canary_share: Some(0.1) };
        (1_000..).zip(samples).map(tick).collect()
    })
}

fn settings() -> Settings {
    let edge = |bucket, rate| Edge { bucket, prior: Prior::new(rate, 100) };
    Settings {
        errors: Some(Errors::default()),
        latency: Some(Latency {
            edges: vec![edge(1, 0.5), edge(3, 0.1)],
            shift: 1,
            allowance: 0.01,
            part: 1.0,
        }),
        ..Settings::default()
    }
}

fn judged(ticks: &[Tick]) -> Judge {
    let mut judge = Judge::new(settings());
    for tick in ticks {
        judge.take(tick);
    }
    judge
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The heart of it: no stake is expected to gain while what it bets against is true.
    #[test]
    fn no_stake_gains_in_the_mean(
        factor in prop_oneof![Just(1.0), 1.0..4.0_f64],
        allowance in prop_oneof![Just(0.0), 0.0..0.2_f64],
        guess in prop_oneof![1e-7..0.01_f64, 0.0..1.0_f64],
        q in prop_oneof![0.0..0.01_f64, 0.0..1.0_f64],
        within in prop_oneof![Just(1.0), 0.0..1.0_f64],
        n in 1..40_u32,
        k in 1..400_u32,
        alternative in 0..8_usize,
    ) {
        let margin = Margin::new(factor, allowance).unwrap();
        let limit = margin.limit(q);
        let allowed = limit.min(1.0) * within;
        let excessive = limit + (1.0 - limit) * (1.0 - within);
        for (ratio, p) in [(WORSE[alternative], allowed), (HEALTHY[alternative], excessive)] {
            if !(0.0..=1.0).contains(&p) {
                continue;
            }
            if let Some(bet) = Bet::lay(Terms { margin, stable: guess, ratio }, n.into(), k.into()) {
                let mean = mean(&bet, (n, k), (p, q));
                prop_assert!(mean <= 1.0 + 1e-9, "{ratio}: {mean}");
                prop_assert!(mean.is_finite() && mean >= 0.0);
            }
        }
    }

    /// Whatever comes, the wealth stays a number.
    #[test]
    fn wealth_stays_finite(
        counts in prop::collection::vec(((0..1000_u64, 0.0..=1.0_f64), (0..100_000_u64, 0.0..=1.0_f64)), 1..20),
        guess in 0.0..1.0_f64,
    ) {
        let mut all = [Evidence::new(&WORSE), Evidence::new(&HEALTHY)];
        for ((n, bad), (k, stable_bad)) in counts {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
            let part = |requests: u64, share: f64| (requests, (requests as f64 * share) as u64);
            let counts = Counts::new(part(n, bad), part(k, stable_bad));
            for evidence in &mut all {
                evidence.take(&counts, Margin::NONE, guess);
            }
        }
        prop_assert!(all.iter().all(|it| it.log().is_finite()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A restart at any moment neither adds evidence nor costs more than the rounding.
    #[test]
    fn a_restart_changes_nothing_that_counts(ticks in ticks(), at in 0..60_usize) {
        let at = at.min(ticks.len());
        let whole = judged(&ticks);
        let text = serde_json::to_string(&judged(&ticks[..at]).save()).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        let mut restarted = Judge::restore(saved).unwrap();
        // The first are told again, as after a restart.
        for tick in &ticks {
            restarted.take(tick);
        }
        let now = 1_000 + i64::try_from(ticks.len()).unwrap();
        let (before, after) = (whole.verdict(now), restarted.verdict(now));
        for (before, after) in before.evidence.iter().zip(&after.evidence) {
            let lost = before.against - after.against;
            prop_assert!((-1e-9..0.0158).contains(&lost), "{lost}");
        }
        prop_assert_eq!(before.dropped, after.dropped);
    }

    /// The same seconds give the same verdict, to the last bit.
    #[test]
    fn a_replay_is_exact(ticks in ticks()) {
        prop_assert_eq!(judged(&ticks), judged(&ticks));
    }

    /// Where nothing is bad, nothing speaks against the canary.
    #[test]
    fn clean_traffic_never_speaks_against_a_canary(seconds in 1..400_i64, n in 1..50_u64, k in 1..500_u64) {
        let mut judge = Judge::new(settings());
        for second in 0..seconds {
            let sample = |requests| Sample { arm: Arm { requests, bad: 0 }, latency: vec![requests] };
            let tick = Tick { second, canary: sample(n), stable: sample(k), canary_share: None };
            judge.take(&tick);
            let verdict = judge.verdict(second);
            let condemned = matches!(verdict.outcome, Outcome::Fail(_));
            prop_assert!(!condemned);
            prop_assert!(verdict.evidence.iter().all(|it| it.against <= 1e-9));
        }
    }

    /// Missing data never passes, however good it was before.
    #[test]
    fn missing_data_never_passes(ticks in ticks(), later in 61..100_000_i64) {
        let judge = judged(&ticks);
        let last = ticks.last().unwrap().second;
        match judge.verdict(last + later).outcome {
            Outcome::Pass => prop_assert!(false, "passed without data"),
            Outcome::Fail(_) | Outcome::Continue(Waiting::NoData { .. }) => {}
            Outcome::Continue(other) => prop_assert!(false, "{other:?}"),
        }
    }
}

/// Verdicts swap with the arms: what condemns one clears the other.
#[test]
fn swapped_arms_swap_the_verdict() {
    let level = Level::ONE_IN_TWENTY;
    let errors = Some(Errors { margin: Margin::NONE, prior: Prior::new(0.03, 50), part: 1.0 });
    let settings = Settings { alpha: level, beta: level, errors, ..Settings::default() };
    let outcome = |canary_bad, stable_bad| {
        let mut judge = Judge::new(settings.clone());
        for second in 0..60 {
            let sample = |bad| Sample { arm: Arm { requests: 50, bad }, latency: Vec::new() };
            let tick =
                Tick { second, canary: sample(canary_bad), stable: sample(stable_bad), canary_share: None };
            judge.take(&tick);
        }
        judge.verdict(60).outcome
    };
    assert!(matches!(outcome(5, 1), Outcome::Fail(_)));
    assert!(matches!(outcome(1, 5), Outcome::Pass));
}

/// Two ticks in one: nothing is gained by telling them together.
#[test]
fn merged_ticks_add_no_evidence_to_speak_of() {
    let one = Counts::new((5, 1), (95, 1));
    let (mut single, mut merged) = (Evidence::new(&WORSE), Evidence::new(&WORSE));
    for _ in 0..20 {
        single.take(&one, Margin::NONE, 0.01);
        single.take(&one, Margin::NONE, 0.01);
        merged.take(&(one + one), Margin::NONE, 0.01);
    }
    assert!((single.log() - merged.log()).abs() < 1e-9, "{} {}", single.log(), merged.log());
}

/// Vectors of the reference implementation of Lindon & Malek, where the test stopped: intended shares, counts, p-value.
#[test]
fn the_split_is_tested_as_its_authors_do() {
    let table: [(&[(u64, f64)], f64); 2] = [
        (&[(148, 0.8), (62, 0.2)], 0.045_579_631_759_249_686),
        (&[(40, 0.1), (129, 0.4), (233, 0.5)], 0.048_455_911_059_695_17),
    ];
    for (counts, expected) in table {
        let found = (-log_factor(100.0, counts)).exp();
        assert!((found / expected - 1.0).abs() < 1e-10, "{found} instead of {expected}");
    }
}
