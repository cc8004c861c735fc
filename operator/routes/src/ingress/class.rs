//! Which Ingresses are ours.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    compiler::EMISSARY_CONTROLLER,
    object::{IngressClass, IngressObject},
};

/// The annotation that named a class before there was a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// What the annotation means where no IngressClass has that name: there were none when it was written.
const BEFORE_CLASSES: [(&str, &str); 2] =
    [("ambassador", EMISSARY_CONTROLLER), ("nginx", "k8s.io/ingress-nginx")];

/// The class that an Ingress names, and whether by the annotation.
pub(crate) fn named(ingress: &IngressObject) -> Option<(&str, bool)> {
    let written = ingress.spec.get("ingressClassName").and_then(Value::as_str).map(|name| (name, false));
    let annotated = || ingress.annotations.get(CLASS_ANNOTATION).map(|name| (name.as_str(), true));
    written.or_else(annotated).filter(|(name, _)| !name.is_empty())
}

/// Whether an Ingress is for one of our controllers: by `ingressClassName`, else by the old annotation, else because one
/// of our classes is the default. API servers write the default class into new Ingresses only.
pub(crate) fn is_ours(
    ingress: &IngressObject,
    classes: &BTreeMap<Arc<str>, IngressClass>,
    controllers: &[String],
) -> bool {
    let ours = |class: &IngressClass| controllers.contains(&class.controller);
    match named(ingress) {
        Some((name, by_annotation)) => {
            if let Some(class) = classes.get(name) {
                ours(class)
            } else {
                let known = |(class, _): &&(&str, &str)| by_annotation && class.eq_ignore_ascii_case(name);
                let controller = BEFORE_CLASSES.iter().find(known);
                controller.is_some_and(|(_, controller)| controllers.iter().any(|it| it == controller))
            }
        }
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
            (None, Some("Ambassador"), false, true),
            (None, Some("nginx"), false, false),
            (Some("ambassador"), None, false, false),
        ];
        for (written, annotated, default, expected) in table {
            let spec = written.map_or_else(|| json!({}), |name| json!({"ingressClassName": name}));
            let annotations = annotated.map(|name: &str| (CLASS_ANNOTATION.to_owned(), name.to_owned()));
            let ingress = IngressObject {
                annotations: annotations.into_iter().collect(),
                ..IngressObject::new("1", spec)
            };
            let controllers = ["sluice.dev/ingress-controller", EMISSARY_CONTROLLER].map(str::to_owned);
            let ours = is_ours(&ingress, &classes(default), &controllers);
            assert_eq!(ours, expected, "{written:?} {annotated:?} {default}");
        }
    }
}
