use serde_json::json;

use super::*;

fn valid(spec: &Value) -> Mapping {
    match parse(spec, "shop", "default") {
        Parsed::Valid(mapping) => *mapping,
        other => panic!("{spec} is {other:?}"),
    }
}

fn reason(spec: &Value) -> String {
    match parse(spec, "shop", "default") {
        Parsed::Invalid(reason) => reason,
        other => panic!("{spec} is {other:?}"),
    }
}

#[test]
fn the_defaults_are_those_of_emissary() {
    let mapping = valid(&json!({"prefix": "/echo", "service": "echo"}));
    assert_eq!(mapping.key.host, HostMatch::Any);
    assert_eq!(mapping.rewrite, Rewrite::Prefix("/".into()));
    assert_eq!((mapping.timeout_ms, mapping.connect_timeout_ms), (Some(3000), 3000));
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
fn a_mapping_for_another_instance_is_foreign() {
    let spec = json!({"prefix": "/echo", "service": "echo", "ambassador_id": ["blue", "green"]});
    assert_eq!(parse(&spec, "shop", "default"), Parsed::Foreign);
    assert!(matches!(parse(&spec, "shop", "green"), Parsed::Valid(_)));
    let everywhere = json!({"prefix": "/echo", "service": "echo", "ambassador_id": "_automatic_"});
    assert!(matches!(parse(&everywhere, "shop", "green"), Parsed::Valid(_)));
    let unnamed = json!({"prefix": "/echo", "service": "echo"});
    assert_eq!(parse(&unnamed, "shop", "green"), Parsed::Foreign);
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
        (json!({"prefix": "/", "service": "echo", "weight": "50"}), "`weight` is a text, not a number"),
        (
            json!({"prefix": "/", "service": "echo", "timeout_ms": -1}),
            "`timeout_ms` is -1, not 0 to 4294967295",
        ),
        (
            json!({"prefix": "/", "service": "echo", "host_redirect": true}),
            "`host_redirect` is not served yet",
        ),
        (json!({"prefix": "/", "service": "echo", "shadow": "yes"}), "`shadow` is a text, not true or false"),
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
    let mapping = valid(&json!({
        "prefix": "/echo", "service": "echo", "cors": {"origins": "*"}, "grpc": false, "docs": {}, "retry_policy": {}
    }));
    assert_eq!(mapping.remarks, ["not acted on yet: `cors`, `retry_policy`"]);
}

#[test]
fn a_weight_out_of_range_counts_as_the_nearest() {
    let weight = |weight: Value| valid(&json!({"prefix": "/", "service": "echo", "weight": weight}));
    assert_eq!(weight(json!(150)).weight, Written::Parts(10_000));
    assert_eq!(weight(json!(-3)).remarks, ["`weight` is -3 and counts as 0"]);
    assert_eq!(weight(json!(0.5)).weight, Written::Parts(50));
}
