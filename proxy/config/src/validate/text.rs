//! What texts may be.

/// A token of RFC 9110 §5.6.2 in lower case.
pub(super) fn is_header_name(name: &str) -> bool {
    is_token(name) && !name.bytes().any(|it| it.is_ascii_uppercase())
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !text.is_empty() && text.bytes().all(token)
}

/// RFC 9110 §5.5, without what some servers read as the end of the line.
pub(super) fn is_header_value(text: &str) -> bool {
    text.bytes().all(|it| it == b'\t' || it >= b' ' && it != 0x7f)
}

/// Begins with a slash and holds nothing that would end the path or the request line.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|it| it.is_ascii_graphic() && !b"?#".contains(&it))
}

/// A name or address, perhaps with a port.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b".-_:[]".contains(&it))
}

/// A DNS name in lower case; a `*` may stand for its beginning, its end, or for all. Addresses in brackets are names too.
#[must_use]
pub fn is_server_name(text: &str) -> bool {
    let label = |it: &str| {
        let allowed = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_".contains(&it);
        (1..=63).contains(&it.len()) && it.bytes().all(allowed)
    };
    // What follows or precedes the star may begin or end within a label, or with the dot between two.
    let end = text.strip_prefix('*').map(|it| it.strip_prefix('.').unwrap_or(it));
    let beginning = || text.strip_suffix('*').map(|it| it.strip_suffix('.').unwrap_or(it));
    let name = end.or_else(beginning).unwrap_or(text);
    let address = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    text == "*"
        || address.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
        || text.len() <= 253 && name.split('.').all(label)
}
