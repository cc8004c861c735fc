//! Where Sluice differs from Emissary on purpose, recognised by the input and by what Emissary says of it.

use std::collections::BTreeMap;

use operator_routes::{
    Compat,
    dialect::annotation::{self, Found},
    mapping::parse_service,
};
use serde_json::Value;

use crate::row::Row;

/// A reason, and whether it holds for a row.
type Difference = (&'static str, fn(&Facts<'_>) -> bool);

/// Also where Emissary is followed to the letter.
const ALWAYS: [Difference; 24] = [
    ("a port that the Service of an Ingress has not is refused; Emissary takes the port 80", |it| {
        it.has_kind("Ingress") && it.says("Malformed service")
    }),
    ("the letter case of a host in a request makes no difference", |it| {
        it.has_kind("Ingress") && it.probed_hosts().any(|host| host.chars().any(char::is_uppercase))
    }),
    ("what makes Emissary lose or refuse its whole configuration is refused alone", |it| {
        let rejected = it.row.column("envoy_verdict") == "rejected";
        rejected
            || it.row.column("compile_crash") == &Value::Bool(true)
            || it.row.column("envoy_would_reject") == &Value::Bool(true)
    }),
    (
        "a Mapping whose `service` cannot be read is refused; Emissary sends its requests somewhere else",
        |it| {
            it.mappings()
                .any(|it| it["service"].as_str().is_none_or(|text| parse_service(text, "a").is_err()))
        },
    ),
    ("TLS that cannot be originated is refused; Emissary sends in the clear", |it| {
        it.says("Originate-TLS context") || it.mappings().any(|it| it["tls"].is_string())
    }),
    ("Consul is not asked", |it| it.text().contains("onsul")),
    ("Ingresses of versions that no API server has any more are none", |it| it.text().contains("beta1")),
    ("the paths of Emissary's own probes are not served", |it| it.text().contains("ness_probe:")),
    ("one route ignores letter case or does not; in Emissary each Mapping of a group does", |it| {
        it.mappings().any(|mapping| mapping["case_sensitive"] == false)
            && it.mappings().any(|mapping| mapping["case_sensitive"] == true)
    }),
    ("a redirect goes to the host in `service`, without its scheme", |it| {
        it.mappings().any(|it| {
            it["host_redirect"] == true && it["service"].as_str().unwrap_or_default().contains("://")
        })
    }),
    (
        "a Host that rejects requests in the clear answers them with 404; where nothing is secure, Emissary has no such Host",
        |it| it.text().contains("securityModel: INSECURE") && it.text().contains("action: Reject"),
    ),
    ("UDP is not served", |it| it.text().contains("UDP")),
    ("a certificate that nobody trusts is not used as a last resort", |it| {
        it.text().contains("fallback-self-signed-cert")
    }),
    (
        "a star stands for at least one character, also at the ends of `*.a.org` and `a.*`; one in the middle for nothing",
        |it| {
            let odd = |host: &str| host.starts_with('.') || host.ends_with('.') || host.contains('*');
            it.probed_hosts().any(odd)
        },
    ),
    ("with `strip_matching_host_port` any port makes no difference", |it| {
        it.text().contains("strip_matching_host_port: true")
    }),
    ("the case of header names makes no difference, neither for groups nor for their order", |it| {
        let names = it.mappings().flat_map(|it| ["headers", "regex_headers"].map(|field| it[field].clone()));
        let mut names =
            names.filter_map(|it| Some(it.as_object()?.keys().cloned().collect::<Vec<_>>())).flatten();
        names.any(|name| name != name.to_ascii_lowercase())
    }),
    (
        "what is matched is compared as values; Emissary writes it into one text, where different matches can be equal",
        |it| {
            let about = it.row.about();
            about.contains("same text")
                || about.contains("collide")
                || about.contains("same meaning")
                || it.says("mismatched headers")
                || it.says("mismatched method")
        },
    ),
    (
        "connections are shared only by Mappings that agree about them; in Emissary the first one decides for others",
        |it| it.row.id().starts_with("shared_cluster") || it.shares_connections(),
    ),
    ("an IPv6 address is one, whoever resolves it, and so is `localhost`", |it| {
        it.mappings().any(|it| {
            let service = it["service"].as_str().unwrap_or_default();
            service.contains("::") || service.contains("localhost")
        })
    }),
    ("a text in `service` reads as its parts mean", |it| {
        it.mappings().any(|it| {
            let service = it["service"].as_str().unwrap_or_default();
            service.starts_with("://") || service.ends_with('.') || service.starts_with("tcp://")
        })
    }),
    ("a health check that cannot be asked is left out and told, and none makes a route go away", |it| {
        it.mappings().any(|it| !it["health_checks"].is_null())
    }),
    ("variables of the process's environment are not put into objects", |it| {
        let mut after = it.text().split('$').skip(1);
        after.any(|rest| rest.starts_with(|it: char| it == '{' || it.is_ascii_uppercase()))
    }),
    ("a bad value in the Module counts as absent", |it| {
        it.row.about().contains("Module") && it.row.about().contains("garbage")
    }),
    ("a value that no request could be made of is refused", |it| {
        it.mappings().any(|it| {
            let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
            let odd = |text: String, bad: &[char]| text.contains(bad);
            let negative = |value: &Value| value.as_i64().is_some_and(|number| number < 0);
            let header = |field: &str| {
                let mut names = it[field].as_object().into_iter().flat_map(serde_json::Map::keys);
                names.any(|name| name.contains(' ') || name.is_empty())
            };
            odd(text("host_rewrite"), &['/', '\n', ' '])
                || odd(text("rewrite"), &['?', '#', '\n', ' '])
                || ["headers", "add_request_headers", "add_response_headers", "query_parameters"]
                    .iter()
                    .any(|it| header(it))
                || it["cors"]["max_age"].as_str().is_some_and(|text| text.parse::<u32>().is_err())
                || it["circuit_breakers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|it| it.as_object().is_some_and(|it| it.values().any(negative)))
                || it["precedence"].as_i64().is_some_and(|it| i32::try_from(it).is_err())
                || ["timeout_ms", "idle_timeout_ms", "connect_timeout_ms"]
                    .iter()
                    .any(|field| negative(&it[*field]))
        })
    }),
];

/// Only by default.
const BY_DEFAULT: [Difference; 13] = [
    ("an Ingress is served as the API says; in Emissary its paths are Mappings, and are taken away", |it| {
        it.has_kind("Ingress")
    }),
    ("weights that leave a remainder to nobody are scaled up; Emissary goes on to the next route", |it| {
        it.weights_leave_a_rest()
    }),
    (
        "a weight above 100 counts as 100, and a sum above 100 starves no one who comes first; in Emissary they take others with them",
        |it| {
            it.says("exceeds 100")
                || it.says("invalid weight")
                || it.mappings().any(|it| it["weight"].as_f64() > Some(100.0))
        },
    ),
    ("a fraction of a percent counts as written", |it| {
        it.mappings().any(|it| it["weight"].as_f64().is_some_and(|weight| weight.fract() != 0.0))
    }),
    (
        "each Mapping of a group has its own connection settings; Emissary refuses who differs from the first",
        |it| it.says("mismatched"),
    ),
    (
        "each Mapping of a group has its own rewrite; in Emissary the `regex_rewrite` of the last is that of all",
        |it| it.mappings().any(|it| !it["regex_rewrite"].is_null()),
    ),
    ("fields that Emissary lost are served: `outlier_detection`, `error_response_overrides`", |it| {
        let lost = ["outlier_detection", "error_response_overrides"];
        it.mappings().any(|it| lost.iter().any(|field| !it[*field].is_null()))
    }),
    (
        "values of another type are read as they are meant, and so are more words than Emissary's schema has",
        |it| it.row.column("schema_refused").is_array() || it.refused_document(),
    ),
    ("a port in the request makes no difference to a host without one", |it| {
        it.probed_hosts().any(|host| host.contains(':'))
    }),
    (
        "Mappings without a host of their own share a route whatever their labels: a canary has those of its stable Mapping",
        |it| it.mappings().any(|it| it["hostname"].as_str().is_none_or(str::is_empty)),
    ),
    ("expressions of a selector count", |it| it.text().contains("matchExpressions")),
    (
        "a Host whose certificate is missing stays, without TLS; in Emissary every name is served in its place",
        |it| it.text().contains("tlsSecret") || it.text().contains("tlsContext"),
    ),
    ("Mappings that read one prefix differently are never members of one group", |it| {
        it.mappings().any(|it| it["prefix_exact"].is_boolean() || it["prefix_regex"].is_boolean())
    }),
];

/// Why a row may come out differently.
pub(crate) fn reason(row: &Row, compat: Compat) -> Option<&'static str> {
    let facts = Facts { row, mappings: mappings(row) };
    let by_default: &[Difference] = if compat == Compat::Ideal { &BY_DEFAULT } else { &[] };
    ALWAYS.iter().chain(by_default).find(|(_, holds)| holds(&facts)).map(|(reason, _)| *reason)
}

