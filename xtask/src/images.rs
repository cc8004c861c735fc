//! `cargo xtask images`: images from static binaries, without Docker and without pulling anything.

mod archive;
mod binaries;
mod libraries;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::{
    cluster::{self, Cluster},
    settings::{Settings, workspace},
    terminal::{self, stage},
};
pub(crate) use archive::{Archive, Contents, hex};
pub(crate) use binaries::Profile;

/// The registry of images that are made here: no kubelet pulls from it.
pub(crate) const LOCAL: &str = "localhost";
/// The user that Sluice's programs run as in their containers: `nonroot`, as distroless images call it.
pub(crate) const USER: &str = "65532:65532";
/// The user of programs that the node's own pods need.
pub(crate) const ROOT: &str = "0:0";

/// Options of `cargo xtask images`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The images to build; all if none is named.
    images: Vec<Image>,

    /// Build without optimisation: quicker to build, slower to run.
    #[arg(long)]
    dev: bool,

    /// Only write the files, do not load them into a cluster.
    #[arg(long)]
    no_load: bool,
}

/// The images of this workspace: each holds one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Image {
    /// `sluice-operator`
    Operator,
    /// `sluice-proxy`
    Proxy,
    /// `sluice-demo`, the application that demo and tests roll out, and their load.
    Demo,
}

impl Image {
    /// Every image.
    pub(crate) const ALL: [Self; 3] = [Self::Operator, Self::Proxy, Self::Demo];

    /// Name of the image and of the program in it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "sluice-operator",
            Self::Proxy => "sluice-proxy",
            Self::Demo => "sluice-demo",
        }
    }

    /// What is made of the program: mostly one image, of the demo one for each version that is rolled out.
    fn variants(self) -> &'static [Variant] {
        match self {
            Self::Operator | Self::Proxy => &[Variant { tag: Tag::Content, environment: &[] }],
            Self::Demo => &[
                Variant { tag: Tag::Fixed("v1"), environment: &["DEMO_VERSION=v1"] },
                Variant { tag: Tag::Fixed("v2"), environment: &["DEMO_VERSION=v2"] },
                Variant { tag: Tag::Fixed("bad"), environment: &["DEMO_VERSION=bad", "DEMO_FAILURES=33"] },
            ],
        }
    }

    /// The package that has the program.
    fn package(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Proxy => "proxy",
            Self::Demo => "integration-tests",
        }
    }
}

/// One image of a program.
#[derive(Clone, Copy, Debug)]
struct Variant {
    tag: Tag,
    /// Variables that the program finds set.
    environment: &'static [&'static str],
}

/// How the tag of an image is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The version and the digest of the content: another build is another reference, so pods restart, and a node
    /// never runs an old image under a new name.
    Content,
    /// A word that examples can name.
    Fixed(&'static str),
}

/// Name and tag of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) repository: String,
    pub(crate) tag: String,
}

impl Reference {
    /// A reference to what a registry has, or a path in it, under a name.
    pub(crate) fn new(registry: &str, name: &str, tag: &str) -> Self {
        Self { repository: format!("{registry}/{name}"), tag: tag.to_owned() }
    }

    /// The whole reference.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

/// An image that others publish, or could, and that is made here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    /// With the path before the name.
    pub(crate) registry: &'static str,
    /// Name of the image and of the program in it.
    pub(crate) name: &'static str,
    pub(crate) tag: &'static str,
    /// `uid:gid` that the program runs as.
    pub(crate) user: &'static str,
}

/// An image on disk.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) reference: Reference,
    /// Digest of the manifest.
    pub(crate) digest: String,
    /// A file that `docker load`, `ctr images import` and `skopeo` (`oci-archive:`, `docker-archive:`) accept.
    pub(crate) archive: PathBuf,
}

/// Runs `cargo xtask images`: prints one reference a line.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let profile = if arguments.dev { Profile::Dev } else { Profile::Release };
    let images = if arguments.images.is_empty() { &Image::ALL[..] } else { &arguments.images };
    let built = build(images, profile)?;
    if !arguments.no_load {
        load(&cluster::running(settings)?, &built)?;
    }
    for (_, image) in &built {
        terminal::result(&image.reference);
    }
    Ok(())
}

/// Builds the program of an image and says where it lies.
pub(crate) fn program(image: Image, profile: Profile) -> anyhow::Result<PathBuf> {
    let binaries = stage("binaries", |stage| {
        stage.at("building a static binary");
        binaries::build(&[image], profile)
    })?;
    binaries.into_values().next().context("cargo does not say where the program lies")
}

