use proxy_config::model::{Action, Case, Filters, HostMatch, Rank, Refusal, RegexRewrite, RouteId};

use super::*;

fn route(path: PathMatch, case: Case) -> Route {
    Route {
        id: RouteId::new("r"),
        rank: Rank(Vec::new()),
        host: HostMatch::Any,
        path,
        case,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Refuse(Refusal { status: 500, reason: "unused".into() }),
    }
}

fn prefix(text: &str) -> PathMatch {
    PathMatch::Prefix(text.into())
}

fn regex(pattern: &str, substitution: &str) -> model::Rewrite {
    model::Rewrite::Regex(RegexRewrite { pattern: pattern.into(), substitution: substitution.into() })
}

#[test]
fn rewrites_replace_what_matched() {
    let elements = |text: &str| PathMatch::Elements(text.into());
    let to = |text: &str| model::Rewrite::Prefix(text.into());
    let table = [
        (prefix("/echo/"), Case::Counts, to("/"), "/echo/x", Some("/x")),
        (prefix("/echo"), Case::Counts, to("/"), "/echo/x", Some("//x")),
        (prefix("/echo"), Case::Counts, to("/"), "/echoes", Some("/es")),
        (prefix("/"), Case::Counts, to("/v2/"), "/x", Some("/v2/x")),
        (prefix("/echo/"), Case::Ignored, to("/"), "/ECHO/X", Some("/X")),
        (prefix("/echo/"), Case::Counts, model::Rewrite::Full("/y".into()), "/echo/x", Some("/y")),
        (PathMatch::Exact("/echo".into()), Case::Counts, to("/y"), "/echo", Some("/y")),
        (PathMatch::Regex("/e.*".into()), Case::Counts, to("/y"), "/echo", Some("/y")),
        (prefix("/echo/"), Case::Counts, model::Rewrite::None, "/echo/x", None),
        (elements("/echo"), Case::Counts, to("/"), "/echo/x", Some("/x")),
        (elements("/echo"), Case::Counts, to("/"), "/echo", Some("/")),
        (elements("/echo"), Case::Counts, to("/v2"), "/echo/", Some("/v2/")),
        (elements("/echo"), Case::Counts, to("/v2/"), "/echo/x", Some("/v2/x")),
        (elements("/"), Case::Counts, to("/v2"), "/x", Some("/v2/x")),
        (elements("/"), Case::Counts, to("/v2"), "/", Some("/v2/")),
        (prefix("/"), Case::Counts, regex("^/(.*)/x$", r"/x/\1"), "/a/b/x", Some("/x/a/b")),
        (prefix("/"), Case::Counts, regex("a", "b"), "/aa", Some("/bb")),
        (prefix("/"), Case::Counts, regex("a", "b"), "/cc", None),
    ];
    for (path, case, to, request, expected) in table {
        let route = route(path, case);
        let rewrite = Rewrite::new(&to, &route).unwrap();
        assert_eq!(rewrite.apply(request).as_deref(), expected, "{request} by {rewrite:?}");
    }
}

#[test]
fn redirects_lead_where_they_should() {
    let redirect = |scheme, host: Option<&str>, port, path| RedirectTo {
        status: 302,
        scheme,
        host: host.map(Into::into),
        port,
        path,
    };
    let none = || model::Rewrite::None;
    let https = Some(Scheme::Https);
    let table = [
        (redirect(https, None, None, none()), "http", "a.org:8080", "https://a.org/x/y?q=1"),
        (redirect(https, None, Some(8443), none()), "http", "a.org:8080", "https://a.org:8443/x/y?q=1"),
        (redirect(https, None, Some(443), none()), "http", "a.org", "https://a.org/x/y?q=1"),
        (redirect(None, Some("b.org"), None, none()), "http", "a.org:8080", "http://b.org/x/y?q=1"),
        (redirect(None, Some("b.org"), None, none()), "https", "a.org", "https://b.org/x/y?q=1"),
        (redirect(None, None, Some(80), none()), "http", "a.org:8080", "http://a.org/x/y?q=1"),
        (
            redirect(None, None, None, model::Rewrite::Full("/z".into())),
            "http",
            "[::1]:8080",
            "http://[::1]:8080/z?q=1",
        ),
        (
            redirect(None, None, None, model::Rewrite::Prefix("/z/".into())),
            "http",
            "a.org:80",
            "http://a.org/z/y?q=1",
        ),
        (redirect(None, None, None, regex("^/x", r"/y?x=\0")), "http", "a.org", "http://a.org/y?x=/x/y&q=1"),
    ];
    for (to, scheme, authority, expected) in table {
        let route = route(prefix("/x/"), Case::Counts);
        let redirect = Redirect::new(&to, &route).unwrap();
        let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
        let asked = Asked { scheme, authority, path: "/x/y", query: Some("q=1") };
        assert_eq!(redirect.location(&asked).unwrap(), expected);
    }
}

#[test]
fn without_a_host_there_is_nowhere_to_go() {
    let asked = Asked { scheme: Scheme::Http, authority: "", path: "/", query: None };
    assert_eq!(Redirect::to_https(ToHttps { status: 301, port: 443 }).location(&asked), None);
}
