//! The images that the suite's manifests name, made here: nothing is pulled.

use crate::{
    cluster::Cluster,
    go::Programs,
    images::{self, Published},
    terminal::stage,
};

const ECHO: &str = "registry.k8s.io/gateway-api";
/// The manifests of one release name three.
const IMAGES: [Published; 4] = [
    Published { registry: ECHO, name: "echo-basic", tag: "v1.5.1", user: images::USER },
    Published { registry: ECHO, name: "echo-basic", tag: "v1.6.0-dev.2", user: images::USER },
    Published { registry: ECHO, name: "echo-basic", tag: "v1.6.0-dev.3", user: images::USER },
    // It binds port 53.
    Published { registry: "registry.k8s.io/coredns", name: "coredns", tag: "v1.12.2", user: images::ROOT },
];

/// Loads all of them; those that are there cost nothing.
pub(crate) fn load(cluster: &Cluster, programs: &Programs) -> anyhow::Result<()> {
    stage("backends", |stage| {
        for image in &IMAGES {
            stage.at(format!("loading {}:{}", image.name, image.tag));
            let built = images::write_program_as(image, &programs.path(image.name), programs.directory())?;
            cluster.load_image(&built)?;
        }
        Ok(())
    })
}
