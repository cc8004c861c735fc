//! The properties that the fuzz targets look for counterexamples of, on generated input and on the targets' seeds.

#[path = "properties/mod.rs"]
mod all;

use std::{fs, path::Path};

use proptest::{collection::vec, option, prelude::*, sample::select};

/// Lines of `matching.rs`, mostly good ones, in which much is nearly equal.
fn lines() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("*".to_owned()),
        "=[ab]{1,2}",
        "@[ab]{1,2}:1",
        ">[ab]{1,2}",
        "\\.[ab]{1,2}",
        "<[ab]{1,2}",
        select(vec!["~a.*", "~.*:1"]).prop_map(str::to_owned),
    ];
    let path = prop_oneof![
        "\\^/[aA/]{0,3}",
        "=/[aA/]{0,3}",
        select(vec!["~/a+", "~/.*/", "/", "/a", "/a/A", "/a/a"]).prop_map(str::to_owned),
    ];
    let rule =
        (0..6_u8, 0..4_u8, host, path, option::of(Just(" i"))).prop_map(|(name, rank, host, path, case)| {
            format!("+{name} {rank} {host} {path}{}", case.unwrap_or_default())
        });
    let request = ("[ab.]{0,4}", option::of(Just(":1")), "/[aA/]{0,4}")
        .prop_map(|(host, port, path)| format!("?{host}{}{path}", port.unwrap_or_default()));
    let gone = (0..6_u8).prop_map(|name| format!("-{name}"));
    let line = prop_oneof![5 => rule, 1 => gone, 5 => request];
    vec(line, 1..60).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_indexes_find_what_asking_all_finds(lines in lines()) {
        all::matching::the_indexes_find_what_asking_all_finds(lines.as_bytes());
    }

    #[test]
    fn headers_of_the_proxy_protocol_come_in_pieces(
        start in select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0"]),
        rest in vec(prop_oneof![any::<u8>(), select(b"\r\n 01.:".to_vec())], 0..130),
    ) {
        all::proxied::a_header_is_the_same_in_pieces(&[start, &rest].concat());
    }

    #[test]
    fn no_bytes_hurt_the_stream(bytes in vec(any::<u8>(), 0..200)) {
        all::stream::what_is_taken_can_be_served(&bytes);
    }
}

#[test]
fn the_seeds_hold() {
    #[expect(clippy::type_complexity, reason = "a table")]
    let properties: [(&str, fn(&[u8])); 3] = [
        ("proxied", all::proxied::a_header_is_the_same_in_pieces),
        ("matching", all::matching::the_indexes_find_what_asking_all_finds),
        ("stream", all::stream::what_is_taken_can_be_served),
    ];
    for (target, property) in properties {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let mut seeds = 0;
        for entry in fs::read_dir(folder).unwrap() {
            property(&fs::read(entry.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{target}");
    }
}
