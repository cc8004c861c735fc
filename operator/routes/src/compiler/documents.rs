//! What is read of documents, and what that touches.

use std::{collections::BTreeMap, mem, sync::Arc};

use proxy_config::{model::Change, validate::validate_change};

use super::{
    Compiler, Pending, Subject,
    backend::BackendKey,
    group, make_room, mirror,
    stores::{Read, StoredMapping},
    subject, verdict,
};
use crate::{
    compat::Compat,
    compiled::{SplitReport, Status},
    dialect::{
        Document, DocumentKind,
        documents::{Concerned, DocumentName},
    },
    edge::{host, listener, tls_context},
    mapping::{Connection, Mapping, MatchKey, parse},
    module::Module,
    object::ObjectName,
    tcp,
};

/// The only Module that counts.
const MODULE: &str = "ambassador";

impl Compiler {
    /// Reads every document that a change concerns. Who decides how others are read comes first.
    pub(super) fn read_documents(&mut self, pending: &mut Pending) {
        let Concerned { names, gone } = mem::take(&mut self.touched.documents);
        for (name, origin) in gone {
            pending.statuses.insert(Subject::Document(name, origin), None);
        }
        for subject in mem::take(&mut self.touched.unreadable) {
            pending.statuses.insert(subject, None);
        }
        for carrier in mem::take(&mut self.touched.carriers) {
            for (number, reason) in self.stores.documents.unreadable(&carrier).into_iter().flatten() {
                let subject = Subject::Unreadable(carrier.clone(), *number);
                pending.statuses.insert(subject, Some(verdict::inactive(reason.clone())));
            }
        }
        for name in &names {
            self.judge_superseded(name, pending);
        }
        let (mut module, mut unnamed) = (false, false);
        let (mut mappings, mut resolvers) = (Vec::new(), Vec::new());
        for DocumentName { kind, name } in names {
            match kind {
                DocumentKind::Module => module = true,
                DocumentKind::Resolver(_) => resolvers.push((kind, name)),
                DocumentKind::Mapping => mappings.push(name),
                DocumentKind::TcpMapping => self.set_tcp_mapping(&name, pending),
                // Mappings without a host of their own may belong to other hosts now.
                DocumentKind::Host => {
                    self.set_host(&name);
                    unnamed = true;
                }
                DocumentKind::Listener => {
                    let read = self.document(kind, &name).map(|it| Read::new(&it, listener::parse(&it)));
                    replace(&mut self.stores.listeners, name, read);
                    self.touched.entrances = true;
                }
                DocumentKind::TlsContext => {
                    let read = self.document(kind, &name).map(|it| Read::new(&it, tls_context::parse(&it)));
                    replace(&mut self.stores.tls_contexts, name, read);
                    self.touched.entrances = true;
                }
            }
        }
        if module && self.set_module(pending) {
            mappings.extend(self.stores.documents.of_kind(DocumentKind::Mapping).map(|it| it.name.clone()));
            self.touched.entrances = true;
        }
        if unnamed {
            mappings.extend(self.unnamed.iter().cloned());
        }
        mappings.sort_unstable();
        mappings.dedup();
        make_room(&mut self.stores.mappings, mappings.len());
        make_room(&mut self.groups, mappings.len());
        for name in mappings {
            self.set_mapping(name);
        }
        for (kind, name) in resolvers {
            if let Some(document) = self.document(kind, &name) {
                let subject =
                    Subject::Document(DocumentName { kind, name: name.clone() }, document.origin.clone());
                pending.statuses.insert(subject, Some(verdict::of_resolver(kind)));
            }
            self.touch_resolver(&name.name);
        }
    }

    fn document(&self, kind: DocumentKind, name: &ObjectName) -> Option<Arc<Document>> {
        self.stores.documents.get(&DocumentName { kind, name: name.clone() }).cloned()
    }

    /// Tells those whose name another document has that counts.
    fn judge_superseded(&self, name: &DocumentName, pending: &mut Pending) {
        let [superseded @ .., counts] = self.stores.documents.of_name(name) else { return };
        for superseded in superseded {
            let subject = Subject::Document(name.clone(), superseded.origin.clone());
            let reason = format!(
                "another {} of this name in namespace `{}` counts: it is {}",
                name.kind.as_str(),
                name.name.namespace,
                counts.origin
            );
            pending.statuses.insert(subject, Some(verdict::inactive(reason)));
        }
    }

