use std::collections::BTreeMap;

use proxy_config::model::{
    BalancePolicy, Edit, HashKey, HostMatch, HostRewrite, OriginMatch, RetryOn, Rewrite,
};
use serde_json::json;

use super::*;
use crate::{
    dialect::{ApiVersion, DocumentKind, Origin},
    object::ObjectName,
};

fn document(version: ApiVersion, spec: &Value) -> Document {
    Document {
        kind: DocumentKind::Mapping,
        name: ObjectName::new("shop", "echo"),
        version,
        origin: Origin::Object,
        labels: BTreeMap::new(),
        resource_version: "1".into(),
        owned_by_rollout: false,
        spec: Arc::new(spec.clone()),
    }
}

fn read_as(version: ApiVersion, spec: &Value, compat: Compat) -> Result<Mapping, String> {
    parse(&document(version, spec), &Module::default(), "sluice", compat)
}

fn valid(spec: &Value) -> Mapping {
    read_as(ApiVersion::V3, spec, Compat::Ideal).unwrap()
}

fn reason(spec: &Value) -> String {
    read_as(ApiVersion::V3, spec, Compat::Ideal).unwrap_err()
}

/// A Mapping with these fields more.
fn with(more: &Value) -> Value {
    let mut spec = json!({"prefix": "/echo/", "service": "echo"});
    more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
    spec
}

#[test]
fn the_defaults_are_those_of_emissary() {
    let mapping = valid(&json!({"prefix": "/echo", "service": "echo"}));
    assert_eq!(mapping.key.host, HostMatch::Any);
    assert_eq!(mapping.rewrite, Rewrite::Prefix("/".into()));
    assert_eq!((mapping.timeout_ms, mapping.connection.connect_timeout_ms), (Some(3000), 3000));
    assert_eq!(mapping.weight, Written::Nothing);
    assert_eq!(mapping.remarks, Vec::<String>::new());
}

#[test]
fn every_version_of_a_mapping_reads_alike() {
    let old = json!({
        "prefix": "/echo", "service": "echo", "host": "Shop.example.org", "ambassador_id": "default",
        "headers": {"X-Canary": true, "x-a": "1"}
    });
    let new = json!({
        "prefix": "/echo", "service": "echo", "hostname": "shop.example.org", "ambassador_id": ["default"],
        "headers": {"x-a": "1", "x-canary": true}, "weight": null
    });
    assert_eq!(valid(&old), valid(&new));
}

#[test]
fn without_a_host_only_older_versions_are_for_every_host() {
    let spec = with(&json!({}));
    let named = |version| read_as(version, &spec, Compat::Ideal).unwrap().named;
    assert!(
        named(ApiVersion::V0) && named(ApiVersion::V1) && named(ApiVersion::V2) && !named(ApiVersion::V3)
    );
    assert!(valid(&with(&json!({"hostname": "*"}))).named);
}

#[test]
fn a_bad_field_is_named_with_what_it_should_be() {
    let table = [
        (json!(7), "`spec` is a number, not an object"),
        (json!({"service": "echo"}), "`prefix` is missing"),
        (json!({"prefix": "", "service": "echo"}), "`prefix` is missing"),
        (json!({"prefix": "/echo"}), "`service` is missing"),
        (json!({"prefix": ["/echo"], "service": "echo"}), "`prefix` is a list, not a text"),
        (
            json!({"prefix": "echo", "service": "echo"}),
            "`prefix` is `echo`, which no path begins with: write `/echo`",
        ),
        (json!({"prefix": "/", "service": "echo", "weight": "much"}), "`weight` is a text, not a number"),
        (
            json!({"prefix": "/", "service": "echo", "timeout_ms": -1}),
            "`timeout_ms` is -1, not 0 to 4294967295",
        ),
        (
            json!({"prefix": "/", "service": "echo", "host_redirect": true, "redirect_response_code": 200}),
            "`redirect_response_code` is 200, not 301, 302, 303, 307 or 308",
        ),
        (
            json!({"prefix": "/", "service": "echo", "retry_policy": {"retry_on": "never"}}),
            "`retry_policy.retry_on` is `never`, not 5xx, gateway-error, connect-failure, retriable-4xx, refused-stream, \
             reset or retriable-status-codes",
        ),
        (
            json!({"prefix": "/", "service": "echo", "load_balancer": {"policy": "ring_hash"}}),
            "`load_balancer.policy` is `ring_hash`: it needs exactly one of `cookie`, `header` and `source_ip`",
        ),
        (
            json!({"prefix": "/", "service": "echo", "add_request_headers": {"x": "50 %"}}),
            "in `add_request_headers.x`: `%` in `50 %` begins a command that does not end: write `%%` for a percent sign",
        ),
        (
            json!({"prefix": "/", "service": "echo", "shadow": "perhaps"}),
            "`shadow` is a text, not true or false",
        ),
        (
            json!({"prefix": "/", "service": "echo", "headers": {"x": 1}}),
            "`headers.x` is a number, not a text or true",
        ),
    ];
    for (spec, expected) in table {
        assert_eq!(reason(&spec), expected, "{spec}");
    }
}

