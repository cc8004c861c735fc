//! Requests that are signed for Amazon's services (AWS Signature Version 4).
//!
//! Credentials are found where Amazon's own clients find them: in the environment, in the shared files, by the web
//! identity of a service account (IRSA), at the endpoint of EKS Pod Identity and ECS, or from the instance's metadata.
//! They are kept until they are about to run out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqsign_aws_v4::{AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, Env, Error, FileRead, HttpSend, OsEnv, Signer, hash::hex_sha256};

use super::client::{Http, Request};

/// How long one question about credentials may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The header with the digest of the body, which is signed with the rest.
const DIGEST: &str = "x-amz-content-sha256";

/// Under which name the operator assumes a role: it shows in the account's audit log.
const SESSION: &str = "sluice-operator";

/// For which region, and in whose name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    /// `None`: the region of the environment.
    pub region: Option<String>,
    /// The profile of the shared files; `None`: the default one.
    pub profile: Option<String>,
    /// The ARN of a role to assume with these credentials.
    pub role: Option<String>,
}

/// Signs requests. Clones share what they know.
#[derive(Clone, Debug)]
pub(in crate::analysis) struct Amazon {
    context: Context,
    signers: Arc<Mutex<Signers>>,
}

/// By service and account.
type Signers = BTreeMap<(&'static str, Account), Signer<Credential>>;

impl Amazon {
    /// With the environment of the process.
    pub(super) fn new(http: Http) -> Self {
        Self::with(http, OsEnv)
    }

    /// With another environment, and another way to ask for credentials.
    pub(super) fn with(send: impl HttpSend, environment: impl Env) -> Self {
        let context = Context::new().with_file_read(Files).with_http_send(send).with_env(environment);
        Self { context, signers: Arc::default() }
    }

    /// The region, or a sentence about its absence.
    pub(super) fn region(&self, account: &Account) -> Result<String, String> {
        let said = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(|it| self.variable(it));
        account.region.clone().into_iter().chain(said).next().ok_or_else(|| {
            "no region of Amazon is known: set AWS_REGION in the environment of the operator".to_owned()
        })
    }

    /// A variable of the environment that is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.context.env_var(name).filter(|it| !it.is_empty())
    }

    /// Signs a request for `service`. Nothing that is signed may be changed afterwards.
    pub(super) async fn sign(
        &self,
        service: &'static str,
        account: &Account,
        request: &mut Request,
    ) -> Result<(), String> {
        let signer = self.signer(service, account)?;
        let failed = |why: &dyn std::fmt::Display| format!("failed to sign the request for Amazon: {why}");
        request.headers.push((DIGEST.to_owned(), hex_sha256(&request.body)));
        let mut builder = http::Request::builder().method(&request.method).uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name.trim(), value.trim());
        }
        let (mut parts, ()) = builder.body(()).map_err(|why| failed(&why))?.into_parts();
        signer.sign(&mut parts, None).await.map_err(|why| failed(&told(&why)))?;
        let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned);
        request.headers = parts
            .headers
            .iter()
            .map(|(name, value)| Ok((name.as_str().to_owned(), text(value)?)))
            .collect::<Result<_, http::header::ToStrError>>()
            .map_err(|why| failed(&why))?;
        Ok(())
    }

    fn signer(&self, service: &'static str, account: &Account) -> Result<Signer<Credential>, String> {
        let region = self.region(account)?;
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let signer = signers.entry((service, account.clone())).or_insert_with(|| {
            let own = credentials(account);
            let signer = |service: &str| RequestSigner::new(service, &region);
            let Some(role) = account.role.clone() else {
                return Signer::new(self.context.clone(), own, signer(service));
            };
            let asking = Signer::new(self.context.clone(), own, signer("sts"));
            let assumed = AssumeRoleCredentialProvider::new(role, asking)
                .with_role_session_name(SESSION.to_owned())
                .with_region(region.clone())
                .with_regional_sts_endpoint();
            Signer::new(self.context.clone(), assumed, signer(service))
        });
        Ok(signer.clone())
    }
}

fn credentials(account: &Account) -> DefaultCredentialProvider {
    // A program of the user's that prints credentials is not in our image.
    let builder = DefaultCredentialProvider::builder().no_process();
    match &account.profile {
        Some(profile) => builder.with_profile(profile).build(),
        None => builder.build(),
    }
}

/// An error of the signer with what lies behind it.
fn told(error: &Error) -> String {
    let context = error.context();
    if context.is_empty() { error.to_string() } else { format!("{error} ({})", context.join("; ")) }
}

/// Reads the shared files and tokens.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let read = tokio::fs::read(path).await;
        read.map_err(|why| Error::unexpected(format!("failed to read {path}")).with_source(why))
    }
}

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let texts = parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let request = Request {
            method: parts.method,
            url: parts.uri.to_string(),
            headers: texts.collect(),
            body: body.to_vec(),
            insecure: false,
            timeout: TIMEOUT,
        };
        let answer = self.send(request).await;
        let answer = answer.map_err(|why| Error::unexpected(why.to_string()))?;
        let response = http::Response::builder().status(answer.status).body(answer.body);
        response.map_err(|why| Error::unexpected(why.to_string()))
    }
}
