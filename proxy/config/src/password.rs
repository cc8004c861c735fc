//! Hashes of passwords as `htpasswd` writes them, read the same way by the side that sends them and the side that compares.

use base64::{
    Engine as _, alphabet,
    engine::{
        GeneralPurpose,
        general_purpose::{NO_PAD, STANDARD},
    },
};

/// A hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// bcrypt (`htpasswd -B`).
    Bcrypt {
        /// Its rounds are two to the power of this.
        cost: u32,
        /// The salt.
        salt: [u8; 16],
        /// The hash, without its last byte.
        digest: [u8; 23],
    },
    /// A thousand rounds of MD5 (`htpasswd` without a flag, `openssl passwd -1`).
    Md5 {
        /// `$apr1$` or `$1$`, which goes into the hash.
        magic: &'static str,
        /// At most eight characters.
        salt: String,
        /// 22 characters.
        digest: String,
    },
    /// SHA-1 of the password and, with `{SSHA}`, of a salt (`htpasswd -s`).
    Sha1 {
        /// The hash.
        digest: [u8; 20],
        /// What follows the password.
        salt: Vec<u8>,
    },
}

/// Why a text is no hash that can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Of no known kind.
    #[error(
        "the hash of its password is none of bcrypt, $apr1$, $1$, {{SHA}} and {{SSHA}}: make it with `htpasswd -B`"
    )]
    Kind,
    /// Of a known kind, but not whole.
    #[error("the hash of its password is damaged: make it anew with `htpasswd -B`")]
    Damaged,
    /// Whoever asks for it could keep a processor busy for minutes.
    #[error("the cost of its password's bcrypt hash is above {most}: make it anew with `htpasswd -B`", most = MOST_COST)]
    Cost,
}

/// The highest cost of bcrypt that is taken: one comparison takes about a second of a processor.
pub const MOST_COST: u32 = 14;

const MD5_LENGTH: usize = 22;
const MD5_SALT: usize = 8;
const BCRYPT_SALT: usize = 22;
/// The base 64 of bcrypt, which is neither that of `crypt` nor that of RFC 4648.
const BCRYPT_DIGITS: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
const BCRYPT: [&str; 4] = ["$2y$", "$2b$", "$2a$", "$2x$"];
const MD5: [&str; 2] = ["$apr1$", "$1$"];
const SHA1: [&str; 2] = ["{SHA}", "{SSHA}"];

impl PasswordHash {
    /// Reads a hash.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if let Some(rest) = BCRYPT.iter().find_map(|kind| text.strip_prefix(kind)) {
            return bcrypt(rest);
        }
        for magic in MD5 {
            let Some(rest) = text.strip_prefix(magic) else { continue };
            let (salt, digest) = rest.split_once('$').ok_or(HashError::Damaged)?;
            if salt.len() > MD5_SALT || digest.len() != MD5_LENGTH || !digest.bytes().all(is_crypt_digit) {
                return Err(HashError::Damaged);
            }
            return Ok(Self::Md5 { magic, salt: salt.to_owned(), digest: digest.to_owned() });
        }
        let Some(rest) = SHA1.iter().find_map(|kind| text.strip_prefix(kind)) else {
            return Err(HashError::Kind);
        };
        let bytes = STANDARD.decode(rest).map_err(|_| HashError::Damaged)?;
        let (digest, salt) = bytes.split_first_chunk().ok_or(HashError::Damaged)?;
        if text.starts_with(SHA1[0]) && !salt.is_empty() {
            return Err(HashError::Damaged);
        }
        Ok(Self::Sha1 { digest: *digest, salt: salt.to_vec() })
    }
}

fn bcrypt(text: &str) -> Result<PasswordHash, HashError> {
    let (cost, rest) = text.split_once('$').ok_or(HashError::Damaged)?;
    let cost: u32 = cost.parse().map_err(|_| HashError::Damaged)?;
    let (salt, digest) = rest.split_at_checked(BCRYPT_SALT).ok_or(HashError::Damaged)?;
    let bytes = |text: &str| BCRYPT_DIGITS.decode(text).map_err(|_| HashError::Damaged);
    let salt = bytes(salt)?.try_into().map_err(|_| HashError::Damaged)?;
    let digest = bytes(digest)?.try_into().map_err(|_| HashError::Damaged)?;
    match cost {
        0..4 => Err(HashError::Damaged),
        4..=MOST_COST => Ok(PasswordHash::Bcrypt { cost, salt, digest }),
        _ => Err(HashError::Cost),
    }
}

/// A digit of the base 64 of `crypt`.
fn is_crypt_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"./".contains(&byte)
}

/// Nothing of it belongs in a log.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_read_as_the_table_says() {
        let bcrypt = "$2y$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa";
        let costly = bcrypt.replace("$05$", "$15$");
        let table = [
            (bcrypt, Ok("bcrypt")),
            (costly.as_str(), Err(HashError::Cost)),
            (&bcrypt[..59], Err(HashError::Damaged)),
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", Ok("md5")),
            ("$1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", Ok("md5")),
            ("$apr1$lZL6V/ci$eIMz", Err(HashError::Damaged)),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", Ok("sha1")),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9hh", Err(HashError::Damaged)),
            ("{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9hzYWx0", Ok("sha1")),
            ("{SHA}W6ph", Err(HashError::Damaged)),
            ("$6$salt$digest", Err(HashError::Kind)),
            ("secret", Err(HashError::Kind)),
            ("", Err(HashError::Kind)),
        ];
        for (text, expected) in table {
            let read = PasswordHash::parse(text).map(|hash| match hash {
                PasswordHash::Bcrypt { .. } => "bcrypt",
                PasswordHash::Md5 { .. } => "md5",
                PasswordHash::Sha1 { .. } => "sha1",
            });
            assert_eq!(read, expected, "{text}");
        }
    }
}
