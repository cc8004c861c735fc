//! Compares passwords with their hashes.

use md5::{Digest as _, Md5};
use proxy_config::password::PasswordHash;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

const BCRYPT_LONGEST: usize = 72;
/// The rounds of MD5 that `crypt` makes.
const ROUNDS: usize = 1000;
/// The digits of the base 64 of `crypt`, which is not that of RFC 4648.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The bytes of a digest in the order in which `crypt` writes them, three by three, the first of three highest.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
/// And the byte that is left.
const LAST: usize = 11;

/// Whether a hash is that of a password.
pub(crate) fn is_right(hash: &PasswordHash, password: &[u8]) -> bool {
    match hash {
        PasswordHash::Bcrypt { cost, salt, digest } => {
            let of_it = bcrypt::bcrypt(*cost, *salt, &terminated(password));
            digest[..].ct_eq(&of_it[..digest.len()]).into()
        }
        PasswordHash::Md5 { magic, salt, digest } => {
            digest.as_bytes().ct_eq(&md5_crypt(password, magic.as_bytes(), salt.as_bytes())).into()
        }
        PasswordHash::Sha1 { digest, salt } => {
            let of_it = Sha1::new().chain_update(password).chain_update(salt).finalize();
            digest[..].ct_eq(&of_it[..]).into()
        }
    }
}

/// A password as bcrypt takes it: with a zero at its end, and of all that its first 72 bytes.
fn terminated(password: &[u8]) -> Vec<u8> {
    password.iter().copied().chain([0]).take(BCRYPT_LONGEST).collect()
}

/// Poul-Henning Kamp's hash of FreeBSD's `crypt`, which Apache took over with a magic of its own.
fn md5_crypt(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for piece in password.chunks(inner.len()) {
        outer.update(&inner[..piece.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        let first = password.first().copied().unwrap_or_default();
        outer.update([if length % 2 == 1 { 0 } else { first }]);
        length /= 2;
    }
    let mut digest = outer.finalize();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        let odd = round % 2 == 1;
        next.update(if odd { password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &digest[..] } else { password });
        digest = next.finalize();
    }
    let mut text = Vec::with_capacity(22);
    let mut write = |mut value: usize, digits: usize| {
        for _ in 0..digits {
            text.push(DIGITS[value % 64]);
            value /= 64;
        }
    };
    for [high, middle, low] in ORDER {
        let byte = |at: usize| usize::from(digest[at]);
        write(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
    }
    write(usize::from(digest[LAST]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that `openssl passwd` and `crypt` have made.
    #[test]
    fn passwords_are_right_as_the_table_says() {
        let table = [
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "password", true),
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "passwort", false),
            ("$1$1234abcd$k941IFPqhCBpKvhOnZqRd/", "hunter2", true),
            ("$1$1234abcd$k941IFPqhCBpKvhOnZqRd/", "", false),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", true),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "Password", false),
            ("$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", "", true),
            ("$apr1$abcdefgh$Ssov4/LtwvIfiJVsWmuPQ/", "a long password of more than sixteen bytes", true),
            ("$apr1$abcdefgh$IYp2oL6wMKQl4HnNo8eI9/", "pässwort", true),
            ("$1$xy$AmxDPxxULV5oqIZ5zUiMD/", "a long password of more than sixteen bytes", true),
            ("{SSHA}HEiExlfeQh3kDLzMHjT735HRlrNzYWx0", "tea time", true),
            ("{SSHA}HEiExlfeQh3kDLzMHjT735HRlrNzYWx0", "tea", false),
            ("$2y$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa", "tea time", true),
            ("$2b$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa", "tea time", true),
            ("$2y$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa", "teatime", false),
        ];
        for (hash, password, expected) in table {
            let hash = PasswordHash::parse(hash).unwrap();
            assert_eq!(is_right(&hash, password.as_bytes()), expected, "{password}");
        }
    }
}
