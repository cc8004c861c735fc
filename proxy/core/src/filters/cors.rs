//! Whose pages may use a route (WHATWG Fetch §3.2).

use http::{
    HeaderMap, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use proxy_config::{
    model::{self, OriginMatch},
    pattern::{self, PatternError},
};
use regex::Regex;

/// The policy of one route.
#[derive(Debug)]
pub struct Cors {
    origins: Box<[Origin]>,
    methods: Names,
    headers: Names,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    answers_refused: bool,
}

#[derive(Debug)]
enum Origin {
    Any,
    Exact(Box<[u8]>),
    Regex(Regex),
}

/// What is allowed.
#[derive(Debug)]
enum Names {
    /// Whatever is asked for.
    Asked,
    /// These, if there are any.
    Listed(Option<HeaderValue>),
}

impl Cors {
    /// Prepares a policy.
    pub fn new(cors: &model::Cors) -> Result<Self, PatternError> {
        let origin = |origin: &OriginMatch| {
            Ok(match origin {
                OriginMatch::Any => Origin::Any,
                OriginMatch::Exact(text) if text == "*" => Origin::Any,
                OriginMatch::Exact(text) => Origin::Exact(text.as_bytes().into()),
                OriginMatch::Regex(text) => Origin::Regex(pattern::compile(text)?),
            })
        };
        Ok(Self {
            origins: cors.origins.iter().map(origin).collect::<Result<_, _>>()?,
            methods: Names::new(&cors.methods),
            headers: Names::new(&cors.headers),
            exposed: list(&cors.exposed_headers),
            credentials: cors.credentials,
            max_age: cors.max_age_s.map(HeaderValue::from),
            answers_refused: cors.answers_refused,
        })
    }

    /// The origin of the page that asks, if it may use the route. It is named in the response rather than `*`, which
    /// browsers do not accept together with credentials.
    #[must_use]
    pub fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        let allowed = self.origins.iter().any(|allowed| match allowed {
            Origin::Any => true,
            Origin::Exact(text) => origin.as_bytes().eq_ignore_ascii_case(text),
            Origin::Regex(regex) => origin.to_str().is_ok_and(|it| regex.is_match(it)),
        });
        allowed.then(|| origin.clone())
    }

    /// The headers of the answer to a question before the request itself, with what the page may read of responses as
    /// the Gateway API wants it (browsers look for that in the response alone). `None`: it is no such question, or of a
    /// page that may not and whose questions are not answered here, and goes on as any request.
    #[must_use]
    pub fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<HeaderMap> {
        let asked = request.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| *method == Method::OPTIONS)?;
        request.get(ORIGIN)?;
        let origin = self.origin(request);
        let mut answer = HeaderMap::new();
        if origin.is_none() {
            self.mark(None, &mut answer);
            return self.answers_refused.then_some(answer);
        }
        self.mark(origin, &mut answer);
        let allowed = [
            (ACCESS_CONTROL_ALLOW_METHODS, self.methods.allowed(Some(asked))),
            (ACCESS_CONTROL_ALLOW_HEADERS, self.headers.allowed(request.get(ACCESS_CONTROL_REQUEST_HEADERS))),
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ];
        for (name, value) in allowed {
            answer.extend(value.map(|value| (name, value)));
        }
        Some(answer)
    }

    /// Marks a response for the page of `origin`, which [`origin`](Self::origin) has found in the request.
    pub fn mark(&self, origin: Option<HeaderValue>, response: &mut HeaderMap) {
        // Another page gets another response: caches must know.
        response.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(exposed) = &self.exposed {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}

impl Names {
    fn new(names: &[String]) -> Self {
        if names.iter().any(|it| it == "*") { Self::Asked } else { Self::Listed(list(names)) }
    }

    fn allowed(&self, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Asked => asked.cloned(),
            Self::Listed(names) => names.clone(),
        }
    }
}

fn list(names: &[String]) -> Option<HeaderValue> {
    HeaderValue::from_str(&names.join(", ")).ok().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn policy(edit: impl FnOnce(&mut model::Cors)) -> Cors {
        let mut cors = model::Cors {
            origins: vec![
                OriginMatch::Exact("https://a.example".into()),
                OriginMatch::Regex(r"https://[^/]+\.b\.example".into()),
            ],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["X-A".into()],
            exposed_headers: vec!["X-B".into(), "X-C".into()],
            credentials: true,
            max_age_s: Some(600),
            answers_refused: false,
        };
        edit(&mut cors);
        Cors::new(&cors).unwrap()
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    const QUESTION: [(&str, &str); 3] = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "x-z"),
    ];

    #[test]
    fn a_question_is_answered_with_what_is_allowed() {
        let answer = policy(|_| ()).preflight(&Method::OPTIONS, &headers(&QUESTION)).unwrap();
        let expected = [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: X-A",
            "access-control-allow-methods: GET, PUT",
            "access-control-allow-origin: https://a.example",
            "access-control-expose-headers: X-B, X-C",
            "access-control-max-age: 600",
            "vary: origin",
        ];
        assert_eq!(lines(&answer), expected);
    }

    #[test]
    fn a_star_allows_what_is_asked_for() {
        let star = || vec!["*".to_owned()];
        let open = policy(|it| {
            (it.methods, it.headers, it.origins) = (star(), star(), vec![OriginMatch::Any]);
            (it.credentials, it.max_age_s, it.exposed_headers) = (false, None, Vec::new());
        });
        let answer = open.preflight(&Method::OPTIONS, &headers(&QUESTION)).unwrap();
        let expected = [
            "access-control-allow-headers: x-z",
            "access-control-allow-methods: DELETE",
            "access-control-allow-origin: https://a.example",
            "vary: origin",
        ];
        assert_eq!(lines(&answer), expected);
    }

    #[test]
    fn only_questions_of_allowed_pages_are_answered() {
        let policy = policy(|_| ());
        assert!(policy.preflight(&Method::GET, &headers(&QUESTION)).is_none());
        assert!(policy.preflight(&Method::OPTIONS, &headers(&QUESTION[..1])).is_none());
        let mut other = headers(&QUESTION);
        for (origin, allowed) in [
            ("https://x.y.b.example", true),
            ("https://b.example", false),
            ("https://x.b.example.evil", false),
            ("null", false),
        ] {
            other.insert(ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(policy.preflight(&Method::OPTIONS, &other).is_some(), allowed, "{origin}");
        }
    }

    #[test]
    fn questions_of_other_pages_may_end_here_without_leave() {
        let policy = policy(|it| it.answers_refused = true);
        let mut question = headers(&QUESTION);
        question.insert(ORIGIN, HeaderValue::from_static("https://other.example"));
        let answer = policy.preflight(&Method::OPTIONS, &question).unwrap();
        assert_eq!(lines(&answer), ["vary: origin"]);
        assert!(policy.preflight(&Method::GET, &question).is_none());
        question.remove(ORIGIN);
        assert!(policy.preflight(&Method::OPTIONS, &question).is_none(), "nobody's page asks");
    }

    #[test]
    fn responses_are_marked_for_allowed_pages() {
        let policy = policy(|_| ());
        let mut response = headers(&[("access-control-allow-origin", "*")]);
        policy.mark(policy.origin(&headers(&QUESTION)), &mut response);
        let expected = [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://a.example",
            "access-control-expose-headers: X-B, X-C",
            "vary: origin",
        ];
        assert_eq!(lines(&response), expected);
        let mut response = HeaderMap::new();
        policy.mark(None, &mut response);
        assert_eq!(lines(&response), ["vary: origin"]);
    }
}
