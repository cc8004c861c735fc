//! Listeners, hosts, certificates and TCP routes, in both directions.

use super::{ConvertError, known, narrow, out_of_range, required};
use crate::{
    model::{
        Certificate, CertificateId, ClientValidation, Host, HostId, Insecure, Listener, ListenerId, Protocol,
        ProxyProtocol, Secret, Security, ServerTls, TcpRoute, TcpRouteId, TlsVersion, TlsVersions,
        Unverified,
    },
    wire::config as wire,
};

/// Where a redirect to TLS goes if nothing is said.
const HTTPS: u16 = 443;

// === inward ===

impl TryFrom<wire::Listener> for Listener {
    type Error = ConvertError;

    fn try_from(listener: wire::Listener) -> Result<Self, ConvertError> {
        let wire::Listener { id, port, protocol, security, trusted_hops, reject_misdirected, proxy_protocol } =
            listener;
        let message = || format!("listener {id}");
        Ok(Self {
            port: narrow(port, message, "port")?,
            protocol: match known(protocol, message, "protocol")? {
                wire::Protocol::Http => Protocol::Http,
                wire::Protocol::Https => Protocol::Https,
                wire::Protocol::Tcp => Protocol::Tcp,
                wire::Protocol::Udp => Protocol::Udp,
            },
            security: match known(security, message, "security")? {
                wire::Security::Connection => Security::Connection,
                wire::Security::ForwardedProto => Security::ForwardedProto,
                wire::Security::Always => Security::Always,
                wire::Security::Never => Security::Never,
            },
            trusted_hops,
            reject_misdirected,
            proxy_protocol: proxy_protocol.map(|it| trusted(it, message)).transpose()?,
            id: ListenerId::new(id),
        })
    }
}

fn trusted(
    proxy_protocol: wire::ProxyProtocol,
    message: impl Fn() -> String + Copy,
) -> Result<ProxyProtocol, ConvertError> {
    let wire::ProxyProtocol { trusted } = proxy_protocol;
    let network = |text: String| text.parse().map_err(|_| out_of_range(message(), "trusted", &text));
    Ok(ProxyProtocol { trusted: trusted.into_iter().map(network).collect::<Result<_, _>>()? })
}

impl TryFrom<wire::Host> for Host {
    type Error = ConvertError;

    fn try_from(host: wire::Host) -> Result<Self, ConvertError> {
        let wire::Host { id, names, listeners, tls, insecure, redirect_port, class } = host;
        let message = || format!("host {id}");
        let port = if redirect_port == 0 { HTTPS } else { narrow(redirect_port, message, "redirect_port")? };
        Ok(Self {
            names,
            listeners: listeners.into_iter().map(ListenerId::new).collect(),
            tls: tls.map(|it| server_tls(it, message)).transpose()?,
            insecure: match known(insecure, message, "insecure")? {
                wire::Insecure::Route => Insecure::Route,
                wire::Insecure::Redirect => Insecure::Redirect(port),
                wire::Insecure::Reject => Insecure::Reject,
            },
            class,
            id: HostId::new(id),
        })
    }
}

fn server_tls(tls: wire::ServerTls, message: impl Fn() -> String + Copy) -> Result<ServerTls, ConvertError> {
    let wire::ServerTls { certificates, min_version, max_version, alpn, client } = tls;
    Ok(ServerTls {
        certificates: certificates.into_iter().map(CertificateId::new).collect(),
        versions: versions(min_version, max_version, message)?,
        alpn,
        client: client.map(Into::into),
    })
}

/// The range of versions; what is not said is as [`TlsVersions::default`] has it.
pub(super) fn versions(
    min: i32,
    max: i32,
    message: impl Fn() -> String + Copy,
) -> Result<TlsVersions, ConvertError> {
    let version = |value, field, or| {
        Ok(match known(value, message, field)? {
            wire::TlsVersion::Default => or,
            wire::TlsVersion::TlsVersion12 => TlsVersion::V1_2,
            wire::TlsVersion::TlsVersion13 => TlsVersion::V1_3,
        })
    };
    let TlsVersions { min: lowest, max: highest } = TlsVersions::default();
    Ok(TlsVersions { min: version(min, "min_version", lowest)?, max: version(max, "max_version", highest)? })
}

impl From<wire::ClientValidation> for ClientValidation {
    fn from(client: wire::ClientValidation) -> Self {
        let wire::ClientValidation { ca, optional, accept_invalid, crls } = client;
        let unverified = match (optional, accept_invalid) {
            (_, true) => Unverified::Accepted,
            (true, false) => Unverified::MayBeAbsent,
            (false, false) => Unverified::Refused,
        };
        Self { ca, unverified, crls }
    }
}

