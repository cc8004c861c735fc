//! The pure crates import no runtime, no client, no clock and no random source.
//!
//! Cargo joins the features of all packages that are built together, so a build of the workspace hides what a crate
//! needs by itself: each crate's tree is looked at alone, with the features that it always has.

use std::collections::BTreeMap;
use std::process::Command;

/// Crates that must be pure.
const PURE: [&str; 12] = [
    "crds",
    "operator-analysis",
    "operator-core",
    "operator-experiments",
    "operator-forecast",
    "operator-gateways",
    "operator-judge",
    "operator-objects",
    "operator-routes",
    "proxy-config",
    "proxy-core",
    "proxy-http1",
];

/// Packages that do what a pure crate must not: runtimes, sockets, clients, randomness.
const IMPURE: [&str; 20] = [
    "async-std",
    "fastrand",
    "getrandom",
    "h2",
    "hyper",
    "hyper-util",
    "kube-client",
    "kube-runtime",
    "mio",
    "oorandom",
    "rand",
    "rand_core",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tonic",
    "ureq",
    "uuid",
];

#[test]
fn a_pure_crate_has_no_runtime_no_client_and_no_randomness() {
    for name in PURE {
        let tree = tree(name);
        let impure: Vec<_> = IMPURE.iter().filter(|package| tree.contains_key(**package)).collect();
        assert!(impure.is_empty(), "{name} imports {impure:?}; `cargo tree -e normal -p {name}` shows how");
    }
}

#[test]
fn chrono_has_no_clock_in_a_pure_crate() {
    for name in PURE {
        let features = tree(name).remove("chrono").unwrap_or_default();
        for clock in ["clock", "now", "default"] {
            let has_it = features.iter().any(|feature| feature == clock);
            assert!(!has_it, "{name} enables `{clock}` of chrono, which brings `Utc::now`");
        }
    }
}

#[test]
fn serde_json_never_has_arbitrary_precision() {
    for name in PURE.into_iter().chain(["operator", "proxy", "kubectl-sluice", "xtask", "integration-tests"])
    {
        let features = tree(name).remove("serde_json").unwrap_or_default();
        let has_it = features.iter().any(|feature| feature == "arbitrary_precision");
        assert!(
            !has_it,
            "{name} enables `arbitrary_precision` of serde_json, which changes numbers everywhere"
        );
    }
}

/// The packages that a crate links, each with its features.
fn tree(name: &str) -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--quiet", "--edges", "normal,no-proc-macro", "--no-default-features"])
        .args(["--prefix", "none", "--format", "{p}|{f}", "--package", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree of {name} failed:\n{errors}");
    let text = String::from_utf8(output.stdout).expect("cargo writes text");
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (package, features) = line.split_once('|').expect("a line has two columns");
        let package = package.split(' ').next().unwrap_or_default();
        let features = features.trim_end_matches(" (*)").split(',').map(str::to_owned);
        packages.entry(package.to_owned()).or_default().extend(features);
    }
    assert!(packages.contains_key(name), "cargo tree shows nothing of {name}");
    packages
}
