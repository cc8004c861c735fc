//! `routes` and `explain route`: what is served, and who answers a request.

mod objects;

use operator_routes::{ObjectName, explain::Request};

use self::objects::{Read, compile};
use super::measure;
use crate::arguments::{ExplainRoute, Routes};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::view::text::Paint;
use crate::view::{gateways, routes};

/// The tables of all routes, or of those of the namespace; and what could not be read.
pub async fn list(
    cluster: &Cluster,
    arguments: &Routes,
    paint: Paint,
) -> Result<(String, Vec<String>), Failure> {
    let Read { compiler, proxies, mut warnings } = compile(cluster, &arguments.compiling).await?;
    let namespace = (!arguments.all_namespaces).then(|| cluster.namespace());
    let gateways = chosen(cluster, &compiler, arguments.gateway.as_deref())?;
    let counts = if arguments.measure.is_zero() {
        None
    } else {
        let (counts, more) = measure::requests(&cluster.client(), &proxies, arguments.measure).await;
        warnings.extend(more);
        counts
    };
    let counts = counts.as_ref();
    if let Some(gateways) = gateways {
        return Ok((gateways::tables(&compiler, &gateways, counts, None, paint), warnings));
    }
    let all: Vec<ObjectName> = compiler.gateways().cloned().collect();
    let tables = [
        routes::table(compiler.compiled(), counts, namespace, paint),
        gateways::tables(&compiler, &all, counts, namespace, paint),
    ];
    let tables: Vec<String> = tables.into_iter().filter(|text| !text.is_empty()).collect();
    let text = if tables.is_empty() { "No routes found.\n".to_owned() } else { tables.join("\n") };
    Ok((text, warnings))
}

/// What becomes of one request; and what could not be read.
pub async fn explain(cluster: &Cluster, arguments: &ExplainRoute) -> Result<(String, Vec<String>), Failure> {
    let Read { compiler, warnings, .. } = compile(cluster, &arguments.compiling).await?;
    let served = compiler.compiled();
    let (tls, authority, target) = arguments.place();
    let port = arguments.port.or_else(|| {
        let mut ports = served.ports.values().filter(|port| if tls { port.tls } else { port.cleartext });
        ports.next().map(|port| port.number)
    });
    let headers: Vec<(String, String)> = arguments
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.clone()))
        .collect();
    let request = Request {
        port: port.unwrap_or(if tls { 8443 } else { 8080 }),
        tls,
        authority,
        method: &arguments.method,
        target,
        headers: &headers,
    };
    let text = match chosen(cluster, &compiler, arguments.gateway.as_deref())? {
        Some(chosen) => gateways::at_chosen(&compiler, &chosen, &request, arguments.port),
        None => gateways::everywhere(&compiler, &request, arguments.port),
    };
    Ok((text, warnings))
}

/// The Gateway that is asked for, if one is: `NAME` in the namespace, or `NAMESPACE/NAME`.
fn chosen(
    cluster: &Cluster,
    compiler: &operator_routes::Compiler,
    gateway: Option<&str>,
) -> Result<Option<Vec<ObjectName>>, Failure> {
    let Some(text) = gateway else { return Ok(None) };
    let name = match text.split_once('/') {
        Some((namespace, name)) => ObjectName::new(namespace, name),
        None => ObjectName::new(cluster.namespace(), text),
    };
    if compiler.gateways().any(|it| *it == name) {
        return Ok(Some(vec![name]));
    }
    let known: Vec<String> = compiler.gateways().map(|it| format!("`{it}`")).collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
    Err(Failure::Refused(format!("no Gateway `{name}` is served by Sluice: {known}")))
}
