//! The canary Ingress of a stable Ingress (`trafficRouting.nginx`).
//!
//! Named, owned and annotated as Argo's, so that ingress-nginx splits by it as well. It has the rules of the stable one
//! that send to the stable Service, with the canary Service in its place, and follows them; Argo copies them once. Where
//! Argo leaves it with weight 0, it goes, as canary Mappings do.
//!
//! Where this engine names Mappings, an Ingress stands under its [key](crate::key): everything that moves weights is the same for
//! both.

use serde_json::{Map, Value, json};

use crate::key::{self, Kind};
use crate::mapping::{Canary, Part, own, suffixed};
use crate::spec::IngressRouting;
use crate::weight::{Total, Weight};

/// What ends the name of a canary Ingress.
const SUFFIX: &str = "-canary";
/// Part of an Ingress's own class that Argo keeps.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// What follows the prefix in the annotation that holds the weight.
const WEIGHT: &str = "/canary-weight";
/// The same for what the weight is a part of.
const TOTAL: &str = "/canary-weight-total";

/// What stands for an Ingress of this name where Mappings are named.
#[must_use]
pub fn key(name: &str) -> String {
    key::of(Kind::Ingress, name)
}

/// The Ingress that a key stands for; `None`: it stands for an object of another kind.
#[must_use]
pub fn name_of(key: &str) -> Option<&str> {
    match key::parse(key) {
        (Kind::Ingress, name) => Some(name),
        (Kind::Mapping | Kind::HttpRoute | Kind::GrpcRoute, _) => None,
    }
}

/// The key of the canary Ingress of a Rollout beside a stable one; the rest is cut to what fits.
#[must_use]
pub fn canary_key(rollout: &str, stable: &str) -> String {
    let whole = format!("{rollout}-{stable}");
    key(&suffixed(&whole, SUFFIX))
}

/// The weight of a canary Ingress, rounded up; `None` if it is not an Ingress with one.
#[must_use]
pub fn weight(object: &Value) -> Option<Option<Weight>> {
    if object["kind"] != "Ingress" {
        return None;
    }
    let annotations = object["metadata"]["annotations"].as_object();
    let number = |suffix: &str| {
        let mut named = annotations.into_iter().flatten().filter(|(name, _)| name.ends_with(suffix));
        named.find_map(|(_, text)| text.as_str()?.parse::<i64>().ok())
    };
    // A total below 100 counts as 100, in ingress-nginx as well.
    let total = number(TOTAL).unwrap_or(0).max(Total::PERCENT.parts().into());
    Some(number(WEIGHT).map(|weight| Weight::of_counts(weight, total - weight.clamp(0, total))))
}

/// Whether some rule of an Ingress, or what takes the rest, sends to a Service.
#[must_use]
pub fn sends_to(object: &Value, service: &str) -> bool {
    is_backend(&object["spec"]["defaultBackend"], service)
        || paths(object).any(|path| is_backend(&path["backend"], service))
}

/// The object to POST, or with `existing` to PUT: then everything of it that is not ours stays as it is, and the result
/// equals it if nothing is to be written.
///
/// `None` if no rule of the stable Ingress sends to the stable Service ([`crate::references::check`] says so to the user).
#[must_use]
pub fn wanted(
    stable: &Value,
    existing: Option<&Value>,
    canary: &Canary<'_>,
    name: &str,
    routing: &IngressRouting,
) -> Option<Value> {
    let Part::Share(weight) = canary.part else { return None };
    let mut object = existing.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": canary.namespace},
        })
    });
    let spec = spec(stable, canary)?;
    let fields = object.as_object_mut()?;
    fields.insert("spec".to_owned(), spec);
    let metadata = fields.entry("metadata").or_insert_with(|| json!({})).as_object_mut()?;
    annotate(stable, metadata, weight, routing);
    own(metadata, canary);
    Some(object)
}

