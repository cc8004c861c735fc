//! Ingresses: which requests go where, and what their owners are told, as tables.

mod access;
mod world;

use std::sync::Arc;

use operator_routes::{
    Compiler, INGRESS_CONTROLLER, ObjectChange, ObjectName, Settings, State, Subject,
    dialect::{DocumentKind, Origin, documents::DocumentName},
    explain::{Candidate, Request, candidates},
    ingress_key,
    object::IngressClass,
};
use proxy_config::model::{Action, Address, SplitId};
use serde_json::{Value, json};

use self::world::{
    backend, check, compiler, compiler_with, emissary, ingress, outcome, path, rule, rules, secret, service,
    told,
};

#[test]
fn hosts_and_paths_match_as_the_api_says() {
    let spec = rules(&[
        rule(
            "a.org",
            &[path("Prefix", "/", "web"), path("Exact", "/foo", "api"), path("Prefix", "/foo/", "next")],
        ),
        rule("*.a.org", &[path("Prefix", "/", "api")]),
        rule("", &[path("Prefix", "/every", "next"), path("Exact", "/every", "web")]),
        rule(
            "b.org",
            &[
                path("Prefix", "/aaa/bb", "web"),
                path("Prefix", "/aaa/bbb/", "api"),
                path("ImplementationSpecific", "/text", "next"),
                json!({"pathType": "Exact", "path": "/named", "backend": {"service": {"name": "web", "port": {"name": "admin"}}}}),
            ],
        ),
    ]);
    let compiler = compiler(vec![ingress("main", 1, &[], spec)]);
    check(
        &compiler,
        &[
            ("a.org/", "web"),
            ("A.org:8080/other", "web"),
            ("a.org/foo", "api"),
            ("a.org/foo/", "next"),
            ("a.org/foo/x?q=1", "next"),
            ("a.org/foobar", "web"),
            ("a.org/FOO", "web"),
            // A star is for exactly one label.
            ("x.a.org/foo", "api"),
            ("y.x.a.org/", "404"),
            (".a.org/", "404"),
            // A rule without a host is for all, also for hosts that others name.
            ("c.org/every", "web"),
            ("c.org/every/", "next"),
            ("c.org/everyone", "404"),
            ("b.org/every/1", "next"),
            ("b.org/", "404"),
            // Elements, not letters; a slash at the end of a rule means nothing.
            ("b.org/aaa/bb", "web"),
            ("b.org/aaa/bbb", "api"),
            ("b.org/aaa/bbb/", "api"),
            ("b.org/aaa/bbbb", "404"),
            ("b.org/textual", "next"),
            ("b.org/named", "web"),
        ],
    );
    let told = told(&compiler, "main");
    assert_eq!(told, "* served: a.org/, a.org/foo, a.org/foo, *.a.org/, /every and 5 more");
    let named = compiler.compiled().config.clusters.values().find(|it| it.id.as_str().contains(":admin"));
    assert_eq!(named.unwrap().endpoints[0].address, Address::Socket(([198, 18, 1, 1], 9001).into()));
}

#[test]
fn the_default_backend_takes_the_rest() {
    let rest = |service| json!({"defaultBackend": backend(service)});
    let mut with_rules = rules(&[rule("a.org", &[path("Prefix", "/api", "api")])]);
    with_rules["defaultBackend"] = backend("next");
    let compiler = compiler(vec![
        ingress("all", 1, &[], rest("web")),
        ingress("of-a", 2, &[], with_rules),
        ingress("late", 3, &[], rest("api")),
    ]);
    check(
        &compiler,
        &[("a.org/api/1", "api"), ("a.org/other", "next"), ("b.org/other", "web"), ("/", "web")],
    );
    let late = "the rest of all hosts: Ingress `shop/all`, which is older, has the same rule; it has no rule that is \
                served";
    assert_eq!(told(&compiler, "late"), late);
}

#[test]
fn the_older_of_two_with_one_rule_counts() {
    let to = |service| rules(&[rule("a.org", &[path("Prefix", "/", service)])]);
    let compiler = compiler(vec![
        ingress("b", 1, &[], to("web")),
        ingress("a", 2, &[], to("api")),
        ingress(
            "c",
            1,
            &[],
            rules(&[rule("a.org", &[path("Prefix", "/c", "next"), path("Prefix", "/", "next")])]),
        ),
    ]);
    check(&compiler, &[("a.org/", "web"), ("a.org/c", "next")]);
    let older = |served| format!("a.org/: Ingress `shop/b`, which is older, has the same rule; {served}");
    assert_eq!(told(&compiler, "a"), older("it has no rule that is served"));
    assert_eq!(told(&compiler, "c"), older("served: a.org/c"));
}

