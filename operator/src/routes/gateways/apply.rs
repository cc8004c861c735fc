//! Writes the objects of proxies, and takes away what they have no use for.
//!
//! Only objects that belong to the Gateway, or to the class, are written or deleted: one that somebody else made under the same name is an
//! error for the user to solve.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions},
    core::GroupVersionKind,
};
use operator_gateways::{
    Kind, Names, Object, Parameters, Scaled,
    objects::first_replicas,
    replicas::{APPLIED_ANNOTATION, replicas},
};
use operator_routes::{ObjectName, gateway::Demand};
use tracing::info;

const FIELD_MANAGER: &str = "sluice-operator";

/// Why the objects of proxies are not as wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// The API server refuses, or cannot be reached.
    #[error("failed to {verb} {kind:?} {name}")]
    Api {
        verb: &'static str,
        kind: Kind,
        name: ObjectName,
        #[source]
        source: Box<kube::Error>,
    },
    /// The same, of what is only read.
    #[error("failed to read {what} {name}")]
    Read {
        what: &'static str,
        name: ObjectName,
        #[source]
        source: Box<kube::Error>,
    },
    /// An object of this name belongs to somebody else.
    #[error(
        "{kind:?} {name} is there and does not belong to the Gateway or its class: rename the one or the other"
    )]
    Taken { kind: Kind, name: ObjectName },
}

/// What was written last, so that nothing is asked for where nothing changed.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// `None`: it was made, and may be different now.
    objects: BTreeMap<(Kind, ObjectName), Option<Object>>,
    /// What is left over from before this process has been deleted.
    tidied: bool,
}

impl Made {
    /// Whether anything was written.
    pub(super) fn any(&self) -> bool {
        !self.objects.is_empty()
    }

    /// Somebody else has written: everything is looked at again.
    pub(super) fn forget(&mut self) {
        self.objects.values_mut().for_each(|object| *object = None);
    }
}

impl ApplyError {
    /// Whether a newer version of the object has to be looked at.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.code == 409))
    }
}

/// Writes the objects that are not as they were written last, in order, and then deletes what is left over.
pub(super) async fn apply(
    client: &Client,
    names: &Names,
    demand: &Demand,
    parameters: &Parameters,
    objects: Vec<Object>,
    made: &mut Made,
) -> Result<(), ApplyError> {
    let mut wanted = BTreeMap::new();
    for object in objects {
        let key = (object.kind, object.name.clone());
        if made.objects.get(&key).and_then(Option::as_ref) != Some(&object) {
            apply_one(client, demand, parameters, object.clone()).await?;
        }
        made.objects.insert(key.clone(), Some(object.clone()));
        wanted.insert(key, Some(object));
    }
    // Without a port there is no Service, and the one that there is keeps its address.
    let spared = |kind: Kind| kind == Kind::Service && demand.ports.is_empty();
    let left_over = made
        .objects
        .keys()
        .any(|(kind, name)| !spared(*kind) && !wanted.contains_key(&(*kind, name.clone())));
    if !made.tidied || left_over {
        for kind in Kind::ALL.into_iter().filter(|kind| !spared(*kind)) {
            let keep = |name: &ObjectName| wanted.contains_key(&(kind, name.clone()));
            prune(client, names, &demand.uid, kind, keep).await?;
        }
    }
    (made.objects, made.tidied) = (wanted, true);
    Ok(())
}

/// `data` of a ConfigMap; `None`: there is none.
pub(super) async fn config_map(
    client: &Client,
    name: &ObjectName,
) -> Result<Option<BTreeMap<String, String>>, ApplyError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name.namespace);
    let failed =
        |source| ApplyError::Read { what: "ConfigMap", name: name.clone(), source: Box::new(source) };
    let map = maps.get_opt(&name.name).await.map_err(failed)?;
    Ok(map.map(|map| map.data.unwrap_or_default()))
}

/// Deletes the objects of proxies that belong to the object of this uid. Says how many.
pub(super) async fn withdraw(client: &Client, names: &Names, uid: &str) -> Result<usize, ApplyError> {
    let mut deleted = 0;
    for kind in Kind::ALL.into_iter().rev() {
        deleted += prune(client, names, uid, kind, |_| false).await?;
    }
    Ok(deleted)
}

