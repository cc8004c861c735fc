//! Why a message is refused.

/// What is wrong with a message. The connection it came on has to end: where the next message would begin is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// The head has more bytes than heads may have.
    #[error("the head is too large")]
    HeadTooLarge,
    /// The head has more lines than heads may have.
    #[error("the head has too many fields")]
    TooManyFields,
    /// RFC 9112 §2.2 lets a recipient take a lone LF for a line's end. One that does and one that does not disagree
    /// about where a head ends.
    #[error("a line ends without CR")]
    BareLf,
    /// RFC 9112 §3, with exactly one space between its parts.
    #[error("the request line is malformed")]
    RequestLine,
    /// RFC 9112 §4.
    #[error("the status line is malformed")]
    StatusLine,
    /// Neither 1.0 nor 1.1 (RFC 9110 §15.6.6).
    #[error("the version is not supported")]
    Version,
    /// No token, or a space before the colon or at the line's start: RFC 9112 §5.1 and §5.2 (obs-fold).
    #[error("the name of a field is malformed")]
    FieldName,
    /// Control characters (RFC 9110 §5.5).
    #[error("the value of a field has control characters")]
    FieldValue,
    /// The target has none of the forms of RFC 9112 §3.2, or not the one that its method needs.
    #[error("the request target is malformed")]
    Target,
    /// RFC 9112 §3.2.
    #[error("the request has no host")]
    NoHost,
    /// RFC 9112 §3.2.
    #[error("the request has several hosts")]
    SeveralHosts,
    /// RFC 9112 §3.2: no host and port of a URI, or with a user before it (RFC 9110 §4.2.4).
    #[error("the host is none")]
    Host,
    /// RFC 9112 §3.2: a client sends the authority of its target as host. §3.2.2 has a proxy go by the target, and
    /// others have not.
    #[error("the target and the host name different authorities")]
    OtherHost,
    /// RFC 9110 §8.6: no number, or one with a sign, spaces or too many digits.
    #[error("the content length is no length")]
    Length,
    /// RFC 9110 §8.6. Equal ones might be accepted; nobody who means well sends them.
    #[error("there are several content lengths")]
    SeveralLengths,
    /// RFC 9112 §6.1: it may be an attempt to smuggle.
    #[error("there are a content length and a transfer coding")]
    LengthAndCoding,
    /// RFC 9112 §6.1: the framing of such a message is faulty.
    #[error("HTTP/1.0 has no transfer codings")]
    CodingInHttp10,
    /// RFC 9112 §6.3: where the body ends cannot be known, or §6.1: it is chunked twice.
    #[error("the body is not chunked once, and last")]
    NotChunkedLast,
    /// RFC 9112 §6.1.
    #[error("the transfer coding is unknown")]
    UnknownCoding,
    /// RFC 9112 §7.1: no hexadecimal number, or one that is too large.
    #[error("the size of a chunk is malformed")]
    ChunkSize,
    /// RFC 9112 §7.1.1: malformed, or longer than anybody needs.
    #[error("the extension of a chunk is malformed or too long")]
    ChunkExtension,
    /// RFC 9112 §7.1: what follows the data of a chunk is no CRLF.
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    /// The body has more bytes than bodies may have.
    #[error("the body is too large")]
    BodyTooLarge,
}

impl Malformed {
    /// The status of the answer to a request that is malformed so. A response that is, is answered with 502 to whoever
    /// waits for it (RFC 9112 §6.3, RFC 9110 §15.6.3).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::BodyTooLarge => 413,
            Self::UnknownCoding => 501,
            Self::Version => 505,
            Self::BareLf
            | Self::RequestLine
            | Self::StatusLine
            | Self::FieldName
            | Self::FieldValue
            | Self::Target
            | Self::NoHost
            | Self::SeveralHosts
            | Self::Host
            | Self::OtherHost
            | Self::Length
            | Self::SeveralLengths
            | Self::LengthAndCoding
            | Self::CodingInHttp10
            | Self::NotChunkedLast
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd => 400,
        }
    }
}
