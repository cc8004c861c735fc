//! The folders of `examples/` without a Rollout: applied as their READMEs say, and asked.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use integration_tests::{
    ask::{Answer, Question, ask},
    cluster::Cluster,
};

const LIMIT: Duration = Duration::from_secs(90);
const SYSTEM: &str = "sluice-system";

/// A question, and what its answer must be.
struct Row {
    /// Over TLS, and the certificate must be right.
    tls: bool,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    status: u16,
    /// In the body, or the beginning of the location.
    text: &'static str,
}

const fn get(host: &'static str, path: &'static str, status: u16, text: &'static str) -> Row {
    Row { tls: false, method: "GET", host, path, status, text }
}

/// What each folder answers. `NAMESPACE` is the one that it is applied in.
const ASKED: [(&str, &[Row]); 3] = [
    (
        "cafe",
        &[
            Row { tls: true, ..get("cafe.example.com", "/coffee", 200, "coffee from ") },
            Row { tls: true, ..get("cafe.example.com", "/tea/green", 200, "tea from ") },
            Row { tls: true, ..get("cafe.example.com", "/milk", 404, "no route") },
            get("cafe.example.com", "/tea", 308, "https://cafe.example.com/tea"),
        ],
    ),
    (
        "service-annotations",
        &[
            Row {
                method: "POST",
                ..get("any.example.com", "/models/test/", 200, " for /model/test/:predict")
            },
            get("any.example.com", "/models/test/", 404, "no route"),
            get("any.example.com", "/httpbin/get", 200, "model from "),
        ],
    ),
    ("mapping-weights", &[get("any.example.com", "/it-someapp/x", 200, " from ")]),
];

/// The YAML of a folder, where it must not meet other tests or the world outside: other prefixes, and a Service of the
/// folder in the place of httpbin.org.
fn yaml(folder: &str, namespace: &str) -> anyhow::Result<String> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples", folder].iter().collect();
    let mut files: Vec<_> = fs::read_dir(&path)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    ensure!(path.join("README.md").is_file(), "{folder} has no README.md");
    let mut texts = Vec::new();
    for file in files.iter().filter(|file| file.path().extension().is_some_and(|it| it == "yaml")) {
        texts.push(fs::read_to_string(file.path())?);
    }
    let text = texts.join("\n---\n");
    Ok(text
        .replace("prefix: /someapp", "prefix: /it-someapp")
        .replace("httpbin.org:80", &format!("test.{namespace}:8000"))
        .replace("test.kubeflow", &format!("test.{namespace}")))
}

/// A certificate for a name that signs itself, and the Secret with it.
fn certificate(name: &str, secret: &str) -> anyhow::Result<(String, String)> {
    let issued = rcgen::generate_simple_self_signed([name.to_owned()]).context("failed to sign")?;
    let (chain, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let indented = |pem: &str| pem.lines().flat_map(|line| ["    ", line, "\n"]).collect::<String>();
    let yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {secret}}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n{}  tls.key: |\n{}",
        indented(&chain),
        indented(&key)
    );
    Ok((chain, yaml))
}

async fn play(folder: &str, rows: &[Row]) -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace(&format!("it-example-{folder}")).await?;
    let system = cluster.elsewhere(SYSTEM);
    let (authority, secret) = certificate("cafe.example.com", "cafe-secret")?;
    cluster.apply(&secret).await?;
    cluster.apply(&yaml(folder, cluster.name())?).await?;
    for row in rows {
        let Row { tls, method, host, path, status, text } = *row;
        let question =
            Question { authority: tls.then_some(&authority), method, host, path, authorization: None };
        let right = |answer: &Answer| {
            answer.status == status && (answer.body.contains(text) || answer.location.starts_with(text))
        };
        // Pods take a moment to start, and an answer may come before that: a refusal, for example.
        let answered = || async {
            let answer = ask(&system, question).await;
            Ok(answer.is_ok_and(|answer| right(&answer)).then_some(()))
        };
        cluster
            .until(
                &format!("{folder}: {method} {host}{path} is answered with {status} {text:?}"),
                LIMIT,
                answered,
            )
            .await?;
    }
    if folder == "mapping-weights" {
        let mut new = 0;
        for _ in 0..100 {
            let question = Question {
                authority: None,
                method: "GET",
                host: "any",
                path: "/it-someapp",
                authorization: None,
            };
            new += u32::from(ask(&system, question).await?.body.starts_with("v2 "));
        }
        ensure!((29..=31).contains(&new), "{new} of 100 requests went to the canary");
    }
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn every_example_without_a_rollout_answers_as_it_says() -> anyhow::Result<()> {
    for (folder, rows) in ASKED {
        play(folder, rows).await.with_context(|| format!("examples/{folder}"))?;
    }
    Ok(())
}

#[test]
fn every_folder_is_played_here_or_has_a_rollout() -> anyhow::Result<()> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples"].iter().collect();
    let mut others = BTreeSet::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str()).context("a folder has no name")?;
            // Those with a Gateway are in `gateways.rs`: their proxies are others.
            let text = yaml(name, "any")?;
            if !text.contains("kind: Rollout") && !text.contains("kind: Gateway\n") {
                others.insert(name.to_owned());
            }
        }
    }
    assert_eq!(others, ASKED.iter().map(|(folder, _)| (*folder).to_owned()).collect());
    Ok(())
}
