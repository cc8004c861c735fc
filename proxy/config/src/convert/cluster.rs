//! Clusters, in both directions.

use super::{ConvertError, each, health, known, out_of_range, positive, present, required};
use crate::{
    model::{
        Address, Balance, BalancePolicy, CertificateId, Cluster, ClusterId, Draining, Endpoint, Enforced,
        HashCookie, HashKey, Limits, Outliers, SuccessRate, Trust, UnixMillis, UpstreamProtocol, UpstreamTls,
        Version,
    },
    wire::config as wire,
};

/// Places on a ring where none are given, as Envoy has.
const RING_SIZE: u32 = 1024;
/// In percent.
const WHOLE: u32 = 100;

// === inward ===

impl TryFrom<wire::Cluster> for Cluster {
    type Error = ConvertError;

    fn try_from(cluster: wire::Cluster) -> Result<Self, ConvertError> {
        let wire::Cluster {
            id,
            connect_timeout_ms,
            endpoints,
            protocol,
            tls,
            balance,
            limits,
            outliers,
            health_checks,
            absent,
        } = cluster;
        let message = || format!("cluster {id}");
        Ok(Self {
            connect_timeout_ms,
            endpoints: each(endpoints, |it| endpoint(it, &id))?,
            protocol: match known(protocol, message, "protocol")? {
                wire::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
                wire::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
            },
            tls: tls.map(|it| upstream_tls(it, message)).transpose()?.map(Box::new),
            balance: balance.map(|it| balance_of(it, message)).transpose()?.unwrap_or_default(),
            limits: limits.map(Into::into).unwrap_or_default(),
            outliers: outliers.map(Into::into).unwrap_or_default(),
            checks: each(health_checks, |it| health::check(it, message))?,
            absent,
            id: ClusterId::new(id),
        })
    }
}

fn endpoint(endpoint: wire::Endpoint, cluster: &str) -> Result<Endpoint, ConvertError> {
    let wire::Endpoint { address, namespace, hash, draining, drain_until_ms, pod, zones } = endpoint;
    let message = || format!("endpoint of cluster {cluster}");
    let address = match required(address, message, "address")? {
        wire::endpoint::Address::Socket(text) => match text.parse() {
            Ok(address) => Address::Socket(address),
            Err(_) => return Err(out_of_range(message(), "socket", &text)),
        },
        wire::endpoint::Address::Name(wire::Name { host, port }) => Address::Name {
            host,
            port: u16::try_from(port).map_err(|_| out_of_range(message(), "port", &port))?,
        },
    };
    let until = (drain_until_ms > 0).then_some(UnixMillis(drain_until_ms));
    Ok(Endpoint {
        address,
        version: Version { namespace: namespace.into(), hash: hash.into() },
        pod: pod.into(),
        draining: draining.then_some(Draining { until }),
        zones: each(zones, |it| Ok(it.into()))?,
    })
}

fn upstream_tls(
    tls: wire::UpstreamTls,
    message: impl Fn() -> String + Copy,
) -> Result<UpstreamTls, ConvertError> {
    let wire::UpstreamTls { server_name, names, trust, certificate, min_version, max_version } = tls;
    Ok(UpstreamTls {
        server_name: present(server_name),
        names,
        trust: match required(trust, message, "trust")? {
            wire::upstream_tls::Trust::Ca(pem) => Trust::Ca(pem),
            wire::upstream_tls::Trust::System(_) => Trust::System,
            wire::upstream_tls::Trust::Anyone(_) => Trust::Anyone,
        },
        certificate: present(certificate).map(CertificateId::new),
        versions: super::listener::versions(min_version, max_version, message)?,
    })
}

fn balance_of(balance: wire::Balance, message: impl Fn() -> String + Copy) -> Result<Balance, ConvertError> {
    let wire::Balance { policy, hash, ring_size, slow_start_ms } = balance;
    let key = || hash_key(required(hash.and_then(|it| it.key), message, "hash key")?, message);
    let policy = match known(policy, message, "balance policy")? {
        wire::BalancePolicy::LeastRequest => BalancePolicy::LeastRequest,
        wire::BalancePolicy::RoundRobin => BalancePolicy::RoundRobin,
        wire::BalancePolicy::RingHash => {
            BalancePolicy::RingHash(key()?, positive(ring_size).unwrap_or(RING_SIZE))
        }
        wire::BalancePolicy::Maglev => BalancePolicy::Maglev(key()?),
    };
    Ok(Balance { policy, slow_start_ms: positive(slow_start_ms) })
}

