//! Who may use the routes of an Ingress: the annotations that keep clients out.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use proxy_config::{
    model::{Access, Authorization, Login, Origin, Secret, User},
    password::PasswordHash,
};

use super::{annotations::Annotations, authorization::Asked, defaults::Defaults};
use crate::object::SecretObject;

/// Who may use the routes of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// `whitelist-source-range` and `denylist-source-range`.
    ranges: Access,
    /// `auth-type: basic`.
    pub(crate) passwords: Option<Passwords>,
    /// `auth-url`.
    pub(crate) authorization: Option<Asked>,
    /// Annotations that keep clients out and are not acted on: without them nobody is let in.
    unprotected: Vec<String>,
    /// Why nobody is let in besides.
    closed: Option<String>,
}

/// Where names and passwords are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passwords {
    /// `auth-secret`, in the namespace of the Ingress.
    pub(crate) secret: String,
    layout: Layout,
    realm: String,
}

/// `auth-secret-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `auth-file`: a file of `htpasswd` in the entry `auth`.
    File,
    /// `auth-map`: each entry is a user.
    Map,
}

/// The entry of a Secret that is a file of passwords.
const FILE: &str = "auth";
/// What keeps clients out beside what is read here: whoever wrote it does not want to be served without it.
const PROTECTION: [&str; 6] = [
    "auth-tls-secret",
    "auth-tls-verify-client",
    "enable-modsecurity",
    "modsecurity-snippet",
    "satisfy",
    "ssl-passthrough",
];
/// The key for all Ingresses that some do without.
pub(super) const GLOBAL_AUTHORIZATION: &str = "global-auth-url";
/// What some of them, and a few others, say to have things as they are here anyway.
const AS_IT_IS: [(&str, &str); 7] = [
    ("auth-tls-verify-client", "off"),
    ("enable-modsecurity", "false"),
    ("proxy-buffering", "off"),
    ("proxy-http-version", "1.1"),
    ("proxy-request-buffering", "off"),
    ("satisfy", "all"),
    ("ssl-passthrough", "false"),
];
/// How many users are named.
const NAMED: usize = 5;

impl Guard {
    pub(super) fn parse(
        annotations: &mut Annotations<'_>,
        defaults: &Defaults,
        namespace: &str,
    ) -> Result<Self, String> {
        let mut list = |names: &[&'static str]| {
            names.iter().find_map(|name| annotations.text(name).map(|text| (*name, text)))
        };
        let written = |found: Option<(&str, &str)>, default: &[_]| match found {
            Some((name, text)) => ranges(text).map_err(|word| format!("`{name}`: {word}")),
            None => Ok(default.to_vec()),
        };
        let allowed = list(&["allowlist-source-range", "whitelist-source-range"]);
        let denied = list(&["denylist-source-range"]);
        let ranges = Access {
            allowed: written(allowed, &defaults.allowed)?,
            denied: written(denied, &defaults.denied)?,
            ..Access::default()
        };
        let passwords = passwords(annotations, namespace)?;
        for (name, value) in AS_IT_IS {
            annotations.is(name, value);
        }
        let own_authorization = Asked::of_annotations(annotations, namespace);
        let is_global =
            annotations.text("enable-global-auth") != Some("false") && own_authorization == Ok(None);
        let (authorization, closed) = match own_authorization {
            Ok(None) => (defaults.authorization.clone().filter(|_| is_global), None),
            Ok(own) => (own, None),
            Err(reason) => (None, Some(reason)),
        };
        let global = defaults.unprotected.iter().filter(|key| is_global || *key != GLOBAL_AUTHORIZATION);
        let unread = annotations.unread();
        let own = unread.iter().filter(|name| PROTECTION.contains(name)).map(|name| (*name).to_owned());
        let unprotected = own.chain(global.cloned()).collect();
        Ok(Self { ranges, passwords, authorization, unprotected, closed })
    }

    /// What the proxies look at, and what its owner should know. `secret` is that of the passwords, `authorization` who is
    /// asked. An error: nobody may be let in.
    pub(crate) fn access(
        &self,
        secret: Option<&SecretObject>,
        authorization: Option<Authorization>,
    ) -> Result<(Option<Access>, Option<String>), String> {
        if let Some(reason) = &self.closed {
            return Err(reason.clone());
        }
        if !self.unprotected.is_empty() {
            let names = self.unprotected.join("`, `");
            return Err(format!("`{names}` is not acted on, and without it everybody would be let in"));
        }
        let mut access = Access { authorization, ..self.ranges.clone() };
        let mut remark = None;
        if let Some(Passwords { secret: name, layout, realm }) = &self.passwords {
            let secret = secret.ok_or_else(|| format!("Secret `{name}` does not exist"))?;
            let (users, odd) = match layout {
                Layout::Map => {
                    users(secret.entries.iter().map(|(user, hash)| (user.as_str(), hash.0.as_str())))
                }
                Layout::File => match secret.entries.get(FILE) {
                    Some(file) => users(file.0.lines().filter_map(line)),
                    None => return Err(format!("Secret `{name}` has no entry `{FILE}`")),
                },
            };
            remark = odd;
            access.login = Some(Login { realm: realm.clone(), users });
        }
        Ok(((access != Access::default()).then_some(access), remark))
    }
}

