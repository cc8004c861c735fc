//! What a rule does to requests and responses, besides sending them somewhere.

use serde::{Deserialize, Deserializer, Serialize};

use super::reference::BackendReference;

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Filter {
    /// Headers of requests.
    RequestHeaderModifier(HeaderModifier),
    /// Headers of responses.
    ResponseHeaderModifier(HeaderModifier),
    /// A copy goes there.
    RequestMirror(RequestMirror),
    /// The client is sent elsewhere.
    RequestRedirect(RequestRedirect),
    /// Host and path.
    UrlRewrite(UrlRewrite),
    /// Whose pages may use the rule.
    Cors(CorsSpec),
    /// A filter of one implementation or another, by `group/kind/name`.
    ExtensionRef(String),
    /// One of another version, by its type.
    Unknown(String),
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct HeaderModifier {
    /// These take the place of those there are,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderSpec>,
    /// these are added to them,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderSpec>,
    /// and these go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct HeaderSpec {
    /// Its name, in any case.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// Who gets copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMirror {
    /// Who.
    pub backend_ref: BackendReference,
    /// Of how many of hundred requests; absent: of all, or as `fraction` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Of how many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Fraction {
    /// So many
    pub numerator: u32,
    /// of so many; absent: of 100.
    #[serde(default = "hundred")]
    pub denominator: u32,
}

/// Where a client is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRedirect {
    /// `http` or `https`; absent: as the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Absent: that of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Absent: that of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// Absent: the scheme's if there is a scheme, else the listener's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Absent: 302.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}

/// What becomes of host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct UrlRewrite {
    /// Absent: the host stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Absent: the path stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
}

/// What becomes of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathModifier {
    /// `ReplaceFullPath` or `ReplacePrefixMatch`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `ReplaceFullPath`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_full_path: Option<String>,
    /// Of `ReplacePrefixMatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_prefix_match: Option<String>,
}

/// Whose pages may use a rule (WHATWG Fetch §3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CorsSpec {
    /// Origins: `https://example.org`, with `*` for any number of labels, or `*` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Whether cookies are sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers of requests, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers of responses that pages may read, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long the answer holds, in seconds; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

fn hundred() -> u32 {
    100
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            r#type: String,
            request_header_modifier: Option<HeaderModifier>,
            response_header_modifier: Option<HeaderModifier>,
            request_mirror: Option<RequestMirror>,
            request_redirect: Option<RequestRedirect>,
            url_rewrite: Option<UrlRewrite>,
            cors: Option<CorsSpec>,
            extension_ref: Option<Extension>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Extension {
            group: String,
            kind: String,
            name: String,
        }
        let written = Written::deserialize(deserializer)?;
        Ok(match written.r#type.as_str() {
            "RequestHeaderModifier" => {
                Self::RequestHeaderModifier(written.request_header_modifier.unwrap_or_default())
            }
            "ResponseHeaderModifier" => {
                Self::ResponseHeaderModifier(written.response_header_modifier.unwrap_or_default())
            }
            "RequestMirror" => Self::RequestMirror(written.request_mirror.unwrap_or_default()),
            "RequestRedirect" => Self::RequestRedirect(written.request_redirect.unwrap_or_default()),
            "URLRewrite" => Self::UrlRewrite(written.url_rewrite.unwrap_or_default()),
            "CORS" => Self::Cors(written.cors.unwrap_or_default()),
            "ExtensionRef" => {
                let Extension { group, kind, name } = written.extension_ref.unwrap_or_default();
                Self::ExtensionRef(format!("{group}/{kind}/{name}"))
            }
            _ => Self::Unknown(written.r#type),
        })
    }
}
