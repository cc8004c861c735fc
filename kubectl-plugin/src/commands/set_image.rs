//! `set image`.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::Value;

use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::failure::Failure;
use crate::patch::set_image::{ContainerImage, set_images};

/// Somebody else may write the object between our read and our write; as often as this it is tried again.
const ATTEMPTS: usize = 5;

/// Sets images in the pod template of a Rollout, or of the workload that its `workloadRef` names.
pub async fn run(cluster: &Cluster, name: &str, images: &[ContainerImage]) -> Result<String, Failure> {
    let rollouts = cluster.rollouts();
    let rollout = rollouts.get(name).await.map_err(|error| Failure::on("rollouts", error))?;
    if let Some((kind, workload)) = workload(&rollout.data) {
        update(&cluster.of_kind(&kind), &workload, images).await?;
        return Ok(format!("{} \"{workload}\" image updated\n", kind.kind.to_lowercase()));
    }
    update(&rollouts, name, images).await?;
    Ok(format!("rollout \"{name}\" image updated\n"))
}

/// Kind and name of the workload that holds the pod template instead of the Rollout.
pub(super) fn workload(rollout: &Value) -> Option<(ApiResource, String)> {
    let reference = rollout.pointer("/spec/workloadRef")?;
    let field = |key| reference.get(key).and_then(Value::as_str);
    let (group, version) = field("apiVersion")?.rsplit_once('/').unwrap_or(("", field("apiVersion")?));
    let kind = GroupVersionKind::gvk(group, version, field("kind")?);
    Some((ApiResource::from_gvk(&kind), field("name")?.to_owned()))
}

async fn update(api: &Api<DynamicObject>, name: &str, images: &[ContainerImage]) -> Result<(), Failure> {
    let mut attempt = 1;
    loop {
        let mut object = api.get(name).await?;
        set_images(&mut object.data, images)?;
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.replace(name, &parameters, &object).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
