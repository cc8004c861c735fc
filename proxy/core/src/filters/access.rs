//! Who may use a route.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use proxy_config::{
    model::{self, Origin},
    password::PasswordHash,
};
use sha2::{Digest as _, Sha256};

use super::Authorization;
use crate::password;

/// Who may use a route.
#[derive(Debug)]
pub struct Access {
    allowed: Box<[Origin]>,
    denied: Box<[Origin]>,
    /// Who must show a password; `None`: nobody.
    pub login: Option<Arc<Login>>,
    /// Who is asked about each request; `None`: nobody.
    pub authorization: Option<Arc<Authorization>>,
}

/// Names with passwords.
#[derive(Debug)]
pub struct Login {
    /// What the client is told who shows nothing, or nothing that is right.
    pub challenge: HeaderValue,
    users: BTreeMap<String, PasswordHash>,
    /// What was shown and compared before. To compare takes longer than all else about a request.
    known: Mutex<HashMap<Fingerprint, bool>>,
}

/// Stands for a name with a password.
type Fingerprint = [u8; 32];

/// How many are kept. Beyond that all are forgotten: whoever tries many passwords must not take the memory.
const KNOWN: usize = 4096;

/// What a request shows.
#[derive(Debug)]
pub enum Shown {
    /// A name with its password.
    Right,
    /// Nothing, or nothing that is right.
    Wrong,
    /// What has not been compared yet.
    Unknown(Verification),
}

/// A password that has to be compared, which takes a while.
#[derive(Debug)]
pub struct Verification {
    login: Arc<Login>,
    hash: PasswordHash,
    password: Box<[u8]>,
    fingerprint: Fingerprint,
}

impl Access {
    /// Prepares it.
    #[must_use]
    pub fn new(access: &model::Access) -> Self {
        let model::Access { allowed, denied, login, authorization } = access;
        Self {
            allowed: allowed.as_slice().into(),
            denied: denied.as_slice().into(),
            login: login.as_ref().map(|login| Arc::new(Login::new(login))),
            authorization: authorization.as_ref().map(|it| Arc::new(Authorization::new(it))),
        }
    }

    /// Whether requests of this client may come in, over a connection from this peer.
    #[must_use]
    pub fn takes(&self, client: IpAddr, peer: IpAddr) -> bool {
        let (client, peer) = (client.to_canonical(), peer.to_canonical());
        let within = |origins: &[Origin]| {
            origins.iter().any(|origin| match origin {
                Origin::Client(range) => range.contains(&client),
                Origin::Peer(range) => range.contains(&peer),
            })
        };
        !within(&self.denied) && (self.allowed.is_empty() || within(&self.allowed))
    }
}

impl Login {
    fn new(login: &model::Login) -> Self {
        let model::Login { realm, users } = login;
        let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        // A hash that cannot be read is nobody's password; validation refuses it.
        let user = |user: &model::User| Some((user.name.clone(), PasswordHash::parse(&user.hash.0).ok()?));
        Self {
            challenge: challenge.unwrap_or_else(|_| HeaderValue::from_static("Basic")),
            users: users.iter().filter_map(user).collect(),
            known: Mutex::default(),
        }
    }

    /// What a request with these headers shows.
    #[must_use]
    pub fn shown(self: &Arc<Self>, headers: &HeaderMap) -> Shown {
        let Some((name, password)) = headers.get(AUTHORIZATION).and_then(basic) else { return Shown::Wrong };
        let Some(hash) = self.users.get(&name) else { return Shown::Wrong };
        let fingerprint = Sha256::new().chain_update(&name).chain_update(":").chain_update(&password);
        let fingerprint = fingerprint.finalize().into();
        match self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&fingerprint) {
            Some(true) => Shown::Right,
            Some(false) => Shown::Wrong,
            None => Shown::Unknown(Verification {
                login: Arc::clone(self),
                hash: hash.clone(),
                password: password.into(),
                fingerprint,
            }),
        }
    }
}

