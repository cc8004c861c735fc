//! The container runtime: the distribution's containerd with a configuration and a directory of its own.

use anyhow::Context as _;

use super::{
    daemons::Daemon,
    files,
    node::Node,
    packages,
    place::{Place, inside},
};
use crate::{
    command::{find, run, run_with_file},
    images::{Built, Reference},
};

/// The namespace of containerd that the kubelet looks into.
const NAMESPACE: &str = "k8s.io";

/// Writes the configuration and says how containerd is called.
pub(crate) fn configure(place: &Place, pause: &Reference) -> anyhow::Result<Daemon> {
    let runc = if place.rootless { Some(write_runc_without_tty_group(place)?) } else { None };
    let plugins = packages::plugin_directory().context("the CNI plugins are gone")?;
    let text = configuration(plugins, pause, runc.as_deref());
    files::write(&place.path("conf/containerd.toml"), &text)?;
    let program = find("containerd").context("containerd is gone")?.to_string_lossy().into_owned();
    let arguments = vec!["--config".to_owned(), inside("conf/containerd.toml")];
    Ok(Daemon { name: "containerd", program, arguments })
}

/// True when containerd answers.
pub(crate) fn answers(node: &Node) -> bool {
    ctr(node, &["version"]).is_ok()
}

/// Loads an image, unless it is there.
pub(crate) fn load(node: &Node, image: &Built) -> anyhow::Result<Loaded> {
    let filter = format!("name=={},target.digest=={}", image.reference.name(), image.digest);
    if !ctr(node, &["images", "list", "--quiet", &filter])?.is_empty() {
        return Ok(Loaded::AlreadyThere);
    }
    let mut import = node.command("ctr");
    run_with_file(import.args(["--namespace", NAMESPACE, "images", "import", "-"]), &image.archive)?;
    Ok(Loaded::Now)
}

/// What [`load`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    AlreadyThere,
    Now,
}

fn ctr(node: &Node, arguments: &[&str]) -> anyhow::Result<String> {
    run(node.command("ctr").args(["--namespace", NAMESPACE]).args(arguments))
}

fn configuration(plugins: &str, pause: &Reference, runc: Option<&str>) -> String {
    let root = inside("containerd");
    let net = inside("conf/net.d");
    let pause = pause.name();
    let rootless = runc.is_some();
    let runtime = runc.map(|runc| format!("BinaryName = \"{runc}\"\n")).unwrap_or_default();
    format!(
        r#"version = 2
root = "{root}"
disabled_plugins = [
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Not every root may lower the OOM score of a process.
restrict_oom_score_adj = true
disable_apparmor = true
disable_cgroup = {rootless}
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{net}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
{runtime}"#
    )
}

/// The user namespace of a cluster without root maps one user and one group, so the group that terminals are
/// usually given to does not exist there: a runc that takes it out of the container's configuration.
fn write_runc_without_tty_group(place: &Place) -> anyhow::Result<String> {
    let script = r#"#!/bin/sh
bundle=
for argument; do
  [ "$bundle" != next ] || { sed -i 's/,"gid=5"//; s/"gid=5",//' "$argument/config.json"; bundle=; }
  [ "$argument" != --bundle ] || bundle=next
done
exec runc "$@"
"#;
    let path = place.path("bin/runc-without-tty-group");
    files::write_script(&path, script)?;
    Ok(inside("bin/runc-without-tty-group"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_keeps_to_the_directory_of_the_cluster() {
        let text = configuration("/usr/lib/cni", &Reference::new("localhost", "pause", "1"), None);
        assert!(text.contains("root = \"/var/lib/sluice-cluster/containerd\"\n"), "{text}");
        assert!(text.contains("conf_dir = \"/var/lib/sluice-cluster/conf/net.d\"\n"), "{text}");
        assert!(text.contains("sandbox_image = \"localhost/pause:1\"\n"), "{text}");
        assert!(text.contains("disable_cgroup = false\n"), "{text}");
        assert!(text.ends_with("SystemdCgroup = false\n"), "{text}");
    }

    #[test]
    fn without_root_there_are_no_cgroups_and_another_runc() {
        let text = configuration("/usr/lib/cni", &Reference::new("localhost", "pause", "1"), Some("/x/runc"));
        assert!(text.contains("disable_cgroup = true\n"), "{text}");
        assert!(text.ends_with("BinaryName = \"/x/runc\"\n"), "{text}");
    }
}