/// The same, with a program of no image, named as its package is.
pub(crate) fn program_with(
    image: Image,
    other: &str,
    profile: Profile,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    stage("binaries", |stage| {
        stage.at("building static binaries");
        binaries::build_with(image, other, profile)
    })
}

/// Builds images into `target/images`; cargo rebuilds only what has changed.
pub(crate) fn build(images: &[Image], profile: Profile) -> anyhow::Result<Vec<(Image, Built)>> {
    let binaries = stage("binaries", |stage| {
        stage.at("building static binaries");
        binaries::build(images, profile)
    })?;
    let directory = workspace().join("target/images");
    stage("images", |stage| {
        fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
        let mut built = Vec::new();
        for (image, binary) in binaries {
            let mut contents = contents(image.name(), &binary)?;
            add_authorities(&mut contents)?;
            for variant in image.variants() {
                let contents =
                    Contents { tag: variant.tag, environment: variant.environment, ..contents.clone() };
                built.push((image, write(&contents, &directory)?));
            }
        }
        stage.outcome(format!("in {}", directory.display()));
        Ok(built)
    })
}

/// Loads images into a cluster; those that it has already cost nothing.
pub(crate) fn load(cluster: &Cluster, images: &[(Image, Built)]) -> anyhow::Result<()> {
    stage("load", |stage| {
        let mut loaded = Vec::new();
        for (_, built) in images {
            stage.at(format!("loading {}", built.reference));
            if cluster.load_image(built)? {
                loaded.push(built.reference.name());
            }
        }
        if loaded.is_empty() {
            stage.outcome("all are there");
        } else {
            stage.outcome(format!("loaded {}", loaded.join(", ")));
        }
        Ok(())
    })
}

/// Writes an image with one static program, for the cluster's own needs.
pub(crate) fn write_program(name: &str, program: &Path, directory: &Path) -> anyhow::Result<Built> {
    let mut contents = contents(name, program)?;
    contents.user = ROOT;
    write(&contents, directory)
}

/// Writes an image with one static program under the name of one that is published elsewhere, for manifests that name
/// that one.
pub(crate) fn write_program_as(
    reference: &Published,
    program: &Path,
    directory: &Path,
) -> anyhow::Result<Built> {
    let &Published { registry, name, tag, user } = reference;
    let contents = Contents { registry, tag: Tag::Fixed(tag), user, ..contents(name, program)? };
    write(&contents, directory)
}

/// The same for a program that needs shared libraries: they lie in the image where this machine has them.
pub(crate) fn write_linked_program_as(
    reference: &Published,
    program: &Path,
    directory: &Path,
) -> anyhow::Result<Built> {
    let &Published { registry, name, tag, user } = reference;
    let mut contents = Contents { registry, tag: Tag::Fixed(tag), user, ..contents(name, program)? };
    for library in libraries::of(program)? {
        let inside = library.to_string_lossy().trim_start_matches('/').to_owned();
        contents.files.insert(inside, (0o755, read(&library)?));
    }
    write(&contents, directory)
}

fn write(contents: &Contents, directory: &Path) -> anyhow::Result<Built> {
    let archive = Archive::of(contents).with_context(|| format!("failed to make image {}", contents.name))?;
    let path = directory.join(match contents.tag {
        Tag::Content => format!("{}.tar", contents.name),
        Tag::Fixed(tag) => format!("{}-{tag}.tar", contents.name),
    });
    archive.write(&path).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(Built { reference: archive.reference, digest: archive.digest, archive: path })
}

fn contents(name: &str, program: &Path) -> anyhow::Result<Contents> {
    let files = BTreeMap::from([(name.to_owned(), (0o755, read(program)?))]);
    Ok(Contents {
        registry: LOCAL,
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        tag: Tag::Content,
        environment: &[],
        user: USER,
        files,
    })
}

/// Adds the machine's certificate authorities, if it has any: for whoever asks a metrics provider over TLS.
fn add_authorities(contents: &mut Contents) -> anyhow::Result<()> {
    let authorities = "etc/ssl/certs/ca-certificates.crt";
    let path = Path::new("/").join(authorities);
    if path.is_file() {
        contents.files.insert(authorities.to_owned(), (0o644, read(&path)?));
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}
