//! Listeners, Hosts, certificates, annotations and TCPMappings: what objects compile to besides routes.

use std::{collections::BTreeMap, fmt::Write as _};

use operator_routes::{
    Compat, Compiler, ObjectChange, ObjectName, Settings,
    compiled::{Compiled, Subject},
    dialect::{
        ApiVersion, Carrier, CarrierKind, DocumentKind, Origin, annotation::Annotation,
        documents::DocumentName,
    },
    explain::{Answer, Request, What, explain},
    object::{EmissaryObject, SecretObject},
};
use proxy_config::model::{CertificateId, ListenerId, Secret, Trust};
use serde_json::{Value, json};

fn emissary(kind: DocumentKind, name: &str, spec: Value) -> ObjectChange {
    labelled(kind, name, &[], spec)
}

fn labelled(kind: DocumentKind, name: &str, labels: &[(&str, &str)], spec: Value) -> ObjectChange {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let object = EmissaryObject { labels, ..EmissaryObject::new("1", spec) };
    ObjectChange::Emissary(DocumentName { kind, name: ObjectName::new("shop", name) }, Some(object))
}

fn secret(name: &str) -> ObjectChange {
    let secret = SecretObject {
        chain: Some(format!("-----BEGIN CERTIFICATE-----{name}")),
        key: Some(Secret("-----BEGIN PRIVATE KEY-----".to_owned())),
        authorities: Some(format!("authorities of {name}")),
        ..SecretObject::default()
    };
    ObjectChange::Secret(ObjectName::new("shop", name), Some(secret))
}

fn annotation(text: &str) -> ObjectChange {
    let carrier = Carrier { kind: CarrierKind::Service, name: ObjectName::new("shop", "web") };
    let labels = BTreeMap::new();
    ObjectChange::Annotation(
        carrier,
        Some(Annotation { text: text.into(), labels, resource_version: "1".into() }),
    )
}

fn compiler(compat: Compat, changes: Vec<ObjectChange>) -> Compiler {
    let mut compiler = Compiler::new(Settings { compat, ..Settings::default() });
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    compiler
}

fn compile(changes: Vec<ObjectChange>) -> String {
    show(compiler(Compat::Ideal, changes).compiled())
}

/// Ports, hosts, certificates, TCP routes, what is wanted, and statuses.
fn show(compiled: &Compiled) -> String {
    let mut text = String::new();
    let config = &compiled.config;
    for listener in config.listeners.values() {
        let (id, port) = (&listener.id, listener.port);
        let proxied = if listener.proxy_protocol.is_some() { " behind PROXY" } else { "" };
        let _ =
            writeln!(text, "listener {id} {port} {:?} {:?}{proxied}", listener.protocol, listener.security);
    }
    for (id, host) in &compiled.hosts {
        let on: Vec<&str> = host.listeners.iter().map(ListenerId::as_str).collect();
        let _ = writeln!(
            text,
            "host {id} {:?} on {} {:?} {:?}",
            host.name,
            on.join(", "),
            host.selects,
            host.insecure
        );
    }
    for host in config.hosts.values() {
        let tls = host.tls.as_ref().map_or_else(String::new, |tls| {
            let certificates: Vec<&str> = tls.certificates.iter().map(CertificateId::as_str).collect();
            let client =
                tls.client.as_ref().map_or_else(String::new, |it| format!(" asks for {:?}", it.unverified));
            format!(" shows {} {:?}{client}", certificates.join(", "), tls.alpn)
        });
        let _ = writeln!(text, "names {} {:?} {:?}{tls}", host.id, host.names, host.insecure);
    }
    for certificate in config.certificates.values() {
        let _ = writeln!(text, "certificate {} {}", certificate.id, certificate.chain);
    }
    for route in config.tcp_routes.values() {
        let on: Vec<&str> = route.listeners.iter().map(ListenerId::as_str).collect();
        let _ = writeln!(
            text,
            "tcp route {} on {} {:?} ends {}",
            route.id,
            on.join(", "),
            route.server_names,
            route.terminate
        );
        for arm in &route.split.arms {
            let _ = writeln!(text, "  {} {} -> {}", arm.share.parts(), arm.id, arm.cluster);
        }
    }
    for cluster in config.clusters.values() {
        if let Some(tls) = &cluster.tls {
            let trust = if matches!(tls.trust, Trust::Anyone) { "anyone" } else { "authorities" };
            let shown = tls.certificate.as_ref().map_or("nothing", |it| it.as_str());
            let _ = writeln!(
                text,
                "cluster {} says {:?} trusts {trust} shows {shown}",
                cluster.id, tls.server_name
            );
        }
    }
    for secret in &compiled.secrets {
        let _ = writeln!(text, "wants {secret}");
    }
    for (subject, status) in &compiled.statuses {
        let subject = match subject {
            Subject::Document(DocumentName { kind, name }, Origin::Object) => {
                format!("{} {name}", kind.as_str())
            }
            Subject::Document(DocumentName { kind, name }, origin) => {
                format!("{} {name}, {origin}", kind.as_str())
            }
            Subject::Unreadable(carrier, number) => format!("document {number} of {carrier}"),
            other => format!("{other:?}"),
        };
        let _ = writeln!(text, "status {subject}: {} {}", status.state.as_str(), status.reason);
    }
    text
}

