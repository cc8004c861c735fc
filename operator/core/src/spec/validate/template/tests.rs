//! Rules that no row of the oracle table shows.

use serde_json::json;

use super::*;

/// What is said of a template with this container, init container or `spec`; empty if nothing.
fn says(place: &str, edit: &Value) -> String {
    let mut template = json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {
            "containers": [{"name": "web", "image": "shop:1"}],
            "initContainers": [{"name": "init", "image": "shop:1"}],
            "volumes": [{"name": "tmp"}],
        },
    });
    let target = template.pointer_mut(place).unwrap().as_object_mut().unwrap();
    target.extend(edit.as_object().unwrap().clone());
    let selector = serde_json::from_value(json!({"matchLabels": {"app": "shop"}})).unwrap();
    let selector = Selector::parse(Some(&selector)).unwrap();
    validate(&template, &selector).err().map(|invalid| invalid.to_string()).unwrap_or_default()
}

fn check(place: &str, table: &[(Value, &str)]) {
    for (edit, expected) in table {
        let says = says(place, edit);
        let prefix = format!("spec.template{}", place.replace('/', ".").replace(".0", "[0]"));
        let expected = if expected.is_empty() { String::new() } else { format!("{prefix}.{expected}") };
        assert_eq!(says, expected, "{edit}");
    }
}

#[test]
fn a_container_is_checked_like_one_of_a_replica_set() {
    let probe = |probe: Value| json!({"livenessProbe": probe});
    check(
        "/spec/containers/0",
        &[
            (json!({"name": ""}), "name: Required value"),
            (json!({"image": null}), "image: Required value"),
            (json!({"ports": [{"containerPort": 0}]}), "ports[0].containerPort: Required value"),
            (
                json!({"ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]}),
                "ports[1].hostPort: Duplicate value: \"TCP//80\"",
            ),
            (json!({"env": [{"value": "a"}]}), "env[0].name: Required value"),
            (
                json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
                "env[0].valueFrom.secretKeyRef.key: Required value",
            ),
            (
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}}]}),
                "env[0].valueFrom.fieldRef: Invalid value: \"a b\": name part must consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                 '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            (
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]}),
                "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \
                 \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
                 \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \
                 \"status.podIPs\"",
            ),
            (
                json!({"env": [{"name": "A", "valueFrom": {}}]}),
                "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, \
                 `configMapKeyRef` or `secretKeyRef`",
            ),
            (
                json!({"envFrom": [{"prefix": "A_"}]}),
                "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ),
            (json!({"envFrom": [{"configMapRef": {"name": "c"}}]}), ""),
            (json!({"volumeMounts": [{"name": "tmp", "mountPath": "/tmp", "subPath": "a"}]}), ""),
            (json!({"volumeMounts": [{"name": "tmp"}]}), "volumeMounts[0].mountPath: Required value"),
            (
                json!({"volumeMounts": [{"name": "tmp", "mountPath": "/a"}, {"name": "tmp", "mountPath": "/a"}]}),
                "volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            ),
            (
                json!({"volumeMounts": [{"name": "tmp", "mountPath": "/a", "subPath": "../b"}]}),
                "volumeMounts.subPath: Invalid value: \"../b\": must not contain '..'",
            ),
            (probe(json!({"httpGet": {"port": "http"}, "successThreshold": 0})), ""),
            (
                probe(json!({"httpGet": {"port": "80"}})),
                "livenessProbe.httpGet.port: Invalid value: \"80\": must contain at least one letter (a-z)",
            ),
            (
                probe(json!({"httpGet": {"port": 80, "scheme": "http"}})),
                "livenessProbe.httpGet.scheme: Unsupported value: \"http\": supported values: \"HTTP\", \"HTTPS\"",
            ),
            (probe(json!({"exec": {}})), "livenessProbe.exec.command: Required value"),
            (
                probe(json!({"grpc": {"port": 80}, "periodSeconds": -1})),
                "livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"readinessProbe": {"grpc": {"port": 80}, "terminationGracePeriodSeconds": 5}}),
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for \
                 readinessProbes",
            ),
            (json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}), ""),
            (
                json!({"lifecycle": {"preStop": {}}}),
                "lifecycle.preStop: Required value: must specify a handler type",
            ),
            (
                json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}}),
                "securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type \
                 is Localhost",
            ),
        ],
    );
}

