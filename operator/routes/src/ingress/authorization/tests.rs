use super::{sign_in as signed_in, *};

/// What `auth-url` and these others come to for a place of this host, in one line.
fn show(host: &HostMatch, annotations: &[(&str, &str)]) -> String {
    let all =
        annotations.iter().map(|(name, value)| (format!("n/auth-{name}"), (*value).to_owned())).collect();
    let place = Place { host: host.clone(), path: "/".to_owned(), kind: Kind::Elements };
    let asked = Asked::of_annotations(&mut Annotations::new(&all, "n"), "shop");
    let compiled = asked.and_then(|asked| {
        let asked = asked.ok_or("nobody")?;
        let (reference, host) = asked.server(&place, "shop")?;
        Ok((reference, asked.compile(ClusterId::new("c"), host)))
    });
    let (reference, asked) = match compiled {
        Ok(compiled) => compiled,
        Err(why) => return format!("! {}", why.split("; known").next().unwrap_or_default()),
    };
    let ServiceReference { host: server, port, tls } = reference;
    let server = match server {
        ServiceHost::Service(name) => format!("Service {name}"),
        ServiceHost::ServiceOrName(name) => format!("Service or name {name}"),
        ServiceHost::Name(name) => format!("name {name}"),
        ServiceHost::Address(address) => address.to_string(),
    };
    let port = port.map_or(String::new(), |it| format!(":{it}"));
    let method = asked.method.unwrap_or_default();
    let tls = if tls { " over TLS" } else { "" };
    format!("{server}{port}{tls}: {method} {} of {}", text(&asked.target), asked.host.unwrap_or_default())
}

/// With the names of variables in brackets.
fn text(value: &Value) -> String {
    let part = |part: &ValuePart| match part {
        ValuePart::Text(text) => text.clone(),
        ValuePart::Variable(variable) => format!("[{variable:?}]"),
        ValuePart::RequestHeader(name) => format!("[{name}]"),
    };
    value.0.iter().map(part).collect()
}

#[test]
fn a_url_reads_as_the_table_says() {
    let one = HostMatch::Exact("a.org".to_owned());
    let table = [
        (
            "http://auth.sso.svc.cluster.local/check",
            "Service sso/auth: GET /check of auth.sso.svc.cluster.local",
        ),
        ("http://auth.sso.svc:8080", "Service sso/auth:8080: GET / of auth.sso.svc"),
        ("http://auth?x", "Service shop/auth: GET /?x of auth"),
        ("https://example.org/auth", "Service or name org/example over TLS: GET /auth of example.org"),
        (
            "https://Auth.Example.org:8443/a#b",
            "name auth.example.org:8443 over TLS: GET /a of auth.example.org",
        ),
        ("http://198.18.0.7:9/x", "198.18.0.7:9: GET /x of 198.18.0.7"),
        ("https://$host/oauth2/auth", "Service or name org/a over TLS: GET /oauth2/auth of a.org"),
        ("http://${http_host}:81/x", "Service or name org/a:81: GET /x of a.org"),
        (
            "http://auth/?rd=$escaped_request_uri&m=$request_method",
            "Service shop/auth: GET /?rd=[EscapedPath]&m=[Method] of auth",
        ),
        (
            "http://auth$request_uri",
            "! `auth-url` is `http://auth$request_uri`, whose host is not known beforehand; of variables `$host` may be all of it",
        ),
        (
            "http://auth/$remote_user",
            "! `auth-url` is `http://auth/$remote_user`, in which `$remote_user` is not known",
        ),
        (
            "http://$host.internal/x",
            "! `auth-url` is `http://$host.internal/x`, whose host is not known beforehand; of variables `$host` may be all of it",
        ),
        ("http://me:word@auth/", "! `auth-url` is `http://me:word@auth/`, which has a user in it"),
        (
            "http://auth:none/",
            "! `auth-url` is `http://auth:none/`, service `http://auth:none` has no valid port: `none` is not 1 to 65535",
        ),
        ("auth/check", "! `auth-url` is `auth/check`, which is no URL"),
        ("ftp://auth/check", "! `auth-url` is `ftp://auth/check`, which is not for HTTP"),
        (
            "http://auth/a b",
            "! `auth-url` is `http://auth/a b`, which has spaces or characters that are not escaped",
        ),
    ];
    for (url, expected) in table {
        assert_eq!(show(&one, &[("url", url)]), expected, "{url}");
    }
    let many = HostMatch::Label(".a.org".to_owned());
    let nowhere = "! the service is at `$host`, and the rule is not for one host alone";
    assert_eq!(show(&many, &[("url", "http://$host/")]), nowhere);
    assert_eq!(show(&HostMatch::Any, &[("url", "http://$host/")]), nowhere);
}

