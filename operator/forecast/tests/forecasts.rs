//! What must hold of every forecast, and what is refused.

use std::fs;
use std::path::Path;

use chrono::TimeDelta;
use operator_forecast::{Assumptions, Forecast, Manifests, Refused, forecast};
use serde_json::{Value, json};

/// Every object of an example.
fn example(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.flat_map(|path| {
        serde_saphyr::from_multiple::<Value>(&fs::read_to_string(path).expect("a text")).expect("YAML")
    })
    .collect()
}

/// The examples with a Rollout.
fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.file_type().expect("a type").is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().expect("a name in UTF-8"));
    names.filter(|name| example(name).iter().any(|object| object["kind"] == "Rollout")).collect()
}

fn of(objects: &[Value], pod_start: i64) -> Result<Forecast, Refused> {
    forecast(&Manifests::read(objects)?, Assumptions { pod_start: TimeDelta::seconds(pod_start) })
}

/// The Rollout of the quickstart, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let mut objects = example("quickstart");
    change(objects.iter_mut().find(|it| it["kind"] == "Rollout").expect("a Rollout"));
    objects
}

#[test]
fn weights_are_parts_of_their_total() {
    let mut objects = example("ingress-canary");
    let rollout = objects.iter_mut().find(|it| it["kind"] == "Rollout").expect("a Rollout");
    let canary = &mut rollout["spec"]["strategy"]["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(1000);
    canary["steps"] = json!([{"setWeight": 5}, {"pause": {"duration": "1m"}}, {"setWeight": 1000}]);
    let found = of(&objects, 7).unwrap_or_else(|refused| panic!("{refused}"));
    let weights: Vec<f64> = found.moments.iter().map(|it| it.weight).collect();
    assert!(weights.contains(&0.5) && weights.last() == Some(&100.0), "{weights:?}");
}

#[test]
fn a_share_of_a_route_is_the_new_versions_too() {
    for example_name in ["gateway-canary", "experiment-weights"] {
        let mut objects = example(example_name);
        let rollout = objects.iter_mut().find(|it| it["kind"] == "Rollout").expect("a Rollout");
        let templates = json!([
            {"name": "baseline", "specRef": "stable", "weight": 10}, {"name": "trial", "specRef": "canary", "weight": 10},
        ]);
        let experiment = json!({"experiment": {"duration": "1m", "templates": templates}});
        rollout["spec"]["strategy"]["canary"]["steps"] =
            json!([{"setWeight": 20}, experiment, {"setWeight": 50}]);
        let found = of(&objects, 7).unwrap_or_else(|refused| panic!("{example_name}: {refused}"));
        let weights: Vec<f64> = found.moments.iter().map(|it| it.weight).collect();
        assert!([20.0, 30.0, 50.0].iter().all(|it| weights.contains(it)), "{example_name}: {weights:?}");
    }
}

#[test]
fn every_example_has_a_forecast_that_adds_up() {
    for name in examples() {
        let found = of(&example(&name), 7).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let mut at = 0;
        for stage in &found.stages {
            assert!(stage.starts == at && stage.takes >= 0, "{name}: {stage:?}");
            at += stage.takes;
        }
        assert_eq!(at, found.earliest_end, "{name}");
        assert!(found.moments.windows(2).all(|pair| pair[0].at < pair[1].at), "{name}");
        assert!(found.moments.iter().all(|it| (0.0..=100.0).contains(&it.weight)), "{name}");
        // What is exposed is the area under the weights.
        let ends = found.moments.iter().skip(1).map(|it| it.at).chain([found.earliest_end]);
        let area = found.moments.iter().zip(ends).map(|(moment, end)| {
            let seconds = end.min(found.earliest_end) - moment.at;
            f64::from(i32::try_from(seconds.max(0)).unwrap()) * moment.weight / 100.0
        });
        assert!(
            (area.sum::<f64>() - found.exposed_seconds).abs() < 0.01,
            "{name}: {}",
            found.exposed_seconds
        );
        let last = found.moments.last().unwrap();
        assert_eq!((last.weight, last.old.there, last.new.there), (100.0, 0, last.new.ready), "{name}");
        assert_eq!(i32::try_from(last.new.ready).unwrap(), found.replicas, "{name}");
    }
}

#[test]
fn the_same_file_gives_the_same_forecast() {
    assert_eq!(of(&example("canary-steps"), 3), of(&example("canary-steps"), 3));
}

#[test]
fn with_all_old_pods_up_an_abort_takes_no_time() {
    let found = of(&example("quickstart"), 30).unwrap();
    let aborts: Vec<_> = found.stages.iter().filter_map(|stage| stage.abort).collect();
    assert_eq!(aborts.len(), 4, "{found:?}");
    assert!(aborts.iter().all(|abort| abort.takes == Some(0) && abort.pods_to_start == 0), "{aborts:?}");
}

#[test]
fn old_pods_that_have_gone_must_come_back_for_an_abort() {
    let found = of(&example("dynamic-stable-scale"), 30).unwrap();
    let dearest =
        found.stages.iter().filter_map(|stage| stage.abort).max_by_key(|it| it.pods_to_start).unwrap();
    assert!(dearest.pods_to_start > 0 && dearest.takes == Some(30), "{dearest:?}");
    assert!(dearest.exposed_seconds > 0.0);
}

#[test]
fn slower_pods_make_a_later_end() {
    let end = |seconds| of(&example("quickstart"), seconds).unwrap().earliest_end;
    assert_eq!([end(0), end(10), end(60)], [120, 150, 300]);
}

#[test]
fn what_is_assumed_is_said() {
    let rollout = example("quickstart").into_iter().filter(|it| it["kind"] == "Rollout").collect::<Vec<_>>();
    let found = of(&rollout, 10).unwrap();
    let said = found.assumptions.last().unwrap();
    assert_eq!(
        said,
        "Service someapp-stable, Service someapp-canary, Mapping stable-mapping exist, as they are not in the file"
    );
    let paused = of(&changed(|rollout| rollout["spec"]["paused"] = json!(true)), 10).unwrap();
    assert_eq!(paused.assumptions.last().unwrap(), "spec.paused is not set");
    let guard = |it: &mut Value| it["spec"]["strategy"]["canary"]["guard"] = json!({"errorRate": {}});
    let guarded = of(&changed(guard), 10).unwrap();
    assert!(guarded.assumptions.contains(&"strategy.canary.guard finds nothing wrong".to_owned()));
}

#[test]
fn what_would_not_move_is_refused() {
    type Change = fn(&mut Value);
    let table: [(Change, &str); 6] = [
        (|it| it["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = json!(101), "SetWeight"),
        (|it| it["spec"]["strategy"]["canary"]["trafficRouting"] = json!({"istio": {}}), "istio"),
        (
            |it| it["spec"]["strategy"]["canary"]["trafficRouting"] = json!({"nginx": {}}),
            "name the Ingress whose requests are split here",
        ),
        (|it| it["spec"]["strategy"]["canary"]["stableService"] = json!("someapp-canary"), "same"),
        (|it| it["spec"]["replicas"] = json!("many"), "replicas"),
        (
            |it| {
                it["spec"]["workloadRef"] =
                    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
            },
            "web",
        ),
    ];
    for (change, expected) in table {
        let refused = of(&changed(change), 10).expect_err(expected).to_string();
        assert!(refused.to_lowercase().contains(&expected.to_lowercase()), "{expected}: {refused}");
    }
    assert_eq!(of(&[], 10), Err(Refused::Rollouts(0)));
}

#[test]
fn an_update_that_is_aborted_by_its_deadline_has_no_end() {
    let objects = changed(|rollout| {
        rollout["spec"]["progressDeadlineSeconds"] = json!(20);
        rollout["spec"]["progressDeadlineAbort"] = json!(true);
    });
    let Err(Refused::Stuck { .. }) = of(&objects, 60) else { panic!("{:?}", of(&objects, 60)) };
}

#[test]
fn a_route_is_split_in_the_rules_that_have_both_services_and_the_others_do_not_count() {
    let routing = json!({"gatewayAPI": {"httpRoutes": [{"name": "shop"}]}});
    let mut objects = changed(|rollout| rollout["spec"]["strategy"]["canary"]["trafficRouting"] = routing);
    let alone = of(&objects, 10).unwrap();
    let backend = |name: &str, weight: Option<i32>| json!({"name": name, "port": 80, "weight": weight});
    let [stable, canary] = ["stableService", "canaryService"].map(|field| {
        let rollout = objects.iter().find(|it| it["kind"] == "Rollout").unwrap();
        rollout["spec"]["strategy"]["canary"][field].as_str().unwrap().to_owned()
    });
    objects.push(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop"},
        "spec": {"rules": [
            {"backendRefs": [backend("elsewhere", None)]},
            {"backendRefs": [backend(&stable, None), backend(&canary, Some(0))]},
        ]},
    }));
    let given = of(&objects, 10).unwrap();
    assert_eq!(given.moments, alone.moments, "one that is assumed is split like one that is there");
    let weights: Vec<f64> = given.stages.iter().map(|stage| stage.weight).collect();
    assert_eq!(
        weights,
        of(&example("quickstart"), 10).unwrap().stages.iter().map(|it| it.weight).collect::<Vec<_>>()
    );
    assert!(alone.assumptions.iter().any(|it| it.contains("HTTPRoute shop")), "{:?}", alone.assumptions);
    assert!(!given.assumptions.iter().any(|it| it.contains("HTTPRoute")), "{:?}", given.assumptions);
}