#[test]
fn a_canary_takes_its_part_as_in_ingress_nginx() {
    let to = |service| rules(&[rule("a.org", &[path("Prefix", "/", service)])]);
    let of = |annotations: &[(&str, &str)]| {
        let annotations: Vec<(&str, &str)> =
            [("canary", "true")].iter().chain(annotations).copied().collect();
        compiler(vec![ingress("main", 1, &[], to("web")), ingress("next", 2, &annotations, to("next"))])
    };
    check(&of(&[("canary-weight", "30")]), &[("a.org/", "70 web, 30 next")]);
    check(&of(&[("canary-weight", "0")]), &[("a.org/", "web")]);
    check(
        &of(&[("canary-weight", "5"), ("canary-weight-total", "1000"), ("canary-by-cookie", "beta")]),
        &[
            ("a.org/", "99 web, 0 next"),
            ("a.org/ | cookie: a=b; beta=always", "next"),
            ("a.org/ | cookie: beta=never", "web"),
            ("a.org/ | cookie: beta=other", "99 web, 0 next"),
        ],
    );
    check(
        &of(&[("canary-weight", "20"), ("canary-by-header", "X-Beta"), ("canary-by-cookie", "beta")]),
        &[
            ("a.org/", "80 web, 20 next"),
            ("a.org/ | x-beta: always", "next"),
            ("a.org/ | x-beta: never", "web"),
            ("a.org/ | x-beta: never | cookie: beta=always", "web"),
            ("a.org/ | x-beta: other | cookie: beta=always", "next"),
            ("a.org/ | x-beta: other", "80 web, 20 next"),
        ],
    );
    check(
        &of(&[("canary-by-header", "x-beta"), ("canary-by-header-pattern", "de|at")]),
        &[("a.org/ | x-beta: xx-at-1", "next"), ("a.org/ | x-beta: always", "web"), ("a.org/", "web")],
    );
    let compiler = of(&[("canary-weight", "1"), ("canary-weight-total", "2000")]);
    let split = &compiler.compiled().splits[&SplitId::new("ingress a.org/ Prefix")];
    let arms: Vec<_> = split.served.arms.iter().map(|arm| (arm.mapping.clone(), arm.share.parts())).collect();
    let key = |name| ingress_key(&ObjectName::new("shop", name), "");
    assert_eq!(arms, [(key("main"), 9995), (key("next"), 5)]);
}

#[test]
fn a_canary_that_cannot_be_one_changes_nothing() {
    let to = |service| rules(&[rule("a.org", &[path("Prefix", "/", service)])]);
    let canary = |name: &str, created, more: &[(&str, &str)], service| {
        let annotations: Vec<(&str, &str)> =
            [("canary", "true"), ("canary-weight", "50")].iter().chain(more).copied().collect();
        ingress(name, created, &annotations, to(service))
    };
    let main = || ingress("main", 1, &[], to("web"));
    let table: [(Vec<ObjectChange>, &str, &str); 6] = [
        (
            vec![canary("c", 1, &[], "next")],
            "404",
            "it is a canary, and no Ingress without `canary` has this rule",
        ),
        (
            vec![main(), canary("b", 2, &[], "next"), canary("c", 3, &[], "api")],
            "50 next, 50 web",
            "which is older, is the canary",
        ),
        (vec![main(), canary("c", 2, &[], "web")], "web", "* served"),
        (vec![main(), canary("c", 2, &[("canary-by-header", "x y")], "next")], "web", "header"),
        (
            vec![
                main(),
                canary("c", 2, &[("canary-by-header", "x"), ("canary-by-header-pattern", "(")], "next"),
            ],
            "web",
            "canary-by-header-pattern",
        ),
        (vec![main(), canary("c", 2, &[], "gone")], "50 gone, 50 web", "Service `gone` does not exist"),
    ];
    for (changes, expected, verdict) in table {
        let compiler = compiler(changes);
        check(&compiler, &[("a.org/", expected)]);
        assert!(told(&compiler, "c").contains(verdict), "{verdict}: {}", told(&compiler, "c"));
    }
}

