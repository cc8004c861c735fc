//! What is kept of each kind: slim types, decoded as such. `managedFields` and pod templates never reach memory for
//! long.

mod analysis;
mod pod;
mod split;
mod workload;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::{Rollout, contract, rollout::PodTemplate};
use k8s_openapi::{
    api::{apps::v1 as apps, core::v1 as core},
    apimachinery::pkg::{
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference},
        util::intstr::IntOrString,
    },
};
use kube::{
    Resource,
    core::{DynamicObject, TypeMeta},
};
use operator_core::{
    traffic::ObjectName,
    world::{Claim, WorkloadKind},
};
use operator_objects::Folded;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

pub(crate) use self::{
    analysis::{AnalysisRun, Template as AnalysisTemplate, WatchedTemplate, trim_run},
    pod::{Pod, UNFINISHED, WatchedPod, index_pod},
    split::SplitObject,
    workload::{WatchedWorkload, Workload, reference},
};
use super::claims::{claims, templates};

/// A Rollout as it is kept: decoded, or with the reason why it cannot be.
///
/// A field of the wrong type must not end the watch of all others; so decoding never fails as long as there is
/// metadata.
#[derive(Clone, Debug)]
pub(crate) struct StoredRollout {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// When Argo Rollouts' controller last wrote it, as far as managed fields tell.
    pub argo_wrote: Option<DateTime<Utc>>,
    /// The rest, but for its pod template: [`StoredRollout::rollout`] has it.
    pub decoded: Result<Box<Rollout>, Malformed>,
    template: Option<Folded<PodTemplate>>,
}

impl StoredRollout {
    /// The whole Rollout.
    pub(crate) fn rollout(&self) -> Result<Rollout, &Malformed> {
        let mut rollout = self.decoded.as_ref()?.as_ref().clone();
        rollout.spec.template = self.template.as_ref().map(Folded::read);
        Ok(rollout)
    }
}

/// The field manager of Argo Rollouts' controller: the name of its program.
const ARGO_MANAGER: &str = "rollouts-controller";

/// A Rollout that the API server has and that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Malformed {
    /// What is wrong with it.
    pub error: String,
    /// Its status, as far as it has one.
    pub status: Value,
}

impl<'de> Deserialize<'de> for StoredRollout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let managed = object.pointer_mut("/metadata/managedFields").map(Value::take).unwrap_or_default();
        let argo_wrote = last_write(&managed, ARGO_MANAGER);
        match crds::read::read::<Rollout>(&object) {
            Ok(mut rollout) => {
                let template = rollout.spec.template.take().map(Folded::of);
                let metadata = rollout.metadata.clone();
                Ok(Self { metadata, argo_wrote, decoded: Ok(Box::new(rollout)), template })
            }
            Err(error) => {
                let metadata = object.get("metadata").cloned().unwrap_or_default();
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                let status = object.get("status").cloned().unwrap_or_default();
                let malformed = Malformed { error: error.to_string(), status };
                Ok(Self { metadata, argo_wrote, decoded: Err(malformed), template: None })
            }
        }
    }
}

/// When a field manager last wrote something.
fn last_write(fields: &Value, manager: &str) -> Option<DateTime<Utc>> {
    let entries = fields.as_array().into_iter().flatten();
    let theirs = entries.filter(|it| it.get("manager").and_then(Value::as_str) == Some(manager));
    let times = theirs.filter_map(|it| DateTime::parse_from_rfc3339(it.get("time")?.as_str()?).ok());
    times.map(|it| it.to_utc()).max()
}

/// A ReplicaSet without its template.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ReplicaSet {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it should be.
    #[serde(default)]
    pub spec: ReplicaSetSpec,
    /// What it is.
    #[serde(default)]
    pub status: ReplicaSetStatus,
}

/// The part of a ReplicaSet's spec that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplicaSetSpec {
    /// Wanted pods; the API server sets it.
    pub replicas: Option<i32>,
    /// Seconds after which a ready pod is available.
    #[serde(default)]
    pub min_ready_seconds: i32,
}

/// The part of a ReplicaSet's status that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplicaSetStatus {
    /// Pods.
    #[serde(default)]
    pub replicas: i32,
    /// Ready pods.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(default)]
    pub available_replicas: i32,
    /// Conditions.
    #[serde(default)]
    pub conditions: Vec<ReplicaSetCondition>,
}

/// A condition of a ReplicaSet.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ReplicaSetCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// A Service's selector and ports.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Service {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: ServiceSpec,
}

