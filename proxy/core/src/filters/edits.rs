//! Changes of headers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proxy_config::model::{self, HeaderEdit};

use crate::facts::{Facts, Template};

/// Changes of headers, in order.
#[derive(Clone, Debug, Default)]
pub struct Edits(Box<[(HeaderName, Edit)]>);

#[derive(Clone, Debug)]
enum Edit {
    Set(Text),
    Add(Text),
    Remove,
}

#[derive(Clone, Debug)]
enum Text {
    /// Made once, shared by all messages.
    Fixed(HeaderValue),
    Written(Template),
}

impl Edits {
    /// Prepares edits. One that no header can have, which no validated configuration holds, is left out.
    #[must_use]
    pub fn new(edits: &[HeaderEdit]) -> Self {
        let edit = |HeaderEdit { name, edit }: &HeaderEdit| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let edit = match edit {
                model::Edit::Set(value) => Edit::Set(Text::new(value)?),
                model::Edit::Add(value) => Edit::Add(Text::new(value)?),
                model::Edit::Remove => Edit::Remove,
            };
            Some((name, edit))
        };
        Self(edits.iter().filter_map(edit).collect())
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them differs between requests.
    #[must_use]
    pub fn refers(&self) -> bool {
        self.0.iter().any(|(_, edit)| match edit {
            Edit::Set(Text::Written(_)) | Edit::Add(Text::Written(_)) => true,
            Edit::Set(Text::Fixed(_)) | Edit::Add(Text::Fixed(_)) | Edit::Remove => false,
        })
    }

    /// Carries them out. `facts` are there if [`refers`](Self::refers) says that they are needed; `status` is that of
    /// a response.
    pub fn apply(&self, headers: &mut HeaderMap, facts: Option<&Facts>, status: Option<StatusCode>) {
        for (name, edit) in &self.0 {
            match edit {
                Edit::Set(text) => {
                    if let Some(value) = text.value(facts, status) {
                        headers.insert(name, value);
                    }
                }
                Edit::Add(text) => {
                    if let Some(value) = text.value(facts, status) {
                        headers.append(name, value);
                    }
                }
                Edit::Remove => drop(headers.remove(name)),
            }
        }
    }
}

impl Text {
    fn new(value: &model::Value) -> Option<Self> {
        let template = Template::new(value);
        Some(match &template {
            Template::Fixed(text) => Self::Fixed(HeaderValue::from_bytes(text).ok()?),
            Template::Parts(_) => Self::Written(template),
        })
    }

    fn value(&self, facts: Option<&Facts>, status: Option<StatusCode>) -> Option<HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Written(template) => HeaderValue::from_bytes(&template.render(facts, status)).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Version};
    use proxy_config::model::{Scheme, Value, ValuePart, Variable};

    use super::*;

    fn facts() -> Facts {
        Facts {
            client: "[::ffff:198.18.0.9]:4000".parse().unwrap(),
            scheme: Scheme::Https,
            version: Version::HTTP_11,
            method: Method::PUT,
            authority: "Example.org:8443".into(),
            path: "/./a?b=%20&c".into(),
            headers: [("x-user", "ada")]
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .into_iter()
                .collect(),
            request_id: Some(HeaderValue::from_static("id")),
        }
    }

    fn edit(name: &str, edit: model::Edit) -> HeaderEdit {
        HeaderEdit { name: name.into(), edit }
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn edits_are_carried_out_in_order() {
        let edits = Edits::new(&[
            edit("a", model::Edit::Set(Value::text("1"))),
            edit("a", model::Edit::Add(Value::text("2"))),
            edit("b", model::Edit::Remove),
            edit("c", model::Edit::Add(Value::text(""))),
        ]);
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "0"), ("a", "00"), ("b", "0")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        edits.apply(&mut headers, None, None);
        assert_eq!(lines(&headers), ["a: 1", "a: 2", "c: "]);
        assert!(!edits.refers());
    }

    #[test]
    fn texts_refer_to_the_exchange() {
        use ValuePart::{RequestHeader, Text, Variable as Of};
        let value = Value(vec![
            Of(Variable::ClientAddress),
            Text(" ".into()),
            Of(Variable::ClientSocket),
            Text(" ".into()),
            Of(Variable::Scheme),
            Text("://".into()),
            Of(Variable::Authority),
            Of(Variable::Path),
            Text(" ".into()),
            Of(Variable::Method),
            Text(" ".into()),
            Of(Variable::Protocol),
            Text(" ".into()),
            Of(Variable::Status),
            Text(" ".into()),
            Of(Variable::RequestId),
            Text(" ".into()),
            Of(Variable::Host),
            Text(" ".into()),
            Of(Variable::NormalPath),
            Text(" ".into()),
            Of(Variable::NormalTarget),
            Text(" ".into()),
            Of(Variable::Query),
            Text(" ".into()),
            Of(Variable::EscapedPath),
            Text(" ".into()),
            RequestHeader("x-user".into()),
            RequestHeader("x-absent".into()),
        ]);
        let edits = Edits::new(&[edit("x-all", model::Edit::Set(value))]);
        assert!(edits.refers());
        let mut headers = HeaderMap::new();
        edits.apply(&mut headers, Some(&facts()), Some(StatusCode::NOT_FOUND));
        let expected = "x-all: 198.18.0.9 198.18.0.9:4000 https://Example.org:8443/./a?b=%20&c PUT HTTP/1.1 404 id example.org /a \
             /a?b=%20&c b=%20&c %2F.%2Fa%3Fb%3D%2520%26c ada";
        assert_eq!(lines(&headers), [expected]);
    }
}