#[test]
fn annotations_do_what_they_do_in_ingress_nginx() {
    let of = |annotations: &[(&str, &str)], paths: &[Value]| {
        compiler(vec![ingress("main", 1, annotations, rules(&[rule("a.org", paths)]))])
    };
    let web = || path("Prefix", "/app", "web");
    let regex = |text| path("ImplementationSpecific", text, "web");
    check(&of(&[("rewrite-target", "/new")], &[web()]), &[("a.org/app/x?q", "web /new?q")]);
    check(
        &of(&[("rewrite-target", "/$2"), ("use-regex", "true")], &[regex("/something(/|$)(.*)")]),
        &[
            ("a.org/something", "web /"),
            ("a.org/something/", "web /"),
            ("a.org/SomeThing/new?q", "web /new?q"),
            ("a.org/somethings", "404"),
        ],
    );
    check(
        &of(&[("use-regex", "true")], &[regex("/v[0-9]+/x"), path("Exact", "/v1/exact", "api")]),
        &[("a.org/V12/xyz", "web"), ("a.org/vx/x", "404"), ("a.org/v1/exact", "api")],
    );
    check(
        &of(&[("permanent-redirect", "https://b.org/there")], &[web()]),
        &[("a.org/app", "301 https://b.org/there")],
    );
    check(
        &of(&[("temporal-redirect", "https://b.org$request_uri")], &[web()]),
        &[("a.org/app?q", "302 https://b.org/app?q")],
    );
    check(
        &of(&[("app-root", "/app/home")], &[path("Prefix", "/", "web")]),
        &[("a.org/", "302 http://a.org/app/home"), ("a.org/x", "web")],
    );
    check(&of(&[("upstream-vhost", "in.ner")], &[web()]), &[("a.org/app", "web at in.ner")]);
    check(
        &of(&[("server-alias", "b.org,*.c.org")], &[web()]),
        &[("b.org/app", "web"), ("x.c.org/app", "web"), ("c.org/app", "404"), ("a.org/app", "web")],
    );
    check(
        &of(&[("from-to-www-redirect", "true")], &[web()]),
        &[("www.a.org/app?q", "308 http://a.org/app?q"), ("a.org/app", "web"), ("x.a.org/app", "404")],
    );
    check(
        &of(&[("force-ssl-redirect", "true")], &[web()]),
        &[("a.org/app?q", "308 https://a.org/app?q"), ("a.org/none", "404")],
    );
    let compiler = of(
        &[
            ("enable-cors", "true"),
            ("cors-allow-origin", "https://b.org, https://*.c.org"),
            ("backend-protocol", "GRPCS"),
            ("proxy-read-timeout", "3600"),
            ("proxy-connect-timeout", "2"),
            ("affinity", "cookie"),
            ("x-forwarded-prefix", "/app"),
            ("proxy-body-size", "8m"),
            ("limit-rps", "10"),
            ("limit-connections", "3"),
            ("limit-whitelist", "192.0.2.0/24"),
            ("proxy-buffers-number", "8"),
        ],
        &[web()],
    );
    assert_eq!(told(&compiler, "main"), "* served: a.org/app; not acted on: `proxy-buffers-number`");
    let config = &compiler.compiled().config;
    let route = config.routes.values().next().unwrap();
    let cluster = config.clusters.values().next().unwrap();
    insta::assert_debug_snapshot!((&route.filters, &route.action, cluster.as_ref()));
}

