use serde_json::json;

use super::*;

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "sample"}},
        "spec": {"containers": [{"name": "main", "image": "registry.example/app:1.2"}]},
    })
}

#[test]
fn the_order_of_keys_and_zero_values_do_not_matter() {
    let other = json!({
        "spec": {
            "containers": [{"image": "registry.example/app:1.2", "name": "main", "env": [], "tty": false}],
            "nodeSelector": {},
            "hostNetwork": null,
        },
        "metadata": {"creationTimestamp": null, "labels": {"app": "sample"}},
    });
    assert_eq!(pod_template_hash(&other, None), pod_template_hash(&template(), None));
    assert_eq!(fingerprint(&other), fingerprint(&template()));
}

#[test]
fn no_collision_and_collision_count_0_differ() {
    let none = pod_template_hash(&template(), None).unwrap();
    let zero = pod_template_hash(&template(), Some(0)).unwrap();
    assert_eq!(none.as_str(), "5d6bb6b9f5");
    assert_ne!(none, zero);
}

#[test]
fn a_field_that_no_table_knows_changes_the_fingerprint_only() {
    let mut newer = template();
    newer["spec"]["containers"][0]["fieldOfTomorrow"] = json!({"b": 1, "a": 2});
    assert_eq!(pod_template_hash(&newer, None), pod_template_hash(&template(), None));
    assert_ne!(fingerprint(&newer), fingerprint(&template()));
}

#[test]
fn two_spellings_of_a_quantity_have_one_fingerprint() {
    let with_cpu = |cpu: Value| {
        let mut template = template();
        template["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        fingerprint(&template).unwrap()
    };
    assert_eq!(with_cpu(json!(0.5)), with_cpu(json!("500m")));
    assert_ne!(with_cpu(json!(0.5)), with_cpu(json!("501m")));
}

#[test]
fn a_value_of_the_wrong_type_is_named_by_its_path() {
    let mut broken = template();
    broken["spec"]["containers"][0]["image"] = json!(5);
    let error = pod_template_hash(&broken, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read spec.containers[0].image: it must be a string, but it is 5"
    );
}

#[test]
fn a_broken_quantity_is_named_by_its_path() {
    let mut broken = template();
    broken["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1_000"}});
    let error = pod_template_hash(&broken, None).unwrap_err();
    let text = "failed to read spec.containers[0].resources.requests.cpu: \"1_000\" is not a quantity; write a number \
                with a unit such as 500m or 2Gi";
    assert_eq!(error.to_string(), text);
}