impl From<wire::Certificate> for Certificate {
    fn from(certificate: wire::Certificate) -> Self {
        let wire::Certificate { id, chain, key } = certificate;
        Self { id: CertificateId::new(id), chain, key: Secret(key) }
    }
}

impl TryFrom<wire::TcpRoute> for TcpRoute {
    type Error = ConvertError;

    fn try_from(route: wire::TcpRoute) -> Result<Self, ConvertError> {
        let wire::TcpRoute { id, listeners, server_names, terminate, split } = route;
        Ok(Self {
            listeners: listeners.into_iter().map(ListenerId::new).collect(),
            server_names,
            terminate,
            split: required(split, || format!("tcp route {id}"), "split")?.try_into()?,
            id: TcpRouteId::new(id),
        })
    }
}

// === outward ===

impl From<&Listener> for wire::Listener {
    fn from(listener: &Listener) -> Self {
        let Listener { id, port, protocol, security, trusted_hops, reject_misdirected, proxy_protocol } =
            listener;
        let protocol = match protocol {
            Protocol::Http => wire::Protocol::Http,
            Protocol::Https => wire::Protocol::Https,
            Protocol::Tcp => wire::Protocol::Tcp,
            Protocol::Udp => wire::Protocol::Udp,
        };
        let security = match security {
            Security::Connection => wire::Security::Connection,
            Security::ForwardedProto => wire::Security::ForwardedProto,
            Security::Always => wire::Security::Always,
            Security::Never => wire::Security::Never,
        };
        Self {
            id: id.to_string(),
            port: u32::from(*port),
            protocol: protocol.into(),
            security: security.into(),
            trusted_hops: *trusted_hops,
            reject_misdirected: *reject_misdirected,
            proxy_protocol: proxy_protocol.as_ref().map(|it| wire::ProxyProtocol {
                trusted: it.trusted.iter().map(ToString::to_string).collect(),
            }),
        }
    }
}

impl From<&Host> for wire::Host {
    fn from(host: &Host) -> Self {
        let Host { id, names, listeners, tls, insecure, class } = host;
        let (insecure, redirect_port) = match insecure {
            Insecure::Route => (wire::Insecure::Route, 0),
            Insecure::Redirect(port) => (wire::Insecure::Redirect, u32::from(*port)),
            Insecure::Reject => (wire::Insecure::Reject, 0),
        };
        Self {
            id: id.to_string(),
            names: names.clone(),
            listeners: listeners.iter().map(ToString::to_string).collect(),
            tls: tls.as_ref().map(Into::into),
            insecure: insecure.into(),
            redirect_port,
            class: class.clone(),
        }
    }
}

impl From<&ServerTls> for wire::ServerTls {
    fn from(tls: &ServerTls) -> Self {
        let ServerTls { certificates, versions, alpn, client } = tls;
        Self {
            certificates: certificates.iter().map(ToString::to_string).collect(),
            min_version: wire::TlsVersion::from(versions.min).into(),
            max_version: wire::TlsVersion::from(versions.max).into(),
            alpn: alpn.clone(),
            client: client.as_ref().map(Into::into),
        }
    }
}

impl From<TlsVersion> for wire::TlsVersion {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::TlsVersion12,
            TlsVersion::V1_3 => Self::TlsVersion13,
        }
    }
}

impl From<&ClientValidation> for wire::ClientValidation {
    fn from(client: &ClientValidation) -> Self {
        let ClientValidation { ca, unverified, crls } = client;
        Self {
            ca: ca.clone(),
            optional: *unverified == Unverified::MayBeAbsent,
            accept_invalid: *unverified == Unverified::Accepted,
            crls: crls.clone(),
        }
    }
}

impl From<&Certificate> for wire::Certificate {
    fn from(certificate: &Certificate) -> Self {
        let Certificate { id, chain, key } = certificate;
        Self { id: id.to_string(), chain: chain.clone(), key: key.0.clone() }
    }
}

impl From<&TcpRoute> for wire::TcpRoute {
    fn from(route: &TcpRoute) -> Self {
        let TcpRoute { id, listeners, server_names, terminate, split } = route;
        Self {
            id: id.to_string(),
            listeners: listeners.iter().map(ToString::to_string).collect(),
            server_names: server_names.clone(),
            terminate: *terminate,
            split: Some(split.into()),
        }
    }
}