#[test]
fn requests_stay_within_limits() {
    let resources =
        |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
    check(
        "/spec/containers/0",
        &[
            (resources(json!({"cpu": 1, "memory": "1G"}), json!({"cpu": "1000m", "memory": "1Gi"})), ""),
            (
                resources(json!({"cpu": "1001m"}), json!({"cpu": 1})),
                "resources.requests: Invalid value: \"1001m\": must be less than or equal to cpu limit of 1",
            ),
            (resources(json!({"example.com/gpu": 1}), json!({"example.com/gpu": 1})), ""),
            (
                resources(json!({"example.com/gpu": 1}), json!({"example.com/gpu": 2})),
                "resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2",
            ),
            (
                resources(json!({"example.com/gpu": 1}), json!({})),
                "resources.limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (
                resources(json!({}), json!({"example.com/gpu": "500m"})),
                "resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            ),
            (
                resources(json!({}), json!({"pods": 1})),
                "resources.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ),
            (
                resources(json!({}), json!({"hugepages-2Mi": "4Mi"})),
                "resources: Forbidden: HugePages require cpu or memory",
            ),
            // What is no quantity is told when the template is hashed.
            (resources(json!({"cpu": "much"}), json!({"cpu": 1})), ""),
        ],
    );
}

#[test]
fn a_sidecar_may_have_what_an_init_container_may_not() {
    let hook = json!({"exec": {"command": ["true"]}});
    check(
        "/spec/initContainers/0",
        &[
            (json!({"restartPolicy": "Always", "lifecycle": {"preStop": hook}}), ""),
            (
                json!({"lifecycle": {"preStop": hook}}),
                "lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
            ),
            (
                json!({"restartPolicy": "Never"}),
                "restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (json!({"name": "web"}), "name: Duplicate value: \"web\""),
        ],
    );
}

#[test]
fn the_pod_is_checked_like_one_of_a_replica_set() {
    let volume = |source: Value| json!({"volumes": [source]});
    let nodes = |expression: Value| {
        let terms = json!([{"matchExpressions": [expression]}]);
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": terms,
        }}}})
    };
    let spread = |constraints: Value| json!({"topologySpreadConstraints": constraints});
    let zone = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    check(
        "/spec",
        &[
            (volume(json!({"name": "a", "secret": {}})), "volumes[0].secret.secretName: Required value"),
            (volume(json!({"emptyDir": {}})), "volumes[0].name: Required value"),
            (
                volume(json!({"name": "a", "hostPath": {"path": "/a/../b"}})),
                "volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            ),
            (
                volume(json!({"name": "a", "configMap": {"name": "c", "defaultMode": 512}})),
                "volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 \
                 (octal), both inclusive",
            ),
            (
                volume(
                    json!({"name": "a", "configMap": {"name": "c", "items": [{"key": "k", "path": "/p"}]}}),
                ),
                "volumes[0].configMap.items[0].path: Invalid value: \"/p\": must be a relative path",
            ),
            (
                json!({"dnsPolicy": "None"}),
                "dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            ),
            (
                json!({"securityContext": {"supplementalGroups": [1, -1]}}),
                "securityContext.supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, \
                 inclusive",
            ),
            (nodes(json!({"key": "zone", "operator": "In", "values": ["a"]})), ""),
            (
                nodes(json!({"key": "zone", "operator": "In"})),
                "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]\
                 .matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}},
                ]}}}),
                "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid \
                 value: 0: must be in the range 1-100",
            ),
            (
                json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}),
                "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required \
                 value: can not be empty",
            ),
            (spread(json!([zone])), ""),
            (
                spread(json!([zone, zone])),
                "topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, \
                 DoNotSchedule}\"",
            ),
            (json!({"tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b"}]}), ""),
            (
                json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
                "tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ),
            (
                json!({"tolerations": [{"key": "a", "effect": "Never"}]}),
                "tolerations[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
                 \"PreferNoSchedule\", \"NoExecute\"",
            ),
            (
                json!({"schedulingGates": [{"name": "a"}, {"name": "a"}]}),
                "schedulingGates[1]: Duplicate value: \"a\"",
            ),
        ],
    );
}

#[test]
fn wrong_types_never_panic() {
    for wrong in [json!(1), json!("a"), json!([[]]), json!({"a": [1]}), json!(true)] {
        for field in ["containers", "initContainers", "volumes", "affinity", "tolerations", "securityContext"]
        {
            says("/spec", &json!({field: wrong}));
        }
        for field in ["ports", "env", "envFrom", "volumeMounts", "resources", "lifecycle", "livenessProbe"] {
            says("/spec/containers/0", &json!({field: wrong}));
        }
    }
}

#[test]
fn too_many_annotations_are_refused() {
    let annotations = json!({"annotations": {"a": "b".repeat(MOST_ANNOTATION_BYTES)}});
    let expected = "spec.template.annotations: Too long: may not be more than 262144 bytes";
    assert_eq!(says("/metadata", &annotations), expected);
}
