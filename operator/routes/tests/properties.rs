//! The properties that the fuzz targets look for counterexamples of, on generated input and on the targets' seeds.

#[path = "properties/mod.rs"]
mod all;

use std::{fs, path::Path};

use proptest::prelude::*;

/// Lines that documents are made of, good and bad.
const LINES: [&str; 52] = [
    "Mapping",
    "Host",
    "Listener",
    "TLSContext",
    "TCPMapping",
    "Module",
    "Ingress",
    "ConfigMap",
    "Secret",
    "Service",
    "Gateway",
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "ListenerSet",
    "BackendTLSPolicy",
    "ReferenceGrant",
    "annotation",
    "---",
    "prefix: /a/",
    "prefix: '/(' ",
    "prefix_regex: true",
    "hostname: '*.example.org'",
    "hostname: 'a*b'",
    "service: web.good",
    "service: ':::'",
    "weight: 200",
    "load_balancer: {policy: maglev, cookie: {name: 'a b'}}",
    "mappingSelector: {matchLabels: {a: b}}",
    "tlsSecret: {name: absent}",
    "port: 8080",
    "protocol: HTTPS",
    "ingressClassName: sluice",
    "rules: [{host: a.example.org, http: {paths: [{path: /a, pathType: Exact, backend: {service: {name: b, port: {name: c}}}}]}}]",
    "rules: [{http: {paths: [{path: '/(a', pathType: Prefix}]}}, 7]",
    "defaultBackend: {resource: {kind: Bucket}}",
    "tls: [{hosts: [a.example.org, '*.b'], secretName: s}]",
    "annotations: {nginx.ingress.kubernetes.io/use-regex: 'true', nginx.ingress.kubernetes.io/rewrite-target: /$3}",
    "annotations: {nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-by-header: 'x y'}",
    "annotations: {nginx.ingress.kubernetes.io/upstream-vhost: 'a b', nginx.ingress.kubernetes.io/enable-cors: 'true'}",
    "annotations: {nginx.ingress.kubernetes.io/auth-type: basic, nginx.ingress.kubernetes.io/auth-secret: object-1}",
    "annotations: {nginx.ingress.kubernetes.io/denylist-source-range: 198.18.0.0/15}",
    "annotations: {nginx.ingress.kubernetes.io/limit-rps: '3', nginx.ingress.kubernetes.io/proxy-body-size: 8m}",
    "gatewayClassName: sluice",
    "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 443, protocol: HTTPS, hostname: '*.b', tls: {certificateRefs: [{name: s}]}}]",
    "parentRefs: [{name: object-0}, {name: object-1, sectionName: a}, {kind: ListenerSet, name: object-2}]",
    "rules: [{matches: [{path: {type: RegularExpression, value: '/(a'}}], backendRefs: [{name: web, port: 80}, {name: gone, port: 1, weight: 0}]}]",
    "targetRefs: [{kind: Service, name: object-3, group: ''}]",
    "auth: 'ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='",
    "http-redirect-code: '200'",
    "apiVersion: ambassador/v0",
    "kind: Mapping",
];

proptest! {
    #[test]
    fn no_object_blocks_another(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..24)) {
        all::no_object_blocks_another(lines.join("\n").as_bytes());
    }

    #[test]
    fn no_text_blocks_an_object(text in "(Mapping|Ingress|Host|annotation)\n(\\PC|\n){0,120}") {
        all::no_object_blocks_another(text.as_bytes());
    }
}

#[test]
fn the_seeds_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        all::no_object_blocks_another(&fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "there are no seeds");
}
