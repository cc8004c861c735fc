//! `spec` of the template.

use std::collections::BTreeSet;

use super::field::Field;
use super::{affinity, container, scheduling, security, validate_labels, volumes};
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

pub(super) fn validate(spec: &Field<'_>) -> Checked {
    let volumes = volumes::validate(&spec.child("volumes"))?;
    containers(spec, &volumes)?;
    init_containers(spec, &volumes)?;
    spec.child("restartPolicy").is_one_of(&["Always", "OnFailure", "Never"])?;
    spec.child("dnsPolicy").is_one_of(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])?;
    let node_selector = spec.child("nodeSelector");
    validate_labels(node_selector.path(), &node_selector)?;
    security::of_pod(&spec.child("securityContext"))?;
    affinity::validate(&spec.child("affinity"))?;
    dns_config(spec)?;
    for gate in spec.child("readinessGates").items() {
        gate.child("conditionType").is_named(names::label_key)?;
    }
    scheduling::gates(&spec.child("schedulingGates"))?;
    scheduling::topology_spread(&spec.child("topologySpreadConstraints"))?;
    spec.child("serviceAccountName").is_named_if_set(names::subdomain)?;
    spec.child("nodeName").is_named_if_set(names::subdomain)?;
    let deadline = spec.child("activeDeadlineSeconds");
    if deadline.is_set() {
        deadline.is_between(1, i32::MAX.into())?;
    }
    spec.child("hostname").is_named_if_set(names::dns_label)?;
    spec.child("subdomain").is_named_if_set(names::dns_label)?;
    scheduling::tolerations(&spec.child("tolerations"))?;
    spec.child("priorityClassName").is_named_if_set(names::subdomain)?;
    spec.child("runtimeClassName").is_named_if_set(names::subdomain)?;
    spec.child("preemptionPolicy").is_one_of(&["PreemptLowerPriority", "Never"])
}

fn containers(spec: &Field<'_>, volumes: &BTreeSet<&str>) -> Checked {
    let containers = spec.child("containers");
    containers.is_required()?;
    let mut seen = BTreeSet::new();
    for it in containers.items() {
        container::validate(&it, volumes)?;
        is_unique(&it.child("name"), &mut seen)?;
        container::lifecycle_and_probes(&it)?;
    }
    container::host_ports(containers.items())
}

/// Init containers end, and so have neither probes nor a lifecycle, unless they are sidecars.
fn init_containers(spec: &Field<'_>, volumes: &BTreeSet<&str>) -> Checked {
    let names = spec.child("containers");
    let names: Vec<Field<'_>> = names.items().map(|it| it.child("name")).collect();
    let mut seen: BTreeSet<&str> = names.iter().map(Field::text).collect();
    for it in spec.child("initContainers").items() {
        container::validate(&it, volumes)?;
        let restart = it.child("restartPolicy");
        restart.is_one_of(&["Always"])?;
        is_unique(&it.child("name"), &mut seen)?;
        if restart.text() == "Always" {
            container::lifecycle_and_probes(&it)?;
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            it.child(field)
                .is_unset_because("may not be set for init containers without restartPolicy=Always")?;
        }
    }
    Ok(())
}

fn is_unique<'v>(name: &Field<'v>, seen: &mut BTreeSet<&'v str>) -> Checked {
    if seen.insert(name.text()) { Ok(()) } else { Err(Invalid::duplicate(name.path(), name.text())) }
}

fn dns_config(spec: &Field<'_>) -> Checked {
    const MOST_NAME_SERVERS: usize = 3;
    let config = spec.child("dnsConfig");
    let servers = config.child("nameservers");
    if spec.child("dnsPolicy").text() == "None" {
        if !config.is_set() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            return Err(Invalid::required(config.path(), why));
        }
        servers.is_required_because("must provide at least one DNS nameserver when `dnsPolicy` is None")?;
    }
    if servers.items().count() > MOST_NAME_SERVERS {
        return Err(servers.invalid(format!("must not have more than {MOST_NAME_SERVERS} nameservers")));
    }
    for option in config.child("options").items() {
        if option.child("name").text().is_empty() {
            return Err(Invalid::required(option.path(), "must not be empty"));
        }
    }
    Ok(())
}
