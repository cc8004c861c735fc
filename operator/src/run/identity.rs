//! Who this process is.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::arguments::PodArguments;

/// Who this process is in leases, and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Unique among all processes. In a pod it is the pod's name and uid, so that a restarted container takes its
    /// leases back at once: its predecessor is dead, or it would not have been restarted.
    pub(super) name: String,
    /// The operator's namespace.
    pub(super) namespace: String,
}

impl Identity {
    /// From the pod's own fields; outside of a pod, a new name for each start.
    pub(super) fn of(pod: &PodArguments, default_namespace: &str) -> Self {
        let namespace = pod.pod_namespace.clone().unwrap_or_else(|| default_namespace.to_owned());
        let name = match (&pod.pod_name, &pod.pod_uid) {
            (Some(name), Some(uid)) => format!("{name}_{uid}"),
            (name, _) => {
                let host = name.as_deref().unwrap_or("sluice-operator");
                // The keys of a new hasher come from the system's random source.
                format!("{host}_{:016x}", RandomState::new().build_hasher().finish())
            }
        };
        Self { name, namespace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: Option<&str>, uid: Option<&str>) -> PodArguments {
        PodArguments {
            pod_name: name.map(str::to_owned),
            pod_uid: uid.map(str::to_owned),
            pod_namespace: None,
            pod_ip: None,
        }
    }

    #[test]
    fn a_restarted_container_is_the_same_and_every_other_start_is_not() {
        let of = |name, uid| Identity::of(&pod(name, uid), "sluice");
        assert_eq!(of(Some("a"), Some("1")), of(Some("a"), Some("1")));
        assert_ne!(of(Some("a"), Some("1")), of(Some("a"), Some("2")));
        assert_ne!(of(Some("a"), None), of(Some("a"), None));
        assert_eq!(of(None, None).namespace, "sluice");
    }
}
