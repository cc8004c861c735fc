//! Other texts for errors.

use http::{HeaderValue, StatusCode};
use proxy_config::model::ErrorResponse;

use crate::facts::{Facts, Template};

/// The texts of one route.
#[derive(Debug, Default)]
pub struct ErrorTexts(Box<[ErrorText]>);

/// The text for one status.
#[derive(Debug)]
pub struct ErrorText {
    status: u16,
    body: Template,
    /// Of what type it is.
    pub content_type: HeaderValue,
}

impl ErrorTexts {
    /// Prepares them.
    #[must_use]
    pub fn new(errors: &[ErrorResponse]) -> Self {
        let text = |error: &ErrorResponse| ErrorText {
            status: error.status,
            body: Template::new(&error.body),
            content_type: HeaderValue::from_str(&error.content_type)
                .unwrap_or_else(|_| HeaderValue::from_static("text/plain")),
        };
        Self(errors.iter().map(text).collect())
    }

    /// What is said instead of the text of a response with this status.
    #[must_use]
    pub fn get(&self, status: StatusCode) -> Option<&ErrorText> {
        let index = self.0.binary_search_by_key(&status.as_u16(), |it| it.status).ok()?;
        self.0.get(index)
    }

    /// Whether one of them differs between requests.
    #[must_use]
    pub fn refers(&self) -> bool {
        self.0.iter().any(|it| it.body.refers())
    }
}

impl ErrorText {
    /// The text for one exchange.
    #[must_use]
    pub fn body(&self, facts: Option<&Facts>) -> Vec<u8> {
        self.body.render(facts, StatusCode::from_u16(self.status).ok())
    }
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{Value, ValuePart, Variable};

    use super::*;

    #[test]
    fn a_text_is_found_by_its_status() {
        let error = |status, body| ErrorResponse { status, body, content_type: "text/html".into() };
        let said = Value(vec![ValuePart::Text("sorry: ".into()), ValuePart::Variable(Variable::Status)]);
        let texts = ErrorTexts::new(&[error(404, Value::text("gone")), error(503, said)]);
        assert_eq!(texts.get(StatusCode::NOT_FOUND).unwrap().body(None), b"gone");
        assert!(texts.get(StatusCode::BAD_GATEWAY).is_none());
        assert!(texts.refers());
    }
}
