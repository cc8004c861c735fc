//! `cargo xtask codegen`: writes the files that are generated from code, or with `--check` compares them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

const FOLDER: &str = "charts/sluice/crds";
const HEADER: &str = "# Generated from the types in crds/ by `cargo xtask codegen`. Do not edit.\n";

/// A generated file and what has to be in it.
struct Generated {
    path: PathBuf,
    text: String,
}

/// Writes every generated file; with `check` it writes none and fails if one is not as it would be written.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = workspace_root();
    let files = definitions(&root)?;
    let stale = stale(&root.join(FOLDER), &files)?;
    if !check {
        for Generated { path, text } in &files {
            write(path, text)?;
        }
        for path in &stale.unknown {
            fs::remove_file(path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
        return Ok(());
    }
    let paths: Vec<_> =
        stale.changed.iter().chain(&stale.unknown).map(|path| path.display().to_string()).collect();
    if !paths.is_empty() {
        bail!("these files are not what the code says; run `cargo xtask codegen`:\n  {}", paths.join("\n  "));
    }
    Ok(())
}

/// The `CustomResourceDefinition`s of the chart.
fn definitions(root: &Path) -> anyhow::Result<Vec<Generated>> {
    let definitions = crds::definition::all().into_iter();
    definitions
        .map(|(name, definition)| {
            let yaml = serde_saphyr::to_string(&definition)
                .with_context(|| format!("failed to write {name} as YAML"))?;
            let text = format!("{HEADER}{yaml}");
            let bytes = text.len();
            let limit = crds::definition::MAX_FILE_BYTES;
            ensure!(bytes <= limit, "{name} has {bytes} bytes; `kubectl apply` takes at most {limit}");
            Ok(Generated { path: root.join(FOLDER).join(name), text })
        })
        .collect()
}

/// Files of a folder that are not as they would be written.
struct Stale {
    changed: Vec<PathBuf>,
    unknown: Vec<PathBuf>,
}

fn stale(folder: &Path, files: &[Generated]) -> anyhow::Result<Stale> {
    let is_changed = |file: &&Generated| fs::read_to_string(&file.path).ok().as_ref() != Some(&file.text);
    let changed = files.iter().filter(is_changed).map(|file| file.path.clone()).collect();
    let mut unknown = Vec::new();
    if folder.is_dir() {
        for entry in folder.read_dir().with_context(|| format!("failed to list {}", folder.display()))? {
            let path = entry.with_context(|| format!("failed to list {}", folder.display()))?.path();
            if !files.iter().any(|file| file.path == path) {
                unknown.push(path);
            }
        }
    }
    Ok(Stale { changed, unknown })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("failed to find the folder of a generated file")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_files_are_what_the_code_says() {
        run(true).unwrap();
    }

    #[test]
    fn the_yaml_reads_as_the_definition() {
        let definitions = crds::definition::all();
        for Generated { path, text } in definitions_text() {
            let name = path.file_name().unwrap().to_str().unwrap();
            let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(&read, &definitions[name], "{name}");
        }
    }

    fn definitions_text() -> Vec<Generated> {
        definitions(&workspace_root()).unwrap()
    }
}
