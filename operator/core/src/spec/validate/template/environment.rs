//! `env` and `envFrom`.

use super::field::Field;
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

/// Fields of the pod that a variable can have as its value.
const POD_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields of the pod that have a path, but are no value of a variable.
const OTHER_FIELDS: [&str; 6] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.host",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn variables(variables: &Field<'_>) -> Checked {
    for variable in variables.items() {
        let name = variable.child("name");
        name.is_required()?;
        name.is_named(names::environment_variable)?;
        let source = variable.child("valueFrom");
        if source.is_set() {
            value_from(&source, variable.child("value").text())?;
        }
    }
    Ok(())
}

/// All variables of a `ConfigMap` or Secret. The errors of how many there are lack the index, as in Kubernetes.
pub(super) fn sources(sources: &Field<'_>) -> Checked {
    for source in sources.items() {
        source.child("prefix").is_named_if_set(names::environment_variable)?;
        let set: Vec<_> = ["configMapRef", "secretRef"]
            .map(|it| source.child(it))
            .into_iter()
            .filter(Field::is_set)
            .collect();
        for reference in &set {
            let name = reference.child("name");
            name.is_required()?;
            name.is_named(names::subdomain)?;
        }
        let why = match set.len() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        return Err(Invalid::value(sources.path(), "", why));
    }
    Ok(())
}

fn value_from(source: &Field<'_>, value: &str) -> Checked {
    let mut set = 0;
    for name in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"] {
        let reference = source.child(name);
        if !reference.is_set() {
            continue;
        }
        set += 1;
        match name {
            "fieldRef" => pod_field(&reference)?,
            "resourceFieldRef" => resource(&reference.child("resource"))?,
            _ => key(&reference)?,
        }
    }
    let why = match set {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return Ok(()),
        _ => "may not have more than one field specified at a time",
    };
    Err(Invalid::value(source.path(), "", why))
}

fn pod_field(reference: &Field<'_>) -> Checked {
    let field = reference.child("fieldPath");
    field.is_required()?;
    let path = field.text();
    let invalid_key = |key: &str, why: String| Invalid::value(reference.path(), key, why);
    match names::subscript(path) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            names::label_key(&key).map_or(Ok(()), |why| Err(invalid_key(&key, why)))
        }
        Some(("metadata.labels", key)) => {
            names::label_key(key).map_or(Ok(()), |why| Err(invalid_key(key, why)))
        }
        Some(_) => {
            let why = format!("error converting fieldPath: field label does not support subscript: {path}");
            Err(field.invalid(why))
        }
        None if POD_FIELDS.contains(&path) || path == "spec.host" => Ok(()),
        None if OTHER_FIELDS.contains(&path) => Err(Invalid::unsupported(field.path(), path, &POD_FIELDS)),
        None => Err(field.invalid(format!("error converting fieldPath: field label not supported: {path}"))),
    }
}

fn resource(name: &Field<'_>) -> Checked {
    name.is_required()?;
    let huge = ["limits.hugepages-", "requests.hugepages-"];
    if huge.iter().any(|prefix| name.text().starts_with(prefix)) {
        Ok(())
    } else {
        name.is_one_of(&RESOURCES)
    }
}

fn key(reference: &Field<'_>) -> Checked {
    reference.child("name").is_named(names::subdomain)?;
    let key = reference.child("key");
    key.is_required()?;
    key.is_named(names::config_key)
}
