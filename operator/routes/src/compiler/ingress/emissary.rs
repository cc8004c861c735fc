//! Ingresses of Emissary's class, where that is followed to the letter: they are documents like others.

use crate::{
    compat::Compat,
    compiler::{Compiler, EMISSARY_CONTROLLER},
    ingress::emissary,
    object::{IngressObject, ObjectName},
};

impl Compiler {
    /// Takes the Ingresses of Emissary's class that changed for what they are in Emissary: Mappings and Hosts.
    pub(in crate::compiler) fn read_emissary_ingresses(&mut self) {
        for name in &self.touched.ingresses {
            let object = self.stores.ingress_objects.get(name);
            let object = object.filter(|object| self.is_emissarys(object));
            let port = |service: &ObjectName, port: &str| {
                let ports = &self.stores.service(service)?.ports;
                ports.iter().find(|it| it.name == port).map(|it| it.port)
            };
            let made = object.map(|object| emissary::documents(name, object, port)).unwrap_or_default();
            let emissary::Documents { documents, services } = made;
            let ambassador_id = &self.settings.ambassador_id;
            let (concerned, names) = self.stores.documents.set_ingress(name, documents, ambassador_id);
            self.touched.documents.merge(concerned);
            if names.is_empty() {
                self.stores.emissary_ingresses.remove(name);
            } else {
                self.stores.emissary_ingresses.insert(name.clone(), (names, services));
            }
        }
    }

    /// Whether an Ingress is read as Emissary reads it.
    pub(super) fn is_emissarys(&self, object: &IngressObject) -> bool {
        let followed = self.settings.compat == Compat::Strict
            && self.settings.ingress_controllers.iter().any(|it| it == EMISSARY_CONTROLLER);
        followed && emissary::is_emissarys(object, &self.stores.ingress_classes)
    }

    /// The Ingresses that name a port of a Service and depend on its number.
    pub(in crate::compiler) fn touch_ingresses_of(&mut self, service: &ObjectName) {
        let of =
            self.stores.emissary_ingresses.iter().filter(|(_, (_, services))| services.contains(service));
        self.touched.ingresses.extend(of.map(|(name, _)| name.clone()));
    }
}