fn mapping(name: &str, more: &Value) -> ObjectChange {
    let mut spec = json!({"prefix": format!("/{name}/"), "service": "198.18.0.1", "hostname": "*"});
    more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
    emissary(DocumentKind::Mapping, name, spec)
}

#[test]
fn without_listeners_and_hosts_there_is_a_port_for_http_and_with_a_certificate_one_for_tls() {
    insta::assert_snapshot!(compile(vec![mapping("a", &json!({}))]));
    insta::assert_snapshot!(compile(vec![
        mapping("a", &json!({})),
        secret("cert"),
        emissary(DocumentKind::TlsContext, "old", json!({"hosts": ["a.org", "*.b.org"], "secret": "cert"})),
    ]));
}

#[test]
fn a_host_has_its_certificate_and_settings_from_wherever_they_are_written() {
    let insecure = json!({"insecure": {"action": "Route"}});
    insta::assert_snapshot!(compile(vec![
        secret("one"),
        secret("two"),
        emissary(DocumentKind::TlsContext, "ctx", json!({"secret": "two", "alpn_protocols": "h2, http/1.1"})),
        emissary(DocumentKind::Host, "plain", json!({"hostname": "plain.org", "requestPolicy": insecure})),
        emissary(
            DocumentKind::Host,
            "secret",
            json!({"hostname": "Secret.org", "tlsSecret": {"name": "one"}})
        ),
        emissary(
            DocumentKind::Host,
            "context",
            json!({"hostname": "*.context.org", "tlsContext": {"name": "ctx"}})
        ),
        emissary(
            DocumentKind::Host,
            "client",
            json!({
                "hostname": "client.org", "tlsSecret": {"name": "one"},
                "tls": {"ca_secret": "two", "cert_required": true}
            })
        ),
        emissary(
            DocumentKind::Host,
            "missing",
            json!({"hostname": "missing.org", "tlsSecret": {"name": "none"}})
        ),
        emissary(DocumentKind::Host, "twice", json!({"hostname": "plain.org"})),
        emissary(DocumentKind::Host, "both", json!({"tls": {"sni": "x"}, "tlsContext": {"name": "ctx"}})),
        emissary(DocumentKind::Host, "odd", json!({"hostname": "odd.*", "tlsSecret": {"name": "one"}})),
    ]));
}

