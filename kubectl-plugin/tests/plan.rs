//! `plan` over several Rollouts: a command line each, and what it prints beside it.

use std::ffi::OsString;
use std::path::Path;

use kubectl_sluice::arguments::{Arguments, Command};
use kubectl_sluice::commands::plan;
use kubectl_sluice::failure::Failure;
use kubectl_sluice::view::text::Paint;

/// A name and its command line. Paths are relative to the workspace.
const PLANS: [(&str, &str); 18] = [
    (
        "quickstart",
        "-f examples/quickstart/rollout.yaml -f examples/quickstart/services.yaml -f examples/quickstart/mapping.yaml",
    ),
    ("quickstart_counted", "-f examples/quickstart/rollout.yaml --rps 50"),
    ("ramp", "-f kubectl-plugin/tests/plan/ramp.yaml --pod-start 20s"),
    (
        "ramp_counted",
        "-f kubectl-plugin/tests/plan/ramp.yaml --pod-start 20s --rps 100 --error-rate 0.2% --margin 2",
    ),
    ("ramp_quiet", "-f kubectl-plugin/tests/plan/ramp.yaml --rps 0.2 --allowance 0"),
    ("basic_canary", "-f examples/basic-canary/rollout.yaml --rps 20"),
    ("dynamic_stable_scale", "-f examples/dynamic-stable-scale/rollout.yaml"),
    ("header_route", "-f examples/header-route/rollout.yaml"),
    ("ping_pong", "-f examples/ping-pong/rollout.yaml"),
    ("ingress_canary", "-f examples/ingress-canary/rollout.yaml -f examples/ingress-canary/ingress.yaml"),
    ("ingress_canary_alone", "-f examples/ingress-canary/rollout.yaml"),
    (
        "gateway_canary",
        "-f examples/gateway-canary/rollout.yaml -f examples/gateway-canary/route.yaml -f examples/gateway-canary/services.yaml",
    ),
    ("gateway_canary_alone", "-f examples/gateway-canary/rollout.yaml"),
    ("blue_green", "-f examples/blue-green/rollout.yaml --rps 10"),
    (
        "experiment",
        "-f examples/experiment/rollout.yaml -f examples/experiment/templates.yaml -f examples/experiment/services.yaml \
         -f examples/experiment/mapping.yaml",
    ),
    ("analysis", "-f examples/analysis/rollout.yaml -f examples/analysis/templates.yaml"),
    ("workload_ref", "-f examples/workload-ref/rollout.yaml"),
    ("quickstart_yaml", "-f examples/quickstart/rollout.yaml --rps 50 -o yaml"),
];

/// Runs a command line from the root of the workspace.
fn run(line: &str) -> Result<String, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let words = ["kubectl-sluice", "plan"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    let mut arguments = match Arguments::read(words).expect("a command line").command {
        Command::Plan(arguments) => arguments,
        other => unreachable!("{other:?} is no plan"),
    };
    for file in arguments.files.iter_mut().filter(|file| *file != Path::new("-")) {
        *file = root.join(&*file);
    }
    plan::run(&arguments, Paint::Plain)
}

#[test]
fn every_plan_says_what_it_said() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, line) in PLANS {
            insta::assert_snapshot!(name, run(line).unwrap());
        }
    });
}

#[test]
fn programs_read_the_same_from_json_and_yaml() {
    let of = |form: &str| run(&format!("-f examples/quickstart/rollout.yaml --rps 50 -o {form}")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&of("json")).unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&of("yaml")).unwrap();
    assert_eq!(json["earliestEnd"], 150);
    assert_eq!(json["stages"], yaml["stages"]);
    assert_eq!(
        json["power"]["stages"].as_array().map(Vec::len),
        yaml["power"]["stages"].as_array().map(Vec::len)
    );
}

#[test]
fn what_cannot_be_planned_is_said() {
    let table = [
        ("-f examples/quickstart/services.yaml", "the file must hold one Rollout, it holds 0"),
        (
            "-f examples/quickstart/rollout.yaml -f examples/ping-pong/rollout.yaml",
            "the file must hold one Rollout, it holds 2",
        ),
        ("-f examples/quickstart/README.md", "as YAML"),
        ("-f examples/nowhere.yaml", "failed to read"),
    ];
    for (line, expected) in table {
        let report = run(line).unwrap_err().report();
        assert!(report.contains(expected), "{line}: {report}");
    }
}
