//! Clusters that somebody else made, named by `--context`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};

use super::{files, handle::Cluster};
use crate::{
    command::{command, find, run},
    images::Built,
    settings::{Settings, workspace},
};

/// Takes the context out of the user's kubeconfig and makes sure that its cluster answers.
pub(super) fn connect(settings: &Settings, context: &str) -> anyhow::Result<Cluster> {
    let directory = workspace().join("target/contexts");
    fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    let kubeconfig: PathBuf = directory.join(context.replace('/', "_"));
    let cluster = Cluster::existing(settings, context, kubeconfig.clone())?;
    let mut view = cluster.kubectl_command();
    // The user's own files, not the one that is about to be written.
    match &settings.kubeconfig {
        Some(files) => view.env("KUBECONFIG", files),
        None => view.env_remove("KUBECONFIG"),
    };
    let flags = ["config", "view", "--minify", "--flatten", "--raw", "--context", context];
    let text = run(view.args(flags))
        .with_context(|| format!("your kubeconfig has no usable context `{context}`"))?;
    files::write(&kubeconfig, &text)?;
    run(cluster.kubectl_command().args(["config", "use-context", context]))?;
    cluster
        .kubectl(&["get", "--raw=/readyz", "--request-timeout=10s"])
        .with_context(|| format!("the cluster of context `{context}` does not answer"))?;
    Ok(cluster)
}

/// Loads an image with the tool that made the cluster.
pub(super) fn load_image(context: &str, image: &Built) -> anyhow::Result<()> {
    let archive = image.archive.display().to_string();
    let (tool, arguments) = match context.split_once('-') {
        Some(("kind", name)) => ("kind", vec!["load", "image-archive", &archive, "--name", name]),
        Some(("k3d", name)) => ("k3d", vec!["image", "import", &archive, "--cluster", name]),
        _ => bail!(
            "the nodes of context `{context}` have to get the image {} from somewhere: load {archive} into them or \
             push it to their registry",
            image.reference
        ),
    };
    if find(tool).is_none() {
        bail!(
            "context `{context}` looks like a cluster of {tool}, but {tool} is not installed: load {archive} yourself"
        );
    }
    run(&mut command(tool, arguments)).map(drop)
}
