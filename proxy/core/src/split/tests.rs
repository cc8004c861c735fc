use proptest::{collection::vec, prelude::*};

use super::*;

fn share(parts: u32) -> Share {
    Share::of_10000(parts).unwrap()
}

/// Draws that share their lines, as a split does over several commits.
struct Fixture {
    lines: Vec<Arc<Line>>,
}

impl Fixture {
    fn new(seed: u64, arms: usize) -> Self {
        let line = |arm| Arc::new(Line::new(mix(seed).wrapping_add(arm)));
        Self { lines: (0..arms as u64).map(line).collect() }
    }

    fn draw(&self, shares: &[u32]) -> Draw {
        let shares: Vec<_> = shares.iter().map(|parts| share(*parts)).collect();
        Draw::new(&shares, |arm| Arc::clone(&self.lines[arm]))
    }
}

/// The largest distance between what `arm` got and its share, over all windows of `drawn`.
///
/// The error of a window is the difference of two prefix errors, so the largest is highest minus lowest.
fn worst_window(drawn: &[usize], arm: usize, parts: u32) -> f64 {
    let (mut sum, mut low, mut high) = (0_i64, 0_i64, 0_i64);
    for it in drawn {
        sum += i64::from(*it == arm) * 10_000 - i64::from(parts);
        (low, high) = (low.min(sum), high.max(sum));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests = (high - low) as f64 / 10_000.0;
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_arms_are_less_than_two_requests_off_in_any_window(seed: u64, parts in 0..=10_000_u32) {
        let draw = Fixture::new(seed, 2).draw(&[parts, 10_000 - parts]);
        let drawn: Vec<_> = (0..5_000).map(|_| draw.draw()).collect();
        let worst = worst_window(&drawn, 0, parts);
        prop_assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn k_arms_are_less_than_twice_k_minus_one_off_in_any_window(seed: u64, cuts in vec(0..=10_000_u32, 1..6)) {
        let shares = between(cuts);
        let draw = Fixture::new(seed, shares.len()).draw(&shares);
        let drawn: Vec<_> = (0..5_000).map(|_| draw.draw()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of arms")]
        let bound = 2.0 * (shares.len() - 1) as f64;
        for (arm, parts) in shares.iter().enumerate() {
            let worst = worst_window(&drawn, arm, *parts);
            prop_assert!(worst < bound, "arm {arm} of {shares:?}: {worst}");
        }
    }

    #[test]
    fn weight_changes_below_one_half_add_nothing(seed: u64, weights in vec((0..=5_000_u32, 1..50_usize), 1..40)) {
        let worst = worst_over_changes(seed, &weights);
        prop_assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn weight_changes_above_one_half_add_nothing(
        seed: u64,
        weights in vec((5_001..=10_000_u32, 1..50_usize), 1..40),
    ) {
        let worst = worst_over_changes(seed, &weights);
        prop_assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn a_change_across_one_half_adds_less_than_two(
        seed: u64,
        below in (0..=5_000_u32, 1..500_usize),
        above in (5_001..=10_000_u32, 1..500_usize),
    ) {
        let worst = worst_over_changes(seed, &[below, above]);
        prop_assert!(worst < 4.0, "{worst}");
    }

    #[test]
    fn shares_of_nothing_and_everything_are_exact(seed: u64, arms in 1..5_usize, whole in 0..5_usize) {
        let whole = whole % arms;
        let shares: Vec<_> = (0..arms).map(|arm| if arm == whole { 10_000 } else { 0 }).collect();
        let draw = Fixture::new(seed, arms).draw(&shares);
        prop_assert!((0..1_000).all(|_| draw.draw() == whole));
    }
}

/// The shares between cut points.
fn between(mut cuts: Vec<u32>) -> Vec<u32> {
    cuts.push(10_000);
    cuts.sort_unstable();
    let mut from = 0;
    cuts.into_iter().map(|cut| cut - std::mem::replace(&mut from, cut)).collect()
}

/// The largest window error while the first arm's share changes: each weight for so many requests.
fn worst_over_changes(seed: u64, weights: &[(u32, usize)]) -> f64 {
    let fixture = Fixture::new(seed, 2);
    let (mut sum, mut low, mut high) = (0_i64, 0_i64, 0_i64);
    for (parts, requests) in weights {
        let draw = fixture.draw(&[*parts, 10_000 - parts]);
        for _ in 0..*requests {
            sum += i64::from(draw.draw() == 0) * 10_000 - i64::from(*parts);
            (low, high) = (low.min(sum), high.max(sum));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests = (high - low) as f64 / 10_000.0;
    requests
}

/// Every `period`-th request comes from one client: it must see the share, not a pattern.
#[test]
fn periodic_clients_see_the_share() {
    for seed in 0..2 {
        for parts in [100, 1_000, 2_000, 2_500, 3_333, 5_000, 6_000, 9_000] {
            for period in 2..=12 {
                let draw = Fixture::new(seed, 2).draw(&[parts, 10_000 - parts]);
                let requests = 8_000;
                let mut canary = 0;
                for _ in 0..requests {
                    canary += u32::from(draw.draw() == 0);
                    let _others: Vec<_> = (1..period).map(|_| draw.draw()).collect();
                }
                let share = f64::from(canary) / f64::from(requests);
                let off = (share - f64::from(parts) / 10_000.0).abs();
                assert!(off < 0.02, "seed {seed}, {parts} of 10000, every {period}th: {share}");
            }
        }
    }
}

#[test]
fn adding_an_arm_keeps_the_lines_of_the_others() {
    let fixture = Fixture::new(7, 3);
    let two = fixture.draw(&[5_000, 5_000, 0]);
    let _drawn: Vec<_> = (0..10).map(|_| two.draw()).collect();
    let before = fixture.lines[0].0.0.taken.load(Ordering::Relaxed);
    let three = fixture.draw(&[4_000, 4_000, 2_000]);
    assert_eq!(fixture.lines[0].0.0.taken.load(Ordering::Relaxed), before);
    let _ = three.draw();
    assert_eq!(fixture.lines[0].0.0.taken.load(Ordering::Relaxed), before + UNIT * 4_000 / 10_000);
}

#[test]
fn all_threads_draw_from_one_position() {
    let draw = Fixture::new(3, 2).draw(&[3_000, 7_000]);
    let canary: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..25_000).filter(|_| draw.draw() == 0).count())).collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert!(canary.abs_diff(30_000) < 2, "{canary}");
}

#[test]
fn no_arms_are_no_panic() {
    assert_eq!(Draw::new(&[], |_| unreachable!("there is no arm")).draw(), 0);
}