#[test]
fn a_field_without_effect_is_named() {
    let mapping =
        valid(&with(&json!({"bypass_auth": true, "grpc": false, "docs": {}, "health_checks": [], "new": 1})));
    assert_eq!(mapping.remarks, ["not acted on: `bypass_auth`, `new`"]);
}

#[test]
fn a_text_that_is_meant_as_a_number_or_a_flag_is_read_so() {
    let spec = with(&json!({"weight": "20", "shadow": "true", "service": "80"}));
    let mapping = valid(&spec);
    assert_eq!((mapping.weight, mapping.shadow), (Written::Parts(2_000), true));
    assert_eq!(mapping.remarks, ["written as a text and read as it is meant: `shadow`, `weight`"]);
    let refused = read_as(ApiVersion::V2, &spec, Compat::Strict).unwrap_err();
    assert_eq!(refused, "`shadow` is a text, which the schema of Emissary refuses");
}

#[test]
fn rewrites_and_redirects_replace_what_matched() {
    let rewrite = |more: Value| valid(&with(&more)).rewrite;
    let regex = |pattern: &str, substitution: &str| {
        let (pattern, substitution) = (pattern.to_owned(), substitution.to_owned());
        Rewrite::Regex(proxy_config::model::RegexRewrite { pattern, substitution })
    };
    assert_eq!(rewrite(json!({"rewrite": ""})), Rewrite::None);
    assert_eq!(rewrite(json!({"rewrite": "/a", "prefix_exact": true})), Rewrite::Full("/a".into()));
    let by_regex = json!({"regex_rewrite": {"pattern": "/a/(.*)", "substitution": "/\\1"}});
    assert_eq!(rewrite(by_regex), regex("/a/(.*)", r"/\1"));

    let redirect = |more: Value| {
        let mut spec = with(&more);
        spec["host_redirect"] = json!(true);
        let mapping = valid(&spec);
        let to = mapping.redirect.unwrap();
        (to.status, to.host.unwrap(), to.port, to.path, mapping.remarks)
    };
    assert_eq!(
        redirect(json!({"service": "example.org:81"})),
        (301, "example.org".into(), Some(81), Rewrite::None, Vec::new())
    );
    let both = json!({"path_redirect": "/a", "prefix_redirect": "/b", "redirect_response_code": 308});
    let remark = vec!["`path_redirect` is used, `prefix_redirect` not".to_owned()];
    assert_eq!(redirect(both), (308, "echo.shop".into(), None, Rewrite::Full("/a".into()), remark));
    assert_eq!(redirect(json!({"prefix_redirect": "/b"})).3, Rewrite::Prefix("/b".into()));
}