    /// Takes the first Module of the right name. Returns whether the settings differ from before.
    fn set_module(&mut self, pending: &mut Pending) -> bool {
        let modules = self.stores.documents.of_kind(DocumentKind::Module);
        let mut modules: Vec<(String, Arc<Document>)> =
            modules.map(|module| (module.load_key(), Arc::clone(module))).collect();
        modules.sort_by(|(a, one), (b, other)| {
            (a, &one.name, &one.origin).cmp(&(b, &other.name, &other.origin))
        });
        let mut counts: Option<Module> = None;
        for (_, module) in modules {
            let verdict = if *module.name.name != *MODULE {
                verdict::inactive(format!("only a Module named `{MODULE}` counts"))
            } else if counts.is_some() {
                verdict::inactive(format!("another Module named `{MODULE}` counts"))
            } else {
                match Module::parse(&module) {
                    Ok(read) => {
                        let remarks = read.remarks.join("; ");
                        counts = Some(read);
                        verdict::running(remarks)
                    }
                    Err(reason) => verdict::inactive(reason),
                }
            };
            let name = DocumentName { kind: DocumentKind::Module, name: module.name.clone() };
            pending.statuses.insert(Subject::Document(name, module.origin.clone()), Some(verdict));
        }
        let counts = counts.unwrap_or_default();
        let differs = self.stores.module != counts;
        self.stores.module = counts;
        differs
    }

    fn set_host(&mut self, name: &ObjectName) {
        self.touched.entrances = true;
        let read = self
            .document(DocumentKind::Host, name)
            .map(|it| Read::new(&it, host::parse(&it, self.settings.compat)));
        self.touched.all_groups |= self.stores.set_host(name, read);
    }

    fn set_tcp_mapping(&mut self, name: &ObjectName, pending: &mut Pending) {
        let read = self.document(DocumentKind::TcpMapping, name).map(|it| Read::new(&it, tcp::parse(&it)));
        let key = |read: Option<&Read<tcp::TcpMapping>>| {
            read.and_then(|read| read.value.as_ref().ok()).map(|mapping| mapping.key.clone())
        };
        if let Some(Read { value: Err(reason), .. }) = &read {
            let status = verdict::inactive(reason.clone());
            pending.statuses.extend(read.as_ref().map(|read| (subject(read), Some(status))));
        }
        let now = key(read.as_ref());
        let before = replace(&mut self.stores.tcp_mappings, name.clone(), read);
        if let Some(before) = key(before.as_ref()) {
            if let Some(members) = self.connections.get_mut(&before) {
                members.remove(name);
                if members.is_empty() {
                    self.connections.remove(&before);
                }
            }
            self.touched.connections.insert(before);
        }
        if let Some(now) = now {
            self.connections.entry(now.clone()).or_default().insert(name.clone());
            self.touched.connections.insert(now);
        }
        self.touched.entrances = true;
    }

    fn set_mapping(&mut self, name: ObjectName) {
        let document = self.document(DocumentKind::Mapping, &name);
        let read = document.map(|document| Read::new(&document, self.read_mapping(&document)));
        if let Some(Read { value: Ok(mapping), .. }) = &read {
            if mapping.named {
                self.unnamed.remove(&name);
            } else {
                self.unnamed.insert(name.clone());
            }
            if mapping.shadow {
                self.shadows.entry(name.clone()).or_default();
                self.touch_copied(&mapping.key);
            } else {
                self.groups.entry(Arc::clone(&mapping.key)).or_default().insert(name.clone());
                self.touched.groups.push(Arc::clone(&mapping.key));
            }
        } else {
            self.unnamed.remove(&name);
        }
        let before = match read {
            Some(read) => self.stores.mappings.insert(name.clone(), read),
            None => self.stores.mappings.remove(&name),
        };
        if let Some(Read { value: Ok(before), .. }) = before {
            let now = self.stores.valid(&name).map(|(_, now)| (now.shadow, now.key == before.key));
            if before.shadow {
                if now.is_none_or(|(shadow, _)| !shadow) {
                    self.touched.groups.extend(self.shadows.remove(&name).unwrap_or_default());
                }
                self.touch_copied(&before.key);
            } else if now != Some((false, true)) {
                self.leave_group(&name, &before.key);
            }
        }
        if self.stores.valid(&name).is_none_or(|(_, mapping)| mapping.shadow) {
            self.touched.mappings.push(name);
        }
    }

