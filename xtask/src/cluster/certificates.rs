//! The cluster's certificate authorities and what they sign.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::{
    files::write,
    place::{API_SERVICE, NODE, NODE_ADDRESS, Place},
};

/// A certificate to sign.
struct Subject {
    /// Name of the two files, `<file>.crt` and `<file>.key`.
    file: &'static str,
    /// User name in Kubernetes.
    common_name: &'static str,
    /// Group in Kubernetes.
    organization: Option<&'static str>,
    /// Names and addresses of a server; none for a client.
    served: &'static [&'static str],
}

const CLUSTER: [Subject; 8] = [
    Subject {
        file: "apiserver",
        common_name: "kube-apiserver",
        organization: None,
        served: &[
            "127.0.0.1",
            NODE_ADDRESS,
            API_SERVICE,
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
    },
    Subject {
        file: "kubelet-server",
        common_name: "system:node:node0",
        organization: Some("system:nodes"),
        served: &[NODE_ADDRESS, NODE],
    },
    client("kubelet", "system:node:node0", Some("system:nodes")),
    client("admin", "admin", Some("system:masters")),
    client("apiserver-kubelet", "apiserver-kubelet", Some("system:masters")),
    client("controller-manager", "system:kube-controller-manager", None),
    client("scheduler", "system:kube-scheduler", None),
    client("kube-proxy", "system:kube-proxy", None),
];

/// Signed by an authority of its own: the API server passes the user of a request on to extension API servers.
const FRONT_PROXY: [Subject; 1] = [client("front-proxy", "front-proxy", None)];

const fn client(
    file: &'static str,
    common_name: &'static str,
    organization: Option<&'static str>,
) -> Subject {
    Subject { file, common_name, organization, served: &[] }
}

/// Where a certificate or key lies, seen from outside the node.
pub(crate) fn path(place: &Place, file: &str) -> PathBuf {
    place.path("pki").join(file)
}

/// Makes all certificates unless they are there.
pub(crate) fn ensure(place: &Place) -> anyhow::Result<()> {
    let directory = place.path("pki");
    if directory.is_dir() {
        return Ok(());
    }
    let unfinished = place.path("pki.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("failed to create {}", unfinished.display()))?;
    sign_all(&unfinished, "ca", &CLUSTER)?;
    sign_all(&unfinished, "front-proxy-ca", &FRONT_PROXY)?;
    let accounts = KeyPair::generate().context("failed to make the key of service accounts")?;
    write(&unfinished.join("service-account.key"), &accounts.serialize_pem())?;
    write(&unfinished.join("service-account.pub"), &accounts.public_key_pem())?;
    fs::rename(&unfinished, &directory).with_context(|| format!("failed to create {}", directory.display()))
}

/// Makes an authority and signs every subject with it. Nothing expires within the life of a test cluster, so
/// the clock is not asked.
fn sign_all(directory: &Path, authority: &str, subjects: &[Subject]) -> anyhow::Result<()> {
    let key = KeyPair::generate().context("failed to make the key of an authority")?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name(authority, None);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let certificate = parameters.self_signed(&key).context("failed to sign an authority")?;
    write(&directory.join(format!("{authority}.crt")), &certificate.pem())?;
    write(&directory.join(format!("{authority}.key")), &key.serialize_pem())?;
    let issuer = Issuer::new(parameters, key);
    for subject in subjects {
        let (certificate, key) =
            sign(subject, &issuer).with_context(|| format!("failed to sign {}", subject.file))?;
        write(&directory.join(format!("{}.crt", subject.file)), &certificate)?;
        write(&directory.join(format!("{}.key", subject.file)), &key)?;
    }
    Ok(())
}

fn sign(subject: &Subject, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let served: Vec<_> = subject.served.iter().map(|&name| name.to_owned()).collect();
    let purpose = if served.is_empty() {
        ExtendedKeyUsagePurpose::ClientAuth
    } else {
        ExtendedKeyUsagePurpose::ServerAuth
    };
    let mut parameters = CertificateParams::new(served)?;
    parameters.distinguished_name = name(subject.common_name, subject.organization);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![purpose];
    Ok((parameters.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}
