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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A server whose first PUTs end in a conflict; also counts the PUTs.
    fn server(conflicts: usize) -> (Cluster, Arc<AtomicUsize>) {
        let puts = Arc::new(AtomicUsize::new(0));
        let counted = puts.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let put = request.method() == Method::PUT;
            let conflict = put && counted.fetch_add(1, Ordering::SeqCst) < conflicts;
            let (code, body) = if conflict { (409, conflict_status()) } else { (200, rollout()) };
            let body = Body::from(body.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
        });
        (Cluster::new(Client::new(service, "ns"), "ns".to_owned()), puts)
    }

    fn conflict_status() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
            "reason": "Conflict", "message": "the object has been modified"})
    }

    fn rollout() -> Value {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "demo"},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "shop:v1"}]}}}})
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_conflict_is_tried_again_but_not_for_ever() {
        let image = ["web=shop:v2".parse().unwrap()];
        let (cluster, puts) = server(ATTEMPTS - 1);
        assert_eq!(run(&cluster, "demo", &image).await.unwrap(), "rollout \"demo\" image updated\n");
        assert_eq!(puts.load(Ordering::SeqCst), ATTEMPTS);

        let (cluster, puts) = server(usize::MAX);
        let failure = run(&cluster, "demo", &image).await.unwrap_err();
        assert_eq!(failure.report(), "the object has been modified");
        assert_eq!(puts.load(Ordering::SeqCst), ATTEMPTS);
    }

    #[test]
    fn a_workload_reference_names_kind_and_object() {
        let rollout =
            json!({"spec": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
        let (kind, name) = workload(&rollout).unwrap();
        assert_eq!(
            (&*kind.group, &*kind.version, &*kind.plural, &*name),
            ("apps", "v1", "deployments", "web")
        );
        assert!(workload(&json!({"spec": {"template": {}}})).is_none());
    }
}
