//! Routes by the thousand.

use std::net::IpAddr;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind};

/// Requests to the API server at the same time.
const AT_ONCE: usize = 16;

/// Routes, each with a Service and an endpoint of its own, as gateway-api-bench has them: no kubelet is asked, so what
/// is measured is not how fast a machine starts containers.
#[derive(Clone, Debug)]
pub struct Fleet {
    cluster: Cluster,
    gateway: String,
    /// Where all of the endpoints really are.
    pod: IpAddr,
}

impl Fleet {
    /// Routes of `gateway` whose requests go to `pod`.
    #[must_use]
    pub fn new(cluster: Cluster, gateway: &str, pod: IpAddr) -> Self {
        Self { cluster, gateway: gateway.to_owned(), pod }
    }

    /// Makes `routes` routes with their backends.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn create(&self, routes: usize, bar: &ProgressBar) -> anyhow::Result<()> {
        stream::iter(0..routes)
            .map(|index| async move {
                self.backend(index).await?;
                self.cluster.create(Kind::HttpRoute, &self.route(index, "first")).await?;
                bar.inc(1);
                anyhow::Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Makes routes to one Service only.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn attach(&self, routes: usize, service: &str) -> anyhow::Result<()> {
        stream::iter(0..routes)
            .map(|index| async move {
                let route = probed(
                    &self.gateway,
                    &format!("attached-{index}"),
                    &format!("/attached/{index}"),
                    service,
                );
                self.cluster.create(Kind::HttpRoute, &route).await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Deletes every route of the namespace.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn detach(&self) -> anyhow::Result<()> {
        let routes = self.cluster.dynamic(Kind::HttpRoute);
        let deleted = routes.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        deleted.map(drop).context("failed to delete the routes")
    }

    /// Writes another header into a route.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn edit(&self, index: usize, value: &str) -> anyhow::Result<()> {
        let spec = &self.route(index, value)["spec"];
        self.cluster.merge(Kind::HttpRoute, &format!("fleet-{index}"), &json!({"spec": spec})).await
    }

    /// Takes an endpoint away, or gives it back.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn ready(&self, index: usize, ready: bool) -> anyhow::Result<()> {
        let patch = json!({"endpoints": [self.endpoint(ready)]});
        let slices = self.cluster.api::<EndpointSlice>();
        let patched =
            slices.patch(&format!("fleet-{index}"), &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(drop).context("failed to change an EndpointSlice")
    }

    async fn backend(&self, index: usize) -> anyhow::Result<()> {
        let name = format!("fleet-{index}");
        let service: Service = object(json!({
            "metadata": {"name": name},
            "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }))?;
        let slice: EndpointSlice = object(json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": if self.pod.is_ipv4() { "IPv4" } else { "IPv6" },
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [self.endpoint(true)],
        }))?;
        let parameters = PostParams::default();
        self.cluster
            .api::<Service>()
            .create(&parameters, &service)
            .await
            .context("failed to make a Service")?;
        let made = self.cluster.api::<EndpointSlice>().create(&parameters, &slice).await;
        made.map(drop).context("failed to make an EndpointSlice")
    }

    fn endpoint(&self, ready: bool) -> Value {
        json!({"addresses": [self.pod.to_string()], "conditions": {"ready": ready}})
    }

    fn route(&self, index: usize, value: &str) -> Value {
        let name = format!("fleet-{index}");
        let rules = json!([{
            "filters": [{
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": [{"name": "x-fleet", "value": value}]},
            }],
            "backendRefs": [{"name": name, "port": 80}],
        }]);
        let mut route = http_route(&self.gateway, &name, &rules);
        route["spec"]["hostnames"] = json!([format!("{name}.example.com")]);
        route
    }
}

/// A route as gateway-api-bench probes it: one rule that is asked, and one whose backend does not exist.
#[must_use]
pub fn probed(gateway: &str, name: &str, path: &str, service: &str) -> Value {
    let rule = |path: &str, service: &str| {
        json!({
            "matches": [{"path": {"type": "PathPrefix", "value": path}}],
            "filters": [{
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"add": [{"name": "x-bench", "value": name}]},
            }],
            "backendRefs": [{"name": service, "port": 80}],
        })
    };
    http_route(gateway, name, &json!([rule(path, service), rule(&format!("/missing{path}"), "missing")]))
}

/// A route of a Gateway in its namespace.
#[must_use]
pub fn http_route(gateway: &str, name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": gateway}], "rules": rules},
    })
}

/// The rules of a route that is flipped, as gateway-api-bench does: to port 80 with a header added, or to 8080 without.
#[must_use]
pub fn flipped(path: &str, service: &str, port: u16) -> Value {
    let filters = if port == 80 {
        json!([{
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"add": [{"name": "x-bench", "value": "flip"}]},
        }])
    } else {
        json!([])
    };
    json!([{
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": filters,
        "backendRefs": [{"name": service, "port": port}],
    }])
}

fn object<K: serde::de::DeserializeOwned>(object: Value) -> anyhow::Result<K> {
    serde_json::from_value(object).context("failed to make an object")
}