/// The part of a Service's spec that is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServiceSpec {
    /// Labels of its pods.
    #[serde(default)]
    pub selector: Option<BTreeMap<String, String>>,
    /// Its ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePort {
    /// Its number.
    pub port: i32,
    /// The port of the pods; absent: the same number.
    pub target_port: Option<IntOrString>,
}

macro_rules! resource {
    ($type:ty, $of:ty) => {
        impl ::kube::Resource for $type {
            type DynamicType = ();
            type Scope = <$of as ::kube::Resource>::Scope;

            fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
                <$of as ::kube::Resource>::kind(&())
            }

            fn group((): &()) -> ::std::borrow::Cow<'_, str> {
                <$of as ::kube::Resource>::group(&())
            }

            fn version((): &()) -> ::std::borrow::Cow<'_, str> {
                <$of as ::kube::Resource>::version(&())
            }

            fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
                <$of as ::kube::Resource>::plural(&())
            }

            fn meta(&self) -> &::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(crate) use resource;

resource!(StoredRollout, Rollout);
resource!(ReplicaSet, apps::ReplicaSet);
resource!(Service, core::Service);

/// How objects are found, other than by their name. All keys hold the namespace or a uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Index {
    /// ReplicaSets, Mappings, pods, runs, Experiments and their Services by the uid of their controller.
    Controller(String),
    /// ReplicaSets of a namespace that have no controller.
    Orphan(String),
    /// ReplicaSets by namespace and pod-template hash.
    Version(ObjectName),
    /// Rollouts by what they name, in a namespace.
    Claim(String, Claim),
    /// Rollouts of a namespace that name templates of analyses.
    Analysed(String),
    /// Rollouts by the workload that they refer to.
    Workload(WorkloadKind, ObjectName),
}

/// `namespace/name` of an object.
pub(crate) fn key(metadata: &ObjectMeta) -> ObjectName {
    ObjectName::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// The controller reference of an object.
pub(crate) fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true))
}

