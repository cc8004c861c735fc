//! The PROXY protocol: the header by which a balancer in front says for whom it has made a connection (versions 1 and 2
//! of <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Read as strictly as it is specified. What a balancer writes is right; what is not comes from somebody else, and an
//! address that is believed by mistake opens doors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How long a header of version 1 may be (§2.1), its end included.
const LONGEST_TEXT: usize = 107;
/// What every header of version 2 begins with, up to and including its length.
const FIXED: usize = 16;
/// How long a header may be. Version 2 has room for 64 KiB of extensions; what balancers write is a few hundred bytes.
pub const LONGEST: usize = 4096;

/// What version 2 begins with (§2.2), which is nothing that a client of another protocol says.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const TEXT: &[u8; 6] = b"PROXY ";
/// The shortest header of version 1.
const SHORTEST_TEXT: usize = b"PROXY UNKNOWN\r\n".len();

/// What the beginning of a connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The header is not whole: at least as many bytes more belong to it.
    Partial(usize),
    /// It is.
    Whole(Header),
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it has.
    pub length: usize,
    /// For whom the connection was made; `None`: for the peer itself, or for somebody who has no address.
    pub client: Option<SocketAddr>,
}

/// Why a connection does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither version.
    #[error("it begins with something else")]
    Signature,
    /// Version 2 has two commands (§2.2).
    #[error("version or command {0:#04x} is none")]
    Command(u8),
    /// Version 2 names a family and a transport (§2.2).
    #[error("family or transport {0:#04x} is none")]
    Family(u8),
    /// More than any balancer writes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// Version 2 has no room for the addresses that it announces.
    #[error("its length has no room for its addresses")]
    Length,
    /// The extensions of version 2 do not fill it.
    #[error("its extensions do not end where it ends")]
    Extensions,
    /// Version 1 is one line of at most 107 bytes, with its words where they belong.
    #[error("its line is not as specified")]
    Line,
}

/// Reads the header at the beginning of a connection.
pub fn read(bytes: &[u8]) -> Result<Read, Malformed> {
    if bytes.is_empty() {
        return Ok(Read::Partial(SHORTEST_TEXT));
    }
    if begins(bytes, SIGNATURE) {
        return read_binary(bytes);
    }
    if begins(bytes, TEXT) {
        return read_text(bytes);
    }
    Err(Malformed::Signature)
}

/// Whether `bytes` begin with `text` as far as they go.
fn begins(bytes: &[u8], text: &[u8]) -> bool {
    let length = bytes.len().min(text.len());
    bytes[..length] == text[..length]
}

fn read_binary(bytes: &[u8]) -> Result<Read, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Read::Partial(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    // 0: the balancer's own connection, for example to see whether we are there. Its addresses are not looked at.
    let speaks_for_itself = match command {
        0x20 => true,
        0x21 => false,
        other => return Err(Malformed::Command(other)),
    };
    let addresses = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        other => return Err(Malformed::Family(other)),
    };
    if FIXED + length > LONGEST {
        return Err(Malformed::TooLong);
    }
    let Some(rest) = rest.get(..length) else {
        return Ok(Read::Partial(length - rest.len()));
    };
    let (addresses, extensions) = rest.split_at_checked(addresses).ok_or(Malformed::Length)?;
    check_extensions(extensions)?;
    // Of connections only; datagrams and files have no address that would mean something here.
    let client = match (family, addresses) {
        (0x11, &[a, b, c, d, _, _, _, _, high, low, ..]) => {
            Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
        }
        (0x21, _) => addresses
            .first_chunk::<16>()
            .zip(addresses.get(32..34))
            .map(|(ip, port)| SocketAddr::from((*ip, u16::from_be_bytes([port[0], port[1]])))),
        _ => None,
    };
    let client = client.filter(|_| !speaks_for_itself);
    Ok(Read::Whole(Header { length: FIXED + length, client }))
}

/// Extensions are a kind, a length of two bytes and as many bytes (§2.2.1).
fn check_extensions(mut extensions: &[u8]) -> Result<(), Malformed> {
    while let [_, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        extensions = rest.get(length..).ok_or(Malformed::Extensions)?;
    }
    if extensions.is_empty() { Ok(()) } else { Err(Malformed::Extensions) }
}

fn read_text(bytes: &[u8]) -> Result<Read, Malformed> {
    let within = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = within.windows(2).position(|it| it == b"\r\n") else {
        if within.len() == LONGEST_TEXT {
            return Err(Malformed::Line);
        }
        let least = SHORTEST_TEXT.saturating_sub(bytes.len());
        return Ok(Read::Partial(least.max(if bytes.ends_with(b"\r") { 1 } else { 2 })));
    };
    let line = str::from_utf8(&bytes[TEXT.len()..end]).map_err(|_| Malformed::Line)?;
    Ok(Read::Whole(Header { length: end + 2, client: client_of(line)? }))
}

/// The words after the first.
fn client_of(line: &str) -> Result<Option<SocketAddr>, Malformed> {
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        // Whatever else it says is to be ignored.
        return Ok(None);
    }
    let mut next = || words.next().ok_or(Malformed::Line);
    let (from, to, from_port, to_port) = (next()?, next()?, next()?, next()?);
    let (from, to): (IpAddr, IpAddr) = match family {
        Some("TCP4") => (ip::<Ipv4Addr>(from)?.into(), ip::<Ipv4Addr>(to)?.into()),
        Some("TCP6") => (ip::<Ipv6Addr>(from)?.into(), ip::<Ipv6Addr>(to)?.into()),
        _ => return Err(Malformed::Line),
    };
    let client = SocketAddr::new(from, port(from_port)?);
    // Of the other end only that it is one.
    let _ = SocketAddr::new(to, port(to_port)?);
    if words.next().is_some() { Err(Malformed::Line) } else { Ok(Some(client)) }
}

fn ip<T: std::str::FromStr>(word: &str) -> Result<T, Malformed> {
    word.parse().map_err(|_| Malformed::Line)
}

/// Digits without a sign, and without zeros before them.
fn port(word: &str) -> Result<u16, Malformed> {
    let is_canonical = word == "0" || word.starts_with(|it: char| ('1'..='9').contains(&it));
    word.parse().ok().filter(|_| is_canonical).ok_or(Malformed::Line)
}

#[cfg(test)]
mod tests;
