//! `volumes`, and where containers mount them.

use std::collections::BTreeSet;

use super::field::Field;
use crate::hash::quantity;
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

/// Kinds of volumes, in the order in which Kubernetes looks for them.
const KINDS: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// The names of the volumes.
pub(super) fn validate<'v>(volumes: &Field<'v>) -> Result<BTreeSet<&'v str>, Invalid> {
    let mut seen = BTreeSet::new();
    for volume in volumes.items() {
        source(&volume)?;
        let name = volume.child("name");
        name.is_required()?;
        name.is_named(names::dns_label)?;
        if !seen.insert(name.text()) {
            return Err(Invalid::duplicate(name.path(), name.text()));
        }
    }
    Ok(seen)
}

/// Mounts of volumes that exist, each at a place of its own.
pub(super) fn mounts(mounts: &Field<'_>, volumes: &BTreeSet<&str>) -> Checked {
    let mut seen = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        name.is_required()?;
        if !volumes.contains(name.text()) {
            return Err(Invalid::not_found(name.path(), name.text()));
        }
        path.is_required()?;
        if !seen.insert(path.text()) {
            return Err(path.invalid("must be unique"));
        }
        let (sub, expression) = (mount.child("subPath"), mount.child("subPathExpr"));
        // These two lack the index of the mount, as in Kubernetes.
        within(&mounts.child("subPath"), sub.text())?;
        if !expression.text().is_empty() && !sub.text().is_empty() {
            return Err(expression.invalid("subPathExpr and subPath are mutually exclusive"));
        }
        within(&mounts.child("subPathExpr"), expression.text())?;
    }
    Ok(())
}

/// One source; none is an `emptyDir`.
fn source(volume: &Field<'_>) -> Checked {
    let mut found = false;
    for kind in KINDS {
        let source = volume.child(kind);
        if !source.is_set() {
            continue;
        }
        if found {
            return Err(Invalid::forbidden(source.path(), "may not specify more than 1 volume type"));
        }
        found = true;
        match kind {
            "emptyDir" => empty_dir(&source)?,
            "hostPath" => host_path(&source)?,
            "secret" => files(&source, "secretName")?,
            "configMap" => files(&source, "name")?,
            "persistentVolumeClaim" => source.child("claimName").is_required()?,
            "nfs" => nfs(&source)?,
            _ => {}
        }
    }
    Ok(())
}

fn empty_dir(source: &Field<'_>) -> Checked {
    let limit = source.child("sizeLimit");
    if quantity::billionths(limit.text()).is_some_and(|value| value < 0) {
        return Err(Invalid::forbidden(limit.path(), "SizeLimit field must be a valid resource quantity"));
    }
    Ok(())
}

fn host_path(source: &Field<'_>) -> Checked {
    let path = source.child("path");
    path.is_required()?;
    path.is_named(names::no_backsteps)?;
    source.child("type").is_one_of(&HOST_PATH_TYPES)
}

fn nfs(source: &Field<'_>) -> Checked {
    source.child("server").is_required()?;
    let path = source.child("path");
    path.is_required()?;
    if path.text().starts_with('/') { Ok(()) } else { Err(path.invalid("must be an absolute path")) }
}

/// A `ConfigMap` or Secret.
fn files(source: &Field<'_>, name: &str) -> Checked {
    source.child(name).is_required()?;
    mode(&source.child("defaultMode"))?;
    for item in source.child("items").items() {
        item.child("key").is_required()?;
        let path = item.child("path");
        path.is_required()?;
        path.is_named(names::descending_path)?;
        if path.text().starts_with("..") {
            return Err(path.invalid("must not start with '..'"));
        }
        mode(&item.child("mode"))?;
    }
    Ok(())
}

fn mode(mode: &Field<'_>) -> Checked {
    if (0..=0o777).contains(&mode.number()) {
        return Ok(());
    }
    Err(mode.invalid("must be a number between 0 and 0777 (octal), both inclusive"))
}

fn within(field: &Field<'_>, path: &str) -> Checked {
    match names::descending_path(path) {
        Some(why) if !path.is_empty() => Err(Invalid::value(field.path(), path, why)),
        Some(_) | None => Ok(()),
    }
}