#[test]
fn listeners_are_opened_for_the_hosts_that_belong_to_them() {
    let listener = |port: u16, protocol: &str, selector: Value| {
        json!({
            "port": port, "protocol": protocol, "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "ALL"}, "selector": selector}
        })
    };
    let inner = json!({"matchLabels": {"edge": "inner"}});
    insta::assert_snapshot!(compile(vec![
        secret("cert"),
        emissary(DocumentKind::Listener, "http", listener(8080, "HTTPS", json!({}))),
        emissary(DocumentKind::Listener, "https", listener(8443, "HTTPS", json!({}))),
        emissary(DocumentKind::Listener, "inner", listener(9090, "HTTP", inner)),
        emissary(
            DocumentKind::Listener,
            "nobody",
            listener(9091, "HTTP", json!({"matchLabels": {"edge": "no"}}))
        ),
        emissary(DocumentKind::Listener, "same", listener(8443, "HTTP", json!({}))),
        emissary(DocumentKind::Listener, "proxy", listener(9092, "HTTPPROXY", json!({}))),
        emissary(
            DocumentKind::Host,
            "outer",
            json!({"hostname": "outer.org", "tlsSecret": {"name": "cert"}})
        ),
        labelled(DocumentKind::Host, "inner", &[("edge", "inner")], json!({"hostname": "inner.org"})),
    ]));
}

#[test]
fn tcp_mappings_share_connections_by_relative_weights() {
    let to = |port: u16, more: Value| {
        let mut spec = json!({"port": port, "service": "198.18.0.9:7"});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        spec
    };
    insta::assert_snapshot!(compile(vec![
        secret("cert"),
        emissary(DocumentKind::Host, "host", json!({"hostname": "db.org", "tlsSecret": {"name": "cert"}})),
        emissary(DocumentKind::TcpMapping, "stable", to(6789, json!({"weight": 70}))),
        emissary(
            DocumentKind::TcpMapping,
            "canary",
            to(6789, json!({"weight": 30, "service": "198.18.0.8:7"}))
        ),
        emissary(DocumentKind::TcpMapping, "named", to(8443, json!({"host": "db.org"}))),
        emissary(DocumentKind::TcpMapping, "nowhere", to(6790, json!({"service": "nowhere"}))),
        emissary(DocumentKind::TcpMapping, "bad", to(0, json!({}))),
    ]));
}

#[test]
fn requests_to_an_upstream_are_encrypted_or_refused() {
    insta::assert_snapshot!(compile(vec![
        secret("client"),
        secret("ca"),
        emissary(
            DocumentKind::TlsContext,
            "inner",
            json!({"secret": "client", "ca_secret": "ca", "sni": "inner.org"})
        ),
        mapping("plain", &json!({"service": "https://198.18.0.1"})),
        mapping("named", &json!({"service": "https://api.example.org:8443"})),
        mapping("verified", &json!({"tls": "inner"})),
        mapping("unknown", &json!({"tls": "nope"})),
    ]));
}

#[test]
fn an_annotation_is_read_document_by_document_and_the_later_name_counts() {
    insta::assert_snapshot!(compile(vec![
        mapping("m", &json!({})),
        annotation(
            "---\napiVersion: ambassador/v0\nkind: Mapping\nname: m\nprefix: /annotated/\nservice: 198.18.0.2\nweight: '7'\n\
             ---\nkind: [\n---\napiVersion: ambassador/v1\nkind: Module\nname: ambassador\nconfig: {cors: nonsense}\n\
             ---\napiVersion: ambassador/v1\nkind: Mapping\nname: bad\nprefix: /bad/\n\
             ---\napiVersion: ambassador/v1\nkind: Mapping\nname: other\nambassador_id: other\nprefix: /o/\nservice: x\n"
        ),
    ]));
}