fn hash_key(key: wire::hash_key::Key, message: impl Fn() -> String) -> Result<HashKey, ConvertError> {
    Ok(match key {
        wire::hash_key::Key::Header(name) => HashKey::Header(name),
        wire::hash_key::Key::Cookie(wire::HashCookie { name, ttl_s, path }) => {
            HashKey::Cookie(HashCookie { name, ttl_s, path: present(path) })
        }
        wire::hash_key::Key::SourceIp(true) => HashKey::SourceIp,
        wire::hash_key::Key::SourceIp(false) => {
            return Err(out_of_range(message(), "source_ip", &false));
        }
    })
}

impl From<wire::Limits> for Limits {
    fn from(limits: wire::Limits) -> Self {
        let wire::Limits { max_connections, max_pending, max_requests, max_retries } = limits;
        Self {
            connections: max_connections,
            pending: max_pending,
            requests: max_requests,
            retries: max_retries,
        }
    }
}

impl From<wire::Outliers> for Outliers {
    fn from(outliers: wire::Outliers) -> Self {
        let wire::Outliers {
            consecutive_server_errors,
            consecutive_gateway_errors,
            consecutive_local_failures,
            interval_ms,
            base_ejection_ms,
            max_ejection_ms,
            max_ejection_percent,
            success_rate,
            enforced_server_errors,
            enforced_gateway_errors,
            enforced_local_failures,
            enforced_success_rate,
        } = outliers;
        Self {
            server_errors: positive(consecutive_server_errors),
            gateway_errors: positive(consecutive_gateway_errors),
            local_failures: positive(consecutive_local_failures),
            success_rate: success_rate.map(|it| {
                let wire::SuccessRate { minimum_hosts, request_volume, deviations_per_mille } = it;
                SuccessRate { minimum_hosts, request_volume, deviations_per_mille }
            }),
            enforced: Enforced {
                server_errors: enforced_server_errors.unwrap_or(WHOLE),
                gateway_errors: enforced_gateway_errors.unwrap_or(WHOLE),
                local_failures: enforced_local_failures.unwrap_or(WHOLE),
                success_rate: enforced_success_rate.unwrap_or(WHOLE),
            },
            interval_ms,
            base_ejection_ms,
            max_ejection_ms,
            max_ejection_percent,
        }
    }
}

// === outward ===

impl From<&Cluster> for wire::Cluster {
    fn from(cluster: &Cluster) -> Self {
        let Cluster {
            id,
            connect_timeout_ms,
            endpoints,
            protocol,
            tls,
            balance,
            limits,
            outliers,
            checks,
            absent,
        } = cluster;
        let protocol = match protocol {
            UpstreamProtocol::Http1 => wire::UpstreamProtocol::Http1,
            UpstreamProtocol::Http2 => wire::UpstreamProtocol::Http2,
        };
        Self {
            id: id.to_string(),
            connect_timeout_ms: *connect_timeout_ms,
            endpoints: endpoints.iter().map(Into::into).collect(),
            protocol: protocol.into(),
            tls: tls.as_deref().map(Into::into),
            // What most clusters do not have costs their messages nothing.
            balance: (*balance != Balance::default()).then(|| balance.into()),
            limits: (*limits != Limits::default()).then(|| (*limits).into()),
            outliers: (*outliers != Outliers::default()).then(|| (*outliers).into()),
            health_checks: checks.iter().map(Into::into).collect(),
            absent: *absent,
        }
    }
}

