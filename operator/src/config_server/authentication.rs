//! Who is at the other end of a stream.

use std::{collections::BTreeMap, future::Future};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::{Api, Client, api::PostParams};
use operator_routes::ObjectName;
use tonic::{Status, metadata::MetadataMap};

/// Where the kubelet's tokens say which pod they are bound to.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Tells who a token belongs to.
pub trait Authenticate: Send + Sync + 'static {
    /// Who presents `token`, which must be made for `audience`.
    fn authenticate(
        &self,
        token: &str,
        audience: &str,
    ) -> impl Future<Output = Result<Caller, Rejection>> + Send;
}

/// The owner of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its `ServiceAccount`.
    pub service_account: ObjectName,
    /// The pod that the token is bound to: its uid and name.
    pub pod: Option<(String, String)>,
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is not valid, or not for this audience.
    #[error("the token is not accepted: {0}")]
    Refused(String),
    /// The API server could not be asked.
    #[error("failed to ask the API server about the token")]
    Unavailable(#[source] kube::Error),
}

/// Asks the API server.
#[derive(Clone)]
pub struct TokenReviews {
    reviews: Api<TokenReview>,
}

impl TokenReviews {
    /// Asks the API server behind `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { reviews: Api::all(client) }
    }
}

impl std::fmt::Debug for TokenReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenReviews")
    }
}

impl Authenticate for TokenReviews {
    async fn authenticate(&self, token: &str, audience: &str) -> Result<Caller, Rejection> {
        let spec =
            TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![audience.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer =
            self.reviews.create(&PostParams::default(), &review).await.map_err(Rejection::Unavailable)?;
        let status = answer.status.unwrap_or_default();
        let refused = |reason: &str| Rejection::Refused(reason.to_owned());
        if status.authenticated != Some(true) {
            return Err(refused(status.error.as_deref().unwrap_or("it is not valid")));
        }
        // An API server that knows no audiences answers without them: then the token may be meant for anybody.
        if !status.audiences.unwrap_or_default().iter().any(|it| it == audience) {
            return Err(refused("it is meant for another audience"));
        }
        caller(status.user.unwrap_or_default()).ok_or_else(|| refused("it belongs to no ServiceAccount"))
    }
}

fn caller(user: UserInfo) -> Option<Caller> {
    let username = user.username?;
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let extra: BTreeMap<String, Vec<String>> = user.extra.unwrap_or_default();
    let first = |key: &str| extra.get(key).and_then(|values| values.first()).cloned();
    let pod = first(POD_UID).map(|uid| (uid, first(POD_NAME).unwrap_or_default()));
    Some(Caller { service_account: ObjectName::new(namespace, name), pod })
}

/// Who presents the bearer token of a request, which must be made for `audience`.
pub(super) async fn authenticate<A: Authenticate>(
    authenticator: &A,
    metadata: &MetadataMap,
    audience: &str,
) -> Result<Caller, Status> {
    let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|header| header.strip_prefix("Bearer "))
        .ok_or_else(|| Status::unauthenticated("no bearer token in metadata `authorization`"))?;
    authenticator.authenticate(token, audience).await.map_err(|rejection| match rejection {
        Rejection::Refused(_) => Status::unauthenticated(rejection.to_string()),
        Rejection::Unavailable(_) => Status::unavailable(rejection.to_string()),
    })
}

/// Lets a request pass whose bearer token is for `audience` and belongs to `expected`.
pub(super) async fn admit<A: Authenticate>(
    authenticator: &A,
    metadata: &MetadataMap,
    audience: &str,
    expected: &ObjectName,
) -> Result<Caller, Status> {
    let caller = authenticate(authenticator, metadata, audience).await?;
    if caller.service_account != *expected {
        let found = &caller.service_account;
        let text = format!("ServiceAccount `{found}` is not accepted here, `{expected}` is");
        return Err(Status::permission_denied(text));
    }
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_token_names_its_pod() {
        let user = UserInfo {
            username: Some("system:serviceaccount:sluice:sluice-proxy".to_owned()),
            extra: Some(BTreeMap::from([
                (POD_UID.to_owned(), vec!["uid-1".to_owned()]),
                (POD_NAME.to_owned(), vec!["proxy-1".to_owned()]),
            ])),
            ..UserInfo::default()
        };
        let caller = caller(user).unwrap();
        assert_eq!(caller.service_account, ObjectName::new("sluice", "sluice-proxy"));
        assert_eq!(caller.pod, Some(("uid-1".to_owned(), "proxy-1".to_owned())));
    }

    #[test]
    fn a_person_is_no_service_account() {
        let user = UserInfo { username: Some("kubernetes-admin".to_owned()), ..UserInfo::default() };
        assert_eq!(caller(user), None);
    }
}
