//! `spec.strategy.canary.guard`.

use crds::contract::GUARD_ANNOTATION;
use crds::rollout::{self as crd, GuardNoData, GuardPromotion, Rollout};
use operator_judge::latency;
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::settings::{Errors, Latency, Settings};
use serde_json::{Value, json};

use super::Invalid;

const GUARD: &str = "spec.strategy.canary.guard";

/// `errorRate.margin` and `latency.margin` where they are not set.
const DEFAULT_MARGIN: f64 = 1.5;
/// `errorRate.atLeast` where it is not set.
const DEFAULT_AT_LEAST: f64 = 0.001;

/// How much more of the requests may be slow, beside the margin: one in two hundred.
const SLOW_ALLOWANCE: f64 = 0.005;

/// What is watched, and what comes of what is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// What the judge is asked.
    pub settings: Settings,
    /// `minimumPods`: available pods of the canary before it is judged for the first time.
    pub minimum_pods: i32,
    /// `promote`: what the last step waits for.
    pub promote: GuardPromotion,
    /// `onNoData`: what becomes of the last step without requests.
    pub on_no_data: GuardNoData,
}

/// Of a canary: the field, or else the annotation.
pub(super) fn of(rollout: &Rollout) -> Result<Option<Guard>, Invalid> {
    let Some(canary) = &rollout.spec.strategy.canary else { return Ok(None) };
    let annotations = rollout.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|it| it.get(GUARD_ANNOTATION));
    let written = match (&canary.guard, annotated) {
        (Some(guard), _) => Some(guard.clone()),
        (None, Some(text)) => Some(annotation(text)?),
        (None, None) => None,
    };
    written.map(|guard| read(&guard, canary.steps.len())).transpose()
}

/// A word that is not known must not leave an update unguarded in silence.
fn annotation(text: &str) -> Result<crd::Guard, Invalid> {
    let refused =
        |why: String| Invalid::value(format!("metadata.annotations[{GUARD_ANNOTATION}]"), &json!(text), why);
    let value: Value = serde_json::from_str(text).map_err(|why| refused(format!("it is no JSON: {why}")))?;
    let guard: crd::Guard = serde_json::from_value(value.clone()).map_err(|why| refused(why.to_string()))?;
    let known = serde_json::to_value(&guard).unwrap_or_default();
    match unknown(&value, &known) {
        Some(word) => Err(refused(format!("{word:?} is not known"))),
        None => Ok(guard),
    }
}

/// A key of an object that is not in the other one, at any depth.
fn unknown(value: &Value, known: &Value) -> Option<String> {
    let fields = value.as_object()?;
    fields.iter().filter(|(_, value)| !value.is_null()).find_map(|(key, value)| match known.get(key) {
        None => Some(key.clone()),
        Some(known) => unknown(value, known),
    })
}

/// Of a strategy with so many steps.
fn read(guard: &crd::Guard, steps: usize) -> Result<Guard, Invalid> {
    let crd::Guard { error_rate, alpha, latency, minimum_pods, promote, on_no_data } = guard;
    let mut settings = Settings {
        errors: error_rate.as_ref().map(errors).transpose()?,
        latency: latency.as_ref().map(slow).transpose()?,
        ..Settings::default()
    };
    if settings.errors.is_none() && settings.latency.is_none() {
        let what = "a guard watches something: set errorRate, latency, or both";
        return Err(Invalid::required(format!("{GUARD}.errorRate"), what));
    }
    if let Some(alpha) = *alpha {
        settings.alpha = Level::new(alpha)
            .map_err(|why| Invalid::value(format!("{GUARD}.alpha"), &json!(alpha), why.to_string()))?;
    }
    let minimum_pods = minimum_pods.unwrap_or(1);
    if minimum_pods < 1 {
        let why = "a canary without pods cannot be judged: use 1 or more";
        return Err(Invalid::value(format!("{GUARD}.minimumPods"), &json!(minimum_pods), why.to_owned()));
    }
    let promote = promote.unwrap_or_default();
    if promote == GuardPromotion::OnEvidence && steps == 0 {
        let why = "without steps nothing is compared before the promotion: add steps, or use onNoRegression";
        return Err(Invalid::value(format!("{GUARD}.promote"), &json!(promote), why.to_owned()));
    }
    Ok(Guard { settings, minimum_pods, promote, on_no_data: on_no_data.unwrap_or_default() })
}

