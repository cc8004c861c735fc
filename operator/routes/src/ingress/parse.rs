//! Reads an Ingress. What is wrong with one rule leaves the others.

use std::{collections::BTreeSet, sync::Arc};

use proxy_config::model::{HostMatch, RedirectTo, Rewrite, ToHttps};
use serde_json::Value;

use super::{
    Guard, Ingress, Kind, Options, Place, Rule, Target, annotations::Annotations, canary::Canary,
    defaults::Defaults, mirror,
};
use crate::{
    fields::Fields,
    object::{IngressObject, ObjectName, PortReference},
};

/// Reads an Ingress of ours. An error: nothing of it can be served.
pub(crate) fn parse(
    name: &ObjectName,
    object: &IngressObject,
    defaults: &Defaults,
    prefix: &str,
) -> Result<Ingress, String> {
    let fields = Fields::of(&object.spec, "spec")?;
    let mut annotations = Annotations::new(&object.annotations, prefix);
    let canary = Canary::parse(&mut annotations)?;
    let options = Options::parse(&mut annotations, defaults, name)?;
    let guard = Guard::parse(&mut annotations, defaults, &name.namespace)?;
    let mirror = mirror::target(&mut annotations, &name.namespace);
    let mut hosts = list(&fields, "rules")?.iter().filter_map(|rule| rule["host"].as_str());
    let first = hosts.find(|host| !host.is_empty()).map(str::to_ascii_lowercase);
    let (seen, aliases, rules, problems) = (BTreeSet::new(), Vec::new(), Vec::new(), Vec::new());
    let mut draft = Draft { name, options, first, aliases, seen, rules, problems };
    draft.read_aliases();
    let tls = draft.tls(&fields)?;
    let hosts: BTreeSet<&str> = tls.iter().flat_map(|entry| &entry.hosts).map(String::as_str).collect();
    let mut named: BTreeSet<String> = BTreeSet::new();
    for rule in list(&fields, "rules")? {
        if let Err(problem) = draft.host(rule, &hosts, &mut named) {
            draft.problems.push(problem);
        }
    }
    draft.rest(&fields, &named, &hosts)?;
    draft.app_roots(&named, &hosts)?;
    draft.redirect_www(&named, &hosts)?;
    let mut remarks: Vec<String> = mirror.as_ref().err().cloned().into_iter().collect();
    let unread = annotations.unread();
    let unread: Vec<String> = unread.iter().map(|name| format!("`{name}`")).collect();
    if !unread.is_empty() {
        remarks.push(format!("not acted on: {}", unread.join(", ")));
    }
    let mut certificates = Vec::new();
    for entry in tls {
        let secret = entry.secret;
        // Without names it is for all that the rules have.
        let covered = if entry.hosts.is_empty() { named.iter().cloned().collect() } else { entry.hosts };
        let covered = if covered.is_empty() { vec!["*".to_owned()] } else { covered };
        certificates.extend(covered.into_iter().map(|host| (host, secret.clone())));
    }
    let Draft { options, rules, problems, .. } = draft;
    let mirror = mirror.unwrap_or_default();
    Ok(Ingress { rules, tls: certificates, canary, options, guard, mirror, problems, remarks })
}

/// One of `spec.tls`.
struct TlsEntry {
    hosts: Vec<String>,
    secret: Option<ObjectName>,
}

struct Draft<'a> {
    name: &'a ObjectName,
    options: Options,
    /// The first host that a rule names, and its other names.
    first: Option<String>,
    aliases: Vec<String>,
    seen: BTreeSet<Arc<Place>>,
    rules: Vec<Rule>,
    problems: Vec<String>,
}

