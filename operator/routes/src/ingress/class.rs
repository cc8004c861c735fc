//! Which Ingresses are ours.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::object::{IngressClass, IngressObject};

/// The annotation that named a class before there was a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Whether an Ingress is for one of our controllers: by `ingressClassName`, else by the old annotation, else because one
/// of our classes is the default. API servers write the default class into new Ingresses only.
pub(crate) fn is_ours(
    ingress: &IngressObject,
    classes: &BTreeMap<Arc<str>, IngressClass>,
    controllers: &[String],
) -> bool {
    let ours = |class: &IngressClass| controllers.contains(&class.controller);
    let written = ingress.spec.get("ingressClassName").and_then(Value::as_str);
    let annotated = ingress.annotations.get(CLASS_ANNOTATION).map(String::as_str);
    match written.or(annotated).filter(|name| !name.is_empty()) {
        Some(name) => classes.get(name).is_some_and(ours),
        None => classes.values().any(|class| class.default && ours(class)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_ingress_is_ours_as_the_table_says() {
        let class = |controller: &str, default| IngressClass { controller: controller.to_owned(), default };
        let classes = |default| {
            BTreeMap::from([
                (Arc::from("sluice"), class("sluice.dev/ingress-controller", default)),
                (Arc::from("other"), class("example.org/other", false)),
            ])
        };
        let table = [
            (Some("sluice"), None, false, true),
            (Some("other"), None, true, false),
            (Some("gone"), None, true, false),
            (None, Some("sluice"), false, true),
            (None, Some("other"), true, false),
            (Some("other"), Some("sluice"), false, false),
            (None, None, false, false),
            (None, None, true, true),
        ];
        for (written, annotated, default, expected) in table {
            let spec = written.map_or_else(|| json!({}), |name| json!({"ingressClassName": name}));
            let annotations = annotated.map(|name: &str| (CLASS_ANNOTATION.to_owned(), name.to_owned()));
            let ingress = IngressObject {
                annotations: annotations.into_iter().collect(),
                ..IngressObject::new("1", spec)
            };
            let controllers = ["sluice.dev/ingress-controller".to_owned()];
            let ours = is_ours(&ingress, &classes(default), &controllers);
            assert_eq!(ours, expected, "{written:?} {annotated:?} {default}");
        }
    }
}
