//! `spec.strategy.canary.guard`.

use crds::rollout::Guard;
use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::settings::{Errors, Settings};
use serde_json::json;

use super::Invalid;

const GUARD: &str = "spec.strategy.canary.guard";

/// `errorRate.margin` where it is not set.
const DEFAULT_MARGIN: f64 = 1.5;
/// `errorRate.atLeast` where it is not set.
const DEFAULT_AT_LEAST: f64 = 0.001;

/// What is to be watched.
pub(super) fn read(guard: &Guard) -> Result<Settings, Invalid> {
    let Some(errors) = guard.error_rate else {
        return Err(Invalid::required(format!("{GUARD}.errorRate"), "a guard watches something"));
    };
    let factor = errors.margin.unwrap_or(DEFAULT_MARGIN);
    let allowance = errors.at_least.unwrap_or(DEFAULT_AT_LEAST);
    let margin = Margin::new(factor, allowance).map_err(|why| {
        let value = json!({"margin": factor, "atLeast": allowance});
        Invalid::value(format!("{GUARD}.errorRate"), &value, why.to_string())
    })?;
    let mut settings =
        Settings { errors: Some(Errors { margin, ..Errors::default() }), ..Settings::default() };
    if let Some(alpha) = guard.alpha {
        settings.alpha = Level::new(alpha)
            .map_err(|why| Invalid::value(format!("{GUARD}.alpha"), &json!(alpha), why.to_string()))?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(json: serde_json::Value) -> Result<Settings, String> {
        read(&serde_json::from_value(json).unwrap()).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_is_not_written_has_defaults() {
        let settings = guard(json!({"errorRate": {}})).unwrap();
        assert_eq!(settings, Settings::default());
        let settings = guard(json!({"errorRate": {"margin": 2, "atLeast": 0.01}, "alpha": 0.05})).unwrap();
        assert_eq!(settings.alpha, Level::ONE_IN_TWENTY);
        assert_eq!(settings.errors.unwrap().margin, Margin::new(2.0, 0.01).unwrap());
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (json, field) in [
            (json!({}), "guard.errorRate"),
            (json!({"errorRate": {"margin": 0.5}}), "guard.errorRate"),
            (json!({"errorRate": {"atLeast": 1}}), "guard.errorRate"),
            (json!({"errorRate": {}, "alpha": 0}), "guard.alpha"),
        ] {
            let told = guard(json.clone()).unwrap_err();
            assert!(told.contains(field), "{json}: {told}");
        }
    }
}
