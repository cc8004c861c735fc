//! Texts that are put into messages.

/// One change of headers; a list of them is carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// In lower case. None that belongs to one connection or frames the message.
    pub name: String,
    /// What happens to it.
    pub edit: Edit,
}

/// What happens to a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// This takes the place of all lines there are.
    Set(Value),
    /// Another line.
    Add(Value),
    /// All lines go.
    Remove,
}

/// A text with parts that are known when it is needed. What is absent then is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(pub Vec<ValuePart>);

/// A part of a [`Value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePart {
    /// This text.
    Text(String),
    /// What this stands for.
    Variable(Variable),
    /// The first line of a header as the client sent it, by lower-case name.
    RequestHeader(String),
}

/// What is known of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// Without port.
    ClientAddress,
    /// With port.
    ClientSocket,
    /// `HTTP/1.1`.
    Protocol,
    /// `http` or `https`, as the client spoke it.
    Scheme,
    /// Of the request.
    Method,
    /// The host as the client sent it, with its port.
    Authority,
    /// The path as the client sent it, with the query.
    Path,
    /// Of the response; empty in request headers.
    Status,
    /// The `X-Request-Id`.
    RequestId,
    /// The host in lower case, without its port.
    Host,
    /// The path in normal form, without the query.
    NormalPath,
    /// The path in normal form, with the query.
    NormalTarget,
    /// What follows the `?`.
    Query,
    /// [`Path`](Self::Path) as a value within a query: all but letters, digits and `-._~` is escaped (RFC 3986 §2.3).
    EscapedPath,
}

impl Value {
    /// One that is the same for all.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![ValuePart::Text(text.into())])
    }
}
