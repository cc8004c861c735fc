//! Arguments of analyses in steps.

use crds::rollout::{AnalysisRunArgument, CanaryStep};

use super::{Checked, names};
use crate::spec::Invalid;

/// Arguments may name fields of the Rollout. Those in its metadata are checked beforehand; of others it is only known
/// at the time whether they are there.
pub(super) fn arguments(field: &str, step: &CanaryStep) -> Checked {
    let of_experiment = step.experiment.iter().flat_map(|it| &it.analyses).flat_map(|it| &it.args);
    let of_analysis = step.analysis.iter().flat_map(|it| &it.args);
    let arguments: Vec<&AnalysisRunArgument> = of_experiment.chain(of_analysis).collect();
    let mut paths = arguments
        .iter()
        .filter_map(|argument| Some(&argument.value_from.as_ref()?.field_ref.as_ref()?.field_path));
    if paths.all(|path| !path.starts_with("metadata") || is_metadata_field(path)) {
        return Ok(());
    }
    let why = "Analyses arguments must refer to valid object metadata supported by downwardAPI";
    Err(Invalid::value(format!("{field}.analyses"), &arguments, why))
}

fn is_metadata_field(path: &str) -> bool {
    match names::subscript(path) {
        Some(("metadata.annotations", key)) => names::label_key(&key.to_lowercase()).is_none(),
        Some(("metadata.labels", key)) => names::label_key(key).is_none(),
        Some(_) => false,
        None => matches!(
            path,
            "metadata.annotations"
                | "metadata.labels"
                | "metadata.name"
                | "metadata.namespace"
                | "metadata.uid"
        ),
    }
}
