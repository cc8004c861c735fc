//! What the cluster needs from the distribution: a container runtime, network plugins, nftables.

use std::path::Path;

use anyhow::bail;

use crate::{
    command::{command, find, run},
    terminal::Stage,
};

/// Where distributions put CNI plugins.
const PLUGIN_DIRECTORIES: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
/// The plugins of the node's network.
const PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];
/// A program that must be there, and the Debian package that holds it.
const PROGRAMS: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Makes sure that all packages are there: installs them as root where apt is, and otherwise fails with a
/// message that says what to install.
pub(crate) fn ensure(rootless: bool, stage: &mut Stage) -> anyhow::Result<()> {
    let needed = needed();
    if needed.is_empty() {
        return Ok(());
    }
    let list = needed.join(" ");
    if rootless || find("apt-get").is_none() {
        bail!(
            "these Debian packages, or what your distribution calls them, are not installed: {list}\n\
             on Debian and Ubuntu: sudo apt-get install --no-install-recommends {list}"
        );
    }
    stage.at(format!("installing {list}"));
    run(&mut command("apt-get", ["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let install = install.into_iter().chain(needed.iter().copied());
    run(command("apt-get", install).env("DEBIAN_FRONTEND", "noninteractive"))?;
    let still = self::needed();
    if !still.is_empty() {
        bail!(
            "apt-get has installed {list}, but the programs of {} are not where they should be",
            still.join(" ")
        );
    }
    stage.outcome(format!("installed {list}"));
    Ok(())
}

fn needed() -> Vec<&'static str> {
    missing(&|program| find(program).is_some(), plugin_directory().is_some())
}

/// The directory that holds every plugin of [`PLUGINS`].
pub(crate) fn plugin_directory() -> Option<&'static str> {
    PLUGIN_DIRECTORIES
        .into_iter()
        .find(|directory| PLUGINS.iter().all(|plugin| Path::new(directory).join(plugin).is_file()))
}

/// The packages to install, each once, in the order of the table.
fn missing(installed: &dyn Fn(&str) -> bool, plugins: bool) -> Vec<&'static str> {
    let mut missing: Vec<_> =
        PROGRAMS.into_iter().filter(|(program, _)| !installed(program)).map(|(_, package)| package).collect();
    if !plugins {
        missing.push("containernetworking-plugins");
    }
    missing.dedup();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_machine_needs_every_package_once() {
        assert_eq!(
            missing(&|_| false, false),
            [
                "containerd",
                "runc",
                "nftables",
                "iproute2",
                "mount",
                "util-linux",
                "containernetworking-plugins"
            ]
        );
    }

    #[test]
    fn a_machine_with_everything_needs_nothing() {
        assert!(missing(&|_| true, true).is_empty());
    }

    #[test]
    fn a_package_is_needed_when_one_of_its_programs_is_missing() {
        assert_eq!(missing(&|program| program != "ctr", true), ["containerd"]);
    }
}
