//! What the other tasks use of a cluster.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{
    containerd::{self, Loaded},
    existing,
    node::Node,
    place::Place,
    programs,
};
use crate::{
    command::{find, run, run_with_input},
    images::Built,
    settings::{self, Settings},
    terminal::stage,
};

/// A cluster that answers, or is about to.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    kind: Kind,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The node on this machine; without root, programs have to enter its network to reach it.
    Local { node: Node, rootless: bool },
    /// One that somebody else made, by the name of its context.
    Existing { context: String },
}

impl Cluster {
    /// The cluster on this machine.
    pub(super) fn local(settings: &Settings, place: &Place, node: Node) -> anyhow::Result<Self> {
        Ok(Self {
            kind: Kind::Local { node, rootless: place.rootless },
            kubeconfig: place.kubeconfig(),
            kubectl: place.path("bin/kubectl"),
            helm: programs::cached(settings)?.path("helm"),
        })
    }

    /// A cluster that somebody else made: the kubeconfig has its context and nothing else. kubectl and helm are
    /// the user's, or built if there are none.
    pub(super) fn existing(settings: &Settings, context: &str, kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let (kubectl, helm) = match (find("kubectl"), find("helm")) {
            (Some(kubectl), Some(helm)) => (kubectl, helm),
            (kubectl, helm) => {
                let programs = stage("programs", |stage| programs::ensure(settings, stage))?;
                (
                    kubectl.map_or_else(|| programs::kubectl(&programs), Ok)?,
                    helm.unwrap_or_else(|| programs.path("helm")),
                )
            }
        };
        Ok(Self { kind: Kind::Existing { context: context.to_owned() }, kubeconfig, kubectl, helm })
    }

    /// A file with the administrator's credentials; its current context is this cluster.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl and returns what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(self.kubectl_command().args(arguments))
    }

    /// Runs kubectl with `input` on standard input, for `apply -f -`.
    pub(crate) fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        run_with_input(self.kubectl_command().args(arguments), input.as_bytes())
    }

    /// Runs helm and returns what it printed.
    pub(crate) fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(self.helm_command().args(arguments))
    }

    /// kubectl without arguments, for those who start it themselves.
    pub(crate) fn kubectl_command(&self) -> Command {
        self.reaching(&self.kubectl)
    }

    /// helm without arguments, for those who start it themselves.
    pub(crate) fn helm_command(&self) -> Command {
        self.reaching(&self.helm)
    }

    /// Any program of this machine, in a network from which the cluster can be reached and with `KUBECONFIG` set:
    /// pods, Services, load balancers and the API server have the same addresses for it as for this task. It finds
    /// this cluster's kubectl and helm in `PATH`, and the plugin as it was built last.
    pub(crate) fn reaching(&self, program: &Path) -> Command {
        let mut command = match &self.kind {
            Kind::Local { node, rootless: true } => node.networked(program),
            Kind::Local { .. } | Kind::Existing { .. } => Command::new(program),
        };
        let folder = |program: &Path| program.parent().map(Path::to_owned);
        let own = [folder(&self.kubectl), folder(&self.helm), Some(settings::programs())];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = own.into_iter().flatten().chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Loads an image; false if it was there.
    pub(crate) fn load_image(&self, image: &Built) -> anyhow::Result<bool> {
        match &self.kind {
            Kind::Local { node, .. } => Ok(containerd::load(node, image)? == Loaded::Now),
            Kind::Existing { context } => existing::load_image(context, image).map(|()| true),
        }
    }

    /// Becomes kubectl: this process ends as it ends.
    pub(super) fn become_kubectl(&self, arguments: &[OsString]) -> anyhow::Result<()> {
        replace(self.kubectl_command(), arguments).map(|never| match never {})
    }

    /// Becomes helm.
    pub(super) fn become_helm(&self, arguments: &[OsString]) -> anyhow::Result<()> {
        replace(self.helm_command(), arguments).map(|never| match never {})
    }
}

fn replace(mut command: Command, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<Infallible> {
    let error = command.args(arguments).exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Err(error).with_context(|| format!("failed to start {program}"))
}
