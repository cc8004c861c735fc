//! `securityContext` of pods and containers.

use super::field::Field;
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

/// Highest id of a user or group.
const HIGHEST_ID: i64 = 2_147_483_647;

pub(super) fn of_pod(context: &Field<'_>) -> Checked {
    for id in ["fsGroup", "runAsUser", "runAsGroup"] {
        user_or_group(&context.child(id))?;
    }
    for group in context.child("supplementalGroups").items() {
        user_or_group(&group)?;
    }
    context.child("fsGroupChangePolicy").is_one_of(&["Always", "OnRootMismatch"])?;
    seccomp_profile(&context.child("seccompProfile"))
}

/// `privileged` goes unchecked: Argo removes it first, because what is allowed depends on the cluster.
pub(super) fn of_container(context: &Field<'_>) -> Checked {
    user_or_group(&context.child("runAsUser"))?;
    user_or_group(&context.child("runAsGroup"))?;
    seccomp_profile(&context.child("seccompProfile"))
}

fn user_or_group(id: &Field<'_>) -> Checked {
    if id.is_set() { id.is_between(0, HIGHEST_ID) } else { Ok(()) }
}

fn seccomp_profile(profile: &Field<'_>) -> Checked {
    if !profile.is_set() {
        return Ok(());
    }
    let kind = profile.child("type");
    kind.is_required_because("type is required when seccompProfile is set")?;
    kind.is_one_of(&["Localhost", "RuntimeDefault", "Unconfined"])?;
    let file = profile.child("localhostProfile");
    if kind.text() == "Localhost" {
        if !file.is_set() {
            return Err(Invalid::required(file.path(), "must be set when seccomp type is Localhost"));
        }
        return file.is_named(names::descending_path);
    }
    Ok(())
}
