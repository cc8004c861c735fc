//! What can be wrong with one cluster by itself.

use super::{
    Fault, health,
    text::{is_header_name, is_host, is_token},
};
use crate::model::{Address, BalancePolicy, Cluster, Enforced, HashKey, Outliers, TlsVersions};

/// The most places that a ring has, as in Envoy.
pub(super) const RING_MOST: u32 = 8 * 1024 * 1024;

pub(super) fn faults(cluster: &Cluster) -> Vec<Fault> {
    let mut faults = Vec::new();
    if cluster.connect_timeout_ms == 0 {
        faults.push(Fault::ConnectTimeout);
    }
    for endpoint in &cluster.endpoints {
        match &endpoint.address {
            Address::Socket(address) if address.port() == 0 => {
                faults.push(Fault::Endpoint(address.to_string()));
            }
            Address::Name { host, port } if host.is_empty() || *port == 0 => {
                faults.push(Fault::Endpoint(format!("{host}:{port}")));
            }
            Address::Socket(_) | Address::Name { .. } => {}
        }
    }
    if !cluster.endpoints.is_sorted_by(|a, b| (&a.address, &a.version) < (&b.address, &b.version)) {
        faults.push(Fault::EndpointOrder);
    }
    if let Some(tls) = &cluster.tls {
        if let Some(name) = tls.server_name.as_ref().filter(|it| !is_host(it)) {
            faults.push(Fault::ServerName(name.clone()));
        }
        versions(tls.versions, &mut faults);
    }
    balance(cluster, &mut faults);
    cluster.checks.iter().for_each(|it| health::faults(it, &mut faults));
    if !outliers_are_possible(&cluster.outliers) {
        faults.push(Fault::Outliers);
    }
    faults
}

fn outliers_are_possible(outliers: &Outliers) -> bool {
    let Outliers { interval_ms, base_ejection_ms, max_ejection_ms, max_ejection_percent, enforced, .. } =
        outliers;
    let Enforced { server_errors, gateway_errors, local_failures, success_rate } = enforced;
    let times = [interval_ms, base_ejection_ms, max_ejection_ms];
    let percents = [max_ejection_percent, server_errors, gateway_errors, local_failures, success_rate];
    times.iter().all(|it| **it > 0) && percents.iter().all(|it| **it <= 100)
}

pub(super) fn versions(versions: TlsVersions, faults: &mut Vec<Fault>) {
    if versions.min > versions.max {
        faults.push(Fault::TlsVersions);
    }
}

fn balance(cluster: &Cluster, faults: &mut Vec<Fault>) {
    let key = match &cluster.balance.policy {
        BalancePolicy::LeastRequest | BalancePolicy::RoundRobin => return,
        BalancePolicy::RingHash(key, size) => {
            if !(1..=RING_MOST).contains(size) {
                faults.push(Fault::RingSize(*size));
            }
            key
        }
        BalancePolicy::Maglev(key) => key,
    };
    match key {
        HashKey::Header(name) if !is_header_name(name) => faults.push(Fault::HeaderName(name.clone())),
        HashKey::Cookie(cookie) if !is_token(&cookie.name) => {
            faults.push(Fault::Cookie(cookie.name.clone()));
        }
        HashKey::Cookie(cookie) => {
            let of_attribute = |it: u8| it.is_ascii_graphic() && it != b';';
            faults.extend(
                cookie
                    .path
                    .as_ref()
                    .filter(|it| !it.bytes().all(of_attribute))
                    .map(|it| Fault::HeaderValue(it.clone())),
            );
        }
        HashKey::Header(_) | HashKey::SourceIp => {}
    }
    if cluster.balance.slow_start_ms.is_some() {
        faults.push(Fault::SlowStart);
    }
}