#[test]
fn requests_are_copied_to_a_service_and_never_depend_on_it() {
    let main = |mirror: &str| {
        let paths = [path("Prefix", "/", "web")];
        ingress("main", 1, &[("mirror-target", mirror)], rules(&[rule("a.org", &paths)]))
    };
    let copied = |compiler: &Compiler| -> Vec<String> {
        let config = &compiler.compiled().config;
        let splits = config.routes.values().filter_map(|route| match &route.action {
            Action::Split(split) => Some(split),
            _ => None,
        });
        let mirrors = splits.flat_map(|split| &split.mirrors);
        mirrors
            .map(|it| format!("{} {}", it.share.parts(), config.clusters[&it.cluster].endpoints.len()))
            .collect()
    };
    let served = compiler(vec![main("http://api.shop.svc.cluster.local/$request_uri")]);
    assert_eq!((outcome(&served, "a.org/").as_str(), copied(&served)), ("web", vec!["10000 1".to_owned()]));
    assert_eq!(told(&served, "main"), "* served: a.org/");
    let mirrors = &served.compiled().splits[&SplitId::new("ingress a.org/ Prefix")].served.mirrors;
    assert_eq!(mirrors[0].service, Some(ObjectName::new("shop", "api")));
    let table = [
        (
            "http://copies$request_uri",
            "no request is copied: Service `copies` does not exist in namespace `shop`",
        ),
        (
            "http://api:81$request_uri",
            "no request is copied: Service `api` has port 80, 9000, 81 is asked for",
        ),
        ("https://copies.example.org$request_uri", "which is no Service"),
        ("http://api/v2", "without the path of the request"),
    ];
    for (mirror, remark) in table {
        let compiler = compiler(vec![main(mirror)]);
        assert_eq!(
            (outcome(&compiler, "a.org/").as_str(), copied(&compiler)),
            ("web", Vec::new()),
            "{mirror}"
        );
        let told = told(&compiler, "main");
        assert!(told.starts_with("* served") && told.contains(remark), "{mirror}: {told}");
    }
    let mut later = compiler(vec![main("http://copies$request_uri")]);
    for change in service("copies") {
        later.apply(change);
    }
    later.compile();
    assert_eq!((copied(&later).len(), told(&later, "main").as_str()), (1, "* served: a.org/"));
    let elsewhere = compiler(vec![ingress(
        "main",
        1,
        &[("mirror-target", "http://api$request_uri"), ("permanent-redirect", "https://b.org")],
        rules(&[rule("a.org", &[path("Prefix", "/", "web")])]),
    )]);
    assert!(copied(&elsewhere).is_empty() && elsewhere.compiled().config.clusters.is_empty());
}

#[test]
fn names_without_a_certificate_of_their_own_have_the_default_one() {
    let with_tls = |host: &str, tls: Value| {
        let mut spec = rules(&[rule(host, &[path("Prefix", "/", "web")])]);
        spec["tls"] = tls;
        spec
    };
    let default_certificate = Some(ObjectName::new("shop", "default"));
    let settings = Settings { default_certificate, ..Settings::default() };
    let compiler = compiler_with(
        settings,
        vec![
            secret("default"),
            secret("cert"),
            ingress("a", 1, &[], with_tls("a.org", json!([{"hosts": ["a.org"], "secretName": "cert"}]))),
            ingress("b", 2, &[], with_tls("b.org", json!([{"hosts": ["b.org"]}]))),
            ingress("c", 3, &[], with_tls("c.org", json!([{"hosts": ["c.org"], "secretName": "gone"}]))),
            ingress("d", 4, &[], rules(&[rule("d.org", &[path("Prefix", "/", "web")])])),
        ],
    );
    check(
        &compiler,
        &[
            ("https://a.org/", "web"),
            ("https://b.org/", "web"),
            ("b.org/", "308 https://b.org/"),
            ("https://c.org/", "web"),
            ("https://d.org/", "web"),
            ("d.org/", "web"),
            ("https://e.org/", "404"),
        ],
    );
    assert!(told(&compiler, "c").contains("Secret `gone` does not exist"), "{}", told(&compiler, "c"));
    let shown: Vec<_> = compiler.compiled().config.hosts.keys().map(ToString::to_string).collect();
    assert_eq!(shown, ["ingress *", "ingress a.org", "ingress b.org"]);
}

#[test]
fn a_rule_that_is_wrong_leaves_the_others() {
    let spec = rules(&[
        rule("a b", &[path("Prefix", "/", "web")]),
        rule("a.*.org", &[path("Prefix", "/", "web")]),
        rule(
            "a.org",
            &[
                path("Prefix", "/good", "web"),
                path("Prefix", "bad", "web"),
                path("Some", "/kind", "web"),
                path("Prefix", "/gone", "gone"),
                json!({"path": "/bucket", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}),
                json!({"path": "/port", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "none"}}}}),
                json!({"path": "/nothing", "pathType": "Prefix"}),
                path("Prefix", "/good/", "api"),
            ],
        ),
    ]);
    let compiler = compiler(vec![ingress("main", 1, &[], spec)]);
    check(
        &compiler,
        &[
            ("a.org/good", "web"),
            ("a.org/gone", "503 no_service"),
            ("a.org/port", "503 no_port"),
            ("a.org/bucket", "404"),
        ],
    );
    let told = told(&compiler, "main").replace("; ", "\n");
    insta::assert_snapshot!(told);
}

