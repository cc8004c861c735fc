//! An image as one tar file, the same bytes for the same contents.
//!
//! The file is an OCI image layout (`oci-layout`, `index.json`, `blobs/`) with the `manifest.json` of
//! `docker save` beside it, so every tool finds the form that it knows.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path, str::FromStr as _};

use anyhow::Context as _;
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder,
    MediaType, Os, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Reference, Tag};

/// What goes into an image.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// What comes before the name in the image's reference.
    pub(crate) registry: &'static str,
    /// Name of the image and, at the root of its file system, of its program.
    pub(crate) name: String,
    pub(crate) version: &'static str,
    pub(crate) tag: Tag,
    /// Variables that the program finds set.
    pub(crate) environment: &'static [&'static str],
    /// `uid:gid` that the program runs as.
    pub(crate) user: &'static str,
    /// Files by path, without the leading slash: mode and content.
    pub(crate) files: BTreeMap<String, (u32, Vec<u8>)>,
}

/// An image, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) reference: Reference,
    /// Digest of the manifest, by which runtimes know the image.
    pub(crate) digest: String,
    /// Files of the archive by path.
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Lays out layer, configuration, manifest and index.
    pub(crate) fn of(contents: &Contents) -> anyhow::Result<Self> {
        let mut blobs = Blobs::default();
        let layer = blobs.add(MediaType::ImageLayer, layer(&contents.files)?)?;
        let config = blobs.add(MediaType::ImageConfig, json_of(&configuration(contents, &layer)?)?)?;
        let tag = match contents.tag {
            Tag::Content => format!("{}-{}", contents.version, &config.digest().digest()[..12]),
            Tag::Fixed(tag) => tag.to_owned(),
        };
        let reference = Reference::new(contents.registry, &contents.name, &tag);
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.clone())
            .layers(vec![layer.clone()])
            .build()?;
        let mut manifest = blobs.add(MediaType::ImageManifest, json_of(&manifest)?)?;
        let digest = manifest.digest().to_string();
        let annotations = [
            ("io.containerd.image.name", reference.name()),
            ("org.opencontainers.image.ref.name", reference.tag.clone()),
        ];
        manifest.set_annotations(Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![manifest])
            .build()?;
        let docker = json!([{
            "Config": blob_path(&config),
            "RepoTags": [reference.name()],
            "Layers": [blob_path(&layer)],
        }]);
        let mut files = blobs.files;
        files.insert("index.json".to_owned(), json_of(&index)?);
        files.insert("manifest.json".to_owned(), json_of(&docker)?);
        files.insert("oci-layout".to_owned(), json_of(&json!({"imageLayoutVersion": "1.0.0"}))?);
        Ok(Self { reference, digest, files })
    }

    /// Writes the file; another task that reads it meanwhile sees the old one or the new one, whole.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let files = self.files.iter().map(|(name, content)| (name.clone(), (0o644, content.clone())));
        let bytes = layer(&files.collect())?;
        let unfinished = path.with_extension("unfinished");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&bytes)?;
        fs::rename(unfinished, path)?;
        Ok(())
    }
}

/// Blobs of a layout, named by what they hold.
#[derive(Debug, Default)]
struct Blobs {
    files: BTreeMap<String, Vec<u8>>,
}

impl Blobs {
    fn add(&mut self, media_type: MediaType, content: Vec<u8>) -> anyhow::Result<Descriptor> {
        let digest = Sha256Digest::from_str(&hex(&Sha256::digest(&content)))?;
        let descriptor = Descriptor::new(media_type, content.len() as u64, digest);
        self.files.insert(blob_path(&descriptor), content);
        Ok(descriptor)
    }
}

fn blob_path(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest().digest())
}

fn configuration(contents: &Contents, layer: &Descriptor) -> anyhow::Result<impl Serialize + use<>> {
    let labels = [
        ("org.opencontainers.image.title", contents.name.as_str()),
        ("org.opencontainers.image.version", contents.version),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE")),
        ("org.opencontainers.image.source", env!("CARGO_PKG_REPOSITORY")),
    ];
    let config = ConfigBuilder::default()
        .user(contents.user)
        .env(["PATH=/"].iter().chain(contents.environment).map(|it| (*it).to_owned()).collect::<Vec<_>>())
        .entrypoint(vec![format!("/{}", contents.name)])
        .working_dir("/")
        .labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .build()?;
    let root = RootFsBuilder::default().typ("layers").diff_ids(vec![layer.digest().to_string()]).build()?;
    let image = ImageConfigurationBuilder::default()
        .architecture(Arch::default())
        .os(Os::Linux)
        .config(config)
        .rootfs(root)
        .build()?;
    Ok(image)
}

