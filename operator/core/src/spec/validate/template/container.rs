//! One container.

use std::collections::BTreeSet;

use super::field::Field;
use super::{environment, probe, resources, security, volumes};
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

/// What holds for containers of every kind.
pub(super) fn validate(container: &Field<'_>, volumes: &BTreeSet<&str>) -> Checked {
    let name = container.child("name");
    name.is_required()?;
    name.is_named(names::dns_label)?;
    container.child("image").is_required()?;
    container.child("terminationMessagePolicy").is_one_of(&["File", "FallbackToLogsOnError"])?;
    ports(&container.child("ports"))?;
    environment::variables(&container.child("env"))?;
    environment::sources(&container.child("envFrom"))?;
    volumes::mounts(&container.child("volumeMounts"), volumes)?;
    container.child("imagePullPolicy").is_one_of(&["Always", "IfNotPresent", "Never"])?;
    resources::validate(&container.child("resources"))?;
    security::of_container(&container.child("securityContext"))
}

/// What runs as long as the pod does may say how it begins, lives and ends.
pub(super) fn lifecycle_and_probes(container: &Field<'_>) -> Checked {
    let lifecycle = container.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.child(hook);
        if hook.is_set() {
            probe::handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"])?;
        }
    }
    probe::validate(&container.child("livenessProbe"), probe::Kind::Liveness)?;
    probe::validate(&container.child("readinessProbe"), probe::Kind::Readiness)?;
    probe::validate(&container.child("startupProbe"), probe::Kind::Startup)
}

/// A port of the node can be taken once among containers that run at the same time.
pub(super) fn host_ports<'v>(containers: impl Iterator<Item = Field<'v>>) -> Checked {
    let mut taken = BTreeSet::new();
    for container in containers {
        for port in container.child("ports").items() {
            let host_port = port.child("hostPort");
            if host_port.number() == 0 {
                continue;
            }
            let protocol = port.child("protocol");
            let protocol = if protocol.is_set() { protocol.text() } else { "TCP" };
            let address = format!("{protocol}/{}/{}", port.child("hostIP").text(), host_port.number());
            if !taken.insert(address.clone()) {
                return Err(Invalid::duplicate(host_port.path(), &address));
            }
        }
    }
    Ok(())
}

fn ports(ports: &Field<'_>) -> Checked {
    const HIGHEST: i64 = 65535;
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        name.is_named_if_set(names::port)?;
        if !name.text().is_empty() && !seen.insert(name.text()) {
            return Err(Invalid::duplicate(name.path(), name.text()));
        }
        let number = port.child("containerPort");
        if number.number() == 0 {
            return Err(Invalid::required(number.path(), ""));
        }
        number.is_between(1, HIGHEST)?;
        let host_port = port.child("hostPort");
        if host_port.number() != 0 {
            host_port.is_between(1, HIGHEST)?;
        }
        port.child("protocol").is_one_of(&["SCTP", "TCP", "UDP"])?;
    }
    Ok(())
}