impl Verification {
    /// Compares, and keeps what came of it.
    pub fn run(self) {
        let Self { login, hash, password, fingerprint } = self;
        let right = password::is_right(&hash, &password);
        let mut known = login.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(fingerprint, right);
    }
}

/// Name and password of the scheme `Basic` (RFC 7617).
fn basic(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = STANDARD.decode(credentials.trim()).ok()?;
    let colon = credentials.iter().position(|it| *it == b':')?;
    let name = String::from_utf8(credentials[..colon].to_vec()).ok()?;
    Some((name, credentials[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{Secret, User};

    use super::*;

    #[test]
    fn addresses_are_let_in_as_the_table_says() {
        // A range of peers begins with `>`.
        let origin = |text: &&str| match text.strip_prefix('>') {
            Some(range) => Origin::Peer(range.parse().unwrap()),
            None => Origin::Client(text.parse().unwrap()),
        };
        let origins = |texts: &[&str]| texts.iter().map(origin).collect::<Vec<Origin>>();
        let table = [
            (&[][..], &[][..], "198.18.0.1", true),
            (&["198.18.0.0/15"], &[], "198.19.255.255", true),
            (&["198.18.0.0/15"], &[], "198.20.0.0", false),
            (&["198.18.0.0/15"], &[], "::ffff:198.18.0.1", true),
            (&["198.18.0.0/15"], &["198.18.0.7/32"], "198.18.0.7", false),
            (&[], &["198.18.0.7/32"], "198.18.0.8", true),
            (&["2001:db8::/32"], &[], "2001:db8::1", true),
            (&["2001:db8::/32"], &[], "198.18.0.1", false),
            (&["0.0.0.0/0"], &[], "2001:db8::1", false),
            (&[">192.0.2.0/24"], &[], "198.18.0.1", true),
            (&[">198.18.0.0/15"], &[], "198.18.0.1", false),
            (&["198.18.0.0/15"], &[">192.0.2.9/32"], "198.18.0.1", false),
        ];
        for (allowed, denied, client, expected) in table {
            let (allowed, denied) = (origins(allowed), origins(denied));
            let access = Access::new(&model::Access { allowed, denied, ..model::Access::default() });
            let taken = access.takes(client.parse().unwrap(), "192.0.2.9".parse().unwrap());
            assert_eq!(taken, expected, "{access:?} {client}");
        }
    }

    fn login() -> Arc<Login> {
        let hash = Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".to_owned());
        let users = vec![User { name: "ann".to_owned(), hash }];
        Arc::new(Login::new(&model::Login { realm: "staff only".to_owned(), users }))
    }

    fn show(login: &Arc<Login>, value: &str) -> Shown {
        let value = HeaderValue::from_str(value).unwrap();
        login.shown(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    #[test]
    fn a_password_is_compared_once() {
        let login = login();
        for (credentials, right) in [("ann:password", true), ("ann:pass:word", false)] {
            let value = format!("Basic {}", STANDARD.encode(credentials));
            let Shown::Unknown(verification) = show(&login, &value) else {
                panic!("{credentials} has been compared before")
            };
            verification.run();
            let shown = show(&login, &value);
            assert_eq!(matches!(shown, Shown::Right), right, "{credentials}");
            assert!(!matches!(shown, Shown::Unknown(_)), "{credentials} is compared again");
        }
    }

    #[test]
    fn what_is_no_name_with_a_password_is_wrong() {
        let login = login();
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for value in ["", "Basic", "Basic ?", "Bearer abc", &encoded("ann"), &encoded("bob:password")] {
            assert!(matches!(show(&login, value), Shown::Wrong), "{value}");
        }
        assert!(matches!(login.shown(&HeaderMap::new()), Shown::Wrong));
        assert_eq!(login.challenge, "Basic realm=\"staff only\", charset=\"UTF-8\"");
    }
}
