//! What holds for every Ingress that says nothing else: the ConfigMap, with the keys of ingress-nginx's.

use std::collections::BTreeMap;

use proxy_config::model::Origin;

use super::{access, authorization::Asked, limits};

/// Settings for all Ingresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// `ssl-redirect`: requests in the clear for a host with TLS are sent to `https`.
    pub(crate) ssl_redirect: bool,
    /// `force-ssl-redirect`: for every host.
    pub(crate) force_ssl_redirect: bool,
    /// `http-redirect-code`: the status of these redirects.
    pub(crate) redirect_status: u16,
    /// `proxy-connect-timeout`, in milliseconds.
    pub(crate) connect_timeout_ms: u32,
    /// The longer of `proxy-read-timeout` and `proxy-send-timeout`: without a byte in either direction, in milliseconds.
    pub(crate) idle_timeout_ms: u32,
    /// `proxy-body-size`, in bytes; `None`: any.
    pub(crate) max_body_bytes: Option<u64>,
    /// `whitelist-source-range`: clients from elsewhere are kept out.
    pub(crate) allowed: Vec<Origin>,
    /// `denylist-source-range`: clients from there are.
    pub(crate) denied: Vec<Origin>,
    /// `global-auth-url` and what belongs to it: who is asked about the requests of Ingresses that say nothing else.
    pub(crate) authorization: Option<Asked>,
    /// Keys that keep clients out and are not acted on: without them nobody is let in.
    pub(crate) unprotected: Vec<String>,
    /// What of the ConfigMap cannot be used, or is not acted on.
    pub(crate) remarks: Vec<String>,
}

impl Default for Defaults {
    /// Those of ingress-nginx, but for the size of bodies, which it limits because it keeps them.
    fn default() -> Self {
        Self {
            ssl_redirect: true,
            force_ssl_redirect: false,
            redirect_status: 308,
            connect_timeout_ms: 5_000,
            idle_timeout_ms: 60_000,
            max_body_bytes: None,
            allowed: Vec::new(),
            denied: Vec::new(),
            authorization: None,
            unprotected: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

impl Defaults {
    /// Reads the `data` of the ConfigMap. What is wrong with a key leaves the others.
    pub(crate) fn parse(data: &BTreeMap<String, String>) -> Self {
        let mut defaults = Self::default();
        let mut idle = [None, None];
        let mut others = Vec::new();
        let mut authorization = BTreeMap::new();
        for (key, value) in data {
            let value = value.trim();
            let mut remark = |wanted: &str| {
                defaults.remarks.push(format!("`{key}` is `{value}`, not {wanted}: the default counts"));
            };
            match key.as_str() {
                "ssl-redirect" => match value.parse() {
                    Ok(flag) => defaults.ssl_redirect = flag,
                    Err(_) => remark("true or false"),
                },
                "force-ssl-redirect" => match value.parse() {
                    Ok(flag) => defaults.force_ssl_redirect = flag,
                    Err(_) => remark("true or false"),
                },
                "http-redirect-code" => match value.parse() {
                    Ok(status @ (301 | 302 | 307 | 308)) => defaults.redirect_status = status,
                    Ok(_) | Err(_) => remark("301, 302, 307 or 308"),
                },
                "proxy-connect-timeout" => match seconds(value) {
                    Some(milliseconds) => defaults.connect_timeout_ms = milliseconds,
                    None => remark(SECONDS),
                },
                "proxy-read-timeout" | "proxy-send-timeout" => match seconds(value) {
                    Some(milliseconds) => idle[usize::from(key == "proxy-send-timeout")] = Some(milliseconds),
                    None => remark(SECONDS),
                },
                "proxy-body-size" => match limits::size(value) {
                    Some(size) => defaults.max_body_bytes = limits::limit(size),
                    None => remark(limits::SIZE),
                },
                "whitelist-source-range" | "allowlist-source-range" | "denylist-source-range" => {
                    match access::ranges(value) {
                        Ok(ranges) if key.starts_with("deny") => defaults.denied = ranges,
                        Ok(ranges) => defaults.allowed = ranges,
                        Err(word) => {
                            defaults.remarks.push(format!("`{key}`: {word}"));
                            defaults.unprotected.push(key.clone());
                        }
                    }
                }
                "block-cidrs" if !value.is_empty() => defaults.unprotected.push(key.clone()),
                "enable-modsecurity" if value == "true" => defaults.unprotected.push(key.clone()),
                _ => match key.strip_prefix("global-auth-").filter(|it| !it.starts_with("cache-")) {
                    Some(of_authorization) => drop(authorization.insert(of_authorization, value)),
                    None => others.push(format!("`{key}`")),
                },
            }
        }
        match Asked::of_defaults(&authorization) {
            Ok(asked) => defaults.authorization = asked,
            Err(reason) => {
                defaults.remarks.push(reason);
                defaults.unprotected.push(access::GLOBAL_AUTHORIZATION.to_owned());
            }
        }
        if let Some(longest) = idle.into_iter().flatten().max() {
            defaults.idle_timeout_ms = longest;
        }
        if !defaults.unprotected.is_empty() {
            let keys = defaults.unprotected.join("`, `");
            let words = "keeps clients out and is not acted on: Ingresses are answered with 503";
            defaults.remarks.push(format!("`{keys}` {words}"));
        }
        if !others.is_empty() {
            defaults.remarks.push(format!("not acted on: {}", others.join(", ")));
        }
        defaults
    }
}

/// What a time must be.
pub(super) const SECONDS: &str = "a whole number of seconds from 1 to 1000000";

/// Whole seconds, with or without `s`, in milliseconds.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let seconds: u32 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    (1..=1_000_000).contains(&seconds).then(|| seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_reads_as_the_table_says() {
        let read = |data: &[(&str, &str)]| {
            let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let read = Defaults::parse(&data);
            (
                read.ssl_redirect,
                read.redirect_status,
                read.connect_timeout_ms,
                read.idle_timeout_ms,
                read.remarks,
            )
        };
        let none = Vec::new;
        assert_eq!(read(&[]), (true, 308, 5_000, 60_000, none()));
        assert_eq!(
            read(&[("ssl-redirect", "false"), ("http-redirect-code", "301"), ("proxy-read-timeout", "3600")]),
            (false, 301, 5_000, 3_600_000, none())
        );
        assert_eq!(
            read(&[
                ("proxy-send-timeout", "30s"),
                ("proxy-read-timeout", "10"),
                ("proxy-connect-timeout", "2")
            ]),
            (true, 308, 2_000, 30_000, none())
        );
        let remarks = vec![
            "`http-redirect-code` is `200`, not 301, 302, 307 or 308: the default counts".to_owned(),
            "not acted on: `worker-processes`".to_owned(),
        ];
        assert_eq!(
            read(&[("worker-processes", "4"), ("http-redirect-code", "200")]),
            (true, 308, 5_000, 60_000, remarks)
        );
    }
}
