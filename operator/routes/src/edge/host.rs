//! Reads a `Host`.

use std::collections::BTreeMap;

use proxy_config::model::HostMatch;
use serde_json::Value;

use super::{
    InsecureAction,
    selector::Selector,
    tls_context::{self, TlsSettings},
};
use crate::{
    compat::Compat,
    dialect::Document,
    fields::Fields,
    hostname::{check_server_name, parse_glob, server_name},
    object::ObjectName,
};

/// A Host that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: HostMatch,
    /// Which Mappings it selects; one that asks for nothing is none.
    pub(crate) selector: Option<Selector>,
    /// Its own labels, by which Listeners select it.
    pub(crate) labels: BTreeMap<String, String>,
    /// `tlsSecret`.
    pub(crate) secret: Option<ObjectName>,
    /// `tlsContext`.
    pub(crate) context: Option<ObjectName>,
    /// `tls`.
    pub(crate) settings: Option<TlsSettings>,
    pub(crate) insecure: InsecureAction,
    /// `requestPolicy.insecure.additionalPort`.
    pub(crate) additional_port: Option<u16>,
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn parse(document: &Document, compat: Compat) -> Result<Host, String> {
    let fields = Fields::of(&document.spec, "spec")?;
    let mut remarks = Vec::new();
    let hostname = fields.text("hostname")?.filter(|name| !name.is_empty());
    let field = if fields.value("mappingSelector").is_some() { "mappingSelector" } else { "selector" };
    let mut selector = Selector::parse(&fields.object(field)?, field)?;
    let has_selector = !selector.is_empty();
    if compat == Compat::Strict {
        // Expressions are ignored there: with nothing else, every Mapping is selected.
        selector.expressions.clear();
    }
    let selector = has_selector.then_some(selector);
    let secret = fields.object("tlsSecret")?;
    let secret = secret.text("name")?.filter(|name| !name.is_empty()).map(|name| {
        let namespace = secret.text("namespace").ok().flatten().filter(|namespace| !namespace.is_empty());
        namespace.map_or_else(
            || document.name.sibling(name.clone()),
            |namespace| ObjectName::new(namespace, name.clone()),
        )
    });
    let context = fields.object("tlsContext")?.text("name")?.filter(|name| !name.is_empty());
    let settings = match fields.value("tls") {
        None => None,
        Some(Value::Object(settings)) if settings.is_empty() => None,
        Some(settings) => {
            Some(tls_context::settings(&Fields::of(settings, "tls")?, &document.name, &mut remarks)?)
        }
    };
    if settings.is_some() && context.is_some() {
        return Err("it has both `tls` and `tlsContext`: leave one of them out".to_owned());
    }
    let acme = fields.object("acmeProvider")?.text("authority")?.filter(|authority| !authority.is_empty());
    if acme.is_some_and(|authority| authority != "none") {
        remarks.push("not acted on: `acmeProvider`; the certificate must be in `tlsSecret`".to_owned());
    }
    let policy = fields.object("requestPolicy")?.object("insecure")?;
    let insecure = match policy.text("action")?.as_deref() {
        None | Some("" | "Redirect") => InsecureAction::Redirect,
        Some("Reject") => InsecureAction::Reject,
        Some("Route") => InsecureAction::Route,
        Some(other) => {
            return Err(format!(
                "`requestPolicy.insecure.action` is `{other}`, not Redirect, Reject or Route"
            ));
        }
    };
    let additional_port = match policy.integer("additionalPort")? {
        None => None,
        // Emissary's way to say "none".
        Some(port) if port < 0 => None,
        Some(port) => match u16::try_from(port) {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(format!("`requestPolicy.insecure.additionalPort` is {port}, not 1 to 65535")),
        },
    };
    let name = hostname.map_or(Ok(HostMatch::Any), |name| parse_glob(&name))?;
    server_name(&name).map_or(Ok(()), |name| check_server_name(&name))?;
    Ok(Host {
        name,
        selector,
        labels: document.labels.clone(),
        secret,
        context: context.map(|name| document.name.sibling(name)),
        settings,
        insecure,
        additional_port,
        remarks,
    })
}
