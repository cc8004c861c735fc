//! What is told of a definition: pure.

use crds::contract::GUARD_ANNOTATION;
use operator_core::effect::{Event, EventKind};

/// Of definitions: fields are dropped.
const PRUNED: &str = "FieldsPruned";
/// Of definitions: none is any more.
const KEPT: &str = "FieldsKept";

/// How many fields an event names: those of Argo's newest definitions, and room for the words. The log has all.
const NAMED: usize = 8;

/// The event that tells of a change; `None`: there is none to tell of. `told` is what the last one was about.
pub(super) fn event(told: Option<&[String]>, pruned: &[String]) -> Option<Event> {
    let told = told.unwrap_or_default();
    if told == pruned {
        return None;
    }
    let (kind, reason, message) = if pruned.is_empty() {
        (EventKind::Normal, KEPT, REPAIRED.to_owned())
    } else {
        (EventKind::Warning, PRUNED, warning(pruned))
    };
    Some(Event { kind, reason: reason.to_owned(), message })
}

const REPAIRED: &str = "Every field that Sluice acts on is kept now. What was dropped before does not come back by itself: \
                        apply the objects again that should have it";

fn warning(pruned: &[String]) -> String {
    let named = pruned.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = match pruned.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let instead: String = pruned.iter().filter_map(|path| instead(path)).collect();
    format!(
        "The API server drops fields that Sluice acts on, because this definition does not name them: {named}{rest}. \
         Install Sluice's: kubectl apply --server-side --force-conflicts -f charts/sluice/crds, and apply again what has \
         them.{instead}"
    )
}

/// What says the same in an object that keeps it, as a sentence.
fn instead(path: &str) -> Option<String> {
    match path {
        "spec.strategy.canary.guard" => {
            Some(format!(" A guard may be written into the annotation {GUARD_ANNOTATION} instead."))
        }
        "spec.strategy.canary.trafficRouting.gatewayAPI" => Some(
            " Instead of gatewayAPI, trafficRouting.plugins may have argoproj-labs/gatewayAPI.".to_owned(),
        ),
        "spec.metrics[].provider.sluice" => {
            Some(" Instead of provider.sluice, provider.plugin may have sluice.".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn each_state_is_told_once() {
        let (none, one, two) = (paths(&[]), paths(&["spec.a"]), paths(&["spec.a", "spec.b"]));
        let reason =
            |told: Option<&[String]>, now: &[String]| event(told, now).map(|it| (it.kind, it.reason));
        let pruned = Some((EventKind::Warning, PRUNED.to_owned()));
        assert_eq!(reason(None, &none), None, "nothing was ever wrong");
        assert_eq!(reason(None, &one), pruned);
        assert_eq!(reason(Some(&one), &one), None);
        assert_eq!(reason(Some(&one), &two), pruned);
        assert_eq!(reason(Some(&two), &none), Some((EventKind::Normal, KEPT.to_owned())));
        assert_eq!(reason(Some(&none), &none), None);
        assert_eq!(reason(Some(&none), &one), pruned);
    }

    #[test]
    fn it_says_what_is_dropped_and_what_to_do() {
        let fields = paths(&[
            "spec.strategy.canary.guard",
            "spec.strategy.canary.trafficRouting.confirm",
            "spec.strategy.canary.trafficRouting.gatewayAPI",
        ]);
        assert_eq!(
            event(None, &fields).unwrap().message,
            "The API server drops fields that Sluice acts on, because this definition does not name them: \
             spec.strategy.canary.guard, spec.strategy.canary.trafficRouting.confirm, \
             spec.strategy.canary.trafficRouting.gatewayAPI. Install Sluice's: kubectl apply --server-side \
             --force-conflicts -f charts/sluice/crds, and apply again what has them. A guard may be written into the \
             annotation sluice.dev/guard instead. Instead of gatewayAPI, trafficRouting.plugins may have \
             argoproj-labs/gatewayAPI."
        );
    }

    #[test]
    fn an_old_definition_does_not_fill_the_event() {
        let fields: Vec<String> =
            (0..40).map(|number| format!("spec.strategy.canary.field{number}")).collect();
        let message = event(None, &fields).unwrap().message;
        assert!(message.contains("field7 and 32 more. Install"), "{message}");
        assert!(message.len() <= 1024, "the API server takes no more than that");
    }
}