#[test]
fn what_belongs_to_it_is_acted_on_or_keeps_everybody_out() {
    let one = HostMatch::Exact("a.org".to_owned());
    let table = [
        (("method", "POST"), "Service shop/auth: POST / of auth"),
        (
            ("method", "CONNECT"),
            "! `auth-method` is `CONNECT`, not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (("snippet", "proxy_set_header X 1;"), "! `auth-snippet` changes what is asked, and is not acted on"),
        (
            ("proxy-set-headers", "shop/headers"),
            "! `auth-proxy-set-headers` changes what is asked, and is not acted on",
        ),
        (("request-redirect", "https://$host/"), "Service shop/auth: GET / of auth"),
        (
            ("request-redirect", "a b"),
            "! `auth-request-redirect` is `a b`, which has spaces or characters that are not escaped",
        ),
        (("signin", "$nothing"), "! `auth-signin` is `$nothing`, in which `$nothing` is not known"),
        (("always-set-cookie", "often"), "! `auth-always-set-cookie` is `often`, not true or false"),
        (("cache-key", "$cookie_session"), "Service shop/auth: GET / of auth"),
    ];
    for (other, expected) in table {
        assert_eq!(show(&one, &[("url", "http://auth"), other]), expected, "{other:?}");
    }
}

#[test]
fn clients_are_sent_where_they_sign_in_and_find_the_way_back() {
    let sign_in = |url: &str, param: Option<&str>| {
        let written =
            Written { prefix: "auth-", sign_in: Some(url), redirect_param: param, ..Written::default() };
        signed_in(&written).map(|it| text(&it))
    };
    let back = "[Scheme]://[Authority][EscapedPath]";
    for (url, param, expected) in [
        ("https://in.org/start", None, format!("https://in.org/start?rd={back}")),
        ("https://in.org/start?", None, format!("https://in.org/start?rd={back}")),
        ("https://$host/start?a=b", Some("to"), format!("https://[Host]/start?a=b&to={back}")),
        ("https://in.org/?rd=$escaped_request_uri", None, "https://in.org/?rd=[EscapedPath]".to_owned()),
        ("https://in.org/?rd=", None, format!("https://in.org/?rd=&rd={back}")),
    ] {
        assert_eq!(sign_in(url, param), Ok(expected), "{url}");
    }
}

#[test]
fn a_service_for_all_ingresses_has_a_namespace() {
    let of = |url: &'static str| Asked::of_defaults(&BTreeMap::from([("url", url)]));
    assert_eq!(of(""), Ok(None));
    assert!(of("http://auth.sso.svc/check").is_ok_and(|it| it.is_some()));
    let why = "`global-auth-url` is `http://auth/check`, which leaves open in which namespace the Service is";
    assert_eq!(of("http://auth/check"), Err(why.to_owned()));
}

#[test]
fn nobody_is_asked_about_challenges_for_certificates() {
    let place = |path: &str, kind| Place { host: HostMatch::Any, path: path.to_owned(), kind };
    assert!(is_exempt(&place("/.well-known/acme-challenge/token", Kind::Exact)));
    assert!(!is_exempt(&place("/.well-known/acme-challenge|/", Kind::Regex)));
    assert!(!is_exempt(&place("/.well-known/", Kind::Elements)));
}