#[test]
fn what_happens_besides_is_read_in_every_shape() {
    let new = json!({
        "hostname": "*",
        "add_request_headers": {"X-A": {"value": "1", "append": false}, "x-b": {"value": "2"}},
        "remove_response_headers": ["Server"],
        "cors": {"origins": ["https://a.org", "*"], "methods": ["GET", "PUT"], "max_age": "60", "credentials": true},
        "retry_policy": {"retry_on": "5xx", "num_retries": 3, "per_try_timeout": "500ms"},
        "allow_upgrade": ["WebSocket"],
        "host_rewrite": "b.org",
        "load_balancer": {"policy": "maglev", "header": "X-User"},
        "circuit_breakers": [{"priority": "high", "max_requests": 1}, {"max_connections": 7}],
        "error_response_overrides": [{"on_status_code": 503, "body": {"text_format": "%RESPONSE_CODE%"}}],
    });
    let old = json!({
        "add_request_headers": {"X-A": {"value": "1", "append": false}, "x-b": "2"},
        "remove_response_headers": "Server",
        "cors": {"origins": "https://a.org,*", "methods": "GET, PUT", "max_age": "60", "credentials": true},
        "retry_policy": {"retry_on": ["5xx"], "num_retries": 3, "per_try_timeout": "500ms"},
        "use_websocket": true,
        "host_rewrite": "b.org",
        "load_balancer": {"policy": "maglev", "header": "X-User"},
        "circuit_breakers": [{"max_connections": 7}],
        "error_response_overrides": [{"on_status_code": 503, "body": {"text_format": "%RESPONSE_CODE%"}}],
    });
    let mut mapping = valid(&with(&new));
    let mut older = read_as(ApiVersion::V1, &with(&old), Compat::Ideal).unwrap();
    (mapping.core, older.core) = (Vec::new(), Vec::new());
    assert_eq!(mapping, older);
    let names: Vec<(&str, bool)> = mapping
        .request_headers
        .iter()
        .map(|it| (it.name.as_str(), matches!(it.edit, Edit::Set(_))))
        .collect();
    assert_eq!(names, [("x-a", true), ("x-b", false)]);
    assert_eq!(mapping.response_headers[0].edit, Edit::Remove);
    let cors = mapping.cors.unwrap();
    assert_eq!(cors.origins, [OriginMatch::Exact("https://a.org".into()), OriginMatch::Any]);
    assert_eq!((cors.methods.len(), cors.max_age_s), (2, Some(60)));
    let retry = mapping.retry.unwrap();
    assert_eq!(
        (retry.on, retry.retries, retry.per_try_timeout_ms),
        (vec![RetryOn::ServerError], 3, Some(500))
    );
    assert_eq!(mapping.upgrades, Some(vec!["websocket".to_owned()]));
    assert_eq!(mapping.host_rewrite, HostRewrite::Literal("b.org".into()));
    assert_eq!(mapping.connection.balance, Some(BalancePolicy::Maglev(HashKey::Header("x-user".into()))));
    let limits = mapping.connection.limits;
    assert_eq!((limits.connections, limits.requests, limits.retries), (Some(7), Some(1024), Some(3)));
    assert_eq!(mapping.errors[0].status, 503);
}

#[test]
fn the_module_has_defaults_that_a_mapping_can_hide() {
    let mut module = document(
        ApiVersion::V3,
        &json!({"config": {
            "cluster_request_timeout_ms": 9000,
            "retry_policy": {"retry_on": "retriable-4xx"},
            "cors": "not an object",
            "add_linkerd_headers": true,
            "defaults": {"httpmapping": {"add_request_headers": {"fruit": "orange"}, "remove_request_headers": ["evil"]}},
        }}),
    );
    module.kind = DocumentKind::Module;
    let module = Module::parse(&module).unwrap();
    assert_eq!(module.remarks, ["`cors` is a text, not an object, and counts as absent"]);
    let read = |more: Value| {
        parse(&document(ApiVersion::V3, &with(&more)), &module, "sluice", Compat::Ideal).unwrap()
    };
    let names = |mapping: &Mapping| {
        mapping.request_headers.iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(" ")
    };
    let plain = read(json!({}));
    assert_eq!((plain.timeout_ms, names(&plain).as_str()), (Some(9000), "evil fruit l5d-dst-override"));
    assert_eq!(plain.retry.unwrap().on, [RetryOn::Conflict]);
    let own = json!({"timeout_ms": 0, "add_request_headers": {}, "remove_request_headers": [], "add_linkerd_headers": false});
    let own = read(own);
    assert_eq!((own.timeout_ms, names(&own).as_str()), (None, ""));
}

#[test]
fn the_fields_that_are_served_are_in_order() {
    assert!(SERVED.is_sorted());
}

#[test]
fn outliers_are_read_also_from_a_text() {
    let text = r#"{"consecutive_5xx": 3, "interval": "5s", "max_ejection_percent": 50}"#;
    for written in [json!(text), serde_json::from_str(text).unwrap()] {
        let outliers = valid(&with(&json!({"outlier_detection": written}))).connection.outliers;
        assert_eq!(
            (outliers.server_errors, outliers.interval_ms, outliers.max_ejection_percent),
            (Some(3), 5000, 50)
        );
    }
    let spec = with(&json!({"outlier_detection": "x"}));
    assert!(read_as(ApiVersion::V3, &spec, Compat::Ideal).is_err(), "{spec}");
}

#[test]
fn a_weight_out_of_range_counts_as_the_nearest() {
    let weight = |weight: Value| valid(&json!({"prefix": "/", "service": "echo", "weight": weight}));
    assert_eq!(weight(json!(150)).weight, Written::Parts(10_000));
    assert_eq!(weight(json!(-3)).remarks, ["`weight` is -3 and counts as 0"]);
    assert_eq!(weight(json!(0.5)).weight, Written::Parts(50));
}