impl Draft<'_> {
    fn tls(&mut self, fields: &Fields<'_>) -> Result<Vec<TlsEntry>, String> {
        let mut entries = Vec::new();
        for entry in list(fields, "tls")? {
            let entry = Fields::of(entry, "tls")?;
            let mut hosts = Vec::new();
            for host in entry.texts("hosts")?.unwrap_or_default() {
                match host_match(&host) {
                    Ok(_) => hosts.push(host.to_ascii_lowercase()),
                    Err(problem) => self.problems.push(format!("in `tls`: {problem}")),
                }
            }
            if self.first.as_ref().is_some_and(|first| hosts.contains(first)) {
                hosts.extend(self.aliases.iter().cloned());
            }
            let secret = entry.text("secretName")?.filter(|secret| !secret.is_empty());
            let secret = secret.map(|secret| self.name.sibling(secret));
            entries.push(TlsEntry { hosts, secret });
        }
        Ok(entries)
    }

    /// One of `spec.rules`.
    fn host(
        &mut self,
        rule: &Value,
        tls: &BTreeSet<&str>,
        named: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let rule = Fields::of(rule, "rules")?;
        let text = rule.text("host")?.unwrap_or_default().to_ascii_lowercase();
        let aliases = if self.first.as_ref() == Some(&text) { self.aliases.clone() } else { Vec::new() };
        for text in [text].into_iter().chain(aliases) {
            let host = host_match(&text)?;
            if !text.is_empty() {
                named.insert(text.clone());
            }
            let to_https = self.to_https(&text, tls);
            for path in list(&rule.object("http")?, "paths")? {
                if let Err(problem) = self.path(&host, path, to_https) {
                    let place = if text.is_empty() { "every host" } else { &text };
                    self.problems.push(format!("a path of {place} is not served: {problem}"));
                }
            }
        }
        Ok(())
    }

    /// `server-alias`, as far as they are names.
    fn read_aliases(&mut self) {
        for alias in std::mem::take(&mut self.options.aliases) {
            match host_match(&alias) {
                Ok(_) => self.aliases.push(alias.to_ascii_lowercase()),
                Err(problem) => self.problems.push(format!("in `server-alias`: {problem}")),
            }
        }
    }

    /// `from-to-www-redirect`: who comes to a host with `www.` too much or too few is sent on.
    fn redirect_www(&mut self, named: &BTreeSet<String>, tls: &BTreeSet<&str>) -> Result<(), String> {
        let Some(status) = self.options.www else { return Ok(()) };
        for host in named.iter().filter(|host| !host.starts_with('*')) {
            let other = host.strip_prefix("www.").map_or_else(|| format!("www.{host}"), str::to_owned);
            if named.contains(&other) {
                continue;
            }
            let place = Place { host: host_match(&other)?, path: String::new(), kind: Kind::Rest };
            let host = Some(host.clone());
            let redirect = RedirectTo { status, scheme: None, host, port: None, path: Rewrite::None };
            let to_https = self.to_https(&other, tls);
            self.push(place, Target::Redirect(redirect), to_https);
        }
        Ok(())
    }

    fn path(&mut self, host: &HostMatch, path: &Value, to_https: Option<ToHttps>) -> Result<(), String> {
        let path = Fields::of(path, "paths")?;
        let written = path.text("path")?.filter(|text| !text.is_empty());
        let text = written.unwrap_or_else(|| "/".to_owned());
        let kind = match path.text("pathType")?.as_deref() {
            Some("Exact") => Kind::Exact,
            Some("Prefix" | "ImplementationSpecific") | None if self.options.regex => Kind::Regex,
            Some("Prefix") => Kind::Elements,
            Some("ImplementationSpecific") | None => Kind::Text,
            Some(other) => {
                return Err(format!(
                    "`pathType` of `{text}` is `{other}`, not Exact, Prefix or ImplementationSpecific"
                ));
            }
        };
        if kind != Kind::Regex && !text.starts_with('/') {
            return Err(format!("`path` is `{text}`, which does not begin with a slash"));
        }
        let text = match kind {
            Kind::Elements if text.len() > 1 => match text.trim_end_matches('/') {
                "" => "/".to_owned(),
                trimmed => trimmed.to_owned(),
            },
            _ => text,
        };
        let target = match &self.options.redirect {
            Some(redirect) => Target::Redirect(redirect.clone()),
            None => {
                backend(&path.object("backend")?, self.name).map_err(|error| format!("`{text}`: {error}"))?
            }
        };
        self.push(Place { host: host.clone(), path: text, kind }, target, to_https);
        Ok(())
    }

    /// `spec.defaultBackend`: for the hosts of the rules, or, without rules, for every host.
    fn rest(
        &mut self,
        fields: &Fields<'_>,
        named: &BTreeSet<String>,
        tls: &BTreeSet<&str>,
    ) -> Result<(), String> {
        let rest = fields.object("defaultBackend")?;
        if rest.0.is_empty() {
            return Ok(());
        }
        let target = match &self.options.redirect {
            Some(redirect) => Target::Redirect(redirect.clone()),
            None => match backend(&rest, self.name) {
                Ok(target) => target,
                Err(problem) => {
                    self.problems.push(format!("`defaultBackend` is not served: {problem}"));
                    return Ok(());
                }
            },
        };
        let every = BTreeSet::from([String::new()]);
        let whole =
            list(fields, "rules")?.iter().any(|rule| rule["host"].as_str().unwrap_or_default().is_empty());
        let hosts = if named.is_empty() || whole { named | &every } else { named.clone() };
        for text in &hosts {
            let place = Place { host: host_match(text)?, path: String::new(), kind: Kind::Rest };
            let to_https = self.to_https(text, tls);
            self.push(place, target.clone(), to_https);
        }
        Ok(())
    }

    /// `app-root`, for each host of the rules.
    fn app_roots(&mut self, named: &BTreeSet<String>, tls: &BTreeSet<&str>) -> Result<(), String> {
        let Some(path) = self.options.app_root.clone() else { return Ok(()) };
        if !path.starts_with('/') {
            return Err(format!("`app-root` is `{path}`, which does not begin with a slash"));
        }
        for text in named {
            let place = Place { host: host_match(text)?, path: "/".to_owned(), kind: Kind::Root };
            let (scheme, host, port) = (None, None, None);
            let redirect = RedirectTo { status: 302, scheme, host, port, path: Rewrite::Full(path.clone()) };
            let to_https = self.to_https(text, tls);
            self.push(place, Target::Redirect(redirect), to_https);
        }
        Ok(())
    }

    fn push(&mut self, place: Place, target: Target, to_https: Option<ToHttps>) {
        let place = Arc::new(place);
        if self.seen.insert(Arc::clone(&place)) {
            self.rules.push(Rule { place, target, to_https });
        } else {
            self.problems.push(format!("`{}` is there twice: the first counts", place.show()));
        }
    }

    fn to_https(&self, host: &str, tls: &BTreeSet<&str>) -> Option<ToHttps> {
        let (with_tls, always) = self.options.to_https;
        let wildcard = host.find('.').map(|at| format!("*{}", &host[at..]));
        let covered = tls.contains(host) || wildcard.is_some_and(|name| tls.contains(name.as_str()));
        if covered { with_tls } else { always }
    }
}

