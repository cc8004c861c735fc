//! The cases of `tests/admission`, as far as the definitions can tell without an API server: limits of the schema are
//! checked here, CEL rules and patterns on the cluster (`integration-tests/tests/admission.rs`).

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::documents::Document;

#[derive(Deserialize)]
struct Cases {
    base: Value,
    refused: Vec<Refused>,
    accepted: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Refused {
    by: By,
    says: String,
    edit: Value,
}

/// What refuses.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Schema,
    Rule,
    Pattern,
}

#[derive(Deserialize)]
struct Accepted {
    edit: Value,
}

fn files() -> Vec<(String, Cases)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission");
    let entries = folder.read_dir().expect("the folder is readable");
    let read = |path: &Path| {
        let text = fs::read_to_string(path).expect("the file is readable");
        let cases = serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", path.display()));
        cases.expect("the file holds cases")
    };
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    paths.map(|path| (path.display().to_string(), read(&path))).collect()
}

fn edited(base: &Value, edit: &Value) -> Document {
    let mut object = base.clone();
    json_patch::merge(&mut object, edit);
    Document { source: edit.to_string(), object }
}

#[test]
fn edits_are_refused_by_what_the_table_says() {
    for (file, Cases { base, refused, .. }) in files() {
        assert!(!refused.is_empty(), "{file}");
        for Refused { by, says, edit } in refused {
            let document = edited(&base, &edit);
            let errors = document.schema_errors().join("; ");
            let field = says.rsplit('.').next().unwrap_or_default();
            match by {
                By::Schema => assert!(errors.contains(field), "{file}: {edit} gives {errors:?}"),
                By::Rule => {
                    let definition = document.definition().expect("there is a definition").to_string();
                    assert_eq!(errors, "", "{file}: {edit}");
                    assert!(definition.contains(&says), "{file}: no rule says {says:?}");
                }
                By::Pattern => assert_eq!(errors, "", "{file}: {edit}"),
            }
        }
    }
}

#[test]
fn other_edits_are_taken_by_the_schema() {
    for (file, Cases { base, accepted, .. }) in files() {
        assert!(!accepted.is_empty(), "{file}");
        for Accepted { edit } in accepted {
            assert_eq!(edited(&base, &edit).schema_errors(), [""; 0], "{file}: {edit}");
        }
    }
}
