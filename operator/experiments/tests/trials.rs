//! Scenario scripts: `scenarios/*.txt` in, a transcript beside each out.
//!
//! `cargo insta review` (or `INSTA_UPDATE=always cargo test --workspace --test trials`) accepts a change.

#[path = "simulator/simulator.rs"]
mod simulator;

use std::fs;
use std::path::Path;

use simulator::Simulator;

#[test]
fn every_scenario_tells_its_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scripts: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no scenario in {}", folder.display());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for script in scripts {
            let text = fs::read_to_string(&script).unwrap();
            let manifest = |name: &str| fs::read_to_string(folder.join("manifests").join(name)).unwrap();
            let mut simulator = Simulator::new();
            simulator.run_script(&text, manifest);
            let name = script.file_stem().unwrap().to_string_lossy().into_owned();
            insta::assert_snapshot!(name, simulator.transcript);
        }
    });
}