    fn leave_group(&mut self, name: &ObjectName, key: &MatchKey) {
        let Some((key, _)) = self.groups.get_key_value(key) else { return };
        let key = Arc::clone(key);
        if let Some(members) = self.groups.get_mut(&key) {
            members.remove(name);
            if members.is_empty() {
                self.groups.remove(&key);
            }
        }
        self.touched.groups.push(key);
    }

    /// Marks the groups whose requests a shadow with this match may copy.
    fn touch_copied(&mut self, shadow: &MatchKey) {
        self.touched.shadows = true;
        let copied = self.groups.keys().filter(|group| mirror::may_copy(group, shadow));
        self.touched.groups.extend(copied.cloned());
    }

    /// Reads a Mapping and tries it as a route of its own: what the proxy would refuse is refused here, alone.
    fn read_mapping(&self, document: &Document) -> Result<Box<Mapping>, String> {
        let compat = self.settings.compat;
        let mut mapping = parse(document, &self.stores.module, &self.settings.namespace, compat)?;
        if compat == Compat::Strict && !mapping.named {
            let selectors = self.stores.selectors().filter(|selector| selector.selects(&document.labels));
            let labels = selectors.flat_map(|selector| &selector.labels);
            let labels = labels.map(|(name, value)| (name.clone(), value.clone()));
            Arc::make_mut(&mut mapping.key).selected_by = Some(labels.collect());
        }
        let route = Change::Route(Arc::new(group::alone(&mapping, &self.stores)));
        if let Some(problem) = validate_change(&route).into_iter().next() {
            return Err(problem.fault.to_string());
        }
        // What nothing is written of cannot be wrong.
        let written = mapping.connection != Connection::default();
        match written.then(|| BackendKey::fault_of(&mapping.connection, &self.stores)).flatten() {
            Some(fault) => Err(fault),
            None => Ok(Box::new(mapping)),
        }
    }

    fn touch_resolver(&mut self, resolver: &str) {
        let mut copied = Vec::new();
        for (name, stored) in &self.stores.mappings {
            if let Ok(mapping) = &stored.value
                && mapping.resolver.as_deref() == Some(resolver)
            {
                if mapping.shadow {
                    self.touched.mappings.push(name.clone());
                    copied.push(Arc::clone(&mapping.key));
                } else {
                    self.touched.groups.push(Arc::clone(&mapping.key));
                }
            }
        }
        for key in &copied {
            self.touch_copied(key);
        }
        for (key, members) in &self.connections {
            let uses = |name| {
                let read = self.stores.tcp_mappings.get(name).and_then(|read| read.value.as_ref().ok());
                read.is_some_and(|mapping| mapping.resolver.as_deref() == Some(resolver))
            };
            if members.iter().any(uses) {
                self.touched.connections.insert(key.clone());
            }
        }
    }

    /// The verdict on a Mapping that is in no group; that of others comes from their group.
    pub(super) fn compile_alone(&mut self, name: &ObjectName, pending: &mut Pending) {
        if self.stores.valid(name).is_some_and(|(_, mapping)| !mapping.shadow) {
            return;
        }
        let stored: Option<&StoredMapping> = self.stores.mappings.get(name);
        let invalid = stored.and_then(|stored| Some((stored, stored.value.as_ref().err()?)));
        let report: Option<SplitReport> =
            invalid.map(|(stored, reason)| group::rejected_report(name, stored, reason));
        if let Some(stored) = stored {
            let status: Option<Status> = invalid.map(|(_, reason)| verdict::inactive(reason.clone()));
            pending.statuses.insert(subject(stored), status);
        }
        self.stand_ins.set(name, report, pending);
    }
}

/// Puts a value in the place of another, or takes it away; returns the other.
fn replace<V>(values: &mut BTreeMap<ObjectName, V>, name: ObjectName, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => values.insert(name, value),
        None => values.remove(&name),
    }
}
