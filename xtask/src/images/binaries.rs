//! Static binaries, built by cargo for this machine's architecture.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Image;
use crate::{
    command::{command, run},
    settings::workspace,
};

/// How binaries are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Optimised, as they are shipped.
    Release,
    /// Not optimised.
    Dev,
}

/// Builds the program of each image and says where it lies.
pub(crate) fn build(images: &[Image], profile: Profile) -> anyhow::Result<BTreeMap<Image, PathBuf>> {
    let names: Vec<_> = images.iter().map(|it| it.name()).collect();
    let built = compile(&[], &names, profile)?;
    images.iter().map(|&image| anyhow::Ok((image, found(&built, image.package(), image.name())?))).collect()
}

/// Builds the program of an image, and one of no image that is the program of a package of the same name.
pub(crate) fn build_with(image: Image, other: &str, profile: Profile) -> anyhow::Result<(PathBuf, PathBuf)> {
    let built = compile(&[other], &[image.name(), other], profile)?;
    Ok((found(&built, image.package(), image.name())?, found(&built, other, other)?))
}

/// Builds programs of these packages and of those of all images.
fn compile(
    packages: &[&str],
    programs: &[&str],
    profile: Profile,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let target = host_target()?;
    let mut cargo = cargo();
    // The target is named though it is the machine's own: without it the flag would reach procedural macros,
    // which cannot be static.
    cargo.args(["build", "--message-format=json-render-diagnostics", "--target", &target]);
    // All packages, whichever are built: the features of what they share depend on who is named here, and
    // another set of features is another build of everything below.
    for package in Image::ALL.iter().map(|it| it.package()).chain(packages.iter().copied()) {
        cargo.args(["--package", package]);
    }
    for program in programs {
        cargo.args(["--bin", program]);
    }
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    let output =
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to build static binaries");
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

fn found(built: &BTreeMap<String, PathBuf>, package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let built = built.get(program).cloned();
    built.with_context(|| format!("package `{package}` has no binary `{program}`"))
}

fn cargo() -> Command {
    // Set by the cargo that runs this task, so that the toolchain is the same.
    let own = std::env::var_os("CARGO").map(PathBuf::from).filter(|cargo| cargo.is_file());
    let mut cargo = own.map_or_else(|| command("cargo", [""; 0]), Command::new);
    cargo.current_dir(workspace());
    cargo
}

/// The executables that cargo reports as built, by name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path))).collect()
}

fn host_target() -> anyhow::Result<String> {
    let shown = run(command("rustc", ["-vV"]).current_dir(Path::new(workspace())))?;
    let host = shown.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which machine it runs on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"proxy"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":"/t/release/sluice-proxy"}"#,
        );
        let expected =
            BTreeMap::from([("sluice-proxy".to_owned(), PathBuf::from("/t/release/sluice-proxy"))]);
        assert_eq!(executables(messages), expected);
    }
}
