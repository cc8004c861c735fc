//! Every document, and which of several with one name counts.

use std::{collections::BTreeMap, sync::Arc};

use foldhash::HashMap;

use super::{
    Carrier, Document, DocumentKind, Origin,
    annotation::{self, Annotation, Found},
};
use crate::{compat::Compat, fields::Fields, object::ObjectName};

/// Names one or several documents: Emissary tells them apart by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentName {
    /// What they are.
    pub kind: DocumentKind,
    /// Their name.
    pub name: ObjectName,
}

/// The documents that are for one instance.
#[derive(Debug, Default)]
pub struct Documents {
    /// Those of one name in the order in which Emissary loads them; the last one counts.
    by_name: BTreeMap<DocumentKind, HashMap<ObjectName, Vec<Arc<Document>>>>,
    carried: BTreeMap<Carrier, Carried>,
    /// What Ingresses of Emissary's class are made of.
    of_ingresses: BTreeMap<ObjectName, Vec<DocumentName>>,
}

/// What an annotation holds.
#[derive(Debug, Default)]
struct Carried {
    documents: Vec<Arc<Document>>,
    unreadable: BTreeMap<u32, String>,
}

/// What a change concerns.
#[derive(Debug, Default)]
pub struct Concerned {
    /// Names whose documents changed, in no order; one may be there more than once.
    pub names: Vec<DocumentName>,
    /// Documents that are gone.
    pub gone: Vec<(DocumentName, Origin)>,
}

impl Concerned {
    /// Adds what another change concerns.
    pub fn merge(&mut self, other: Self) {
        let Self { names, gone } = other;
        self.names.extend(names);
        self.gone.extend(gone);
    }
}

impl Documents {
    /// The document that counts.
    #[must_use]
    pub fn get(&self, name: &DocumentName) -> Option<&Arc<Document>> {
        self.of_name(name).last()
    }

    /// All documents of a name: the last one counts, and the others do not because of it.
    #[must_use]
    pub fn of_name(&self, name: &DocumentName) -> &[Arc<Document>] {
        let of_kind = self.by_name.get(&name.kind);
        of_kind.and_then(|all| all.get(&name.name)).map_or(&[], Vec::as_slice)
    }

    /// Those of one kind that count, in no order.
    pub fn of_kind(&self, kind: DocumentKind) -> impl Iterator<Item = &Arc<Document>> {
        self.by_name.get(&kind).into_iter().flat_map(HashMap::values).filter_map(|all| all.last())
    }

    /// Whether some document of the kind has this name, in whatever namespace.
    #[must_use]
    pub fn has_name(&self, kind: DocumentKind, name: &str) -> bool {
        self.of_kind(kind).any(|document| *document.name.name == *name)
    }

    /// What of an annotation could not be read, by the number of the document.
    #[must_use]
    pub fn unreadable(&self, carrier: &Carrier) -> Option<&BTreeMap<u32, String>> {
        self.carried.get(carrier).map(|carried| &carried.unreadable)
    }

    /// Takes an object, or forgets it.
    pub fn set_object(
        &mut self,
        name: &DocumentName,
        document: Option<Document>,
        ambassador_id: &str,
    ) -> Concerned {
        let mut concerned = Concerned::default();
        self.remove(name, &Origin::Object, &mut concerned);
        if let Some(document) = document.filter(|document| is_for(document, ambassador_id)) {
            self.insert(Arc::new(document), &mut concerned);
        }
        concerned
    }

    /// Takes an annotation, or forgets it.
    pub fn set_annotation(
        &mut self,
        carrier: &Carrier,
        annotation: Option<&Annotation>,
        ambassador_id: &str,
        compat: Compat,
    ) -> Concerned {
        let mut concerned = Concerned::default();
        for document in self.carried.remove(carrier).unwrap_or_default().documents {
            let name = DocumentName { kind: document.kind, name: document.name.clone() };
            self.remove(&name, &document.origin, &mut concerned);
        }
        let Some(annotation) = annotation else { return concerned };
        let mut holds = Carried::default();
        for (number, found) in (1..).zip(annotation::read(carrier, annotation, compat)) {
            match found {
                Found::Unreadable(reason) => drop(holds.unreadable.insert(number, reason)),
                Found::Document(document) if is_for(&document, ambassador_id) => {
                    let document = Arc::new(document);
                    holds.documents.push(Arc::clone(&document));
                    self.insert(document, &mut concerned);
                }
                Found::Document(_) => {}
            }
        }
        if !(holds.documents.is_empty() && holds.unreadable.is_empty()) {
            self.carried.insert(carrier.clone(), holds);
        }
        concerned
    }

    /// Takes the parts of an Ingress, or forgets them. Returns also the names of those that are for the instance.
    pub fn set_ingress(
        &mut self,
        ingress: &ObjectName,
        documents: Vec<Document>,
        ambassador_id: &str,
    ) -> (Concerned, Vec<DocumentName>) {
        let mut concerned = Concerned::default();
        for name in self.of_ingresses.remove(ingress).unwrap_or_default() {
            self.remove(&name, &Origin::Ingress(ingress.clone()), &mut concerned);
        }
        let mut names = Vec::new();
        for document in documents.into_iter().filter(|document| is_for(document, ambassador_id)) {
            names.push(DocumentName { kind: document.kind, name: document.name.clone() });
            self.insert(Arc::new(document), &mut concerned);
        }
        if !names.is_empty() {
            self.of_ingresses.insert(ingress.clone(), names.clone());
        }
        (concerned, names)
    }

    fn insert(&mut self, document: Arc<Document>, concerned: &mut Concerned) {
        let name = DocumentName { kind: document.kind, name: document.name.clone() };
        concerned.gone.retain(|(gone, origin)| (gone, origin) != (&name, &document.origin));
        let of_kind = self.by_name.entry(name.kind).or_default();
        let all = of_kind.entry(name.name.clone()).or_default();
        all.retain(|known| known.origin != document.origin);
        all.push(document);
        if all.len() > 1 {
            all.sort_by_cached_key(|document| (document.load_key(), document.origin.clone()));
        }
        concerned.names.push(name);
    }

    fn remove(&mut self, name: &DocumentName, origin: &Origin, concerned: &mut Concerned) {
        let Some(of_kind) = self.by_name.get_mut(&name.kind) else { return };
        let Some(all) = of_kind.get_mut(&name.name) else { return };
        let before = all.len();
        all.retain(|known| known.origin != *origin);
        if all.len() == before {
            return;
        }
        if all.is_empty() {
            of_kind.remove(&name.name);
        }
        concerned.names.push(name.clone());
        concerned.gone.push((name.clone(), origin.clone()));
    }
}

/// Whether a document is for the instance. One whose `ambassador_id` cannot be read is: it says so then.
fn is_for(document: &Document, ambassador_id: &str) -> bool {
    let ids = Fields::of(&document.spec, "spec").and_then(|spec| {
        let camel = spec.texts("ambassadorId")?;
        Ok(spec.texts("ambassador_id")?.or(camel))
    });
    match ids.as_ref().map(Option::as_deref) {
        Ok(None | Some([])) => ambassador_id == "default",
        Ok(Some(ids)) => ids.iter().any(|id| id == ambassador_id || id == "_automatic_"),
        Err(_) => true,
    }
}