#[test]
fn tls_is_served_by_names_and_clients_are_sent_there() {
    let with_tls = |tls: Value, host: &str| {
        let mut spec = rules(&[rule(host, &[path("Prefix", "/", "web")])]);
        spec["tls"] = tls;
        spec
    };
    let one = |hosts: Value, secret: &str| json!([{"hosts": hosts, "secretName": secret}]);
    let compiler = compiler(vec![
        secret("cert"),
        secret("other"),
        ingress("a", 1, &[], with_tls(one(json!(["a.org"]), "cert"), "a.org")),
        ingress("b", 2, &[], with_tls(one(json!(["*.b.org"]), "cert"), "x.b.org")),
        ingress("c", 3, &[("ssl-redirect", "false")], with_tls(json!([{"secretName": "cert"}]), "c.org")),
        ingress("d", 4, &[], with_tls(one(json!(["a.org"]), "other"), "a.org")),
        ingress("e", 5, &[], with_tls(one(json!(["e.org"]), "gone"), "e.org")),
        ingress("f", 6, &[], rules(&[rule("f.org", &[path("Prefix", "/", "web")])])),
    ]);
    check(
        &compiler,
        &[
            ("https://a.org/", "web"),
            ("a.org/x?q", "308 https://a.org/x?q"),
            ("a.org:8080/", "308 https://a.org/"),
            ("a.org/.well-known/acme-challenge/x", "web"),
            ("https://x.b.org/", "web"),
            ("x.b.org/", "308 https://x.b.org/"),
            ("https://c.org/", "web"),
            ("c.org/", "web"),
            ("https://e.org/", "NoChain"),
            ("e.org/", "308 https://e.org/"),
            ("f.org/", "web"),
            ("https://f.org/", "NoChain"),
        ],
    );
    assert!(told(&compiler, "d").contains("`a.org` has the certificate of Ingress `shop/a`, which is older"));
    assert!(told(&compiler, "e").contains("Secret `gone` does not exist in namespace `shop`"));
    let shown: Vec<_> = compiler.compiled().config.hosts.keys().map(ToString::to_string).collect();
    assert_eq!(shown, ["ingress *.b.org", "ingress a.org", "ingress c.org"]);
}

#[test]
fn ingresses_stand_beside_mappings_and_hosts() {
    let host = |name: &str, hostname: &str, more: Value| {
        let mut spec = json!({"hostname": hostname, "requestPolicy": {"insecure": {"action": "Route"}}});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        emissary(DocumentKind::Host, name, spec)
    };
    let mapping = |name: &str, prefix: &str, more: Value| {
        let mut spec = json!({"hostname": "*", "prefix": prefix, "service": "api"});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        emissary(DocumentKind::Mapping, name, spec)
    };
    let mut spec =
        rules(&[rule("a.org", &[path("Prefix", "/", "web")]), rule("", &[path("Prefix", "/every", "web")])]);
    spec["tls"] = json!([{"hosts": ["a.org"], "secretName": "cert"}]);
    let compiler = compiler(vec![
        secret("cert"),
        ingress("main", 1, &[("ssl-redirect", "false")], spec),
        host("org", "*.org", json!({})),
        host("net", "*.net", json!({"mappingSelector": {"matchLabels": {"tier": "web"}}})),
        mapping("all", "/", json!({})),
        mapping("first", "/first/", json!({"precedence": 1})),
    ]);
    check(
        &compiler,
        &[
            ("a.org/every", "web"),
            ("a.org/first/x", "api /x"),
            ("https://a.org/first/x", "api /x"),
            ("b.org/every", "web"),
            ("b.org/", "api"),
            // Selects none of the Mappings.
            ("b.net/", "404"),
            ("b.net/every", "web"),
            // No Host has the name.
            ("b.com/", "404"),
            ("b.com/every", "web"),
        ],
    );
    let classes: Vec<_> = compiler.compiled().config.hosts.values().map(|it| it.class.as_str()).collect();
    assert_eq!(classes, ["labels tier=web", "named", "named"]);
}