impl From<&Endpoint> for wire::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        use wire::endpoint::Address as To;
        let Endpoint { address, version, pod, draining, zones } = endpoint;
        Self {
            address: Some(match address {
                Address::Socket(address) => To::Socket(address.to_string()),
                Address::Name { host, port } => {
                    To::Name(wire::Name { host: host.clone(), port: u32::from(*port) })
                }
            }),
            namespace: version.namespace.to_string(),
            hash: version.hash.to_string(),
            draining: draining.is_some(),
            // The wire has no place for a time in 1970; a moment later is as much in the past.
            drain_until_ms: draining.and_then(|it| it.until).map_or(0, |until| until.0.max(1)),
            pod: pod.to_string(),
            zones: zones.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&UpstreamTls> for wire::UpstreamTls {
    fn from(tls: &UpstreamTls) -> Self {
        let UpstreamTls { server_name, names, trust, certificate, versions } = tls;
        Self {
            server_name: server_name.clone().unwrap_or_default(),
            names: names.clone(),
            trust: Some(match trust {
                Trust::Ca(pem) => wire::upstream_tls::Trust::Ca(pem.clone()),
                Trust::System => wire::upstream_tls::Trust::System(true),
                Trust::Anyone => wire::upstream_tls::Trust::Anyone(true),
            }),
            certificate: certificate.as_ref().map(ToString::to_string).unwrap_or_default(),
            min_version: wire::TlsVersion::from(versions.min).into(),
            max_version: wire::TlsVersion::from(versions.max).into(),
        }
    }
}

impl From<&Balance> for wire::Balance {
    fn from(balance: &Balance) -> Self {
        let Balance { policy, slow_start_ms } = balance;
        let (policy, hash, ring_size) = match policy {
            BalancePolicy::LeastRequest => (wire::BalancePolicy::LeastRequest, None, 0),
            BalancePolicy::RoundRobin => (wire::BalancePolicy::RoundRobin, None, 0),
            BalancePolicy::RingHash(key, size) => (wire::BalancePolicy::RingHash, Some(key), *size),
            BalancePolicy::Maglev(key) => (wire::BalancePolicy::Maglev, Some(key), 0),
        };
        Self {
            policy: policy.into(),
            hash: hash.map(Into::into),
            ring_size,
            slow_start_ms: slow_start_ms.unwrap_or_default(),
        }
    }
}

impl From<&HashKey> for wire::HashKey {
    fn from(key: &HashKey) -> Self {
        use wire::hash_key::Key;
        Self {
            key: Some(match key {
                HashKey::Header(name) => Key::Header(name.clone()),
                HashKey::Cookie(HashCookie { name, ttl_s, path }) => Key::Cookie(wire::HashCookie {
                    name: name.clone(),
                    ttl_s: *ttl_s,
                    path: path.clone().unwrap_or_default(),
                }),
                HashKey::SourceIp => Key::SourceIp(true),
            }),
        }
    }
}

impl From<Limits> for wire::Limits {
    fn from(limits: Limits) -> Self {
        let Limits { connections, pending, requests, retries } = limits;
        Self {
            max_connections: connections,
            max_pending: pending,
            max_requests: requests,
            max_retries: retries,
        }
    }
}

impl From<Outliers> for wire::Outliers {
    fn from(outliers: Outliers) -> Self {
        let Outliers {
            server_errors,
            gateway_errors,
            local_failures,
            success_rate,
            enforced,
            interval_ms,
            base_ejection_ms,
            max_ejection_ms,
            max_ejection_percent,
        } = outliers;
        let part = |percent: u32| Some(percent).filter(|percent| *percent != WHOLE);
        Self {
            consecutive_server_errors: server_errors.unwrap_or_default(),
            consecutive_gateway_errors: gateway_errors.unwrap_or_default(),
            consecutive_local_failures: local_failures.unwrap_or_default(),
            success_rate: success_rate.map(|it| {
                let SuccessRate { minimum_hosts, request_volume, deviations_per_mille } = it;
                wire::SuccessRate { minimum_hosts, request_volume, deviations_per_mille }
            }),
            enforced_server_errors: part(enforced.server_errors),
            enforced_gateway_errors: part(enforced.gateway_errors),
            enforced_local_failures: part(enforced.local_failures),
            enforced_success_rate: part(enforced.success_rate),
            interval_ms,
            base_ejection_ms,
            max_ejection_ms,
            max_ejection_percent,
        }
    }
}