/// When an object was created; 1970 for one that does not say.
pub(super) fn created(metadata: &ObjectMeta) -> DateTime<Utc> {
    let seconds = metadata.creation_timestamp.as_ref().map_or(0, |it| it.0.as_second());
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The pod-template hash of a ReplicaSet or pod; empty if it has none.
pub(super) fn hash(metadata: &ObjectMeta) -> &str {
    let labels = metadata.labels.as_ref();
    labels.and_then(|it| it.get(contract::POD_TEMPLATE_HASH_LABEL)).map_or("", String::as_str)
}

/// How a Rollout is found.
pub(super) fn index_rollout(rollout: &StoredRollout) -> Vec<Index> {
    let namespace = rollout.metadata.namespace.clone().unwrap_or_default();
    let Ok(decoded) = &rollout.decoded else { return Vec::new() };
    let workload = reference(&decoded.spec, &namespace).map(|(kind, name)| Index::Workload(kind, name));
    let claims = claims(&decoded.spec).into_iter().map(|it| Index::Claim(namespace.clone(), it));
    let analysed = (!templates(&decoded.spec).is_empty()).then(|| Index::Analysed(namespace.clone()));
    claims.chain(workload).chain(analysed).collect()
}

/// How a ReplicaSet is found.
pub(super) fn index_replica_set(replica_set: &ReplicaSet) -> Vec<Index> {
    let metadata = &replica_set.metadata;
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let owned = match controller(metadata) {
        Some(owner) => Index::Controller(owner.uid.clone()),
        None => Index::Orphan(namespace.clone()),
    };
    vec![owned, Index::Version(ObjectName::new(namespace, hash(metadata)))]
}

/// How an object is found that only a controller may own.
pub(crate) fn index_owned<K: Resource>(object: &K) -> Vec<Index> {
    controller(object.meta()).map(|owner| Index::Controller(owner.uid.clone())).into_iter().collect()
}

/// Drops what is never read: large, and different with every write.
pub(crate) fn trim<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Drops what is never read of a Mapping or of another object that sends requests somewhere: its status, which is larger
/// than the rest of an HTTPRoute. Of its field managers only the last one matters: who changed it.
pub(super) fn trim_mapping(mapping: &mut DynamicObject) {
    if let Some(data) = mapping.data.as_object_mut() {
        data.remove("status");
    }
    let managed = mapping.metadata.managed_fields.take().into_iter().flatten();
    let last =
        managed.filter(|it| it.subresource.is_none()).max_by_key(|it| it.time.as_ref().map(|time| time.0));
    mapping.metadata.managed_fields =
        last.map(|it| vec![ManagedFieldsEntry { manager: it.manager, ..ManagedFieldsEntry::default() }]);
}

/// The same of an Ingress. In a list the API server does not say what its items are.
pub(super) fn trim_ingress(ingress: &mut DynamicObject) {
    trim_mapping(ingress);
    let (api_version, kind) = ("networking.k8s.io/v1".to_owned(), "Ingress".to_owned());
    ingress.types = Some(TypeMeta { api_version, kind });
}

/// Drops what is never read of a Service.
pub(super) fn trim_service(service: &mut Service) {
    let metadata = &mut service.metadata;
    metadata.managed_fields = None;
    metadata.labels = None;
    if controller(metadata).is_none_or(|owner| owner.kind != "Experiment") {
        metadata.owner_references = None;
    }
    if let Some(annotations) = &mut metadata.annotations {
        const READ: [&str; 3] = [
            contract::MANAGED_BY_ANNOTATION,
            contract::EXPERIMENT_NAME_ANNOTATION,
            contract::EXPERIMENT_TEMPLATE_NAME_ANNOTATION,
        ];
        annotations.retain(|name, _| READ.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_malformed_rollout_keeps_its_name_and_names_the_field_that_is_wrong() {
        let object = json!({
            "metadata": {"name": "app", "namespace": "web", "uid": "u", "managedFields": [{"manager": "kubectl"}]},
            "spec": {"replicas": "three"},
            "status": {"phase": "Healthy"},
        });
        let stored = StoredRollout::deserialize(object).unwrap();
        assert_eq!(key(&stored.metadata), ObjectName::new("web", "app"));
        let malformed = stored.decoded.unwrap_err();
        assert_eq!(malformed.error, "spec.replicas: \"three\" is not of type integer");
        assert_eq!(malformed.status, json!({"phase": "Healthy"}));
    }

    #[test]
    fn a_pod_template_comes_back_as_it_was() {
        for template in [
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 0.1}}}]}}),
            json!({"metadata": {"creationTimestamp": null}, "spec": {"x": [1e300, -0.0, 5e-324, u64::MAX, i64::MIN]}}),
            json!(null),
        ] {
            let object = json!({"metadata": {"name": "app"}, "spec": {"replicas": 1, "template": template}});
            let rollout = StoredRollout::deserialize(object.clone()).unwrap().rollout().unwrap();
            assert_eq!(rollout, crds::read::<Rollout>(&object).unwrap());
        }
    }

    #[test]
    fn argos_last_write_is_read_off_managed_fields_which_are_dropped() {
        let entry = |manager, time| json!({"manager": manager, "operation": "Update", "time": time});
        let stored = StoredRollout::deserialize(json!({
            "metadata": {"name": "app", "managedFields": [
                entry("rollouts-controller", "2026-11-20T10:00:00Z"),
                entry("rollouts-controller", "2026-11-20T10:00:05Z"),
                entry("kubectl-edit", "2026-11-20T10:00:09Z"),
            ]},
            "spec": {},
        }))
        .unwrap();
        assert_eq!(stored.argo_wrote, DateTime::from_timestamp(1_795_168_805, 0));
        assert_eq!(stored.decoded.unwrap().metadata.managed_fields, None);
    }

    #[test]
    fn of_a_mappings_field_managers_the_last_one_is_kept() {
        let entry = |manager, time, subresource: Value| {
            let entry =
                json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": {}}});
            let mut entry = entry.as_object().unwrap().clone();
            entry.extend((!subresource.is_null()).then(|| ("subresource".to_owned(), subresource)));
            entry
        };
        let mut mapping = DynamicObject::deserialize(json!({
            "metadata": {"name": "m", "managedFields": [
                entry("sluice-operator", "2026-11-20T10:00:05Z", Value::Null),
                entry("kubectl-edit", "2026-11-20T10:00:07Z", Value::Null),
                entry("routes", "2026-11-20T10:00:09Z", json!("status")),
            ]},
            "spec": {"weight": 20},
            "status": {"state": "Running"},
        }))
        .unwrap();
        trim_mapping(&mut mapping);
        assert_eq!(mapping.data, json!({"spec": {"weight": 20}}));
        let kept = serde_json::to_value(mapping.metadata.managed_fields).unwrap();
        assert_eq!(kept, json!([{"manager": "kubectl-edit"}]));
    }

    #[test]
    fn a_services_other_annotations_are_dropped() {
        let mut service = Service::deserialize(json!({
            "metadata": {"name": "app", "annotations": {
                "argo-rollouts.argoproj.io/managed-by-rollouts": "app",
                "kubectl.kubernetes.io/last-applied-configuration": "{…}",
            }},
        }))
        .unwrap();
        trim_service(&mut service);
        assert_eq!(service.metadata.annotations.unwrap().len(), 1);
    }
}
