//! Who may use the routes of an Ingress: addresses, passwords, and the word of a service.

use std::collections::BTreeMap;

use operator_routes::{Compiler, ObjectChange, ObjectName, Subject, object::SecretObject};
use proxy_config::model::{
    Access, Address, Authorization, Cluster, Cookies, Login, Origin as From, Secret, Trust, User,
    Value as Text, ValuePart,
};

use crate::world::{Annotations, check, compiler, ingress, outcome, path, rule, rules, service, told};

#[test]
fn what_cannot_be_acted_on_is_told_and_never_weakens_protection() {
    let of = |annotations: &[(&str, &str)]| {
        let paths = [path("Prefix", "/", "web")];
        compiler(vec![ingress("main", 1, annotations, rules(&[rule("a.org", &paths)]))])
    };
    let table: [(Annotations<'_>, &str, &str); 13] = [
        (&[("whitelist-source-range", "office")], "404", "`office` is no address and no range"),
        (
            &[("auth-type", "basic"), ("auth-secret", "staff")],
            "503 no_protection",
            "Secret `staff` does not exist",
        ),
        (&[("auth-type", "digest"), ("auth-secret", "staff")], "404", "`basic` is acted on"),
        (&[("auth-tls-secret", "shop/ca")], "503 no_protection", "`auth-tls-secret` is not acted on"),
        (&[("limit-rate", "5")], "web", "not acted on: `limit-rate`"),
        (&[("limit-rps", "many")], "404", "`limit-rps` is `many`, not a whole number from 0 to 1000000"),
        (&[("proxy-body-size", "huge")], "404", "`proxy-body-size` is `huge`, not a size such as 8m"),
        (&[("ssl-redirect", "maybe")], "404", "`ssl-redirect` is `maybe`, not true or false"),
        (&[("backend-protocol", "FCGI")], "404", "HTTP, HTTPS, GRPC and GRPCS are spoken"),
        (&[("proxy-read-timeout", "0")], "404", "not a whole number of seconds"),
        (&[("rewrite-target", "/$host")], "404", "of what begins with `$` only the groups"),
        (&[("upstream-vhost", "a b")], "404", "a b"),
        (&[("affinity", "cookie"), ("session-cookie-name", "a b")], "404", "a b"),
    ];
    for (annotations, expected, verdict) in table {
        let compiler = of(annotations);
        let got = outcome(&compiler, "a.org/");
        assert!(got == expected || expected == "404" && got == "NoHost", "{annotations:?}: {got}");
        assert!(told(&compiler, "main").contains(verdict), "{}", told(&compiler, "main"));
    }
}

/// Whom the routes of a compiler let in.
fn accesses(compiler: &Compiler) -> Vec<Option<Access>> {
    compiler.compiled().config.routes.values().map(|route| route.filters.access.as_deref().cloned()).collect()
}

#[test]
fn addresses_and_passwords_keep_clients_out() {
    let paths = [path("Prefix", "/", "web")];
    let annotations = [
        ("whitelist-source-range", "198.18.0.0/15"),
        ("auth-type", "basic"),
        ("auth-secret", "staff"),
        ("auth-realm", "staff only"),
    ];
    let canary = [("canary", "true"), ("canary-weight", "30"), ("canary-by-header", "x-beta")];
    let mut compiler = compiler(vec![
        ingress("main", 1, &annotations, rules(&[rule("a.org", &paths)])),
        ingress("canary", 2, &canary, rules(&[rule("a.org", &[path("Prefix", "/", "api")])])),
    ]);
    check(&compiler, &[("a.org/", "503 no_protection"), ("a.org/ | x-beta: always", "503 no_protection")]);
    assert!(compiler.compiled().secrets.contains(&ObjectName::new("shop", "staff")), "it is not asked for");

    let passwords = |file: &str| {
        let entries = BTreeMap::from([("auth".to_owned(), Secret(file.to_owned()))]);
        let secret = SecretObject { entries, ..SecretObject::default() };
        ObjectChange::Secret(ObjectName::new("shop", "staff"), Some(secret))
    };
    let hash = "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00";
    compiler.apply(passwords(&format!("ann:{hash}\neve:plain")));
    compiler.compile();
    check(&compiler, &[("a.org/", "30 api, 70 web"), ("a.org/ | x-beta: always", "api")]);
    let user = User { name: "ann".to_owned(), hash: Secret(hash.to_owned()) };
    let login = Login { realm: "staff only".to_owned(), users: vec![user] };
    let allowed = vec![From::Client("198.18.0.0/15".parse().unwrap())];
    let access = Access { allowed, login: Some(login), ..Access::default() };
    // Of every kind of request that the canary tells apart.
    assert_eq!(accesses(&compiler), vec![Some(access); 3]);
    assert!(
        told(&compiler, "main").contains("users who cannot come in: `eve`"),
        "{}",
        told(&compiler, "main")
    );

    compiler.apply(ObjectChange::Secret(ObjectName::new("shop", "staff"), None));
    compiler.compile();
    check(&compiler, &[("a.org/", "503 no_protection")]);
}

/// Who is asked about the requests of each route, and the cluster.
fn asked(compiler: &Compiler) -> Vec<Option<(&Authorization, &Cluster)>> {
    let config = &compiler.compiled().config;
    let of = |route: &std::sync::Arc<proxy_config::model::Route>| {
        let authorization = config.routes[&route.id].filters.access.as_ref()?.authorization.as_ref()?;
        Some((authorization, config.clusters[&authorization.cluster].as_ref()))
    };
    config.routes.values().map(of).collect()
}

fn main_with(annotations: Annotations<'_>, host: &str) -> ObjectChange {
    ingress("main", 1, annotations, rules(&[rule(host, &[path("Prefix", "/", "web")])]))
}

#[test]
fn a_service_is_asked_about_every_kind_of_request() {
    let annotations = [
        ("auth-url", "http://api.shop.svc.cluster.local/check?rd=$escaped_request_uri"),
        ("auth-signin", "https://in.example.org/start"),
        ("auth-response-headers", "X-User, X-Groups"),
        ("auth-cache-key", "$http_authorization"),
    ];
    let canary = [("canary", "true"), ("canary-weight", "30"), ("canary-by-header", "x-beta")];
    let next = rules(&[rule("a.org", &[path("Prefix", "/", "next")])]);
    let mut compiler = compiler(vec![main_with(&annotations, "a.org"), ingress("canary", 2, &canary, next)]);
    check(&compiler, &[("a.org/", "30 next, 70 web"), ("a.org/ | x-beta: always", "next")]);
    assert_eq!(told(&compiler, "main"), "* served: a.org/; not acted on: `auth-cache-key`");
    let routes = asked(&compiler);
    assert_eq!(routes.len(), 3);
    for route in routes {
        let (authorization, cluster) = route.expect("a kind of request of which nobody is asked");
        assert_eq!(authorization.passed_on, ["x-user", "x-groups"]);
        assert_eq!((authorization.cookies, authorization.sign_in.is_some()), (Cookies::Good, true));
        assert_eq!(cluster.endpoints[0].address, Address::Socket(([198, 18, 1, 1], 8080).into()));
    }
    // The service goes and comes as any backend.
    compiler.apply(ObjectChange::Service(ObjectName::new("shop", "api"), None));
    compiler.compile();
    check(&compiler, &[("a.org/", "503 no_protection"), ("a.org/ | x-beta: always", "503 no_protection")]);
    let word = "requests are answered with 503: nobody can be asked about them: Service `api` does not exist";
    assert!(told(&compiler, "main").contains(word), "{}", told(&compiler, "main"));
    for change in service("api") {
        compiler.apply(change);
    }
    compiler.compile();
    check(&compiler, &[("a.org/", "30 next, 70 web")]);
    // Nothing is left of it with its last user.
    for name in ["main", "canary"] {
        compiler.apply(ObjectChange::Ingress(ObjectName::new("shop", name), None));
    }
    compiler.compile();
    assert!(compiler.compiled().config.clusters.is_empty());
}

#[test]
fn what_cannot_be_asked_keeps_everybody_out() {
    let asking: Annotations<'_> = &[("auth-url", "http://api/check")];
    let with = |other: (&'static str, &'static str)| [asking[0], other];
    let table: [(Annotations<'_>, &str, &str, &str); 9] = [
        (asking, "a.org", "web", "* served: a.org/"),
        (&[("auth-url", "http://gone/check")], "a.org", "503 no_protection", "Service `gone` does not exist"),
        (&[("auth-url", "http://api:81/check")], "a.org", "503 no_protection", "81 is asked for"),
        (&[("auth-url", "http://api/$unknown")], "a.org", "503 no_protection", "`$unknown` is not known"),
        (&[("auth-url", "https://$host/check")], "*.a.org", "503 no_protection", "not for one host alone"),
        (&with(("auth-snippet", "x")), "a.org", "503 no_protection", "`auth-snippet` changes what is asked"),
        (
            &with(("auth-response-headers", "host")),
            "a.org",
            "503 no_protection",
            "header `host` cannot be edited",
        ),
        (&with(("auth-method", "BREW")), "a.org", "503 no_protection", "`auth-method` is `BREW`"),
        (&with(("satisfy", "any")), "a.org", "503 no_protection", "`satisfy` is not acted on"),
    ];
    for (annotations, host, expected, word) in table {
        let compiler = compiler(vec![main_with(annotations, host)]);
        assert_eq!(outcome(&compiler, &format!("{}/", host.replace('*', "x"))), expected, "{annotations:?}");
        assert!(told(&compiler, "main").contains(word), "{annotations:?}: {}", told(&compiler, "main"));
    }
}

#[test]
fn a_service_outside_must_show_that_it_is_the_one() {
    for (url, address, trust) in [
        ("https://auth.example.org/check", ("auth.example.org", 443), Some(Trust::System)),
        ("https://$host:8443/check", ("a.org", 8443), Some(Trust::System)),
        ("http://example.org/check", ("example.org", 80), None),
    ] {
        let compiler = compiler(vec![main_with(&[("auth-url", url)], "a.org")]);
        check(&compiler, &[("a.org/", "web")]);
        let routes = asked(&compiler);
        let (_, cluster) = routes[0].expect("somebody is asked");
        let (host, port) = (address.0.to_owned(), address.1);
        assert_eq!(cluster.endpoints[0].address, Address::Name { host: host.clone(), port }, "{url}");
        let tls = cluster.tls.as_ref();
        assert_eq!(tls.map(|it| it.trust.clone()), trust, "{url}");
        assert_eq!(tls.and_then(|it| it.server_name.clone()), trust.map(|_| host), "{url}");
    }
    let inside = compiler(vec![main_with(&[("auth-url", "https://api:80/check")], "a.org")]);
    let routes = asked(&inside);
    assert_eq!(routes[0].unwrap().1.tls.as_ref().unwrap().trust, Trust::Anyone);
}

#[test]
fn a_service_is_asked_about_all_ingresses() {
    let data = |url: &str| {
        let data = BTreeMap::from([("global-auth-url".to_owned(), url.to_owned())]);
        ObjectChange::IngressDefaults(Some(data))
    };
    let challenge = path("Exact", "/.well-known/acme-challenge/token", "api");
    let spec = |host: &str| rules(&[rule(host, &[path("Prefix", "/", "web"), challenge.clone()])]);
    let without = [("enable-global-auth", "false")];
    let own = [("auth-url", "http://next/own")];
    let mut compiler = compiler(vec![
        data("http://api.shop.svc/all"),
        ingress("main", 1, &[], spec("a.org")),
        ingress("without", 2, &without, rules(&[rule("b.org", &[path("Prefix", "/", "web")])])),
        ingress("own", 3, &own, rules(&[rule("c.org", &[path("Prefix", "/", "web")])])),
    ]);
    let targets = |compiler: &Compiler| -> Vec<(String, Option<Text>)> {
        let ids = compiler.compiled().config.routes.keys().map(ToString::to_string);
        let targets = asked(compiler).into_iter().map(|it| it.map(|(it, _)| it.target.clone()));
        ids.zip(targets).collect()
    };
    let text = |text: &str| Some(Text(vec![ValuePart::Text(text.to_owned())]));
    let expected = [
        ("ingress a.org/ Prefix".to_owned(), text("/all")),
        ("ingress a.org/.well-known/acme-challenge/token Exact".to_owned(), None),
        ("ingress b.org/ Prefix".to_owned(), None),
        ("ingress c.org/ Prefix".to_owned(), text("/own")),
    ];
    assert_eq!(targets(&compiler), expected);
    compiler.apply(data("api"));
    compiler.compile();
    check(&compiler, &[("a.org/", "503 no_protection"), ("b.org/", "web"), ("c.org/", "web")]);
    let status = &compiler.compiled().statuses[&Subject::IngressDefaults];
    assert!(status.reason.contains("`global-auth-url` is `api`, which is no URL"), "{}", status.reason);
}

#[test]
fn who_is_sent_elsewhere_is_not_asked_about() {
    let annotations = [("auth-url", "http://api/check"), ("permanent-redirect", "https://b.org")];
    let compiler = compiler(vec![main_with(&annotations, "a.org")]);
    check(&compiler, &[("a.org/", "301 https://b.org/")]);
    assert_eq!((asked(&compiler), compiler.compiled().config.clusters.len()), (vec![None], 0));
}
