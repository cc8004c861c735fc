use proptest::prelude::*;

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, [command, family].as_slice(), &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdd, 0xd5, 0, 80];

fn v6() -> Vec<u8> {
    let (from, to): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    [from.octets().as_slice(), &to.octets(), &[0xdd, 0xd5, 0, 80]].concat()
}

#[track_caller]
fn assert_client(bytes: &[u8], client: Option<&str>) {
    let client = client.map(|it| it.parse().unwrap());
    assert_eq!(read(bytes), Ok(Read::Whole(Header { length: bytes.len(), client })), "{bytes:?}");
}

#[test]
fn what_balancers_write() {
    assert_client(b"PROXY TCP4 192.0.2.1 198.51.100.1 56789 80\r\n", Some("192.0.2.1:56789"));
    assert_client(b"PROXY TCP6 2001:db8::1 2001:db8::2 56789 80\r\n", Some("[2001:db8::1]:56789"));
    assert_client(b"PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\n", Some("192.0.2.1:0"));
    assert_client(b"PROXY UNKNOWN\r\n", None);
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    assert_client(format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").as_bytes(), None);
    assert_client(&binary(0x21, 0x11, &V4), Some("192.0.2.1:56789"));
    assert_client(&binary(0x21, 0x21, &v6()), Some("[2001:db8::1]:56789"));
    // With extensions: the server name, and nothing.
    let extended = [V4.as_slice(), &[2, 0, 3, b'a', b'.', b'b', 4, 0, 0]].concat();
    assert_client(&binary(0x21, 0x11, &extended), Some("192.0.2.1:56789"));
    // For itself, whatever it says of addresses; or for somebody without one.
    assert_client(&binary(0x20, 0x00, &[]), None);
    assert_client(&binary(0x20, 0x11, &V4), None);
    assert_client(&binary(0x21, 0x00, &[]), None);
    // Of datagrams, and of files.
    assert_client(&binary(0x21, 0x12, &V4), None);
    assert_client(&binary(0x21, 0x31, &[b'/'; 216]), None);
}

#[test]
fn what_nobody_writes() {
    let table: &[(&[u8], Malformed)] = &[
        (b"GET / HTTP/1.1\r\n\r\n", Malformed::Signature),
        (b"\x16\x03\x01", Malformed::Signature),
        (b"\r\nPROXY UNKNOWN\r\n", Malformed::Signature),
        (b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n", Malformed::Signature),
        (b"PROXY\tTCP4 192.0.2.1 198.51.100.1 1 2\r\n", Malformed::Signature),
        (b"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP4 2001:db8::1 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP6 192.0.2.1 2001:db8::1 1 2\r\n", Malformed::Line),
        (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n", Malformed::Line),
        (b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", Malformed::Line),
        (b"PROXY UNKNOWNX\r\n", Malformed::Line),
        (b"PROXY TCP4 \xff\r\n", Malformed::Line),
        (&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200], b"\r\n"].concat(), Malformed::Line),
        (&binary(0x11, 0x11, &V4), Malformed::Command(0x11)),
        (&binary(0x22, 0x11, &V4), Malformed::Command(0x22)),
        (&binary(0x21, 0x13, &V4), Malformed::Family(0x13)),
        (&binary(0x21, 0x41, &V4), Malformed::Family(0x41)),
        (&binary(0x21, 0x11, &V4[..11]), Malformed::Length),
        (&binary(0x20, 0x21, &V4), Malformed::Length),
        (&binary(0x21, 0x11, &[V4.as_slice(), &[2]].concat()), Malformed::Extensions),
        (&binary(0x21, 0x11, &[V4.as_slice(), &[2, 0, 1]].concat()), Malformed::Extensions),
        (&binary(0x21, 0x00, &[0; 5000]), Malformed::TooLong),
    ];
    for (bytes, malformed) in table {
        assert_eq!(read(bytes), Err(*malformed), "{:?}", bytes.escape_ascii().to_string());
    }
}

proptest! {
    /// What is missing is never overstated, so that whoever reads as much takes nothing of what follows.
    #[test]
    fn a_header_in_pieces_is_the_same(cut in 0..300_usize, which in 0..4_usize, after in "[ -~]{0,9}") {
        let whole = [
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56789 80\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            binary(0x21, 0x11, &[V4.as_slice(), &[3, 0, 2, 1, 2]].concat()),
            binary(0x21, 0x21, &v6()),
        ][which].clone();
        let Ok(Read::Whole(header)) = read(&[&whole, after.as_bytes()].concat()) else { panic!("it is whole") };
        prop_assert_eq!(header.length, whole.len());
        let cut = cut % whole.len();
        let Ok(Read::Partial(more)) = read(&whole[..cut]) else { panic!("it is not whole") };
        prop_assert!((1..=whole.len() - cut).contains(&more));
    }

    #[test]
    fn nothing_panics_and_nothing_is_longer_than_it_is(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for start in [&[][..], TEXT, SIGNATURE, b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00"] {
            let bytes = [start, &bytes].concat();
            match read(&bytes) {
                Ok(Read::Whole(header)) => prop_assert!(header.length <= bytes.len().min(LONGEST)),
                Ok(Read::Partial(more)) => prop_assert!(bytes.len() + more <= LONGEST),
                Err(_) => {}
            }
        }
    }
}