/// The Mapping, or what else becomes of a request.
fn ask(compiler: &Compiler, port: u16, tls: bool, authority: &str, target: &str) -> String {
    let request = Request { port, tls, authority, method: "GET", target, headers: &[] };
    match explain(compiler.compiled(), &request) {
        Answer::Host(_, outcomes) => {
            let show = |what: &What| match what {
                What::Forwarded { arm, .. } => arm.to_string(),
                What::Redirected { status, location, .. } => format!("{status} {location}"),
                What::Refused { status, .. } => status.to_string(),
                What::NoRoute => "404".to_owned(),
            };
            outcomes.iter().map(|outcome| show(&outcome.what)).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_host_has_the_routes_that_it_selects_and_the_policy_that_it_says() {
    let host = |name: &str, action: &str, selector: Value| {
        let policy = json!({"insecure": {"action": action}});
        json!({"hostname": name, "requestPolicy": policy, "tlsSecret": {"name": "cert"}, "mappingSelector": selector})
    };
    let web = json!({"matchLabels": {"tier": "web"}});
    let unnamed = |name: &str| json!({"prefix": format!("/{name}/"), "service": "198.18.0.1"});
    let compiler = compiler(
        Compat::Ideal,
        vec![
            secret("cert"),
            emissary(DocumentKind::Host, "route", host("route.org", "Route", web)),
            emissary(DocumentKind::Host, "redirect", host("redirect.org", "Redirect", json!({}))),
            emissary(DocumentKind::Host, "reject", host("reject.org", "Reject", json!({}))),
            mapping("everywhere", &json!({})),
            mapping("named", &json!({"hostname": "redirect.org"})),
            labelled(DocumentKind::Mapping, "web", &[("tier", "web")], unnamed("web")),
            emissary(DocumentKind::Mapping, "lost", unnamed("lost")),
            mapping("acme", &json!({"prefix": "/.well-known/acme-challenge/"})),
        ],
    );
    let table = [
        // host, path, in the clear on 8080, over TLS on 8443
        ("route.org", "/web/", "shop/web", "shop/web"),
        ("route.org", "/everywhere/", "404", "404"),
        ("redirect.org", "/everywhere/x?y", "301 https://redirect.org/everywhere/x?y", "shop/everywhere"),
        ("redirect.org", "/named/", "301 https://redirect.org/named/", "shop/named"),
        ("redirect.org", "/web/", "404", "404"),
        ("redirect.org", "/nothing/", "404", "404"),
        ("redirect.org", "/.well-known/acme-challenge/x", "shop/acme", "shop/acme"),
        ("reject.org", "/everywhere/", "404", "shop/everywhere"),
        ("reject.org", "/.well-known/acme-challenge/x", "shop/acme", "shop/acme"),
        ("reject.org", "/lost/", "404", "404"),
        ("unknown.org", "/everywhere/", "NoHost", "NoChain"),
    ];
    for (host, path, clear, tls) in table {
        assert_eq!(ask(&compiler, 8080, false, host, path), clear, "{host}{path} in the clear");
        assert_eq!(ask(&compiler, 8443, true, host, path), tls, "{host}{path} over TLS");
    }
    let lost = DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", "lost") };
    let status = &compiler.compiled().statuses[&Subject::Document(lost, Origin::Object)];
    assert!(status.reason.starts_with("no Host has it"), "{}", status.reason);
}

#[test]
fn hosts_are_not_multiplied_with_routes() {
    let mut changes: Vec<ObjectChange> = (0..100).map(|it| mapping(&format!("m{it}"), &json!({}))).collect();
    changes.extend((0..30).map(|it| {
        let spec =
            json!({"hostname": format!("h{it}.org"), "requestPolicy": {"insecure": {"action": "Route"}}});
        emissary(DocumentKind::Host, &format!("h{it}"), spec)
    }));
    let compiler = compiler(Compat::Ideal, changes);
    let result = compiler.compiled();
    assert_eq!((result.config.routes.len(), result.hosts.len()), (100, 30));
    assert_eq!(ask(&compiler, 8080, false, "h7.org", "/m9/"), "shop/m9");
}

#[test]
fn the_written_version_decides_for_which_hosts_a_mapping_without_one_is() {
    let host = emissary(DocumentKind::Host, "h", json!({"requestPolicy": {"insecure": {"action": "Route"}}}));
    for (version, expected) in [(ApiVersion::V2, "shop/m"), (ApiVersion::V3, "404")] {
        let object = EmissaryObject {
            version,
            ..EmissaryObject::new("1", json!({"prefix": "/", "service": "198.18.0.1"}))
        };
        let name = DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", "m") };
        let compiler =
            compiler(Compat::Ideal, vec![host.clone(), ObjectChange::Emissary(name, Some(object))]);
        assert_eq!(ask(&compiler, 8080, false, "a.org", "/x"), expected, "{version:?}");
    }
}
