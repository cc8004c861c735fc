//! Asks the proxies, through the API server, how many requests they have sent where.

use std::time::Duration;

use futures::future::join_all;
use http::Request;
use kube::Client;
use operator_routes::ObjectName;

use crate::counts::Counts;

/// The proxies' Service, as the chart calls it: its endpoints are the proxies.
pub(super) const SERVICE: &str = "sluice-proxy";
/// Where they answer, as the chart has it.
const ADMIN_PORT: u16 = 8877;

/// The requests of this window, and what could not be asked.
pub(super) async fn requests(
    client: &Client,
    proxies: &[ObjectName],
    window: Duration,
) -> (Option<Counts>, Vec<String>) {
    if proxies.is_empty() {
        let warning = format!("Warning: nothing is measured: no Service {SERVICE} with proxies can be seen");
        return (None, vec![warning]);
    }
    let measuring = async {
        let before = all(client, proxies).await?;
        tokio::time::sleep(window).await;
        Ok::<Counts, kube::Error>(all(client, proxies).await?.since(&before))
    };
    match measuring.await {
        Ok(counts) => (Some(counts), Vec::new()),
        Err(error) => (None, vec![format!("Warning: nothing is measured: {error}")]),
    }
}

/// What all proxies have counted so far. Without one of them the shares would not be right.
async fn all(client: &Client, proxies: &[ObjectName]) -> kube::Result<Counts> {
    let mut sum = Counts::default();
    for page in join_all(proxies.iter().map(|proxy| page(client, proxy))).await {
        sum.add(Counts::read(&page?));
    }
    Ok(sum)
}

async fn page(client: &Client, proxy: &ObjectName) -> kube::Result<String> {
    let ObjectName { namespace, name } = proxy;
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{name}:{ADMIN_PORT}/proxy/metrics");
    let request = Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}
