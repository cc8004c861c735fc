//! Known ways to make two readers see different messages in the same bytes, and other messages that must not pass.
//!
//! The request forms are those that are known under the names CL.TE, TE.CL, TE.TE, CL.0, 0.CL and TE.0 and as chunk
//! size, chunk extension, trailer, line end and host attacks. The last column is the answer; 0 is for what is let
//! through because it means one thing only.

#[path = "properties/mod.rs"]
mod properties;

use proxy_http1::{Asked, Body, Framing, HeadEnd, Kind, Malformed, Persistence, Response, Room, Target};

use self::properties::events::{Event, requests, responses};

/// What goes between a request line with a host and the end of the head, what follows, and the answer.
const BODIES: [(&str, &str, u16); 62] = [
    // A length and a coding (RFC 9112 §6.1).
    ("content-length: 3\r\ntransfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", 400),
    ("transfer-encoding: chunked\r\ncontent-length: 3", "3\r\nabc\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 0", "0\r\n\r\n", 400),
    ("content-length: 6\r\ntransfer-encoding: chunked", "0\r\n\r\nG", 400),
    // Several lengths (RFC 9110 §8.6).
    ("content-length: 3\r\ncontent-length: 3", "abc", 400),
    ("content-length: 3\r\ncontent-length: 4", "abcd", 400),
    ("content-length: 3, 3", "abc", 400),
    ("content-length: 3,4", "abcd", 400),
    ("content-length: 0\r\nContent-Length: 3", "abc", 400),
    // Lengths that are none.
    ("content-length: +3", "abc", 400),
    ("content-length: -3", "abc", 400),
    ("content-length: 3 3", "abc", 400),
    ("content-length: 0x3", "abc", 400),
    ("content-length: 3.0", "abc", 400),
    ("content-length: 3;", "abc", 400),
    ("content-length: ３", "abc", 400),
    ("content-length:", "abc", 400),
    ("content-length: \u{b}3", "abc", 400),
    ("content-length: 18446744073709551619", "abc", 400),
    ("content-length: 99999999999999999999999999999999999", "", 400),
    ("content-length: 003", "abc", 0),
    ("content-length:\t3 ", "abc", 0),
    ("content-length : 3", "abc", 400),
    ("content-length\t: 3", "abc", 400),
    ("content_length: 3", "", 0),
    // Codings.
    ("transfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", 0),
    ("Transfer-Encoding:CHUNKED", "3\r\nabc\r\n0\r\n\r\n", 0),
    ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked, chunked", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked\r\ntransfer-encoding: identity", "0\r\n\r\n", 400),
    ("transfer-encoding: identity\r\ntransfer-encoding: chunked", "0\r\n\r\n", 501),
    ("transfer-encoding: gzip, chunked", "0\r\n\r\n", 501),
    ("transfer-encoding: chunked, gzip", "0\r\n\r\n", 400),
    ("transfer-encoding: xchunked", "0\r\n\r\n", 400),
    ("transfer-encoding: chunkedx", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked;q=1", "0\r\n\r\n", 400),
    ("transfer-encoding: \"chunked\"", "0\r\n\r\n", 400),
    ("transfer-encoding: 'chunked'", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked,", "0\r\n\r\n", 400),
    ("transfer-encoding: ,chunked", "0\r\n\r\n", 501),
    ("transfer-encoding: identity", "abc", 400),
    ("transfer-encoding:", "0\r\n\r\n", 400),
    ("transfer-encoding: \u{b}chunked", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked\u{b}", "0\r\n\r\n", 400),
    ("transfer-encoding: chunked\0", "0\r\n\r\n", 400),
    ("transfer-encoding : chunked", "0\r\n\r\n", 400),
    (" transfer-encoding: chunked", "0\r\n\r\n", 400),
    ("x: y\r\n transfer-encoding: chunked", "0\r\n\r\n", 400),
    ("x: y\r\n\ttransfer-encoding: chunked", "0\r\n\r\n", 400),
    ("transfer-encoding:\r\n chunked", "0\r\n\r\n", 400),
    ("transfer-encoding\r\n: chunked", "0\r\n\r\n", 400),
    ("x: y\ntransfer-encoding: chunked", "0\r\n\r\n", 400),
    ("x: y\rtransfer-encoding: chunked", "0\r\n\r\n", 400),
    ("transfer_encoding: chunked", "", 0),
    ("transfer-encoding\0: chunked", "0\r\n\r\n", 400),
    (": chunked", "", 400),
    ("transfer-encoding", "", 400),
    // Options that would take the framing away (RFC 9110 §7.6.1).
    ("connection: content-length\r\ncontent-length: 3", "abc", 0),
    ("connection: transfer-encoding\r\ntransfer-encoding: chunked", "0\r\n\r\n", 0),
    ("connection: a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q", "", 431),
    ("x-binary: \u{7f}", "", 400),
    ("x-null: a\0b", "", 400),
];

/// What follows a head with `transfer-encoding: chunked`.
const CHUNKS: [(&str, u16); 38] = [
    ("3\r\nabc\r\n0\r\n\r\n", 0),
    ("0003\r\nabc\r\n0\r\n\r\n", 0),
    ("3\r\nabc\r\n0000\r\n\r\n", 0),
    ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", 0),
    ("3;x\r\nabc\r\n0;y=1\r\n\r\n", 0),
    ("3 ; x = \"a;b\\\"c\"\r\nabc\r\n0\r\n\r\n", 0),
    ("3\r\nabc\r\n0\r\nx-sum: 1\r\nx-b:\r\n\r\n", 0),
    // Sizes.
    ("\r\nabc\r\n0\r\n\r\n", 400),
    ("0x3\r\nabc\r\n0\r\n\r\n", 400),
    ("+3\r\nabc\r\n0\r\n\r\n", 400),
    ("-3\r\nabc\r\n0\r\n\r\n", 400),
    (" 3\r\nabc\r\n0\r\n\r\n", 400),
    ("3 \r\nabc\r\n0\r\n\r\n", 400),
    ("3\t\r\nabc\r\n0\r\n\r\n", 400),
    ("3_\r\nabc\r\n0\r\n\r\n", 400),
    ("3g\r\nabc\r\n0\r\n\r\n", 400),
    ("3,\r\nabc\r\n0\r\n\r\n", 400),
    (";\r\nabc\r\n0\r\n\r\n", 400),
    ("10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("00000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("ffffffffffffffff\r\nabc", 0),
    ("fffffffffffffffff\r\nabc", 400),
    // Ends of lines.
    ("3\nabc\r\n0\r\n\r\n", 400),
    ("3\r\nabc\n0\r\n\r\n", 400),
    ("3\rabc\r\n0\r\n\r\n", 400),
    ("3\r\nabc0\r\n\r\n", 400),
    ("3\r\nabcd\r\n0\r\n\r\n", 400),
    ("3\r\nabc\r\r\n0\r\n\r\n", 400),
    ("3\r\nabc\r\n0\r\n\n", 400),
    ("3\r\nabc\r\n0\r\n\rx", 400),
    ("3\r\nabc\r\n0\n\r\n", 400),
    // Extensions, in which a lone LF or CR would end the line for others.
    ("3;x\n\r\nabc\r\n0\r\n\r\n", 400),
    ("3;\rx\r\nabc\r\n0\r\n\r\n", 400),
    ("3;x\0\r\nabc\r\n0\r\n\r\n", 400),
    ("3;\"\r\n\"\r\nabc\r\n0\r\n\r\n", 400),
    // Trailers.
    ("3\r\nabc\r\n0\r\n x: 1\r\n\r\n", 400),
    ("3\r\nabc\r\n0\r\nx : 1\r\n\r\n", 400),
    ("3\r\nabc\r\n0\r\nx: 1\n\r\n", 400),
];

/// Whole heads.
const HEADS: [(&str, u16); 52] = [
    ("GET / HTTP/1.1\r\nhost: h\r\n\r\n", 0),
    ("\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", 0),
    ("\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    (" GET / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /  HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET / HTTP/1.1 \r\nhost: h\r\n\r\n", 400),
    ("GET\t/\tHTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /\0 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /\x7f HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /#a HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("G@T / HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("nonsense\r\n\r\n", 400),
    ("GET / HTTP/1.1\n\n", 400),
    ("GET / HTTP/1.1\nhost: h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: h\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: h\r\n\n", 400),
    ("GET / HTTP/1.1\rhost: h\r\n\r\n", 400),
    // Versions (RFC 9110 §15.6.6).
    ("GET / HTTP/2.0\r\nhost: h\r\n\r\n", 505),
    ("GET / HTTP/1.2\r\nhost: h\r\n\r\n", 505),
    ("GET / HTTP/0.9\r\nhost: h\r\n\r\n", 505),
    ("GET / http/1.1\r\nhost: h\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\nhost: h\r\n\r\n", 400),
    ("GET / HTTP/+1.1\r\nhost: h\r\n\r\n", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    // Hosts (RFC 9112 §3.2).
    ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nhost:\r\n\r\n", 0),
    ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: \u{e4}\r\n\r\n", 400),
    // Targets (RFC 9112 §3.2.2).
    ("GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 0),
    ("GET http://a/ HTTP/1.1\r\nhost: A:80\r\n\r\n", 0),
    ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", 400),
    ("GET http://a/ HTTP/1.1\r\nhost:\r\n\r\n", 400),
    ("GET http://a@b/ HTTP/1.1\r\nhost: b\r\n\r\n", 400),
    ("GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("CONNECT a:1 HTTP/1.1\r\nhost: b:1\r\n\r\n", 400),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", 400),
];

/// The answer to the first message of `input`, or 0. The message that follows it must be read as one.
fn answer(input: &str) -> u16 {
    let events = requests(input.as_bytes(), &[]);
    match events.last() {
        Some(Event::Refused(malformed)) => malformed.status(),
        _ => 0,
    }
}

#[test]
fn what_two_readers_could_frame_differently_is_refused() {
    for (fields, body, expected) in BODIES {
        let next = "GET /next HTTP/1.1\r\nhost: h\r\n\r\n";
        let input = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n{body}{next}");
        assert_eq!(answer(&input), expected, "{input:?}");
        let read = requests(input.as_bytes(), &[]);
        let heads = read.iter().filter(|it| matches!(it, Event::Request(_))).count();
        assert_eq!(heads, if expected == 0 { 2 } else { 0 }, "{input:?} is read as {read:?}");
    }
}

#[test]
fn chunks_that_two_readers_could_cut_differently_are_refused() {
    for (chunks, expected) in CHUNKS {
        let input = format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(answer(&input), expected, "{chunks:?}");
        let response = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let refused = matches!(responses(response.as_bytes(), &[]).last(), Some(Event::Refused(_)));
        assert_eq!(refused, expected != 0, "{chunks:?} in a response");
    }
}

#[test]
fn heads_that_mean_two_things_are_refused() {
    for (head, expected) in HEADS {
        assert_eq!(answer(head), expected, "{head:?}");
        let whole = requests(head.as_bytes(), &[]).iter().any(|it| matches!(it, Event::Request(_)));
        assert_eq!(whole, expected == 0, "{head:?}");
    }
}

#[test]
fn what_is_larger_than_its_limit_is_refused() {
    let line = "x: y\r\n";
    for (head, expected) in [
        (format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", line.repeat(99)), 0),
        (format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", line.repeat(100)), 431),
        (format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "x".repeat(4096)), 431),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(4096)), 431),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4096\r\n\r\n".to_owned(), 0),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4097\r\n\r\n".to_owned(), 413),
        (chunked(&format!("801\r\n{}\r\n", "x".repeat(2049)).repeat(2)), 413),
        (chunked(&format!("3;{}\r\nabc\r\n", "x".repeat(5_000))), 400),
        (chunked(&"1;xxxxxxxxxxxxxxxx\r\na\r\n".repeat(300)), 400),
        (chunked(&format!("0\r\nx: {}\r\n\r\n", "x".repeat(9_000))), 431),
        (chunked(&format!("0\r\n{}\r\n", line.repeat(33))), 431),
    ] {
        assert_eq!(answer(&head), expected, "{head:.80?}");
    }
}

fn chunked(chunks: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
}

#[test]
fn only_what_is_for_everybody_goes_on() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine,host\r\nconnection: X-Forwarded-For\r\n\
                x-mine: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: echo\r\nProxy-Connection: close\r\n\
                Content-Length: 0\r\nX-Forwarded-For: c\r\nAccept: */*\r\n\r\n";
    let events = requests(head.as_bytes(), &[]);
    let Some(Event::Request(head)) = events.first() else { panic!("{events:?}") };
    let names: Vec<_> = head.fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["Host", "X-Forwarded-For", "Accept"]);
    assert_eq!((head.framing, head.persistence), (Framing::Length(0), Persistence::Close));
}

#[test]
fn trailers_go_on_without_those_that_concern_the_head() {
    let input = chunked(
        "3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nhost: evil\r\nTransfer-Encoding: x\r\n\r\n",
    );
    let written = properties::rewrite::rewritten(&requests(input.as_bytes(), &[]));
    let written = String::from_utf8(written).unwrap();
    assert!(written.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), "{written}");
}

#[test]
fn the_framing_of_a_response_depends_on_what_was_asked() {
    use Asked::{Head, Other};
    use Framing::{Chunked, Length, None, UntilClose};
    use Persistence::{Close, KeepAlive};
    let good = |framing, persistence| Ok((framing, persistence));
    let table = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3", Other, good(Length(3), KeepAlive)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3", Head, good(None, KeepAlive)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", Other, good(Chunked, KeepAlive)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", Head, good(None, KeepAlive)),
        ("HTTP/1.1 200 OK", Other, good(UntilClose, Close)),
        ("HTTP/1.1 200 OK", Head, good(None, KeepAlive)),
        ("HTTP/1.1 200", Other, good(UntilClose, Close)),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 3", Other, good(None, KeepAlive)),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 3", Other, good(None, KeepAlive)),
        ("HTTP/1.1 103 Early Hints\r\ncontent-length: 3", Other, good(None, KeepAlive)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close", Other, good(Length(3), Close)),
        ("HTTP/1.0 200 OK\r\ncontent-length: 3", Other, good(Length(3), Close)),
        ("HTTP/1.0 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive", Other, good(Length(3), KeepAlive)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked", Other, good(Chunked, Close)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3", Other, Err(Malformed::SeveralLengths)),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1", Other, Err(Malformed::Length)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip", Other, Err(Malformed::NotChunkedLast)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked", Other, Err(Malformed::UnknownCoding)),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked", Other, Err(Malformed::CodingInHttp10)),
        ("HTTP/1.1 99 No", Other, Err(Malformed::StatusLine)),
        ("HTTP/1.1 099 No", Other, Err(Malformed::StatusLine)),
        ("HTTP/1.1  200 OK", Other, Err(Malformed::StatusLine)),
        ("HTTP/2.0 200 OK", Other, Err(Malformed::Version)),
        ("HTTP/1.1 200 OK\r\na : b", Other, Err(Malformed::FieldName)),
        ("HTTP/1.1 200 OK\r\na: b\r\n c", Other, Err(Malformed::FieldName)),
        ("HTTP/1.1 200 OK\r\na: b\0", Other, Err(Malformed::FieldValue)),
        ("HTTP/1.1 200 O\0K", Other, Err(Malformed::StatusLine)),
    ];
    for (head, asked, expected) in table {
        let mut room = Room::new();
        let head = format!("{head}\r\n\r\n");
        let read = Response::parse(head.as_bytes(), &mut room, asked).map(|it| (it.framing, it.persistence));
        assert_eq!(read, expected, "{head:?} for {asked:?}");
    }
}

#[test]
fn a_length_is_known_of_what_has_no_body() {
    for (head, asked, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Asked::Head, Some(3)),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n", Asked::Other, Some(3)),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n", Asked::Other, None),
    ] {
        let mut room = Room::new();
        assert_eq!(Response::parse(head.as_bytes(), &mut room, asked).unwrap().length, expected, "{head:?}");
    }
}

#[test]
fn a_cut_body_is_known_to_be_cut() {
    for (framing, bytes, whole) in [
        (Framing::None, "", true),
        (Framing::Length(3), "ab", false),
        (Framing::Length(3), "abc", true),
        (Framing::UntilClose, "ab", true),
        (Framing::Chunked, "3\r\nabc\r\n0\r\n", false),
        (Framing::Chunked, "3\r\nabc\r\n0\r\n\r\n", true),
    ] {
        let mut body = Body::new(framing, u64::MAX).unwrap();
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            let step = body.step(rest).unwrap();
            rest = &rest[step.taken..];
            if step.part.is_none() {
                break;
            }
        }
        assert_eq!(body.may_end_with_connection(), whole, "{bytes:?} as {framing:?}");
    }
}

#[test]
fn an_upgrade_needs_both_fields_and_the_version() {
    let both = "connection: x, Upgrade\r\nupgrade: echo";
    for (version, fields, expected) in [
        ("1.1", both, Some(&b"echo"[..])),
        ("1.0", both, None),
        ("1.1", "upgrade: echo", None),
        ("1.1", "connection: upgrade", None),
        ("1.1", "connection: upgrade\r\nupgrade: echo\r\nupgrade: other", None),
    ] {
        let head = format!("GET / HTTP/{version}\r\nhost: h\r\n{fields}\r\n\r\n");
        let mut room = Room::new();
        let request = proxy_http1::Request::parse(head.as_bytes(), &mut room).unwrap();
        assert_eq!(request.upgrade, expected, "{head:?}");
        assert_eq!(request.target, Target::Origin { path: "/", query: None });
    }
}

#[test]
fn whoever_waits_with_its_body_is_known() {
    for (version, fields, expected) in [
        ("1.1", "expect: 100-Continue", true),
        ("1.1", "expect: something", false),
        ("1.0", "expect: 100-continue", false),
        ("1.1", "x: y", false),
    ] {
        let head = format!("POST / HTTP/{version}\r\nhost: h\r\n{fields}\r\n\r\n");
        let mut room = Room::new();
        let request = proxy_http1::Request::parse(head.as_bytes(), &mut room).unwrap();
        assert_eq!(request.expects_continue, expected, "{head:?}");
    }
}

#[test]
fn a_byte_at_a_time_is_looked_at_once() {
    // With a scan from the beginning for each byte this would be two thousand million steps.
    let mut input = b"GET / HTTP/1.1\r\nx: ".to_vec();
    let mut end = HeadEnd::new(Kind::Request);
    for _ in 0..64 * 1024 {
        input.push(b'x');
        assert_eq!(end.find(&input, 1 << 20), Ok(None));
    }
    input.extend_from_slice(b"\r\n\r\n");
    assert_eq!(end.find(&input, 1 << 20), Ok(Some((0, input.len()))));
}
