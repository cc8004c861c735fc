//! What can be wrong with one listener, host or TCP route by itself.

use super::{Fault, cluster::versions, route::shares, text::is_server_name};
use crate::model::{Host, Listener, Protocol, TcpRoute};

pub(super) fn faults(listener: &Listener) -> Vec<Fault> {
    let mut faults = Vec::new();
    if listener.port == 0 {
        faults.push(Fault::PortZero);
    }
    if listener.protocol == Protocol::Udp && listener.proxy_protocol.is_some() {
        faults.push(Fault::DatagramsWithHeader);
    }
    faults
}

pub(super) fn host_faults(host: &Host) -> Vec<Fault> {
    let mut faults = Vec::new();
    if host.names.is_empty() {
        faults.push(Fault::NoNames);
    }
    names(&host.names, &mut faults);
    if let Some(tls) = &host.tls {
        if tls.certificates.is_empty() {
            faults.push(Fault::NoCertificates);
        }
        versions(tls.versions, &mut faults);
        let odd = tls.alpn.iter().filter(|it| !(1..=255).contains(&it.len()));
        faults.extend(odd.cloned().map(Fault::Alpn));
    }
    faults
}

pub(super) fn tcp_route_faults(route: &TcpRoute) -> Vec<Fault> {
    let mut faults = Vec::new();
    if route.listeners.is_empty() {
        faults.push(Fault::NoListeners);
    }
    names(&route.server_names, &mut faults);
    shares(&route.split, &mut faults);
    faults
}

fn names(names: &[String], faults: &mut Vec<Fault>) {
    faults.extend(names.iter().filter(|it| !is_server_name(it)).cloned().map(Fault::ServerName));
}