/// A tar file whose entries, directories first where they are needed, have no time and no owner.
fn layer(files: &BTreeMap<String, (u32, Vec<u8>)>) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut directories = Vec::new();
    for (path, (mode, content)) in files {
        let parents = path.match_indices('/').map(|(end, _)| &path[..=end]);
        for parent in parents {
            if !directories.contains(&parent) {
                directories.push(parent);
                tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), parent, &[][..])?;
            }
        }
        let mut header = header(tar::EntryType::Regular, *mode, content.len() as u64);
        tar.append_data(&mut header, path, content.as_slice())?;
    }
    tar.into_inner().context("failed to end the tar file")
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// JSON with sorted keys: the maps of the image types have no order of their own.
fn json_of(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::Value;

    use super::*;

    fn contents(program: &[u8]) -> Contents {
        let files = [("app", (0o755, program.to_vec())), ("etc/ssl/certs/ca.crt", (0o644, b"ca".to_vec()))];
        Contents {
            registry: "localhost",
            name: "app".to_owned(),
            version: "1.2.3",
            tag: Tag::Content,
            environment: &["GREETING=hello"],
            user: "65532:65532",
            files: files.map(|(path, file)| (path.to_owned(), file)).into(),
        }
    }

    fn json_at(archive: &Archive, path: &str) -> Value {
        serde_json::from_slice(&archive.files[path]).unwrap()
    }

    #[test]
    fn equal_contents_give_equal_bytes_and_another_program_another_tag() {
        let first = Archive::of(&contents(b"one")).unwrap();
        let again = Archive::of(&contents(b"one")).unwrap();
        let other = Archive::of(&contents(b"two")).unwrap();
        assert_eq!(first.files, again.files);
        assert_eq!(first.reference, again.reference);
        assert_ne!(first.reference, other.reference);
        assert!(first.reference.name().starts_with("localhost/app:1.2.3-"), "{}", first.reference);
    }

    #[test]
    fn a_fixed_tag_stays_and_the_digest_tells_contents_apart() {
        let of = |program| Archive::of(&Contents { tag: Tag::Fixed("v1"), ..contents(program) }).unwrap();
        assert_eq!(of(b"one").reference.name(), "localhost/app:v1");
        assert_eq!(of(b"two").reference.name(), "localhost/app:v1");
        assert_ne!(of(b"one").digest, of(b"two").digest);
    }

    #[test]
    fn every_blob_is_named_by_its_digest_and_every_link_leads_to_one() {
        let archive = Archive::of(&contents(b"one")).unwrap();
        for (path, content) in archive.files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
            assert_eq!(*path, format!("blobs/sha256/{}", hex(&Sha256::digest(content))));
        }
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
            let path = format!("blobs/sha256/{digest}");
            assert_eq!(descriptor["size"], archive.files[&path].len());
            path
        };
        let manifest = json_at(&archive, &blob(&json_at(&archive, "index.json")["manifests"][0]));
        let layer = blob(&manifest["layers"][0]);
        let config_path = blob(&manifest["config"]);
        let config = json_at(&archive, &config_path);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Env"], json!(["PATH=/", "GREETING=hello"]));
        assert_eq!(config["config"]["Entrypoint"], json!(["/app"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let docker = json_at(&archive, "manifest.json");
        assert_eq!(docker[0]["Config"], config_path);
        assert_eq!(docker[0]["Layers"], json!([layer]));
        assert_eq!(docker[0]["RepoTags"], json!([archive.reference.name()]));
    }

    #[test]
    fn a_layer_has_directories_before_their_files_and_nothing_of_the_machine() {
        let bytes = layer(&contents(b"one").files).unwrap();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            let mode = header.mode().unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            seen.push((entry.path().unwrap().display().to_string(), mode, content));
        }
        let expected = [
            ("app", 0o755, "one"),
            ("etc/", 0o755, ""),
            ("etc/ssl/", 0o755, ""),
            ("etc/ssl/certs/", 0o755, ""),
            ("etc/ssl/certs/ca.crt", 0o644, "ca"),
        ];
        assert_eq!(seen, expected.map(|(path, mode, content)| (path.to_owned(), mode, content.to_owned())));
    }
}
