//! Asks the proxies, through the API server, how many requests they have sent where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use http::Request;
use kube::Client;
use operator_routes::ObjectName;

use crate::counts::Counts;

/// The Service of the proxies that Mappings and Ingresses share, as the chart calls it: its endpoints are the proxies.
pub(super) const SERVICE: &str = "sluice-proxy";
/// What the Services of Gateways' proxies are labelled with: those of one, or those that a class shares.
const OF_GATEWAYS: [(&str, &[&str]); 2] = [
    ("app.kubernetes.io/component", &["gateway", "gateway-class"]),
    ("app.kubernetes.io/managed-by", &["sluice-operator"]),
];
/// Where they answer, as the chart has it.
const ADMIN_PORT: u16 = 8877;
/// Where those of Gateways answer, whose other ports are taken.
const GATEWAY_ADMIN_PORT: u16 = operator_routes::gateway::port::ADMIN;

/// Whether a Service with these labels has the proxies of Gateways behind it.
pub(super) fn is_of_gateways(labels: Option<&BTreeMap<String, String>>) -> bool {
    let has = |(key, values): (&str, &[&str])| {
        labels.and_then(|it| it.get(key)).is_some_and(|it| values.contains(&it.as_str()))
    };
    OF_GATEWAYS.into_iter().all(has)
}

/// The requests of this window at the proxies behind each Service, and what could not be asked: of some proxies nothing is
/// known then.
pub(super) async fn requests(
    client: &Client,
    proxies: &BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    window: Duration,
) -> (Option<Counts>, Vec<String>) {
    if proxies.values().all(BTreeSet::is_empty) {
        let warning = "Warning: nothing is measured: no Service with proxies can be seen".to_owned();
        return (None, vec![warning]);
    }
    let measured = proxies.iter().map(|(service, pods)| async move {
        let port = if *service.name == *SERVICE { ADMIN_PORT } else { GATEWAY_ADMIN_PORT };
        let before = all(client, pods, port).await?;
        tokio::time::sleep(window).await;
        Ok::<Counts, kube::Error>(all(client, pods, port).await?.since(&before))
    });
    let (mut sum, mut warnings) = (None, Vec::new());
    for (service, counts) in proxies.keys().zip(join_all(measured).await) {
        match counts {
            Ok(counts) => sum.get_or_insert_with(Counts::default).add(counts),
            Err(error) => warnings.push(format!(
                "Warning: nothing is measured of the proxies behind Service {service}: {error}"
            )),
        }
    }
    (sum, warnings)
}

/// What all proxies have counted so far. Without one of them the shares would not be right.
async fn all(client: &Client, proxies: &BTreeSet<ObjectName>, port: u16) -> kube::Result<Counts> {
    let mut sum = Counts::default();
    for page in join_all(proxies.iter().map(|proxy| page(client, proxy, port))).await {
        sum.add(Counts::read(&page?));
    }
    Ok(sum)
}

async fn page(client: &Client, proxy: &ObjectName, port: u16) -> kube::Result<String> {
    let ObjectName { namespace, name } = proxy;
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics");
    let request = Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}