/// The rules that send to the stable Service, with the canary Service in its place.
fn spec(stable: &Value, canary: &Canary<'_>) -> Option<Value> {
    if !sends_to(stable, canary.base_service) {
        return None;
    }
    let mut spec = Map::new();
    if let Some(class) = stable["spec"].get("ingressClassName").filter(|class| !class.is_null()) {
        spec.insert("ingressClassName".to_owned(), class.clone());
    }
    let rest = &stable["spec"]["defaultBackend"];
    if is_backend(rest, canary.base_service) {
        spec.insert("defaultBackend".to_owned(), with_service(rest, canary.copy_service));
    }
    let mut rules = Vec::new();
    for rule in stable["spec"]["rules"].as_array().into_iter().flatten() {
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        let sending = paths.filter(|path| is_backend(&path["backend"], canary.base_service));
        let sending: Vec<Value> = sending
            .map(|path| {
                let mut path = path.clone();
                path["backend"] = with_service(&path["backend"], canary.copy_service);
                path
            })
            .collect();
        if !sending.is_empty() {
            let mut rule = rule.clone();
            rule["http"]["paths"] = json!(sending);
            rules.push(rule);
        }
    }
    if !rules.is_empty() {
        spec.insert("rules".to_owned(), json!(rules));
    }
    Some(Value::Object(spec))
}

/// The class of the stable one; what the spec of the Rollout adds; then what makes it a canary.
fn annotate(stable: &Value, metadata: &mut Map<String, Value>, weight: Weight, routing: &IngressRouting) {
    let IngressRouting { prefix, additional, own, total } = routing;
    let mut annotations = match metadata.remove("annotations") {
        Some(Value::Object(annotations)) => annotations,
        _ => Map::new(),
    };
    if let Some(class) = stable["metadata"]["annotations"].get(CLASS_ANNOTATION) {
        annotations.insert(CLASS_ANNOTATION.to_owned(), class.clone());
    }
    for (name, value) in additional {
        let has_it = name.starts_with(prefix.as_str());
        let name = if has_it { name.clone() } else { format!("{prefix}/{name}") };
        annotations.insert(name, json!(value));
    }
    for (name, value) in own {
        annotations.insert(name.clone(), json!(value));
    }
    annotations.insert(format!("{prefix}/canary"), json!("true"));
    let parts = weight.parts(total.unwrap_or(Total::PERCENT));
    annotations.insert(format!("{prefix}{WEIGHT}"), json!(parts.to_string()));
    match total {
        Some(total) => annotations.insert(format!("{prefix}{TOTAL}"), json!(total.parts().to_string())),
        None => annotations.remove(&format!("{prefix}{TOTAL}")),
    };
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
}

fn paths(object: &Value) -> impl Iterator<Item = &Value> {
    let rules = object["spec"]["rules"].as_array().into_iter().flatten();
    rules.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten())
}

fn is_backend(backend: &Value, service: &str) -> bool {
    backend["service"]["name"] == service
}

