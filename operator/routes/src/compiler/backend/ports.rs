//! Which port of a Service is meant.

use crate::object::{ObjectName, PortReference, Service, ServicePort};

/// The sentence about a port that is not there.
pub(super) fn no_port(
    name: &ObjectName,
    service: &Service,
    written: Option<&PortReference>,
    default: u16,
) -> String {
    if let Some(PortReference::Name(wanted)) = written {
        let ports: Vec<String> = service.ports.iter().map(|port| format!("`{}`", port.name)).collect();
        let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
        return format!("Service `{}` has ports named {ports}, none of them is `{wanted}`", name.name);
    }
    let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
    let wanted = match written {
        Some(PortReference::Number(number)) => *number,
        Some(PortReference::Name(_)) | None => default,
    };
    let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
    format!("Service `{}` has port {ports}, {wanted} is asked for", name.name)
}

/// The port of the Service that is meant: by its name, by its number, by the number of its pods' port, or, where none is
/// written, the only one.
pub(super) fn find_port<'s>(
    service: &'s Service,
    written: Option<&PortReference>,
    default: u16,
) -> Option<&'s ServicePort> {
    let written = match written {
        Some(PortReference::Name(name)) => return service.ports.iter().find(|port| *port.name == **name),
        Some(PortReference::Number(number)) => Some(*number),
        None => None,
    };
    let number = written.unwrap_or(default);
    let by_port = service.ports.iter().find(|port| port.port == number);
    let by_target = || service.ports.iter().find(|port| written.is_some() && port.target == written);
    let only = || match &service.ports[..] {
        [port] if written.is_none() => Some(port),
        _ => None,
    };
    by_port.or_else(by_target).or_else(only)
}