fn errors(errors: &crd::ErrorRateGuard) -> Result<Errors, Invalid> {
    let factor = errors.margin.unwrap_or(DEFAULT_MARGIN);
    let allowance = errors.at_least.unwrap_or(DEFAULT_AT_LEAST);
    let margin = Margin::new(factor, allowance).map_err(|why| {
        let value = json!({"margin": factor, "atLeast": allowance});
        Invalid::value(format!("{GUARD}.errorRate"), &value, why.to_string())
    })?;
    Ok(Errors { margin, ..Errors::default() })
}

/// The edges are left to the judge, who learns them from the stable version.
fn slow(guard: &crd::LatencyGuard) -> Result<Latency, Invalid> {
    let factor = guard.margin.unwrap_or(DEFAULT_MARGIN);
    if let Err(why) = Margin::new(factor, SLOW_ALLOWANCE) {
        return Err(Invalid::value(format!("{GUARD}.latency.margin"), &json!(factor), why.to_string()));
    }
    Ok(Latency { edges: Vec::new(), shift: latency::shift(factor), allowance: SLOW_ALLOWANCE, part: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(json: Value, steps: usize) -> Result<Guard, String> {
        read(&serde_json::from_value(json).unwrap(), steps).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_is_not_written_has_defaults() {
        let Guard { settings, minimum_pods, promote, on_no_data } =
            guard(json!({"errorRate": {}}), 0).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(
            (minimum_pods, promote, on_no_data),
            (1, GuardPromotion::OnNoRegression, GuardNoData::Hold)
        );
        let settings =
            guard(json!({"errorRate": {"margin": 2, "atLeast": 0.01}, "alpha": 0.05}), 0).unwrap().settings;
        assert_eq!(settings.alpha, Level::ONE_IN_TWENTY);
        assert_eq!(settings.errors.unwrap().margin, Margin::new(2.0, 0.01).unwrap());
    }

    #[test]
    fn latencies_are_watched_alone_or_beside_errors() {
        let alone = guard(json!({"latency": {}}), 0).unwrap().settings;
        assert_eq!((alone.errors, alone.latency.unwrap().shift), (None, 3));
        let both = guard(json!({"errorRate": {}, "latency": {"margin": 2}}), 0).unwrap().settings;
        assert_eq!((both.errors.is_some(), both.latency.unwrap().shift), (true, 4));
    }

    #[test]
    fn where_the_field_is_dropped_the_annotation_says_it() {
        let rollout = |annotation: &str, canary: Value| -> Rollout {
            serde_json::from_value(json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "metadata": {"name": "shop", "annotations": {GUARD_ANNOTATION: annotation}},
                "spec": {"template": {"spec": {"containers": []}}, "strategy": {"canary": canary}},
            }))
            .unwrap()
        };
        let text = r#"{"errorRate": {"margin": 3}, "onNoData": "abort"}"#;
        let read = of(&rollout(text, json!({}))).unwrap().unwrap();
        assert_eq!(read.on_no_data, GuardNoData::Abort);
        let both = of(&rollout(text, json!({"guard": {"latency": {}}}))).unwrap().unwrap();
        assert_eq!(both.settings.errors, None, "the field goes first");
        for (text, told) in [
            ("{", "it is no JSON"),
            (r#"{"errorrate": {}}"#, "errorrate"),
            (r#"{"errorRate": {"margim": 2}}"#, "margim"),
            (r#"{"errorRate": {}, "promote": "never"}"#, "never"),
            (r#"{"errorRate": {"margin": 0}}"#, "guard.errorRate"),
        ] {
            let refused = of(&rollout(text, json!({}))).unwrap_err().to_string();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (json, field) in [
            (json!({}), "guard.errorRate"),
            (json!({"errorRate": {"margin": 0.5}}), "guard.errorRate"),
            (json!({"errorRate": {"atLeast": 1}}), "guard.errorRate"),
            (json!({"errorRate": {}, "alpha": 0}), "guard.alpha"),
            (json!({"latency": {"margin": 0.9}}), "guard.latency.margin"),
            (json!({"latency": {}, "minimumPods": 0}), "guard.minimumPods"),
            (json!({"latency": {}, "promote": "onEvidence"}), "guard.promote"),
        ] {
            let told = guard(json.clone(), 0).unwrap_err();
            assert!(told.contains(field), "{json}: {told}");
        }
        guard(json!({"latency": {}, "promote": "onEvidence"}), 1).unwrap();
    }
}
