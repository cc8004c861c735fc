//! Fields that were applied and are not in the object.

use crds::contract::{GUARD_ANNOTATION, LAST_APPLIED_ANNOTATION};
use crds::rollout::{OwnField, Rollout};
use serde_json::Value;

/// The fields of Sluice's own that kubectl has applied to a canary, and that it does not have: so the API server prunes
/// them, as it does by the definition of Argo Rollouts, or somebody has taken them out. Nothing else leaves a trace: who
/// writes by server-side apply is noted in `managedFields` after pruning.
///
/// A guard that the annotation says is none of them.
#[must_use]
pub(crate) fn pruned(rollout: &Rollout) -> Vec<OwnField> {
    let (Some(canary), Some(annotations)) = (&rollout.spec.strategy.canary, &rollout.metadata.annotations)
    else {
        return Vec::new();
    };
    let Some(text) = annotations.get(LAST_APPLIED_ANNOTATION) else { return Vec::new() };
    let is_missing = |field: &OwnField| match field {
        OwnField::Guard if annotations.contains_key(GUARD_ANNOTATION) => false,
        field => !field.is_in(canary) && text.contains(field.name()),
    };
    let missing: Vec<OwnField> = OwnField::ALL.into_iter().filter(is_missing).collect();
    // The text is as large as the manifest: it is read only where it may matter.
    let read = || serde_json::from_str(text).unwrap_or_default();
    let applied: Value = if missing.is_empty() { Value::Null } else { read() };
    let is_applied = |field: &OwnField| {
        let pointer = format!("/{}", field.path().replace('.', "/"));
        applied.pointer(&pointer).is_some_and(Value::is_object)
    };
    missing.into_iter().filter(is_applied).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is missing of a Rollout with this strategy to which this was applied.
    fn missing(applied: &str, strategy: &Value, mut annotations: Value) -> Vec<OwnField> {
        annotations[LAST_APPLIED_ANNOTATION] = json!(applied);
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "shop", "annotations": annotations},
            "spec": {"strategy": strategy},
        });
        pruned(&serde_json::from_value(rollout).unwrap())
    }

    #[test]
    fn what_was_applied_and_is_not_there_is_found() {
        use OwnField::{Confirm, GatewayApi, Guard};
        let routing = json!({"confirm": {"settleSeconds": 9}, "gatewayAPI": {"httpRoute": "shop"}});
        let whole = json!({"guard": {"errorRate": {}}, "trafficRouting": routing});
        let applied = json!({"spec": {"strategy": {"canary": whole}}}).to_string();
        for (canary, expected) in [
            (json!({}), vec![Guard, Confirm, GatewayApi]),
            (json!({"trafficRouting": {}}), vec![Guard, Confirm, GatewayApi]),
            (json!({"guard": {"errorRate": {}}}), vec![Confirm, GatewayApi]),
            (json!({"trafficRouting": routing}), vec![Guard]),
            (whole.clone(), vec![]),
        ] {
            assert_eq!(missing(&applied, &json!({"canary": canary}), json!({})), expected, "{canary}");
        }
        let annotated = json!({GUARD_ANNOTATION: "{}"});
        assert_eq!(missing(&applied, &json!({"canary": {}}), annotated), [Confirm, GatewayApi]);
        assert_eq!(missing(&applied, &json!({"blueGreen": {}}), json!({})), []);
    }

    #[test]
    fn what_was_not_applied_is_not_missing() {
        for applied in [
            "",
            "{",
            r#"{"spec": {"guard": {}}}"#,
            r#"{"spec": {"strategy": {"canary": {"guard": null}}}}"#,
            r#"{"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"gatewayAPI": {}}}}}}}"#,
        ] {
            assert_eq!(missing(applied, &json!({"canary": {}}), json!({})), [], "{applied}");
        }
    }
}