#[test]
fn who_owns_a_route_learns_why_it_does_not_answer() {
    let to = |service| rules(&[rule("a.org", &[path("Prefix", "/", service), path("Exact", "/x", service)])]);
    let mapping = json!({"hostname": "*", "prefix": "/", "service": "api", "method": "POST"});
    let compiler = compiler(vec![
        ingress("main", 1, &[], to("web")),
        ingress("next", 2, &[("canary", "true"), ("canary-by-header", "x-beta")], to("next")),
        ingress("other", 3, &[], rules(&[rule("b.org", &[path("Prefix", "/", "web")])])),
        emissary(DocumentKind::Mapping, "all", mapping),
    ]);
    let request =
        Request { port: 8080, tls: false, authority: "a.org", method: "GET", target: "/y?z", headers: &[] };
    let told: Vec<String> = candidates(compiler.compiled(), &request)
        .iter()
        .map(|Candidate { route, standing }| format!("{route}: {standing}"))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn hosts_have_the_mappings_that_they_select() {
    let host = |name: &str, hostname: &str, more: Value| {
        let mut spec = json!({"hostname": hostname, "requestPolicy": {"insecure": {"action": "Route"}}});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        emissary(DocumentKind::Host, name, spec)
    };
    let mapping =
        emissary(DocumentKind::Mapping, "all", json!({"hostname": "*", "prefix": "/", "service": "web"}));
    let selecting = json!({"mappingSelector": {"matchLabels": {"tier": "web"}}});
    let state = |compiler: &Compiler| {
        let name = DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", "all") };
        compiler.compiled().statuses[&Subject::Document(name, Origin::Object)].state
    };
    let mut compiler = compiler(vec![mapping]);
    let classes =
        |compiler: &Compiler| compiler.compiled().config.routes.values().next().map(|it| it.classes.clone());
    assert_eq!(classes(&compiler), Some(Vec::new()));
    // A Host that cannot be served takes nothing away.
    compiler.apply(host("bad", "a*b", json!({})));
    compiler.compile();
    check(&compiler, &[("b.org/", "web")]);
    compiler.apply(host("select", "a.org", selecting));
    compiler.compile();
    assert_eq!((classes(&compiler), state(&compiler)), (None, State::Inactive));
    check(&compiler, &[("a.org/", "404")]);
    compiler.apply(host("plain", "b.org", json!({})));
    compiler.compile();
    assert_eq!((classes(&compiler), state(&compiler)), (Some(vec!["named".to_owned()]), State::Running));
    check(&compiler, &[("a.org/", "404"), ("b.org/", "web"), ("c.org/", "NoHost")]);
}

#[test]
fn a_config_map_says_what_holds_for_all() {
    let spec = || {
        let mut spec = rules(&[rule("a.org", &[path("Prefix", "/", "web")])]);
        spec["tls"] = json!([{"hosts": ["a.org"], "secretName": "cert"}]);
        spec
    };
    let data = |data: &[(&str, &str)]| {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ObjectChange::IngressDefaults(Some(data))
    };
    let mut compiler = compiler(vec![secret("cert"), ingress("main", 1, &[], spec())]);
    check(&compiler, &[("a.org/", "308 https://a.org/")]);
    compiler.apply(data(&[("http-redirect-code", "301"), ("worker-processes", "1")]));
    compiler.compile();
    check(&compiler, &[("a.org/", "301 https://a.org/")]);
    let status = &compiler.compiled().statuses[&Subject::IngressDefaults];
    assert_eq!(status.reason, "not acted on: `worker-processes`");
    compiler.apply(data(&[("ssl-redirect", "false")]));
    compiler.compile();
    check(&compiler, &[("a.org/", "web")]);
    compiler.apply(ObjectChange::IngressDefaults(None));
    compiler.compile();
    check(&compiler, &[("a.org/", "308 https://a.org/")]);
}

#[test]
fn only_ingresses_of_our_classes_are_served() {
    let spec = || rules(&[rule("a.org", &[path("Prefix", "/", "web")])]);
    let class = |name: &str, controller: &str, default| {
        let class = IngressClass { controller: controller.to_owned(), default };
        ObjectChange::IngressClass(Arc::from(name), Some(class))
    };
    let mut compiler = compiler(vec![ingress("main", 1, &[], spec())]);
    check(&compiler, &[("a.org/", "web")]);
    compiler.apply(class("sluice", "example.org/other", true));
    let delta = compiler.compile();
    assert_eq!(delta.statuses[&Subject::Ingress(ObjectName::new("shop", "main"))], None);
    assert!(compiler.compiled().config.routes.is_empty() && compiler.compiled().config.clusters.is_empty());
    assert_eq!(told(&compiler, "main"), "-");
    compiler.apply(class("sluice", INGRESS_CONTROLLER, false));
    compiler.compile();
    check(&compiler, &[("a.org/", "web")]);
}
