//! What the guard can find in the steps that are left, at the traffic that there is: said once, when the traffic is known.
//!
//! No test finds what is not in the counts. Whoever reads early that a fault of five percent would not be seen can make a
//! pause longer or a weight higher before it matters.

use std::fmt;

use operator_judge::Judge;
use operator_judge::power::{Question, Stretch, detectable_slowdown};
use operator_judge::settings::{Metric, Settings};

use super::super::scene::Scene;
use crate::spec::{Step, Strategy};
use crate::weight::Position;

/// How likely it is that what is promised is found.
const CHANCE: f64 = 0.95;

/// How latencies are taken to spread: the deviation of their logarithm.
const SPREAD: f64 = 0.8;

/// What can be found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Power {
    /// Requests a second to both versions.
    rate: f64,
    /// A step that waits for somebody is among those that are left: what it adds is not counted.
    open_ended: bool,
    errors: Option<Errors>,
    latencies: Option<Latencies>,
}

#[derive(Clone, Debug, PartialEq)]
struct Latencies {
    /// The least factor on all of them.
    found: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Errors {
    /// The lowest share of bad requests.
    found: Option<f64>,
    /// Seconds until a canary that is as good as the stable version is proven to be.
    proven: Option<f64>,
}

/// Reckons it, once the traffic is known.
pub(super) fn of(scene: &Scene<'_>, position: &Position, judge: &Judge) -> Option<Power> {
    let Strategy::Canary(canary) = &scene.spec.strategy else { return None };
    let (rate, share) = judge.traffic()?;
    let (stretches, open_ended) = left(&canary.steps, position.step, rate, share);
    let settings = judge.settings();
    let errors = settings.errors.as_ref().map(|_| errors(settings, judge, &stretches));
    let level = settings.alpha_of(Metric::Latency);
    let slowdown = || detectable_slowdown(level, SPREAD, &stretches, CHANCE);
    let latencies = settings.latency.as_ref().map(|_| Latencies { found: slowdown() });
    Some(Power { rate, open_ended, errors, latencies })
}

fn errors(settings: &Settings, judge: &Judge, stretches: &[Stretch]) -> Errors {
    let stable = judge.stable_rate().unwrap_or_default();
    let margin = settings.errors.unwrap_or_default().margin;
    let question = Question::of_errors(margin, settings.alpha_of(Metric::Errors), stable);
    let proof = Question { level: settings.beta, ..question };
    Errors { found: question.detectable(stretches, CHANCE), proven: proof.seconds(stable, stretches, CHANCE) }
}

/// The times with one weight each from this step on, the present one with `share`; and whether one of them has no end.
fn left(steps: &[Step], from: usize, rate: f64, share: f64) -> (Vec<Stretch>, bool) {
    let (mut stretches, mut share, mut open_ended) = (Vec::new(), share, false);
    for step in steps.iter().skip(from) {
        match step {
            Step::SetWeight(weight) => share = f64::from(weight.share()) / 10_000.0,
            Step::Pause(Some(duration)) => {
                let seconds = u64::try_from(duration.num_seconds()).unwrap_or_default();
                stretches.push(Stretch::whole(seconds, rate, share));
            }
            Step::Pause(None) | Step::Analysis(_) | Step::Experiment(_) => open_ended = true,
            Step::SetCanaryScale(_) | Step::SetRoute(_) => {}
        }
    }
    (stretches, open_ended)
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, open_ended, errors, latencies } = self;
        write!(f, "At {rate:.1} requests a second the pauses that are left find, 19 times in 20, a canary")?;
        match errors {
            Some(Errors { found: Some(rate), .. }) => {
                write!(f, " of whose requests {:.2} % or more are bad", 100.0 * rate)?;
            }
            Some(Errors { found: None, .. }) => {
                f.write_str(" with no share of bad requests, however high")?;
            }
            None => {}
        }
        let beside = if errors.is_some() { ", or" } else { "" };
        match latencies {
            Some(Latencies { found: Some(factor) }) => {
                write!(f, "{beside} that is {factor:.2} times as slow or more")?;
            }
            Some(Latencies { found: None }) => write!(f, "{beside} of no slowness, however great")?,
            None => {}
        }
        if let Some(Errors { proven, .. }) = errors {
            match proven {
                Some(seconds) => write!(f, "; that it is no worse is proven within {seconds:.0} s of them")?,
                None => f.write_str("; they are too short to prove that it is no worse")?,
            }
        }
        if *open_ended {
            f.write_str(". Steps that wait for somebody find more")?;
        }
        Ok(())
    }
}
