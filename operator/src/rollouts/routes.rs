//! HTTPRoutes and GRPCRoutes: their watches. Clusters without the Gateway API are no error: only Rollouts that name a
//! route need it.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use operator_core::key::Kind;
use tokio_util::sync::CancellationToken;

use super::{
    Stores,
    mappings::when_served,
    namespaces::follow_occupied,
    objects::{SplitObject, trim_mapping},
    store::Change,
};

/// The resource of the routes of this kind; `None`: it is no kind of the Gateway API.
pub(super) fn resource(kind: Kind) -> Option<ApiResource> {
    match kind {
        Kind::Mapping | Kind::Ingress => None,
        Kind::HttpRoute | Kind::GrpcRoute => {
            let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind.text());
            Some(ApiResource::from_gvk(&kind))
        }
    }
}

/// Fills the store of the routes of one kind once they are served.
pub(super) async fn follow_routes(
    client: Client,
    kind: Kind,
    namespace: Option<&str>,
    stores: &Stores,
    changed: impl Fn(&Change<SplitObject>),
    stop: &CancellationToken,
) {
    let Some(resource) = resource(kind) else { return };
    let (what, store) = (format!("{}s", kind.text()), stores.split_objects(kind));
    let Some(found) = when_served(&client, &[resource], &what, store, stop).await else { return };
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &found),
        None => Api::all_with(client, &found),
    };
    let keep = move |object| Some(SplitObject::fold(typed(&found, object)));
    follow_occupied(api, keep, store, changed, &stores.namespaces, stop).await;
}

/// Trims a route. In a list the API server does not say what its items are.
fn typed(resource: &ApiResource, mut object: DynamicObject) -> DynamicObject {
    trim_mapping(&mut object);
    object.types =
        Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    object
}

/// The same of the answer to a write.
pub(super) fn trim_route(kind: Kind, object: DynamicObject) -> DynamicObject {
    match resource(kind) {
        Some(resource) => typed(&resource, object),
        None => object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_under_their_plural() {
        let of = |kind| resource(kind).map(|it| (it.api_version, it.plural));
        let v1 = || "gateway.networking.k8s.io/v1".to_owned();
        assert_eq!(of(Kind::HttpRoute), Some((v1(), "httproutes".to_owned())));
        assert_eq!(of(Kind::GrpcRoute), Some((v1(), "grpcroutes".to_owned())));
        assert_eq!(of(Kind::Ingress), None);
    }
}