fn with_service(backend: &Value, service: &str) -> Value {
    let mut backend = backend.clone();
    backend["service"]["name"] = json!(service);
    backend
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: Canary<'_> = Canary {
        rollout: "shop",
        uid: "u1",
        namespace: "prod",
        base_service: "shop-stable",
        copy_service: "shop-canary",
        part: Part::Share(Weight::ZERO),
    };

    fn stable() -> Value {
        let path = |path: &str, service: &str| {
            let backend = json!({"service": {"name": service, "port": {"name": "http"}}});
            json!({"path": path, "pathType": "Prefix", "backend": backend})
        };
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "shop",
                "namespace": "prod",
                "annotations": {CLASS_ANNOTATION: "nginx", "nginx.ingress.kubernetes.io/enable-cors": "true"},
            },
            "spec": {
                "ingressClassName": "sluice",
                "tls": [{"hosts": ["a.org"], "secretName": "cert"}],
                "rules": [
                    {"host": "a.org", "http": {"paths": [path("/", "shop-stable"), path("/api", "api")]}},
                    {"host": "b.org", "http": {"paths": [path("/", "api")]}},
                ],
            },
        })
    }

    fn routing() -> IngressRouting {
        IngressRouting {
            prefix: "nginx.ingress.kubernetes.io".to_owned(),
            additional: [("canary-by-header".to_owned(), "x-beta".to_owned())].into(),
            own: [("example.org/owner".to_owned(), "shop".to_owned())].into(),
            total: None,
        }
    }

    #[test]
    fn the_canary_has_the_rules_of_the_stable_service_and_belongs_to_the_rollout() {
        let canary = Canary { part: Part::Share(Weight::of_percent(30)), ..CANARY };
        let wanted = wanted(&stable(), None, &canary, "shop-shop-canary", &routing()).unwrap();
        assert_eq!(
            wanted,
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {
                    "name": "shop-shop-canary",
                    "namespace": "prod",
                    "annotations": {
                        "kubernetes.io/ingress.class": "nginx",
                        "nginx.ingress.kubernetes.io/canary": "true",
                        "nginx.ingress.kubernetes.io/canary-weight": "30",
                        "nginx.ingress.kubernetes.io/canary-by-header": "x-beta",
                        "example.org/owner": "shop",
                    },
                    "ownerReferences": [{
                        "apiVersion": "argoproj.io/v1alpha1",
                        "kind": "Rollout",
                        "name": "shop",
                        "uid": "u1",
                        "controller": true,
                        "blockOwnerDeletion": true,
                    }],
                },
                "spec": {
                    "ingressClassName": "sluice",
                    "rules": [{"host": "a.org", "http": {"paths": [{
                        "path": "/",
                        "pathType": "Prefix",
                        "backend": {"service": {"name": "shop-canary", "port": {"name": "http"}}},
                    }]}}],
                },
            })
        );
        assert_eq!(weight(&wanted), Some(Some(Weight::of_percent(30))));
    }

    #[test]
    fn a_weight_is_written_in_parts_of_its_total() {
        let thousand = Total::new(1000).unwrap();
        let weight_of = |parts| Weight::new(parts, thousand).unwrap();
        let canary = Canary { part: Part::Share(weight_of(5)), ..CANARY };
        let routing_of = |total| IngressRouting { total, ..routing() };
        let made = |existing: Option<&Value>, total| {
            wanted(&stable(), existing, &canary, "shop-shop-canary", &routing_of(total)).unwrap()
        };
        let annotation = |object: &Value, name: &str| {
            object["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")].clone()
        };
        let thousandths = made(None, Some(thousand));
        assert_eq!(annotation(&thousandths, "canary-weight"), "5");
        assert_eq!(annotation(&thousandths, "canary-weight-total"), "1000");
        assert_eq!(weight(&thousandths), Some(Some(weight_of(5))));
        let percent = made(Some(&thousandths), None);
        assert_eq!(annotation(&percent, "canary-weight"), "1", "half a percent is not nothing");
        assert_eq!(annotation(&percent, "canary-weight-total"), Value::Null);
    }

    #[test]
    fn what_others_have_annotated_is_read_as_the_proxies_read_it() {
        let table = [
            ("5", "1000", 50),
            ("150", "100", 10_000),
            ("-3", "100", 0),
            ("30", "10", 3000),
            ("1", "3000", 4),
        ];
        for (parts, total, share) in table {
            let object = json!({"kind": "Ingress", "metadata": {"annotations": {
                "n/canary-weight": parts, "n/canary-weight-total": total,
            }}});
            assert_eq!(weight(&object), Some(Some(Weight::of_share(share))), "{parts} of {total}");
        }
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let first = wanted(&stable(), None, &CANARY, "shop-shop-canary", &routing()).unwrap();
        let mut stored = first.clone();
        stored["metadata"]["uid"] = json!("c1");
        stored["metadata"]["annotations"]["added-by-a-webhook"] = json!("x");
        stored["status"] = json!({"loadBalancer": {}});
        assert_eq!(wanted(&stable(), Some(&stored), &CANARY, "shop-shop-canary", &routing()), Some(stored));
    }

    #[test]
    fn what_takes_the_rest_is_split_as_well() {
        let mut stable = stable();
        stable["spec"] =
            json!({"defaultBackend": {"service": {"name": "shop-stable", "port": {"number": 80}}}});
        let wanted = wanted(&stable, None, &CANARY, "c", &routing()).unwrap();
        let backend = json!({"service": {"name": "shop-canary", "port": {"number": 80}}});
        assert_eq!(wanted["spec"], json!({"defaultBackend": backend}));
        stable["spec"]["defaultBackend"]["service"]["name"] = json!("other");
        assert_eq!(super::wanted(&stable, None, &CANARY, "c", &routing()), None);
    }

    #[test]
    fn names_are_argos_and_never_too_long() {
        assert_eq!(canary_key("shop", "web"), "ingress/shop-web-canary");
        let long = canary_key("shop", &"w".repeat(253));
        assert_eq!(name_of(&long).map(str::len), Some(253));
        assert!(long.ends_with("w-canary"));
        assert_eq!(name_of("shop"), None);
    }
}
