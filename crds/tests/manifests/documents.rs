//! YAML documents of a folder, and what the types and the definitions say of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crds::schema::validate::violations;
use serde::de::DeserializeOwned;
use serde_json::Value;

static DEFINITIONS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(crds::definition::all);

/// One YAML document.
pub(crate) struct Document {
    /// Where it is from, for messages.
    pub(crate) source: String,
    /// What it says.
    pub(crate) object: Value,
}

/// Every document of every `.yaml` file in a folder and the folders in it.
pub(crate) fn documents_below(folder: &Path) -> Vec<Document> {
    files_below(folder).iter().flat_map(|path| documents(path)).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the folder is readable");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    paths.sort();
    let files = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    paths.into_iter().flat_map(files).filter(is_yaml).collect()
}

fn documents(path: &Path) -> Vec<Document> {
    let text = std::fs::read_to_string(path).expect("the file is readable");
    // Templates of a chart are no YAML before Helm has rendered them.
    if text.contains("{{") && path.components().any(|part| part.as_os_str() == "templates") {
        return Vec::new();
    }
    let objects = serde_saphyr::from_multiple::<Value>(&text);
    let objects = objects.map_err(|error| format!("{}: {error}", path.display())).expect("the file is YAML");
    let documents = objects.into_iter().filter(|object| !object.is_null()).enumerate();
    documents
        .map(|(index, mut object)| {
            crds::go_json::write_whole_numbers_as_integers(&mut object);
            Document { source: format!("{}[{index}]", path.display()), object }
        })
        .collect()
}

impl Document {
    /// Whether a definition of ours is about it.
    pub(crate) fn is_ours(&self) -> bool {
        self.definition().is_some()
    }

    /// All that is wrong with it.
    pub(crate) fn errors(&self) -> Vec<String> {
        let type_errors = self.type_error().into_iter();
        type_errors.chain(self.schema_errors()).map(|error| format!("{}: {error}", self.source)).collect()
    }

    /// What the API server would say.
    pub(crate) fn schema_errors(&self) -> Vec<String> {
        let Some(definition) = self.definition() else { return vec!["no definition of ours".to_owned()] };
        let version = self.text("apiVersion").rsplit('/').next().unwrap_or_default();
        let versions = definition["spec"]["versions"].as_array().expect("a definition has versions");
        let Some(version) = versions.iter().find(|served| served["name"] == version) else {
            return vec![format!("version {version} is not served")];
        };
        violations(&version["schema"]["openAPIV3Schema"], &self.object)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// What serde says.
    fn type_error(&self) -> Option<String> {
        match self.text("kind") {
            "Rollout" => self.read::<crds::Rollout>(),
            "AnalysisTemplate" => self.read::<crds::AnalysisTemplate>(),
            "ClusterAnalysisTemplate" => self.read::<crds::ClusterAnalysisTemplate>(),
            "AnalysisRun" => self.read::<crds::AnalysisRun>(),
            "Experiment" => self.read::<crds::Experiment>(),
            "Mapping" => self.read::<crds::Mapping>(),
            "Host" => self.read::<crds::Host>(),
            "Listener" => self.read::<crds::Listener>(),
            "TLSContext" => self.read::<crds::TLSContext>(),
            "Module" => self.read::<crds::Module>(),
            "TCPMapping" => self.read::<crds::TCPMapping>(),
            "KubernetesEndpointResolver" => self.read::<crds::KubernetesEndpointResolver>(),
            "KubernetesServiceResolver" => self.read::<crds::KubernetesServiceResolver>(),
            "ConsulResolver" => self.read::<crds::ConsulResolver>(),
            other => Some(format!("kind {other} has a definition but no type")),
        }
    }

    fn read<K: DeserializeOwned>(&self) -> Option<String> {
        serde_json::from_value::<K>(self.object.clone()).err().map(|error| error.to_string())
    }

    /// The definition of its kind, if that is ours.
    pub(crate) fn definition(&self) -> Option<&'static Value> {
        let (group, _) = self.text("apiVersion").split_once('/')?;
        DEFINITIONS.values().find(|definition| {
            definition["spec"]["group"] == group && definition["spec"]["names"]["kind"] == self.text("kind")
        })
    }

    fn text(&self, field: &str) -> &str {
        self.object[field].as_str().unwrap_or_default()
    }
}
