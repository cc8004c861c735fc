//! One row, and what it takes to hold.

use std::collections::BTreeMap;

use operator_routes::{
    Compat, Compiled, State, Subject,
    dialect::{DocumentKind, Origin},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{ask::Proxies, held, world};

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its number; several rows may share one.
    pub(crate) case: u32,
    /// What it is about, in a sentence.
    about: String,
    /// Whether Emissary is followed to the letter.
    #[serde(default)]
    strict: bool,
    /// The id of this installation, if it has one.
    #[serde(default)]
    ambassador_id: Option<String>,
    /// The objects, in the flat shape of annotations ([`world`]). A Service that one of them names is there.
    #[serde(default)]
    objects: Vec<Value>,
    /// `METHOD [scheme://host]/path [| header: value]… => outcome` ([`crate::ask`]).
    #[serde(default)]
    asks: Vec<String>,
    /// What the status of an object says, or a part of it. With `!` before it the object is not served.
    #[serde(default)]
    told: BTreeMap<String, String>,
    /// What is in the configuration of the proxies, as Rust writes it.
    #[serde(default)]
    compiled: Vec<String>,
    /// `path/of/file.rs: name_of_test`: who holds what cannot be seen here.
    #[serde(default)]
    held: Vec<String>,
    /// Why it is not served, or is served otherwise.
    #[serde(default)]
    left_out: Option<String>,
}

impl Row {
    /// What does not hold.
    pub(crate) fn failures(&self) -> Vec<String> {
        let nothing = self.asks.is_empty() && self.told.is_empty() && self.compiled.is_empty();
        let mut failures = Vec::new();
        if nothing && self.held.is_empty() && self.left_out.is_none() {
            failures.push("it says neither what must hold nor who holds it".to_owned());
        }
        failures.extend(self.held.iter().filter_map(|test| held::missing(test)));
        if !self.objects.is_empty() {
            failures.extend(self.played());
        }
        failures.iter().map(|failure| format!("{} ({}): {failure}", self.case, self.about)).collect()
    }

    fn played(&self) -> Vec<String> {
        let compat = if self.strict { Compat::Strict } else { Compat::Ideal };
        let compiled = &world::compile(&self.objects, compat, self.ambassador_id.as_deref());
        let mut failures = Vec::new();
        let mut proxies = Proxies::new(compiled);
        for ask in &self.asks {
            let (request, expected) = ask.split_once(" => ").unwrap_or((ask, ""));
            match proxies.ask(request) {
                Ok(outcome) if outcome == expected => {}
                Ok(outcome) => failures.push(format!("{request} => {outcome}, not {expected}")),
                Err(problem) => failures.push(format!("{request}: {problem}")),
            }
        }
        for (object, expected) in &self.told {
            let told = told(compiled, object);
            let holds = match expected.strip_prefix('!') {
                Some(part) => matches!(&told, Some((State::Inactive, text)) if text.contains(part)),
                None if expected.is_empty() => matches!(&told, Some((State::Running, "")) | None),
                None => matches!(&told, Some((State::Running, text)) if text.contains(expected.as_str())),
            };
            if !holds {
                failures.push(format!("{object} is told {told:?}, not {expected:?}"));
            }
        }
        let config = format!("{:?}", compiled.config);
        failures.extend(
            self.compiled
                .iter()
                .filter(|part| !config.contains(part.as_str()))
                .map(|part| format!("nothing says `{part}` in {config}")),
        );
        failures
    }
}

/// What an object is told, named by `Kind [namespace/]name`.
fn told<'c>(compiled: &'c Compiled, object: &str) -> Option<(State, &'c str)> {
    let (kind, name) = object.split_once(' ')?;
    let name = world::name(name);
    let is_meant = |subject: &Subject| match subject {
        Subject::Document(it, Origin::Object | Origin::Annotation(..) | Origin::Ingress(_)) => {
            DocumentKind::parse(kind) == Some(it.kind) && it.name == name
        }
        Subject::Unreadable(carrier, _) => kind == "Unreadable" && carrier.name == name,
        Subject::Ingress(it) => kind == "Ingress" && *it == name,
        Subject::IngressDefaults => false,
    };
    let mut found = compiled.statuses.iter().filter(|(subject, _)| is_meant(subject));
    found.next_back().map(|(_, status)| (status.state, status.reason.as_str()))
}
