//! `plan`: what an update will do, in tables.

use std::fmt::Write as _;

use operator_forecast::forecast::{Abort, Forecast, Moment, Pods, Stage};
use operator_forecast::power::{Findings, Power};

use super::columns;
use super::text::{Paint, Text};

/// The column of an Experiment's pods.
const EXPERIMENT: &str = "EXP";

/// The whole output of `plan`, every line ended.
#[must_use]
pub fn render(forecast: &Forecast, power: Option<&Power>, paint: Paint) -> String {
    let traffic = Traffic(power.map(|power| power.requests_per_second));
    let steps = forecast.stages.iter().filter(|stage| stage.step.is_some()).count();
    let mut text = head(forecast, traffic);
    text.push('\n');
    // Most updates have no Experiment, and no column for its pods.
    let experiments = forecast.moments.iter().any(|moment| moment.experiment.there > 0);
    let columns = |all: &[&'static str]| -> Vec<&'static str> {
        all.iter().copied().filter(|column| experiments || *column != EXPERIMENT).collect()
    };
    text += &table(
        &columns(&[
            "STEP", "ACTION", "START", "TAKES", "WEIGHT", "NEW", "OLD", EXPERIMENT, "EXPOSED", "ABORT",
        ]),
        forecast.stages.iter().map(|stage| row_of_stage(stage, steps, experiments, traffic)),
        paint,
    );
    text.push('\n');
    text += &table(
        &columns(&["TIME", "WEIGHT", "NEW", "OLD", EXPERIMENT, "PODS", "STATE"]),
        forecast.moments.iter().map(|moment| row_of_moment(moment, experiments)),
        paint,
    );
    if let Some(power) = power {
        text.push('\n');
        text += &findings(power, steps, paint);
    }
    text += "\nTaken for granted:\n";
    for sentence in &forecast.assumptions {
        writeln!(text, "- {sentence}").unwrap_or_default();
    }
    if power.is_some() {
        text += "- latencies are log-normal, the deviation of their logarithm is 0.8\n";
    }
    text
}

fn head(forecast: &Forecast, traffic: Traffic) -> String {
    let mut head = String::new();
    let mut line = |key: &str, value: String| writeln!(head, "{key:<17}{value}").unwrap_or_default();
    line("Name:", forecast.name.clone());
    line("Strategy:", forecast.strategy.to_owned());
    let by_hand = match forecast.promotions_by_hand {
        0 => String::new(),
        1 => String::from(", and the time until somebody promotes"),
        times => format!(", and the times until somebody promotes, {times} of them"),
    };
    line("Earliest end:", span(forecast.earliest_end) + &by_hand);
    line("Old pods gone:", forecast.old_pods_gone.map_or_else(|| String::from("never"), span));
    line("Pods:", format!("{}, at most {}", forecast.replicas, forecast.most_pods));
    line("Exposed:", traffic.in_words(forecast.exposed_seconds));
    head
}

fn row_of_stage(stage: &Stage, steps: usize, experiments: bool, traffic: Traffic) -> Vec<String> {
    let takes = if stage.by_hand { String::from("by hand") } else { span(stage.takes) };
    let mut row = vec![
        number(stage.step, steps),
        stage.action.clone(),
        span(stage.starts),
        takes,
        percent(stage.weight / 100.0),
        stage.new_pods.to_string(),
        stage.old_pods.to_string(),
    ];
    row.extend(experiments.then(|| stage.experiment_pods.to_string()));
    row.push(traffic.short(stage.exposed_seconds));
    row.push(stage.abort.as_ref().map_or_else(|| String::from("-"), |abort| cost(abort, traffic)));
    row
}

fn row_of_moment(moment: &Moment, experiments: bool) -> Vec<String> {
    let pods = |Pods { ready, there }: Pods| format!("{ready}/{there}");
    let mut row = vec![span(moment.at), percent(moment.weight / 100.0), pods(moment.new), pods(moment.old)];
    row.extend(experiments.then(|| pods(moment.experiment)));
    row.extend([moment.pods().to_string(), moment.why.to_owned()]);
    row
}

fn cost(abort: &Abort, traffic: Traffic) -> String {
    let Some(takes) = abort.takes else { return String::from("requests stay at the new version") };
    if takes == 0 && abort.pods_to_start == 0 {
        return String::from("at once");
    }
    let pods = match abort.pods_to_start {
        0 => String::new(),
        1 => String::from(", 1 pod to start"),
        pods => format!(", {pods} pods to start"),
    };
    format!("{} more in {}{pods}", traffic.short(abort.exposed_seconds), span(takes))
}

fn findings(power: &Power, steps: usize, paint: Paint) -> String {
    let (requests, bad) = (amount(power.requests_per_second), percent(power.error_rate));
    let allowed = percent(power.allowed_error_rate);
    let mut text = format!(
        "At {requests} requests/s, of which {bad} are bad, and up to {allowed} of the new version may be:\n"
    );
    if power.stages.is_empty() {
        return text + "nothing is found, as the new version gets no request before it is promoted.\n";
    }
    writeln!(
        text,
        "of versions like these 19 in 20 are found, and a good one is taken for bad once in {}.",
        amount(1.0 / power.alpha)
    )
    .unwrap_or_default();
    let row = |it: &Findings| {
        vec![
            number(it.step, steps),
            amount(it.requests),
            it.error_rate.map_or_else(|| String::from("none"), |rate| format!("from {}", percent(rate))),
            it.slowdown.map_or_else(|| String::from("none"), |factor| format!("from x {factor:.2}")),
        ]
    };
    let heading = ["BY THE END OF", "NEW REQUESTS", "BAD", "ALL SLOWER"];
    text += &table(&heading, power.stages.iter().map(row), paint);
    let proof = match power.proven_after {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a rollout")]
        Some(seconds) => format!("{} after the start", span(seconds.ceil() as i64)),
        None => String::from("not before it is promoted"),
    };
    writeln!(
        text,
        "That a version as good as the old one is within what is allowed is proven {proof}.\n\
         At a weight of 5% the proof takes some {} requests of it.",
        amount(power.proof_takes_requests),
    )
    .unwrap_or_default();
    text
}

fn table(heading: &[&str], rows: impl Iterator<Item = Vec<String>>, paint: Paint) -> String {
    let heading = heading.iter().copied().map(Text::plain).collect();
    let rows = rows.map(|cells| cells.into_iter().map(Text::plain).collect());
    let all: Vec<Vec<Text>> = std::iter::once(heading).chain(rows).collect();
    columns::render(&all, paint)
}

/// `2/4`, or `-` for what follows the last step.
fn number(step: Option<usize>, steps: usize) -> String {
    step.map_or_else(|| String::from("-"), |step| format!("{step}/{steps}"))
}

/// Requests a second, if they are known.
#[derive(Clone, Copy)]
struct Traffic(Option<f64>);

impl Traffic {
    /// A part of all traffic: a number of requests, or the time in which as many come.
    fn short(self, seconds: f64) -> String {
        match self.0 {
            Some(rate) => amount(seconds * rate),
            None => format!("{}s", decimals(seconds, 1)),
        }
    }

    fn in_words(self, seconds: f64) -> String {
        match self.0 {
            Some(_) => {
                format!("{} requests go to the new version before it is promoted", self.short(seconds))
            }
            None => format!(
                "as many requests go to the new version before it is promoted as come in {}",
                self.short(seconds)
            ),
        }
    }
}

/// Whole numbers, rounded up, so that some are never none.
fn amount(number: f64) -> String {
    let whole = if number < 10.0 { decimals(number, 1) } else { format!("{:.0}", (number - 1e-6).ceil()) };
    if number.is_finite() { whole } else { String::from("infinitely many") }
}

/// `12.5%`, with as many digits as mean something.
fn percent(share: f64) -> String {
    let digits = if share < 0.001 { 4 } else { 2 };
    format!("{}%", decimals(share * 100.0, digits))
}

/// At most this many decimals, and no zeros at the end.
fn decimals(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1h2m3s`, without the parts that are zero.
fn span(seconds: i64) -> String {
    let part = |count: i64, unit: &str| if count > 0 { format!("{count}{unit}") } else { String::new() };
    let text = part(seconds / 3_600, "h") + &part(seconds / 60 % 60, "m") + &part(seconds % 60, "s");
    if text.is_empty() { String::from("0s") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let table = [(span(0), "0s"), (span(3_723), "1h2m3s"), (span(3_600), "1h"), (percent(0.3), "30%")];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        assert_eq!(
            [percent(0.000_05), percent(0.012_34), amount(0.25), amount(1234.1)],
            ["0.005%", "1.23%", "0.2", "1235"]
        );
        assert_eq!(amount(100.0), "100");
    }
}
