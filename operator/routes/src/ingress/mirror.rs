//! Who gets copies of requests: `mirror-target`.

use super::annotations::Annotations;
use crate::mapping::{ServiceHost, ServiceReference, parse_service};

/// What keeps the path of a request in a URL of ingress-nginx's.
const REQUEST_URI: &str = "$request_uri";

/// The Service that gets a copy of every request of an Ingress in `namespace`, or a sentence about why there are none:
/// the requests themselves are served all the same.
pub(super) fn target(
    annotations: &mut Annotations<'_>,
    namespace: &str,
) -> Result<Option<ServiceReference>, String> {
    let Some(text) = annotations.text("mirror-target") else { return Ok(None) };
    let refused = |why: &str| {
        format!(
            "no request is copied: `mirror-target` is `{text}`, {why}; http://service.namespace.svc{REQUEST_URI} is served"
        )
    };
    let url = text.strip_suffix(REQUEST_URI).ok_or_else(|| refused("without the path of the request"))?;
    let authority = url.split_once("://").map_or(url, |(_scheme, rest)| rest).trim_end_matches('/');
    if authority.contains(['/', '?', '#', '$']) {
        return Err(refused("which puts something before the path of the request"));
    }
    match parse_service(url, namespace) {
        Ok((ServiceReference { host: ServiceHost::Name(_) | ServiceHost::Address(_), .. }, _)) => {
            Err(refused("which is no Service"))
        }
        Ok((_, Some(_unknown_scheme))) => Err(refused("which is not for HTTP")),
        Ok((reference, None)) => Ok(Some(reference)),
        Err(_) => Err(refused("which is no URL")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_target_reads_as_the_table_says() {
        let table = [
            ("http://copies.tests.svc.cluster.local$request_uri", "Service tests/copies:None tls=false"),
            ("http://copies.tests:8080/$request_uri", "Service tests/copies:Some(8080) tls=false"),
            ("https://copies$request_uri", "Service shop/copies:None tls=true"),
            ("http://copies", "without the path of the request"),
            ("http://copies/v2$request_uri", "which puts something before the path of the request"),
            ("http://$host$request_uri", "which puts something before the path of the request"),
            ("https://copies.example.org/$request_uri", "which is no Service"),
            ("http://198.18.0.1$request_uri", "which is no Service"),
            ("grpc://copies$request_uri", "which is not for HTTP"),
            ("http://copies:none$request_uri", "which is no URL"),
        ];
        for (text, expected) in table {
            let all = BTreeMap::from([("n/mirror-target".to_owned(), text.to_owned())]);
            let got = match target(&mut Annotations::new(&all, "n"), "shop") {
                Ok(Some(ServiceReference {
                    host: ServiceHost::Service(name) | ServiceHost::ServiceOrName(name),
                    port,
                    tls,
                })) => format!("Service {name}:{port:?} tls={tls}"),
                other => format!("{other:?}"),
            };
            assert!(got.contains(expected), "{text}: {got}");
        }
    }
}
