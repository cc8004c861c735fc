//! Requests as they go on to the upstream.

use proxy_http1::{Framing, write};

use super::events::{Event, Head};

/// The messages written anew, the last one perhaps without its end.
pub fn rewritten(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut framing, mut trailers) = (Framing::None, Vec::new());
    for event in events {
        match event {
            Event::Request(it) => {
                framing = it.framing;
                trailers.clear();
                head(&mut out, it);
            }
            Event::Content(content) if framing == Framing::Chunked => write::chunk(&mut out, content),
            Event::Content(content) => out.extend_from_slice(content),
            Event::Trailers(section) => trailers.clone_from(section),
            Event::End if framing == Framing::Chunked => write::last_chunk(&mut out, &trailers),
            Event::End | Event::Response { .. } | Event::Refused(_) => {}
        }
    }
    out
}

fn head(out: &mut Vec<u8>, head: &Head) {
    let authority = head.authority.as_deref().unwrap_or_default();
    let path = if head.method == "CONNECT" { authority } else { &head.path };
    write::request_line(out, &head.method, path, head.query.as_deref());
    write::field(out, "host", authority.as_bytes());
    for (name, value) in &head.fields {
        if !name.eq_ignore_ascii_case("host") {
            write::field(out, name, value);
        }
    }
    write::framing(out, head.framing);
    write::end_of_head(out);
}
