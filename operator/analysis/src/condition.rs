//! What a measured value means: success and failure conditions (reference §7.2).

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;

use crate::expression::{Expression, Problem, Surroundings, Value};

/// What a measurement came to, and why if it came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Successful, Failed, Inconclusive or Error.
    pub phase: AnalysisPhase,
    /// Why it is an error.
    pub error: Option<String>,
}

impl Verdict {
    fn of(phase: AnalysisPhase) -> Self {
        Self { phase, error: None }
    }
}

/// Judges a measured value. An absent condition is `None`; a value is good if there is no condition at all, the
/// failure condition wins over the success condition, and a value for which neither is true is inconclusive.
#[must_use]
pub fn judge(result: &Value, success: Option<&str>, failure: Option<&str>, now: DateTime<Utc>) -> Verdict {
    let ask = |field: &str, condition: Option<&str>| {
        condition.map(|it| {
            is_true(result, it, now).map_err(|why| Verdict {
                phase: AnalysisPhase::Error,
                error: Some(format!("could not evaluate {field} \"{it}\": {why}")),
            })
        })
    };
    let asked = ask("successCondition", success)
        .transpose()
        .and_then(|good| Ok((good, ask("failureCondition", failure).transpose()?)));
    match asked {
        Err(verdict) => verdict,
        Ok((_, Some(true)) | (Some(false), None)) => Verdict::of(AnalysisPhase::Failed),
        Ok((Some(false), Some(false))) => Verdict::of(AnalysisPhase::Inconclusive),
        Ok((None | Some(true), None | Some(false))) => Verdict::of(AnalysisPhase::Successful),
    }
}

/// Whether a condition holds. Without data, whatever goes wrong is the fault of there being none.
fn is_true(result: &Value, condition: &str, now: DateTime<Utc>) -> Result<bool, Problem> {
    let outcome = Expression::parse(condition).and_then(|expression| {
        expression.check(result)?;
        match expression.evaluate(Surroundings { result, now })? {
            Value::Bool(flag) => Ok(flag),
            value => Err(Problem(format!("expected bool, but got {}", value.type_name()))),
        }
    });
    let nothing = result.is_nil() || result.items().is_some_and(|it| it.is_empty());
    match outcome {
        Err(_) if nothing => Err(Problem(
            "metric result is nil or empty: no data returned from the metric provider".to_owned(),
        )),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{MOST_NESTED, MOST_TOKENS};

    fn says(condition: &str) -> Result<bool, String> {
        is_true(&Value::Float(1.0), condition, DateTime::UNIX_EPOCH).map_err(|it| it.to_string())
    }

    #[test]
    fn the_failure_condition_wins_and_neither_is_inconclusive() {
        use AnalysisPhase::{Failed, Inconclusive, Successful};
        let judged =
            |success, failure| judge(&Value::Float(1.0), success, failure, DateTime::UNIX_EPOCH).phase;
        let (yes, no) = (Some("true"), Some("false"));
        for (success, failure, phase) in [
            (None, None, Successful),
            (yes, None, Successful),
            (no, None, Failed),
            (None, yes, Failed),
            (None, no, Successful),
            (yes, yes, Failed),
            (yes, no, Successful),
            (no, yes, Failed),
            (no, no, Inconclusive),
        ] {
            assert_eq!(judged(success, failure), phase, "{success:?} {failure:?}");
        }
    }

    #[test]
    fn no_condition_takes_the_stack_or_the_time() {
        let deep = |open: &str, close: &str, times: usize| {
            format!("{}1 == 1{}", open.repeat(times), close.repeat(times))
        };
        let levels = usize::try_from(MOST_NESTED).unwrap();
        // The stack of a thread of tokio's.
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let asked = thread.spawn(move || {
            assert_eq!(says(&deep("(", ")", levels - 2)), Ok(true));
            assert!(says(&deep("(", ")", levels + 1)).unwrap_err().contains("nests deeper"));
            assert!(says(&"!".repeat(200)).unwrap_err().contains("nests deeper"));
            assert!(says(&format!("1{}", " + 1".repeat(MOST_TOKENS))).unwrap_err().contains("more than"));
            assert_eq!(says(&format!("0 < 1{}", " + 1".repeat(MOST_TOKENS / 2 - 4))), Ok(true));
            let chain = format!("result{}", ".a".repeat(MOST_TOKENS / 2 - 2));
            assert_eq!(says(&chain), Err("type float64 has no field a".to_owned()));
            for endless in [
                "all(1..1000000, all(1..1000000, true))".to_owned(),
                format!("len(1..{}) > 0", i64::MAX),
                "len(reduce(1..60, #acc + #acc, 'aa')) > 0".to_owned(),
                "len(repeat('a', 9223372036854775807)) > 0".to_owned(),
            ] {
                assert_eq!(says(&endless), Err("memory budget exceeded".to_owned()), "{endless}");
            }
        });
        asked.unwrap().join().unwrap();
    }
}
