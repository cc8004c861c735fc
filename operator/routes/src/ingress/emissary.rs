//! An Ingress of Emissary's class, as Emissary reads it: each path is a Mapping, each name with a certificate a Host.
//!
//! This is for `--ambassador-compat=strict`. There a path is a prefix of text that is taken away before the request is
//! sent, and all else about Mappings holds as well: they share requests with others of the same match, and Hosts select
//! them by the labels of the Ingress.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::class;
use crate::{
    compiler::EMISSARY_CONTROLLER,
    dialect::{ApiVersion, Document, DocumentKind, Origin},
    hostname,
    object::{IngressClass, IngressObject, ObjectName},
};

/// The annotation that names instances, as `ambassador_id` does in other objects.
const ID_ANNOTATION: &str = "getambassador.io/ambassador-id";
/// The label by which the Hosts of an Ingress select its rules.
const RULES_LABEL: &str = "sluice.dev/ingress";

/// What an Ingress becomes.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) documents: Vec<Document>,
    /// The Services of which it names a port, so that it depends on theirs.
    pub(crate) services: BTreeSet<ObjectName>,
}

/// Whether an Ingress is of Emissary's class.
pub(crate) fn is_emissarys(ingress: &IngressObject, classes: &BTreeMap<Arc<str>, IngressClass>) -> bool {
    class::is_ours(ingress, classes, &[EMISSARY_CONTROLLER.to_owned()])
        // A default class says nothing to it.
        && class::named(ingress).is_some()
}

/// The documents of an Ingress. `port` tells the number of a Service's named port.
pub(crate) fn documents(
    name: &ObjectName,
    ingress: &IngressObject,
    port: impl Fn(&ObjectName, &str) -> Option<u16>,
) -> Documents {
    let mut made = Documents::default();
    let draft = Draft { name, ingress, with_tls: !items(&ingress.spec, "tls").is_empty() };
    for (number, rule) in items(&ingress.spec, "rules").iter().enumerate() {
        for (index, path) in items(&rule["http"], "paths").iter().enumerate() {
            let service = service(name, &path["backend"], &port, &mut made.services);
            let spec = draft.mapping(rule["host"].as_str(), path, &service);
            made.documents.push(draft.document(DocumentKind::Mapping, &format!("{number}-{index}"), spec));
        }
    }
    if let Some(backend) = ingress.spec.get("defaultBackend").filter(|it| it.is_object()) {
        let service = service(name, backend, &port, &mut made.services);
        let spec = json!({"hostname": "*", "prefix": "/", "service": service});
        made.documents.push(draft.document(DocumentKind::Mapping, "default-backend", spec));
    }
    for (number, tls) in items(&ingress.spec, "tls").iter().enumerate() {
        let hosts: Vec<&str> = items(tls, "hosts").iter().filter_map(Value::as_str).collect();
        let hosts = if hosts.is_empty() { vec!["*"] } else { hosts };
        for (index, host) in hosts.iter().enumerate() {
            let spec = draft.host(host, tls["secretName"].as_str());
            made.documents.push(draft.document(DocumentKind::Host, &format!("{number}-{index}"), spec));
        }
    }
    made
}

struct Draft<'a> {
    name: &'a ObjectName,
    ingress: &'a IngressObject,
    with_tls: bool,
}

impl Draft<'_> {
    fn document(&self, kind: DocumentKind, suffix: &str, mut spec: Value) -> Document {
        if let Some(id) = self.ingress.annotations.get(ID_ANNOTATION) {
            spec["ambassador_id"] = json!([id]);
        }
        let mut labels = self.ingress.labels.clone();
        labels.insert(RULES_LABEL.to_owned(), self.name.to_string());
        Document {
            kind,
            name: self.name.sibling(format!("{}-{suffix}", self.name.name)),
            version: ApiVersion::V3,
            origin: Origin::Ingress(self.name.clone()),
            labels,
            resource_version: Arc::clone(&self.ingress.resource_version),
            owned_by_rollout: false,
            spec: Arc::new(spec),
        }
    }

    fn mapping(&self, host: Option<&str>, path: &Value, service: &str) -> Value {
        let prefix = path["path"].as_str().filter(|path| !path.is_empty()).unwrap_or("/");
        let exact = path["pathType"] == "Exact";
        let mut spec = json!({"prefix": prefix, "prefix_exact": exact, "service": service});
        if exact {
            spec["precedence"] = json!(1);
        }
        match host.filter(|host| !host.is_empty()) {
            // For its own Hosts only, by their selectors.
            None if self.with_tls => {}
            None => spec["hostname"] = json!("*"),
            Some(host) => match host.strip_prefix("*.") {
                // One more label, not any number of them.
                Some(tail) => {
                    spec["host"] = json!(format!("[^.]+[.]{}", hostname::escape(tail)));
                    spec["host_regex"] = json!(true);
                }
                None => spec["hostname"] = json!(host),
            },
        }
        spec
    }

    fn host(&self, host: &str, secret: Option<&str>) -> Value {
        let mut spec = json!({
            "hostname": host,
            "mappingSelector": {"matchLabels": {RULES_LABEL: self.name.to_string()}},
            "requestPolicy": {"insecure": {"action": "Route"}},
        });
        if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
            spec["tlsSecret"] = json!({"name": secret});
        }
        spec
    }
}

/// Where a backend is, as a Mapping writes it.
fn service(
    ingress: &ObjectName,
    backend: &Value,
    port: impl Fn(&ObjectName, &str) -> Option<u16>,
    services: &mut BTreeSet<ObjectName>,
) -> String {
    let name = backend["service"]["name"].as_str().unwrap_or_default();
    let port = match (&backend["service"]["port"]["number"], backend["service"]["port"]["name"].as_str()) {
        (Value::Number(number), _) => number.to_string(),
        (_, Some(text)) => {
            let service = ingress.sibling(name);
            let number = port(&service, text);
            services.insert(service);
            number.map_or_else(|| text.to_owned(), |number| number.to_string())
        }
        (_, None) => String::new(),
    };
    format!("{name}.{}:{port}", ingress.namespace)
}

/// The items of a list; of what is none there are none.
fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}
