//! Listeners and hosts.

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*};

use super::{listeners, name};
use crate::model::{
    CertificateId, ClientValidation, Host, HostId, Insecure, Listener, ListenerId, Protocol, ProxyProtocol,
    Security, ServerTls, TlsVersion, TlsVersions, Unverified,
};

pub(super) fn listener() -> impl Strategy<Value = Listener> {
    let protocol =
        prop_oneof![Just(Protocol::Http), Just(Protocol::Https), Just(Protocol::Tcp), Just(Protocol::Udp)];
    let security = prop_oneof![
        Just(Security::Connection),
        Just(Security::ForwardedProto),
        Just(Security::Always),
        Just(Security::Never),
    ];
    (name(), any::<u16>(), protocol, security, any::<u32>(), any::<bool>(), option::of(proxy_protocol()))
        .prop_map(|(id, port, protocol, security, trusted_hops, reject_misdirected, proxy_protocol)| {
            Listener {
                id: ListenerId::new(id),
                port,
                protocol,
                security,
                trusted_hops,
                reject_misdirected,
                proxy_protocol,
            }
        })
}

fn proxy_protocol() -> impl Strategy<Value = ProxyProtocol> {
    let network = prop_oneof![
        (any::<std::net::Ipv4Addr>(), 0..=32_u8)
            .prop_map(|(address, length)| IpNet::new(address.into(), length)),
        (any::<std::net::Ipv6Addr>(), 0..=128_u8)
            .prop_map(|(address, length)| IpNet::new(address.into(), length)),
    ];
    let network = network.prop_filter_map("within the address", Result::ok);
    vec(network, 0..3).prop_map(|trusted| ProxyProtocol { trusted })
}

pub(super) fn host() -> impl Strategy<Value = Host> {
    let insecure = prop_oneof![
        Just(Insecure::Route),
        (1..=u16::MAX).prop_map(Insecure::Redirect),
        Just(Insecure::Reject),
    ];
    (name(), vec(name(), 0..3), listeners(), option::of(tls()), insecure, name()).prop_map(
        |(id, names, listeners, tls, insecure, class)| Host {
            id: HostId::new(id),
            names,
            listeners,
            tls,
            insecure,
            class,
        },
    )
}

pub(super) fn versions() -> impl Strategy<Value = TlsVersions> {
    let version = || prop_oneof![Just(TlsVersion::V1_2), Just(TlsVersion::V1_3)];
    (version(), version()).prop_map(|(min, max)| TlsVersions { min, max })
}

fn tls() -> impl Strategy<Value = ServerTls> {
    let certificates = vec(name().prop_map(CertificateId::new), 0..3);
    (certificates, versions(), vec(name(), 0..3), option::of(client()))
        .prop_map(|(certificates, versions, alpn, client)| ServerTls { certificates, versions, alpn, client })
}

fn client() -> impl Strategy<Value = ClientValidation> {
    let unverified =
        prop_oneof![Just(Unverified::Refused), Just(Unverified::MayBeAbsent), Just(Unverified::Accepted)];
    (name(), unverified, vec(name(), 0..2)).prop_map(|(ca, unverified, crls)| ClientValidation {
        ca,
        unverified,
        crls,
    })
}
