//! Tests elsewhere that hold a case: they must be there.

use std::{fs, path::PathBuf};

/// `path/of/file.rs: name_of_test`, or the path of a file alone: what is missing of it.
pub(crate) fn missing(test: &str) -> Option<String> {
    let (file, name) = test.split_once(": ").map_or((test, None), |(file, name)| (file, Some(name)));
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(source) = fs::read_to_string(workspace.join(file)) else {
        return Some(format!("there is no file `{file}`"));
    };
    let name = name?;
    (!source.contains(&format!("fn {name}("))).then(|| format!("`{file}` has no test `{name}`"))
}