/// One line of a file of `htpasswd`: `name:hash`, perhaps with more after another colon.
fn line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, rest) = line.split_once(':').filter(|_| !line.starts_with('#'))?;
    Some((name, rest.split(':').next().unwrap_or_default()))
}

/// The users who can come in, and who cannot and why. Of one name the first counts.
fn users<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> (Vec<User>, Option<String>) {
    let mut users: BTreeMap<&str, &str> = BTreeMap::new();
    let mut odd = Vec::new();
    for (name, hash) in entries {
        let no_name = || name.contains(':') || name.chars().any(char::is_control);
        match PasswordHash::parse(hash) {
            Ok(_) if no_name() => odd.push(format!("`{}` is no name of a user", name.escape_debug())),
            Ok(_) => drop(users.entry(name).or_insert(hash)),
            Err(error) => odd.push(format!("`{name}`: {error}")),
        }
    }
    let more = odd.len().saturating_sub(NAMED);
    odd.truncate(NAMED);
    let remark = match (odd.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("users who cannot come in: {}", odd.join("; "))),
        (false, more) => Some(format!("users who cannot come in: {}; and {more} more", odd.join("; "))),
    };
    let user = |(name, hash): (&str, &str)| User { name: name.to_owned(), hash: Secret(hash.to_owned()) };
    (users.into_iter().map(user).collect(), remark)
}

fn passwords(annotations: &mut Annotations<'_>, namespace: &str) -> Result<Option<Passwords>, String> {
    let kind = annotations.text("auth-type");
    let secret = annotations.text("auth-secret");
    let layout = annotations.text("auth-secret-type");
    let realm = annotations.text("auth-realm").unwrap_or_default();
    match kind {
        None => return Ok(None),
        Some("basic") => {}
        Some(other) => return Err(format!("`auth-type` is `{other}`; `basic` is acted on")),
    }
    let secret = secret.ok_or("`auth-type` without `auth-secret`: it names the Secret with the passwords")?;
    let secret = match secret.split_once('/') {
        None => secret,
        Some((own, secret)) if own == namespace => secret,
        Some((other, _)) => {
            return Err(format!("`auth-secret` is in namespace `{other}`, not in that of the Ingress"));
        }
    };
    let layout = match layout {
        None | Some("auth-file") => Layout::File,
        Some("auth-map") => Layout::Map,
        Some(other) => return Err(format!("`auth-secret-type` is `{other}`, not auth-file or auth-map")),
    };
    if realm.contains(['"', '\\']) || realm.chars().any(char::is_control) {
        return Err(format!("`auth-realm` is `{}`, which cannot stand between quotes", realm.escape_debug()));
    }
    Ok(Some(Passwords { secret: secret.to_owned(), layout, realm: realm.to_owned() }))
}

/// Ranges or single addresses between commas.
pub(super) fn ranges(text: &str) -> Result<Vec<Origin>, String> {
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let ranges: Vec<_> = texts.map(|it| range(it).map(Origin::Client)).collect::<Result<_, _>>()?;
    if ranges.is_empty() {
        return Err("there is no range in it".to_owned());
    }
    Ok(ranges)
}