/// The items of a list; an absent one has none.
fn list<'a>(fields: &Fields<'a>, field: &str) -> Result<&'a [Value], String> {
    match fields.value(field) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("`{field}` is {}, not a list", crate::fields::kind(other))),
    }
}

/// A name, `*.` and a name for one more label, or the empty text for every host.
fn host_match(text: &str) -> Result<HostMatch, String> {
    let text = text.to_ascii_lowercase();
    let label = |it: &str| {
        (1..=63).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
    };
    let (name, tail) = match text.strip_prefix("*.") {
        Some(name) => (name, Some(&text[1..])),
        None => (text.as_str(), None),
    };
    if text.is_empty() || text == "*" {
        return Ok(HostMatch::Any);
    }
    if text.len() > 253 || !name.split('.').all(label) {
        return Err(format!("host `{text}` is no DNS name, nor one after `*.`"));
    }
    Ok(tail.map_or_else(|| HostMatch::Exact(text.clone()), |tail| HostMatch::Label(tail.to_owned())))
}

/// Where a rule sends its requests.
fn backend(fields: &Fields<'_>, name: &ObjectName) -> Result<Target, String> {
    if let Some(resource) = fields.value("resource") {
        let kind = resource["kind"].as_str().unwrap_or("object");
        return Err(format!("a backend of kind {kind} cannot be reached: name a Service"));
    }
    let service = fields.object("service")?;
    let service_name = service.text("name")?.filter(|name| !name.is_empty());
    let service_name = service_name.ok_or("`backend.service.name` is missing")?;
    let port = service.object("port")?;
    let port = match (port.number("number", 1, 65_535)?, port.text("name")?.filter(|name| !name.is_empty())) {
        (Some(number), _) => PortReference::Number(u16::try_from(number).unwrap_or(u16::MAX)),
        (None, Some(name)) => PortReference::Name(name.as_str().into()),
        (None, None) => return Err("`backend.service.port` has neither `number` nor `name`".to_owned()),
    };
    Ok(Target::Service(name.sibling(service_name), port))
}
