//! Where the objects of each kind are, and what every request to them says.

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    Resource,
    api::{DeleteParams, DynamicObject, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core,
};
use operator_core::{
    effect::Target,
    key::{self, Kind},
    world::WorkloadKind,
};
use serde_json::Value;

use super::{Error, FIELD_MANAGER, Scope};
use crate::rollouts::{objects::WatchedWorkload, routes};

pub(super) fn replica_sets(scope: &Scope<'_>) -> core::Request {
    core::Request::new(ReplicaSet::url_path(&(), Some(scope.namespace)))
}

pub(super) fn services(scope: &Scope<'_>) -> core::Request {
    core::Request::new(Service::url_path(&(), Some(scope.namespace)))
}

pub(super) fn experiments(namespace: &str) -> core::Request {
    core::Request::new(crds::Experiment::url_path(&(), Some(namespace)))
}

pub(super) fn pods(scope: &Scope<'_>) -> core::Request {
    core::Request::new(Pod::url_path(&(), Some(scope.namespace)))
}

pub(super) fn workloads(kind: WorkloadKind, namespace: &str) -> core::Request {
    core::Request::new(WatchedWorkload::url_path(&kind, Some(namespace)))
}

pub(super) fn rollouts(namespace: &str) -> core::Request {
    core::Request::new(crds::Rollout::url_path(&(), Some(namespace)))
}

pub(super) fn analysis_runs(scope: &Scope<'_>) -> core::Request {
    core::Request::new(crds::analysis::AnalysisRun::url_path(&(), Some(scope.namespace)))
}

/// The objects of the key's kind, and the name.
pub(super) fn split_objects<'k>(scope: &Scope<'_>, key: &'k str) -> Result<(core::Request, &'k str), Error> {
    let (kind, name) = key::parse(key);
    let namespace = Some(scope.namespace);
    let path = match (kind, routes::resource(kind)) {
        (Kind::Ingress, _) => Ingress::url_path(&(), namespace),
        (_, Some(routes)) => DynamicObject::url_path(&routes, namespace),
        (_, None) => DynamicObject::url_path(scope.mappings.ok_or(Error::NoMappings)?, namespace),
    };
    Ok((core::Request::new(path), name))
}

pub(super) fn body(manifest: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(manifest).map_err(Error::Body)
}

pub(super) fn create() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

pub(super) fn patching() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

pub(super) fn deleting(target: &Target) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: Some(target.uid.clone()),
            resource_version: Some(target.resource_version.clone()),
        }),
        ..DeleteParams::default()
    }
}