/// The same for a Gateway that is there and is somebody else's now. A Gateway that is gone has taken them with it, and one
/// without a class, or with one that is not there, keeps what it has.
pub(super) async fn withdraw_if_foreign(
    client: &Client,
    controllers: &[String],
    gateway: &ObjectName,
    names: &Names,
    uid: &str,
) -> Result<usize, ApplyError> {
    if has_another_controller(client, controllers, gateway, uid).await? {
        withdraw(client, names, uid).await
    } else {
        Ok(0)
    }
}

async fn has_another_controller(
    client: &Client,
    controllers: &[String],
    gateway: &ObjectName,
    uid: &str,
) -> Result<bool, ApplyError> {
    let resource = |kind, plural| {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind),
            plural,
        )
    };
    let failed = |what, source| ApplyError::Read { what, name: gateway.clone(), source: Box::new(source) };
    let gateways: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &gateway.namespace, &resource("Gateway", "gateways"));
    let there = gateways.get_opt(&gateway.name).await.map_err(|source| failed("Gateway", source))?;
    let Some(there) = there.filter(|there| there.metadata.uid.as_deref() == Some(uid)) else {
        return Ok(false);
    };
    let Some(class) = there.data["spec"]["gatewayClassName"].as_str() else { return Ok(false) };
    let classes: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("GatewayClass", "gatewayclasses"));
    let class =
        classes.get_opt(class).await.map_err(|source| failed("the GatewayClass of Gateway", source))?;
    let controller = class.as_ref().and_then(|class| class.data["spec"]["controllerName"].as_str());
    Ok(controller.is_some_and(|controller| !controllers.iter().any(|ours| ours == controller)))
}

/// Writes one object, over what there is of it.
async fn apply_one(
    client: &Client,
    demand: &Demand,
    parameters: &Parameters,
    object: Object,
) -> Result<(), ApplyError> {
    let Object { kind, name, mut content } = object;
    let api = api(client, kind, &name.namespace);
    let failed = |verb, source| ApplyError::Api { verb, kind, name: name.clone(), source: Box::new(source) };
    let there = api.get_opt(&name.name).await.map_err(|source| failed("read", source))?;
    if there.as_ref().is_some_and(|there| !belongs_to(there, &demand.uid)) {
        return Err(ApplyError::Taken { kind, name });
    }
    if kind == Kind::Deployment {
        let parameter = i32::from(first_replicas(parameters));
        if replicas(there.as_ref().and_then(scaled), parameter).is_none()
            && let Some(spec) = content["spec"].as_object_mut()
        {
            spec.remove("replicas");
        }
        // Whoever scales it between the look and the write is seen.
        if let Some(version) = there.as_ref().and_then(|there| there.metadata.resource_version.clone()) {
            content["metadata"]["resourceVersion"] = version.into();
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name.name, &params, &Patch::Apply(&content))
        .await
        .map_err(|source| failed("write", source))?;
    Ok(())
}

/// Deletes the objects of a kind that belong to the Gateway and are not to be kept. Says how many.
async fn prune(
    client: &Client,
    names: &Names,
    uid: &str,
    kind: Kind,
    keep: impl Fn(&ObjectName) -> bool,
) -> Result<usize, ApplyError> {
    let api = api(client, kind, &names.base.namespace);
    let failed = |verb, name: &ObjectName, source| ApplyError::Api {
        verb,
        kind,
        name: name.clone(),
        source: Box::new(source),
    };
    let list = api
        .list(&ListParams::default().labels(&names.label_selector()))
        .await
        .map_err(|source| failed("list", &names.base, source))?;
    let mut deleted = 0;
    for object in list.items {
        let name = names.base.sibling(object.name_any());
        if keep(&name) || !belongs_to(&object, uid) || object.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match api.delete(&name.name, &params).await {
            Ok(_) => {
                info!(proxies = %names.base, ?kind, %name, "deleted what no Gateway has a use for any more");
                deleted += 1;
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(failed("delete", &name, source)),
        }
    }
    Ok(deleted)
}

fn belongs_to(object: &DynamicObject, uid: &str) -> bool {
    object.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

fn scaled(deployment: &DynamicObject) -> Option<Scaled> {
    let now = deployment.data["spec"]["replicas"].as_i64()?;
    let applied = deployment.annotations().get(APPLIED_ANNOTATION).and_then(|text| text.parse().ok());
    Some(Scaled { now: i32::try_from(now).ok()?, applied })
}

fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let (group, version, name, plural) = kind.resource();
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, name), plural);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

#[cfg(test)]
mod tests;
