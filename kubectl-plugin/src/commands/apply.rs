//! Sends patches.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde::Serialize;

use crate::cluster::FIELD_MANAGER;
use crate::failure::Failure;
use crate::patch::Change;

/// Applies a change: the status first, then the spec. A server that answers 404 for the status subresource has none;
/// it gets both at once.
pub async fn change(rollouts: &Api<DynamicObject>, name: &str, change: &Change) -> Result<(), Failure> {
    let mut spec = change.spec;
    if let Some(status) = &change.status {
        let answer = rollouts.patch_status(name, &parameters(), &Patch::Merge(status)).await;
        match answer {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => spec = change.unified,
            Err(error) => return Err(error.into()),
        }
    }
    match &spec {
        Some(spec) => merge(rollouts, "rollouts", name, spec).await,
        None => Ok(()),
    }
}

/// Applies a merge patch to an object of this kind (in the plural).
pub async fn merge<B: Serialize + std::fmt::Debug>(
    api: &Api<DynamicObject>,
    kind: &'static str,
    name: &str,
    body: &B,
) -> Result<(), Failure> {
    let answer = api.patch(name, &parameters(), &Patch::Merge(body)).await;
    answer.map(drop).map_err(|error| Failure::on(kind, error))
}

/// The plugin's name goes into `managedFields`.
#[must_use]
pub fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
