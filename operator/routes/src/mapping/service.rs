//! The `service` of a Mapping: `[scheme://]name[.namespace[.svc[.cluster.local]]][:port]` (emissary.md §1.4).

use std::net::IpAddr;

use crate::object::ObjectName;

/// Where a Mapping sends its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReference {
    /// Who.
    pub host: ServiceHost,
    /// The port, if it was written.
    pub port: Option<u16>,
    /// Whether TLS is to be originated.
    pub tls: bool,
}

/// Who is meant by the host of a `service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceHost {
    /// A Service and nothing else.
    Service(ObjectName),
    /// `name.tail`: the Service `name` in namespace `tail` if there is one, else the DNS name.
    ServiceOrName(ObjectName),
    /// A DNS name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Reads a `service` of a Mapping in `namespace`. The second value is what was overlooked on purpose.
///
/// # Errors
/// A sentence for the user about what is wrong with it.
pub fn parse_service(text: &str, namespace: &str) -> Result<(ServiceReference, Option<String>), String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let (tls, remark) = match scheme.map(str::to_ascii_lowercase).as_deref() {
        None | Some("http") => (false, None),
        Some("https") => (true, None),
        Some(_) => (false, Some(format!("service `{text}`: unknown scheme, HTTP is used"))),
    };
    // A path, query or fragment has no meaning here and is dropped, as Emissary does.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let (host, port) = split_port(authority).ok_or_else(|| format!("service `{text}` has no valid port"))?;
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(format!("service `{text}` has no valid port: `{port}` is not 1 to 65535")),
        },
    };
    let host = parse_host(host, namespace).ok_or_else(|| format!("service `{text}` names no valid host"))?;
    Ok((ServiceReference { host, port, tls }, remark))
}

/// The host and the text after its colon. IPv6 addresses are in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        return match tail.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => tail.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn parse_host(host: &str, namespace: &str) -> Option<ServiceHost> {
    if let Ok(address) = host.parse() {
        return Some(ServiceHost::Address(address));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels: Vec<&str> = host.split('.').collect();
    if host.len() > 253 || !labels.iter().all(|label| valid(label)) {
        return None;
    }
    Some(match labels[..] {
        ["localhost"] => ServiceHost::Name(host),
        [name] => ServiceHost::Service(ObjectName::new(namespace, name)),
        [name, namespace] => ServiceHost::ServiceOrName(ObjectName::new(namespace, name)),
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => {
            ServiceHost::Service(ObjectName::new(namespace, name))
        }
        _ => ServiceHost::Name(host),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse_service(text, "shop") {
            Err(error) => format!("error: {error}"),
            Ok((reference, remark)) => {
                let host = match reference.host {
                    ServiceHost::Service(name) => format!("Service {name}"),
                    ServiceHost::ServiceOrName(name) => format!("Service or name {name}"),
                    ServiceHost::Name(name) => format!("name {name}"),
                    ServiceHost::Address(address) => format!("address {address}"),
                };
                let port = reference.port.map_or(String::new(), |port| format!(" port {port}"));
                let tls = if reference.tls { " tls" } else { "" };
                let remark = if remark.is_some() { " (remark)" } else { "" };
                format!("{host}{port}{tls}{remark}")
            }
        }
    }

    #[test]
    fn a_service_reads_as_the_table_says() {
        let table = [
            ("echo", "Service shop/echo"),
            ("echo:80", "Service shop/echo port 80"),
            ("ECHO", "Service shop/echo"),
            ("http://echo.prod:8080", "Service or name prod/echo port 8080"),
            ("https://echo.prod:8443", "Service or name prod/echo port 8443 tls"),
            ("echo.prod.svc", "Service prod/echo"),
            ("echo.prod.svc.cluster.local:81", "Service prod/echo port 81"),
            ("api.example.org", "name api.example.org"),
            ("localhost:500", "name localhost port 500"),
            ("198.18.0.7:9000", "address 198.18.0.7 port 9000"),
            ("[2001:db8::1]:80", "address 2001:db8::1 port 80"),
            ("grpc://echo", "Service shop/echo (remark)"),
            ("echo/path?query", "Service shop/echo"),
            ("//echo", "Service shop/echo"),
            ("user:word@echo:81", "Service shop/echo port 81"),
            ("echo:", "Service shop/echo"),
            ("echo:foo", "error: service `echo:foo` has no valid port: `foo` is not 1 to 65535"),
            ("echo:70000", "error: service `echo:70000` has no valid port: `70000` is not 1 to 65535"),
            ("echo:0", "error: service `echo:0` has no valid port: `0` is not 1 to 65535"),
            (":80", "error: service `:80` names no valid host"),
            ("http://", "error: service `http://` names no valid host"),
            ("::1", "error: service `::1` has no valid port"),
            ("a b", "error: service `a b` names no valid host"),
        ];
        for (text, expected) in table {
            assert_eq!(show(text), expected, "{text}");
        }
    }
}
