//! What texts in edits and answers may refer to.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use proxy_config::model::{Scheme, Value, ValuePart, Variable};

use crate::{path, router::without_port};

/// A request as the client sent it. Made only where an edit or an answer refers to it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the client is.
    pub client: SocketAddr,
    /// What it spoke.
    pub scheme: Scheme,
    /// In which version.
    pub version: Version,
    /// The method.
    pub method: Method,
    /// The host with its port.
    pub authority: String,
    /// The path with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The `X-Request-Id`, its own or ours.
    pub request_id: Option<HeaderValue>,
}

/// A text that is written into messages.
#[derive(Clone, Debug)]
pub(crate) enum Template {
    /// The same for all.
    Fixed(Box<[u8]>),
    Parts(Box<[Part]>),
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(Box<[u8]>),
    Variable(Variable),
    RequestHeader(HeaderName),
}

impl Template {
    pub(crate) fn new(value: &Value) -> Self {
        let part = |part: &ValuePart| match part {
            ValuePart::Text(text) => Part::Text(text.as_bytes().into()),
            ValuePart::Variable(variable) => Part::Variable(*variable),
            ValuePart::RequestHeader(name) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Part::RequestHeader(name),
                // No request has it.
                Err(_) => Part::Text(Box::default()),
            },
        };
        let parts: Box<[Part]> = value.0.iter().map(part).collect();
        match &*parts {
            [] => Self::Fixed(Box::default()),
            [Part::Text(text)] => Self::Fixed(text.clone()),
            _ => Self::Parts(parts),
        }
    }

    /// Whether the text differs between requests.
    pub(crate) fn refers(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Parts(_) => true,
        }
    }

    /// The text for one exchange. `status` is that of the response, once there is one.
    pub(crate) fn render(&self, facts: Option<&Facts>, status: Option<StatusCode>) -> Vec<u8> {
        let mut text = Vec::new();
        match self {
            Self::Fixed(fixed) => text.extend_from_slice(fixed),
            Self::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text(part) => text.extend_from_slice(part),
                        Part::Variable(variable) => {
                            facts.map(|it| it.write(*variable, status, &mut text)).unwrap_or_default();
                        }
                        Part::RequestHeader(name) => {
                            let value = facts.and_then(|it| it.headers.get(name));
                            text.extend_from_slice(value.map(HeaderValue::as_bytes).unwrap_or_default());
                        }
                    }
                }
            }
        }
        text
    }
}

impl Facts {
    /// Path and query.
    fn target(&self) -> (&str, &str) {
        self.path.split_once('?').unwrap_or((&self.path, ""))
    }

    fn write(&self, variable: Variable, status: Option<StatusCode>, text: &mut Vec<u8>) {
        match variable {
            Variable::ClientAddress => text.extend(self.client.ip().to_canonical().to_string().bytes()),
            Variable::ClientSocket => {
                let client = SocketAddr::new(self.client.ip().to_canonical(), self.client.port());
                text.extend(client.to_string().bytes());
            }
            Variable::Protocol => text.extend(format!("{:?}", self.version).bytes()),
            Variable::Scheme => text.extend(self.scheme.as_str().bytes()),
            Variable::Method => text.extend(self.method.as_str().bytes()),
            Variable::Authority => text.extend(self.authority.bytes()),
            Variable::Path => text.extend(self.path.bytes()),
            Variable::Status => text.extend(status.iter().flat_map(|it| it.as_str().bytes())),
            Variable::RequestId => {
                text.extend_from_slice(
                    self.request_id.as_ref().map(HeaderValue::as_bytes).unwrap_or_default(),
                );
            }
            Variable::Host => {
                text.extend(without_port(&self.authority).bytes().map(|it| it.to_ascii_lowercase()));
            }
            Variable::NormalPath => text.extend(path::normalize(self.target().0).bytes()),
            Variable::NormalTarget => {
                let (path, query) = self.target();
                text.extend(path::normalize(path).bytes());
                if self.path.len() > path.len() {
                    text.push(b'?');
                    text.extend(query.bytes());
                }
            }
            Variable::Query => text.extend(self.target().1.bytes()),
            Variable::EscapedPath => path::escape(&self.path, text),
        }
    }
}
