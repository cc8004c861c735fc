//! How connections of clients come in.

use std::{
    fmt::{self, Debug, Formatter},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{CertificateId, HostId, ListenerId, Split, TcpRouteId};

/// A port that the proxy accepts connections on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub id: ListenerId,
    /// The port, of UDP for [`Protocol::Udp`], else of TCP.
    pub port: u16,
    /// What clients speak.
    pub protocol: Protocol,
    /// Which requests are secure.
    pub security: Security,
    /// How many proxies before this one are trusted with `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub trusted_hops: u32,
    /// Whether a request for another [`Host`] than the connection's server name has chosen gets 421 (RFC 9110
    /// §15.5.20). Where that other host validates clients it always does.
    pub reject_misdirected: bool,
    /// Which peers say for whom they connect; `None`: nobody is asked. Not for [`Protocol::Udp`].
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Listener {
    /// One that speaks HTTP in the clear and trusts nobody.
    #[must_use]
    pub fn http(id: ListenerId, port: u16) -> Self {
        Self {
            id,
            port,
            protocol: Protocol::Http,
            security: Security::Connection,
            trusted_hops: 0,
            reject_misdirected: false,
            proxy_protocol: None,
        }
    }
}

/// What a port is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What clients speak on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP in the clear.
    #[default]
    Http,
    /// TLS. The server name decides which host or TCP route takes the connection; a TCP route goes before a host.
    Https,
    /// Whatever the upstream speaks: bytes, for the TCP route of the listener.
    Tcp,
    /// Datagrams, for the TCP route of the listener. What one client address sends is a session and stays at one
    /// endpoint until nothing has passed for the idle timeout of its arm.
    Udp,
}

impl Protocol {
    /// What it is carried by: a port of the one is another than that of the other.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Http | Self::Https | Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }
}

/// Peers whose connections begin with a header that says for whom they are made (PROXY protocol, version 1 or 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Their networks; empty: every peer. Connections of others are their own.
    pub trusted: Vec<IpNet>,
}

impl ProxyProtocol {
    /// Whether a connection of this peer begins with a header.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        // A socket for both families gives IPv4 peers as mapped addresses.
        let peer = peer.to_canonical();
        self.trusted.is_empty() || self.trusted.iter().any(|it| it.contains(&peer))
    }
}

/// Which requests count as secure for [`Insecure`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Those that came over TLS.
    #[default]
    Connection,
    /// Those with `X-Forwarded-Proto: https`, as trusted hops or else the listener say (Emissary's `XFP`).
    ForwardedProto,
    /// All.
    Always,
    /// None.
    Never,
}

/// Names that are served: what TLS clients are shown, and what becomes of requests in the clear. Which requests go
/// where is the routes' matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub id: HostId,
    /// `example.org`, `*.example.org` (of any depth), `example.*` or `*`, in lower case, without port.
    pub names: Vec<String>,
    /// Only on these listeners; empty: on all.
    pub listeners: Vec<ListenerId>,
    /// `None`: no TLS for these names.
    pub tls: Option<ServerTls>,
    /// What becomes of requests that are not secure.
    pub insecure: Insecure,
    /// Which routes it takes besides those for all hosts: those that name this text.
    pub class: String,
}

/// What becomes of requests that are not secure and have a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Insecure {
    /// What becomes of any.
    #[default]
    Route,
    /// 301 to `https` on this port, left out if it is 443. `/.well-known/acme-challenge/` is routed all the same, or no
    /// certificate could be had (RFC 8555 §8.3).
    Redirect(u16),
    /// 404, as if there were no route.
    Reject,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The first that the client can use is shown; at least one.
    pub certificates: Vec<CertificateId>,
    /// Which versions are spoken.
    pub versions: TlsVersions,
    /// In order of preference (RFC 7301); empty: all that the proxy speaks.
    pub alpn: Vec<String>,
    /// `None`: clients are not asked for a certificate.
    pub client: Option<ClientValidation>,
}

/// From the lowest version to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsVersions {
    /// The lowest.
    pub min: TlsVersion,
    /// The highest.
    pub max: TlsVersion,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self { min: TlsVersion::V1_2, max: TlsVersion::V1_3 }
    }
}

/// A version of TLS. Lower ones are broken (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Which client certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    /// Who may have signed them, as PEM.
    pub ca: String,
    /// What becomes of clients without a valid one.
    pub unverified: Unverified,
    /// What was revoked, as PEM.
    pub crls: Vec<String>,
}

/// What becomes of clients without a valid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unverified {
    /// They get no connection.
    #[default]
    Refused,
    /// Those that show none are let in.
    MayBeAbsent,
    /// They are let in.
    Accepted,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its name.
    pub id: CertificateId,
    /// PEM, the own one first.
    pub chain: String,
    /// PEM.
    pub key: Secret,
}

/// A text that no log may hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Connections, and sessions of datagrams, that are not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    /// Its name.
    pub id: TcpRouteId,
    /// Its listeners; at least one.
    pub listeners: Vec<ListenerId>,
    /// As [`Host::names`]; none on a listener that speaks TCP or UDP.
    pub server_names: Vec<String>,
    /// On listeners that speak TLS: whether it ends here, with the certificate of the host of that name, or goes on to
    /// the upstream.
    pub terminate: bool,
    /// Where the bytes go; of the arms only share, cluster and idle timeout have a meaning.
    pub split: Split,
}
