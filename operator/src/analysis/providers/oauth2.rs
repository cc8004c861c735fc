//! A token for the credentials of a client (RFC 6749 §4.4), fetched for each measurement: nothing is stored.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::client::{Http, Request};

/// `authentication.oauth2` of a provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OAuth2 {
    #[serde(default)]
    token_url: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    token_type: String,
}

impl OAuth2 {
    /// Whether something is set: Argo's objects have the empty one.
    pub(super) fn is_set(&self) -> bool {
        !self.token_url.is_empty()
    }

    /// The value of `Authorization`.
    pub(super) async fn authorization(
        &self,
        http: &Http,
        insecure: bool,
        timeout: Duration,
    ) -> Result<String, String> {
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return Err("missing mandatory parameter in metric for OAuth2 setup".to_owned());
        }
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret));
        let request = Request {
            method: Method::POST,
            url: self.token_url.clone(),
            headers: vec![
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(credentials))),
            ],
            body: self.form().into_bytes(),
            insecure,
            timeout,
        };
        let answer = http.send(request).await.map_err(|it| format!("oauth2: cannot fetch token: {it}"))?;
        if answer.status != StatusCode::OK {
            return Err(format!("oauth2: cannot fetch token: status {}", answer.status));
        }
        let token: Token = serde_json::from_slice(&answer.body)
            .map_err(|it| format!("oauth2: cannot parse the answer of the token server: {it}"))?;
        let kind = if token.token_type.is_empty() || token.token_type.eq_ignore_ascii_case("bearer") {
            "Bearer"
        } else {
            &token.token_type
        };
        Ok(format!("{kind} {}", token.access_token))
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        form.finish()
    }
}
