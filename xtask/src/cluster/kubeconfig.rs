//! Credentials files: one for each program of the node, and the administrator's for everybody else.

use std::fs;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    certificates, files,
    place::{NAME, NODE_ADDRESS, Place},
};

/// Users of the node's programs; each has a certificate and gets `conf/<user>.kubeconfig`.
const USERS: [&str; 4] = ["kubelet", "controller-manager", "scheduler", "kube-proxy"];

/// Writes all credentials files.
pub(crate) fn write_all(place: &Place) -> anyhow::Result<()> {
    for user in USERS {
        files::write(&place.path(&format!("conf/{user}.kubeconfig")), &render(place, user)?)?;
    }
    files::write(&place.kubeconfig(), &render(place, "admin")?)
}

/// A credentials file that stands alone: certificates and key are inside.
fn render(place: &Place, user: &str) -> anyhow::Result<String> {
    let encoded = |file: &str| {
        let path = certificates::path(place, file);
        let content = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        anyhow::Ok(STANDARD.encode(content))
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": user}}],
        "clusters": [{"name": NAME, "cluster": {
            "server": format!("https://{NODE_ADDRESS}:6443"),
            "certificate-authority-data": encoded("ca.crt")?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": encoded(&format!("{user}.crt"))?,
            "client-key-data": encoded(&format!("{user}.key"))?,
        }}],
    });
    serde_saphyr::to_string(&config).context("failed to write a kubeconfig")
}
