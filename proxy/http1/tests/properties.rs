//! Properties over bytes that are nearly messages.

#[path = "properties/mod.rs"]
mod all;

use proptest::{collection::vec, prelude::*};

/// Pieces of messages, good and bad, that meet in any order.
const PIECES: [&[u8]; 62] = [
    b"GET / HTTP/1.1\r\n",
    b"POST /a?b HTTP/1.1\r\n",
    b"HEAD http://h/x HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT h:1 HTTP/1.1\r\n",
    b"PUT /old HTTP/1.0\r\n",
    b"GET / HTTP/2.0\r\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET /\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 204 \r\n",
    b"HTTP/1.0 200\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"host: h\r\n",
    b"Host: h\r\n",
    b"host: h:80\r\n",
    b"host: u@h\r\n",
    b"host : h\r\n",
    b"content-length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"content-length: +3\r\n",
    b"content-length: 3, 3\r\n",
    b"content-length: 18446744073709551616\r\n",
    b"transfer-encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"transfer-encoding: chunked, identity\r\n",
    b"transfer-encoding:\tchunked\t\r\n",
    b"transfer-encoding: \x0bchunked\r\n",
    b"transfer-encoding: x\r\n",
    b" folded\r\n",
    b"\tfolded: x\r\n",
    b"connection: close\r\n",
    b"connection: keep-alive, host, x-a\r\n",
    b"connection: upgrade\r\nupgrade: echo\r\n",
    b"x-a: \xff\r\n",
    b"x-a:\r\n",
    b"x-b: a\x00b\r\n",
    b"x-b: a\rb\r\n",
    b"x b: c\r\n",
    b"expect: 100-continue\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"abc",
    b"GET",
    b"3\r\nabc\r\n",
    b"3;x=y\r\nabc\r\n",
    b"3 ;x=\"\r\\\"\"\r\nabc\r\n",
    b"3 \r\nabc\r\n",
    b"03\r\nabc\r\n",
    b"0x3\r\nabc\r\n",
    b"3\nabc\r\n",
    b"3\r\nabcd\r\n",
    b"ffffffffffffffff\r\n",
    b"10000000000000000\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"x-sum: 1\r\n\r\n",
    b"content-length: 9\r\nhost: evil\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
];

fn nearly_messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..4),
    ];
    // Many are stopped at their first line if nothing is right; some begin well.
    let begin = prop::sample::select(vec![&b""[..], PIECES[59], PIECES[60], PIECES[61], PIECES[9]]);
    (begin, vec(piece, 0..12)).prop_map(|(begin, pieces)| [begin.to_vec(), pieces.concat()].concat())
}

/// A request that is well-formed, in every way that it can be written.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(&["GET", "POST", "PROPFIND", "x-Y!"][..]);
    let field = ("[A-Za-z][A-Za-z0-9-]{0,12}", "([!-~\u{e4}]([ \t!-~]{0,12}[!-~])?)?")
        .prop_map(|(name, value)| format!("x-{name}:{value}\r\n"));
    let body = prop_oneof![
        Just(String::from("\r\n")),
        "[a-z\r\n]{0,20}".prop_map(|body| format!("content-length: {}\r\n\r\n{body}", body.len())),
        vec("[a-z\r\n]{1,20}", 0..4).prop_map(|chunks| {
            let chunks: Vec<_> =
                chunks.iter().map(|chunk| format!("{:X};a=\"b\"\r\n{chunk}\r\n", chunk.len())).collect();
            let chunks = chunks.concat();
            format!("transfer-encoding: Chunked\r\n\r\n{chunks}0\r\nx-sum: 1\r\n\r\n")
        }),
    ];
    let one = (method, "/[!$-;=?-Z_a-z|~]{0,20}", vec(field, 0..6), body).prop_map(
        |(method, target, fields, body)| {
            let fields = fields.concat();
            format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}{body}")
        },
    );
    vec(one, 1..4).prop_map(|all| all.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn cuts_change_nothing(input in nearly_messages(), cuts in vec(0..9_usize, 0..200)) {
        all::cuts_change_nothing(&input, &cuts);
    }

    #[test]
    fn what_is_written_reads_the_same(input in nearly_messages()) {
        all::what_is_written_reads_the_same(&input);
    }

    #[test]
    fn hyper_reads_what_we_read(input in nearly_messages()) {
        all::differential::hyper_agrees(&input);
    }

    #[test]
    fn good_messages_are_read_and_written_whole(input in messages(), cuts in vec(1..30_usize, 0..60)) {
        let events = all::events::requests(&input, &cuts);
        prop_assert!(!events.iter().any(all::events::Event::is_refusal), "{events:?}");
        prop_assert_eq!(events.last(), Some(&all::events::Event::End));
        all::what_is_written_reads_the_same(&input);
        all::differential::hyper_agrees(&input);
    }
}
