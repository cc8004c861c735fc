//! The status of a pod in one word, as `kubectl get pods` prints it.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::icon::{Icon, Status};

/// What is shown of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStatus {
    /// The word and its icon.
    pub status: Status,
    /// Ready containers of all containers, such as `1/2`.
    pub ready: String,
    /// Restarts of all containers; while the pod initializes, of its init containers.
    pub restarts: i32,
}

/// Sums a pod up. The first of these that holds decides the word: deletion, an init container that is not done, the
/// first container (in the order of the status) that waits or has ended, the pod's own reason, its phase.
#[must_use]
pub fn of(pod: &Pod) -> PodStatus {
    let status = pod.status.as_ref();
    let own_reason = status.and_then(|status| status.reason.as_deref()).filter(|reason| !reason.is_empty());
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let mut summary = match initializing(pod) {
        Some(initializing) => initializing,
        None => running(pod, own_reason.unwrap_or(phase)),
    };
    if pod.metadata.deletion_timestamp.is_some() {
        let lost = own_reason == Some(NODE_UNREACHABLE);
        summary.word = String::from(if lost { "Unknown" } else { "Terminating" });
    }
    let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    PodStatus {
        status: Status { icon: icon(&summary.word), word: summary.word },
        ready: format!("{}/{containers}", summary.ready),
        restarts: summary.restarts,
    }
}

/// The reason that the node controller gives the pods of a node which does not answer.
const NODE_UNREACHABLE: &str = "NodeLost";

struct Summary {
    word: String,
    ready: usize,
    restarts: i32,
}

/// The first init container that is not done, if any. Sidecars (`restartPolicy: Always`) are done once they have
/// started.
fn initializing(pod: &Pod) -> Option<Summary> {
    let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let statuses =
        pod.status.as_ref().and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let is_sidecar = |name: &str| {
        containers.iter().any(|it| it.name == name && it.restart_policy.as_deref() == Some("Always"))
    };
    let mut restarts = 0;
    for (index, container) in statuses.iter().enumerate() {
        restarts += container.restart_count;
        if terminated(container).is_some_and(|end| end.exit_code == 0) {
            continue;
        }
        if let Some(end) = terminated(container) {
            return Some(Summary { word: format!("Init:{}", ending(end)), ready: 0, restarts });
        }
        if is_sidecar(&container.name) && container.started == Some(true) {
            // A started sidecar that is not ready ends the search, and the containers decide.
            if container.ready {
                continue;
            }
            return None;
        }
        let word = match waiting(container).filter(|reason| *reason != "PodInitializing") {
            Some(reason) => format!("Init:{reason}"),
            None => format!("Init:{index}/{}", containers.len()),
        };
        return Some(Summary { word, ready: 0, restarts });
    }
    None
}

fn running(pod: &Pod, otherwise: &str) -> Summary {
    let statuses =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let is_ready = |container: &&ContainerStatus| {
        waiting(container).is_none()
            && terminated(container).is_none()
            && container.ready
            && state(container).is_some_and(|state| state.running.is_some())
    };
    let ready = statuses.iter().filter(is_ready).count();
    let reason = statuses.iter().find_map(|container| {
        waiting(container).map(str::to_owned).or_else(|| terminated(container).map(ending))
    });
    let word = match reason {
        // One container has done its work and another still runs.
        Some(reason) if reason == "Completed" && ready > 0 => String::from("Running"),
        Some(reason) => reason,
        None if otherwise == "Completed" && ready > 0 => String::from("Running"),
        None => otherwise.to_owned(),
    };
    Summary { word, ready, restarts: statuses.iter().map(|container| container.restart_count).sum() }
}

fn state(container: &ContainerStatus) -> Option<&ContainerState> {
    container.state.as_ref()
}

fn waiting(container: &ContainerStatus) -> Option<&str> {
    state(container)?.waiting.as_ref()?.reason.as_deref().filter(|reason| !reason.is_empty())
}

fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    state(container)?.terminated.as_ref()
}

/// Why a container ended: the kubelet's reason, else the signal, else the exit code.
fn ending(end: &ContainerStateTerminated) -> String {
    match (end.reason.as_deref().unwrap_or_default(), end.signal.unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", end.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn icon(word: &str) -> Icon {
    if word.starts_with("Init:") {
        return Icon::Progressing;
    }
    if word.starts_with("Signal:") || word.starts_with("ExitCode:") {
        return Icon::Bad;
    }
    if word.ends_with("Error") || word.starts_with("Err") {
        return Icon::Warning;
    }
    match word {
        "Pending" | "Terminating" | "ContainerCreating" => Icon::Progressing,
        "Running" | "Completed" => Icon::Ok,
        "Failed" | "InvalidImageName" | "CrashLoopBackOff" => Icon::Bad,
        "ImagePullBackOff" | "RegistryUnavailable" => Icon::Warning,
        "Unknown" => Icon::Unknown,
        _ => Icon::None,
    }
}
