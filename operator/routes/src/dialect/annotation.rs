//! The annotation `getambassador.io/config`: YAML documents, separated by `---`, each an object (emissary.md §4).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

use super::{ApiVersion, Carrier, Document, DocumentKind, Origin};
use crate::{compat::Compat, object::ObjectName};

/// The annotation of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its text.
    pub text: Arc<str>,
    /// The labels of the object that bears it.
    pub labels: BTreeMap<String, String>,
    /// `metadata.resourceVersion` of that object.
    pub resource_version: Arc<str>,
}

/// What one document of an annotation turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// An object.
    Document(Document),
    /// Nothing that could be read; a sentence for the owner of the annotation.
    Unreadable(String),
}

/// Kinds that Emissary has and that have no effect here.
const NOT_ACTED_ON: [&str; 9] = [
    "AuthService",
    "RateLimitService",
    "LogService",
    "TracingService",
    "DevPortal",
    "Filter",
    "FilterPolicy",
    "RateLimit",
    "AmbassadorInstallation",
];

/// Reads an annotation. The number of a document, from 1, is its place in the list.
///
/// A document that is no YAML says so and leaves the others alone; in Emissary it takes all others with it.
#[must_use]
pub fn read(carrier: &Carrier, annotation: &Annotation, compat: Compat) -> Vec<Found> {
    let texts = split(&annotation.text);
    let values: Vec<Result<Value, String>> = texts.iter().map(|text| parse(text, compat)).collect();
    let broken =
        |it: &Result<Value, String>| !matches!(it, Ok(Value::Object(object)) if object.contains_key("kind"));
    let whole = |it: &&Result<Value, String>| broken(it) && !matches!(it, Ok(Value::Null));
    if compat == Compat::Strict
        && let Some(Err(reason) | Ok(Value::String(reason))) = values.iter().find(whole)
    {
        return vec![Found::Unreadable(format!("the whole annotation is ignored: {reason}"))];
    }
    let mut found = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        found.push(match value {
            Err(reason) => Found::Unreadable(reason),
            Ok(Value::Object(object)) => document(carrier, annotation, object, number, compat)
                .map_or_else(Found::Unreadable, Found::Document),
            Ok(Value::Null) => Found::Unreadable("it is empty".to_owned()),
            Ok(_) => Found::Unreadable("it is not an object with `apiVersion`, `kind` and `name`".to_owned()),
        });
    }
    found
}

/// The texts between lines `---`. What stands before the first of them counts only if there is something in it.
fn split(text: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let marker = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        match marker {
            Some(rest) => texts.push(rest.trim().to_owned()),
            None if line == "..." => {}
            None => {}
        }
        if marker.is_none() && line != "..." {
            let last = texts.last_mut();
            if let Some(last) = last {
                last.push_str(line);
                last.push('\n');
            }
        }
    }
    let blank =
        |text: &String| text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    texts.retain(|text| !blank(text));
    texts
}

/// Of a key that is written twice the last value counts, as in Emissary.
fn parse(text: &str, compat: Compat) -> Result<Value, String> {
    // Emissary reads YAML 1.1, where `n` is false: nobody means that by a name.
    let strict_booleans = compat == Compat::Ideal;
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, strict_booleans: strict_booleans };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.to_string();
        format!("it is no YAML: {}", text.lines().next().unwrap_or_default())
    })
}

