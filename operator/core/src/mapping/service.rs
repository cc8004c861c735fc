//! `service` of a Mapping: `[scheme://]name[.namespace[.svc[.domain]]][:port]`.

/// An address in its parts; [`Self::with_name`] puts it together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAddress<'a> {
    /// `scheme://`, or nothing.
    scheme: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
    /// Everything after the name, as it was written.
    rest: &'a str,
}

impl<'a> ServiceAddress<'a> {
    /// `None` if it does not name a Service of the cluster: empty, an address in brackets, or a host name of another
    /// domain.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let start = text.find("://").map_or(0, |at| at + "://".len());
        let (scheme, address) = text.split_at(start);
        let host = &address[..address.find([':', '/', '?', '#']).unwrap_or(address.len())];
        let mut labels = host.split('.');
        let name = labels.next().filter(|name| is_label(name))?;
        let namespace = labels.next();
        if namespace.is_some_and(|namespace| !is_label(namespace))
            || labels.next().is_some_and(|it| it != "svc")
        {
            return None;
        }
        Some(Self { scheme, name, namespace, rest: &address[name.len()..] })
    }

    /// It names this Service of this namespace. Without a namespace it means the Mapping's own.
    #[must_use]
    pub fn names(&self, service: &str, namespace: &str) -> bool {
        self.name == service && self.namespace.is_none_or(|it| it == namespace)
    }

    /// The port; without one it is that of the scheme.
    #[must_use]
    pub fn port(&self) -> Option<i32> {
        match self.port_text() {
            Some(text) => text.parse().ok(),
            None if self.scheme == "https://" => Some(443),
            None => Some(80),
        }
    }

    /// The same address of another Service, at this port.
    #[must_use]
    pub fn with_name_and_port(&self, name: &str, port: i32) -> String {
        let end = self.rest.find([':', '/', '?', '#']).unwrap_or(self.rest.len());
        let (host, tail) = self.rest.split_at(end);
        let tail = self.port_text().map_or(tail, |text| &tail[1 + text.len()..]);
        format!("{}{name}{host}:{port}{tail}", self.scheme)
    }

    fn port_text(&self) -> Option<&'a str> {
        let at = self.rest.find([':', '/', '?', '#'])?;
        let text = self.rest[at..].strip_prefix(':')?;
        Some(&text[..text.find(['/', '?', '#']).unwrap_or(text.len())])
    }

    /// The same address of another Service.
    #[must_use]
    pub fn with_name(&self, name: &str) -> String {
        format!("{}{name}{}", self.scheme, self.rest)
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        let table = [
            ("shop", "next"),
            ("shop:80", "next:80"),
            ("shop.prod", "next.prod"),
            ("shop.shop:80", "next.shop:80"),
            ("https://shop.prod:8443", "https://next.prod:8443"),
            ("http://shop.prod.svc.cluster.local:80/path", "http://next.prod.svc.cluster.local:80/path"),
            ("grpc://shop:grpc", "grpc://next:grpc"),
        ];
        for (before, after) in table {
            assert_eq!(ServiceAddress::parse(before).map(|it| it.with_name("next")).as_deref(), Some(after));
        }
    }

    #[test]
    fn a_port_is_that_of_the_scheme_unless_it_is_written() {
        let table = [
            ("shop", Some(80), "next:8080"),
            ("https://shop.prod", Some(443), "https://next.prod:8080"),
            ("shop.prod:8443/path", Some(8443), "next.prod:8080/path"),
            ("shop/path:1", Some(80), "next:8080/path:1"),
            ("shop:http", None, "next:8080"),
        ];
        for (written, port, moved) in table {
            let address = ServiceAddress::parse(written).unwrap();
            assert_eq!((address.port(), address.with_name_and_port("next", 8080).as_str()), (port, moved));
        }
    }

    #[test]
    fn other_hosts_are_no_services() {
        for text in ["", "http://", "[::1]:80", "shop.example.com", "shop..svc", "shop ", ".prod"] {
            assert_eq!(ServiceAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_namespace_must_be_the_right_one() {
        let names = |text| ServiceAddress::parse(text).is_some_and(|it| it.names("shop", "prod"));
        assert!(names("shop"));
        assert!(names("http://shop.prod.svc:80"));
        assert!(!names("shop.test"));
        assert!(!names("shop-v2"));
    }
}