/// A range or a single address.
pub(crate) fn range(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let range = text.parse().ok().or_else(address);
    range.ok_or_else(|| format!("`{text}` is no address and no range of the form 198.18.0.0/15"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00";

    fn guard(annotations: &[(&str, &str)], defaults: &Defaults) -> Result<Guard, String> {
        let all =
            annotations.iter().map(|(name, value)| (format!("n/{name}"), (*value).to_owned())).collect();
        Guard::parse(&mut Annotations::new(&all, "n"), defaults, "shop")
    }

    fn secret(entries: &[(&str, &str)]) -> SecretObject {
        let entries = entries.iter().map(|(name, text)| ((*name).to_owned(), Secret((*text).to_owned())));
        SecretObject { entries: entries.collect(), ..SecretObject::default() }
    }

    /// What clients must be, in one line.
    fn show(access: Option<Access>) -> String {
        let Some(Access { allowed, denied, login, .. }) = access else { return "everybody".to_owned() };
        let list = |origins: Vec<Origin>| {
            let range = |origin: &Origin| match origin {
                Origin::Client(range) | Origin::Peer(range) => range.to_string(),
            };
            origins.iter().map(range).collect::<Vec<_>>().join(" ")
        };
        let users = login.map(|it| {
            let names: Vec<_> = it.users.into_iter().map(|it| it.name).collect();
            format!(" {}[{}]", it.realm, names.join(" "))
        });
        format!("+{} -{}{}", list(allowed), list(denied), users.unwrap_or_default())
    }

    #[test]
    fn annotations_let_clients_in_as_the_table_says() {
        let basic = [("auth-type", "basic"), ("auth-secret", "shop/staff"), ("auth-realm", "staff only")];
        let map = [&basic[..], &[("auth-secret-type", "auth-map")]].concat();
        let file = format!("# staff\n\nbob:{HASH}\nann:{HASH}:a comment\nann:{{SHA}}x\neve:plain\n");
        #[expect(clippy::type_complexity, reason = "a table")]
        let table: [(&[(&str, &str)], Option<SecretObject>, &str); 12] = [
            (&[], None, "everybody"),
            (
                &[("whitelist-source-range", "198.18.0.0/15, 2001:db8::1")],
                None,
                "+198.18.0.0/15 2001:db8::1/128 -",
            ),
            (&[("denylist-source-range", "198.18.0.7")], None, "+ -198.18.0.7/32"),
            (
                &[("whitelist-source-range", "office")],
                None,
                "! `whitelist-source-range`: `office` is no address and no range of the form 198.18.0.0/15",
            ),
            (&[("whitelist-source-range", ",")], None, "! `whitelist-source-range`: there is no range in it"),
            (&basic, None, "! Secret `staff` does not exist"),
            (&basic, Some(secret(&[("ann", HASH)])), "! Secret `staff` has no entry `auth`"),
            (&basic, Some(secret(&[("auth", &file)])), "+ - staff only[ann bob]"),
            (&map, Some(secret(&[("ann", HASH), ("eve", "plain")])), "+ - staff only[ann]"),
            (
                &[("auth-type", "basic"), ("auth-secret", "else/staff")],
                None,
                "! `auth-secret` is in namespace `else`, not in that of the Ingress",
            ),
            (
                &[("auth-tls-secret", "a/b"), ("satisfy", "any")],
                None,
                "! `auth-tls-secret`, `satisfy` is not acted on, and without it everybody would be let in",
            ),
            (
                &[("satisfy", "all"), ("enable-global-auth", "false"), ("ssl-passthrough", "false")],
                None,
                "everybody",
            ),
        ];
        for (annotations, secret, expected) in table {
            let access =
                guard(annotations, &Defaults::default()).and_then(|it| it.access(secret.as_ref(), None));
            let shown = access.map_or_else(|error| format!("! {error}"), |(access, _)| show(access));
            assert_eq!(shown, expected, "{annotations:?}");
        }
    }

    #[test]
    fn who_cannot_come_in_is_told() {
        let basic = [("auth-type", "basic"), ("auth-secret", "staff")];
        let secret = secret(&[("auth", "eve:plain\nann:$apr1$x$y")]);
        let guard = guard(&basic, &Defaults::default()).unwrap();
        let (_, remark) = guard.access(Some(&secret), None).unwrap();
        let expected = "users who cannot come in: `eve`: the hash of its password is none of bcrypt, $apr1$, $1$, {SHA} \
                        and {SSHA}: make it with `htpasswd -B`; `ann`: the hash of its password is damaged: make it anew \
                        with `htpasswd -B`";
        assert_eq!(remark.as_deref(), Some(expected));
    }

    #[test]
    fn what_holds_for_all_ingresses_is_kept() {
        let defaults = |url: &str| {
            let data = [("whitelist-source-range", "198.18.0.0/15"), ("global-auth-url", url)];
            let data = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Defaults::parse(&data)
        };
        let broken = defaults("auth.example.org");
        assert_eq!(guard(&[], &broken).unwrap().unprotected, ["global-auth-url"]);
        let defaults = defaults("https://auth.example.org");
        let asked = guard(&[], &defaults).unwrap();
        assert!(asked.unprotected.is_empty() && asked.authorization == defaults.authorization);
        let other = [("auth-url", "https://other.example.org")];
        for defaults in [&broken, &defaults] {
            let own = guard(&other, defaults).unwrap();
            assert!(own.unprotected.is_empty() && own.authorization.is_some());
            assert_ne!(own.authorization, defaults.authorization);
            let none = guard(&[("enable-global-auth", "false")], defaults).unwrap();
            assert!(none.unprotected.is_empty() && none.authorization.is_none());
        }
        let own = [("enable-global-auth", "false"), ("whitelist-source-range", "192.0.2.0/24")];
        let access = guard(&own, &defaults).and_then(|it| it.access(None, None)).unwrap().0;
        assert_eq!(show(access), "+192.0.2.0/24 -");
        let access = guard(&own[..1], &defaults).and_then(|it| it.access(None, None)).unwrap().0;
        assert_eq!(show(access), "+198.18.0.0/15 -");
    }
}