/// A row, with the specs of its Mappings however they are written.
struct Facts<'a> {
    row: &'a Row,
    mappings: Vec<Value>,
}

impl Facts<'_> {
    fn text(&self) -> &str {
        self.row.yaml()
    }

    fn mappings(&self) -> impl Iterator<Item = &Value> {
        self.mappings.iter()
    }

    fn has_kind(&self, kind: &str) -> bool {
        self.row.objects().iter().any(|object| object["kind"] == kind)
    }

    /// Whether some error of Emissary has this text.
    fn says(&self, text: &str) -> bool {
        let errors = self.row.column("errors").as_array().into_iter().flatten();
        errors.filter_map(|error| error[1].as_str()).any(|error| error.contains(text))
    }

    /// Whether a document of an annotation is refused.
    fn refused_document(&self) -> bool {
        let results = self.row.column("annotation_result").as_array();
        self.row.column("annotation_dropped") == &Value::Bool(true)
            || results.into_iter().flatten().any(|result| result["error"].is_string())
    }

    fn probed_hosts(&self) -> impl Iterator<Item = &str> {
        let probes = self.row.column("probes").as_array().into_iter().flatten();
        probes.filter_map(|probe| probe["request"]["host"].as_str())
    }

    /// Whether Mappings with one prefix all have a weight and these sum to less than 100.
    fn weights_leave_a_rest(&self) -> bool {
        let mut sums: BTreeMap<&str, (f64, bool)> = BTreeMap::new();
        for mapping in self.mappings() {
            let (sum, all) =
                sums.entry(mapping["prefix"].as_str().unwrap_or_default()).or_insert((0.0, true));
            match mapping["weight"].as_f64() {
                Some(weight) => *sum += weight,
                None => *all = false,
            }
        }
        let groups = self.row.column("groups").as_array().into_iter().flatten();
        let last = |group: &Value| group["members"].as_array()?.last()?[2].as_f64();
        groups.filter_map(last).any(|upto| upto < 100.0)
            || sums.values().any(|(sum, all)| *all && *sum < 100.0)
    }

    /// Whether two Mappings send to one service and differ in what its connections are like.
    fn shares_connections(&self) -> bool {
        let fields = ["resolver", "grpc", "tls", "connect_timeout_ms"];
        let settings = |it: &Value| fields.map(|field| it[field].clone());
        self.mappings()
            .any(|a| self.mappings().any(|b| a["service"] == b["service"] && settings(a) != settings(b)))
    }
}

fn mappings(row: &Row) -> Vec<Value> {
    let mut mappings = row.mappings();
    for (carrier, annotation) in row.annotations() {
        for found in annotation::read(&carrier, &annotation, Compat::Ideal) {
            if let Found::Document(document) = found {
                mappings.push((*document.spec).clone());
            }
        }
    }
    mappings
}