/// Folds a flat document: `name`, `namespace` and the labels are metadata, all else is the spec. One in the full shape
/// of Kubernetes is taken as it is; what stands beside its `spec` is part of it.
fn document(
    carrier: &Carrier,
    annotation: &Annotation,
    mut fields: Map<String, Value>,
    number: u32,
    compat: Compat,
) -> Result<Document, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let api_version = text(fields.remove("apiVersion")).unwrap_or_default();
    let kind_text = text(fields.remove("kind")).unwrap_or_default();
    let mut metadata = match fields.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    for field in ["name", "namespace", "generation"] {
        if let Some(value) = fields.remove(field) {
            metadata.insert(field.to_owned(), value);
        }
    }
    if let Some(labels) = fields.remove("metadata_labels") {
        metadata.insert("labels".to_owned(), labels);
    }
    fields.remove("status");
    let mut spec = match fields.remove("spec") {
        Some(Value::Object(spec)) => spec,
        _ => Map::new(),
    };
    spec.extend(fields);

    let what = || format!("`{kind_text}` of apiVersion `{api_version}`");
    let version = ApiVersion::parse(&api_version).ok_or_else(|| {
        format!("{} is not known: write `getambassador.io/v3alpha1`, or v1 or v2 of it", what())
    })?;
    if compat == Compat::Strict && (version == ApiVersion::V0 || api_version.starts_with("x.")) {
        return Err(format!("{} is not read by Emissary", what()));
    }
    let kind = DocumentKind::parse(&kind_text).ok_or_else(|| {
        if NOT_ACTED_ON.contains(&kind_text.as_str()) {
            format!("`{kind_text}` is not acted on")
        } else {
            format!("{} is no kind of `getambassador.io`", what())
        }
    })?;
    let name = text(metadata.remove("name")).filter(|name| !name.is_empty()).ok_or("`name` is missing")?;
    let namespace = text(metadata.remove("namespace")).filter(|namespace| !namespace.is_empty());
    let namespace = namespace.map_or_else(|| carrier.name.namespace.clone(), Arc::from);
    let labels = match metadata.remove("labels") {
        Some(Value::Object(labels)) => {
            labels.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
        }
        _ => annotation.labels.clone(),
    };
    Ok(Document {
        kind,
        name: ObjectName::new(namespace, name),
        version,
        origin: Origin::Annotation(carrier.clone(), number),
        labels,
        resource_version: annotation.resource_version.clone(),
        owned_by_rollout: false,
        spec: Arc::new(Value::Object(spec)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::CarrierKind;

    fn carrier() -> Carrier {
        Carrier { kind: CarrierKind::Service, name: ObjectName::new("shop", "web") }
    }

    fn read_text(text: &str, compat: Compat) -> Vec<String> {
        let annotation = Annotation {
            text: text.into(),
            labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            resource_version: "1".into(),
        };
        let show = |found: Found| match found {
            Found::Unreadable(reason) => format!("! {reason}"),
            Found::Document(it) => {
                format!("{} {} {:?} {:?} {}", it.kind.as_str(), it.name, it.version, it.labels, it.spec)
            }
        };
        read(&carrier(), &annotation, compat).into_iter().map(show).collect()
    }

    #[test]
    fn a_flat_document_is_folded() {
        let text = "---\napiVersion: ambassador/v0\nkind: Mapping\nname: m\nprefix: /m/\nservice: web\n";
        let expected =
            format!(r#"Mapping shop/m V0 {{"app": "web"}} {}"#, json!({"prefix": "/m/", "service": "web"}));
        assert_eq!(read_text(text, Compat::Ideal), [expected]);
    }

    #[test]
    fn a_document_in_full_shape_is_taken_as_it_is() {
        let text = "apiVersion: getambassador.io/v2\nkind: Host\nmetadata: {name: h, namespace: n, labels: {a: b}}\n\
                    spec: {hostname: a.test}\n";
        assert_eq!(read_text(text, Compat::Ideal), [r#"Host n/h V2 {"a": "b"} {"hostname":"a.test"}"#]);
    }

    #[test]
    fn a_bad_document_leaves_the_others_alone() {
        let text = "apiVersion: ambassador/v1\nkind: Gadget\nname: g\n---\nkind: [\n---\n# nothing\n---\n\
                    apiVersion: ambassador/v1\nkind: Module\nname: ambassador\nconfig: {}\n---\n\
                    apiVersion: ambassador/v1\nkind: AuthService\nname: a\n---\napiVersion: v1\nkind: Mapping\nname: x\n";
        let found = read_text(text, Compat::Ideal);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert_eq!(found[0], "! `Gadget` of apiVersion `ambassador/v1` is no kind of `getambassador.io`");
        assert!(found[1].starts_with("! it is no YAML: "), "{}", found[1]);
        assert!(found[2].starts_with("Module shop/ambassador V1"));
        assert_eq!(found[3], "! `AuthService` is not acted on");
        assert!(found[4].starts_with("! `Mapping` of apiVersion `v1` is not known"));
        assert_eq!(read_text(text, Compat::Strict).len(), 1);
    }
}
