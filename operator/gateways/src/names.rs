//! What the objects of a Gateway are called, or those that the Gateways of a class share, and how they are found.
//!
//! Names follow GEP-1762: `<Gateway>-<class>`; what is shared is called `<class>-proxies`. A Gateway may have a name of 253 characters with dots in it, a Service 63
//! without, and begins with a letter (RFC 1035 §2.3.1): what does not fit is cut, and a hash tells it from others.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use fnv::FnvHasher;
use operator_routes::{ObjectName, Scope};

/// The longest name of a Service, and the longest value of a label.
const LONGEST: usize = 63;
/// Room for what is added to the name, such as the number of a further Service.
const ROOM: usize = 3;

/// The label with the Gateway's name, as GEP-1762 says.
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// The label with the name of its class.
pub const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
/// The label of all that is Sluice's.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The label that tells the parts of Sluice apart.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The label that says who made an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGER: &str = "sluice-operator";
/// What selects the objects of all Gateways and classes.
pub const SELECTOR: &str =
    "app.kubernetes.io/component in (gateway,gateway-class),app.kubernetes.io/managed-by=sluice-operator";
/// The value of [`COMPONENT_LABEL`] for what one Gateway has.
const OF_GATEWAY: &str = "gateway";
/// The same for what the Gateways of a class share.
const OF_CLASS: &str = "gateway-class";

/// Whether an object with these labels was made for Gateways.
#[must_use]
pub fn are_ours(labels: Option<&BTreeMap<String, String>>) -> bool {
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    label(MANAGED_BY_LABEL) == Some(MANAGER)
        && label(COMPONENT_LABEL).is_some_and(|it| [OF_GATEWAY, OF_CLASS].contains(&it))
}

/// The names of the objects of one Gateway, all in its namespace, or of what the Gateways of a class share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Of each object that there is once.
    pub base: ObjectName,
    /// The Gateway's name as the value of a label; `None`: it is not for one.
    gateway_label: Option<String>,
    class_label: String,
}

impl Names {
    /// Those of a Gateway of this class.
    #[must_use]
    pub fn of(gateway: &ObjectName, class: &str) -> Self {
        let full = format!("{}-{class}", gateway.name);
        Self {
            base: gateway.sibling(service_name(&full)),
            gateway_label: Some(label_value(&gateway.name)),
            class_label: label_value(class),
        }
    }

    /// Those of what the Gateways of a class share, in this namespace.
    #[must_use]
    pub fn of_class(class: &ObjectName) -> Self {
        Self {
            base: class.sibling(service_name(&format!("{}-proxies", class.name))),
            gateway_label: None,
            class_label: label_value(&class.name),
        }
    }

    /// Those of the proxies of a scope, for a Gateway of this class; `None`: they are not made for Gateways.
    #[must_use]
    pub fn of_scope(scope: &Scope, class: &str) -> Option<Self> {
        match scope {
            Scope::Fleet => None,
            Scope::Gateway(gateway) => Some(Self::of(gateway, class)),
            Scope::Class(class) => Some(Self::of_class(class)),
        }
    }

    /// The ServiceAccount that names the proxies to the operator.
    #[must_use]
    pub fn service_account(&self) -> &ObjectName {
        &self.base
    }

    /// The Service of the address at this place of those that are asked for, the first if none is.
    #[must_use]
    pub fn service(&self, place: usize) -> ObjectName {
        if place == 0 { self.base.clone() } else { self.base.sibling(format!("{}-{place}", self.base.name)) }
    }

    /// The labels by which the pods are selected. They never change: a Deployment's selector cannot.
    #[must_use]
    pub fn selector(&self) -> BTreeMap<String, String> {
        let (component, (key, value)) = self.place();
        let labels = [(NAME_LABEL, "sluice"), (COMPONENT_LABEL, component), (key, value)];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// The labels of every object.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert(CLASS_LABEL.to_owned(), self.class_label.clone());
        labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
        labels
    }

    /// What selects the objects.
    #[must_use]
    pub fn label_selector(&self) -> String {
        let (component, (key, value)) = self.place();
        format!("{COMPONENT_LABEL}={component},{MANAGED_BY_LABEL}={MANAGER},{key}={value}")
    }

    /// The part of Sluice that they are, and the label that tells them from others of it.
    fn place(&self) -> (&'static str, (&'static str, &str)) {
        match &self.gateway_label {
            Some(gateway) => (OF_GATEWAY, (GATEWAY_LABEL, gateway)),
            None => (OF_CLASS, (CLASS_LABEL, &self.class_label)),
        }
    }
}

/// A name that a Service can have, with [`ROOM`] left.
fn service_name(text: &str) -> String {
    let mut name: String = text.replace('.', "-");
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.insert_str(0, "gw-");
    }
    if name == text && name.len() <= LONGEST - ROOM { name } else { cut(&name, text, LONGEST - ROOM) }
}

/// A value that a label can have.
fn label_value(text: &str) -> String {
    if text.len() <= LONGEST { text.to_owned() } else { cut(text, text, LONGEST) }
}

/// The beginning of `name`, and a hash of what it stands for.
fn cut(name: &str, stands_for: &str, longest: usize) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(stands_for.as_bytes());
    let hash = format!("{:08x}", hasher.finish() & 0xffff_ffff);
    let end = name.len().min(longest - hash.len() - 1);
    format!("{}-{hash}", name[..end].trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(gateway: &str, class: &str) -> String {
        Names::of(&ObjectName::new("shop", gateway), class).base.name.to_string()
    }

    #[test]
    fn a_name_that_fits_is_gateway_and_class() {
        assert_eq!(base("web", "sluice"), "web-sluice");
    }

    #[test]
    fn what_does_not_fit_is_cut_and_told_apart() {
        let long = "a".repeat(253);
        let cases = [
            ("web.example.org", "sluice", "web-example-org-sluice-"),
            ("1st", "sluice", "gw-1st-sluice-"),
            (long.as_str(), "sluice", "aaaaaaaa"),
        ];
        for (gateway, class, begins) in cases {
            let name = base(gateway, class);
            assert!(name.starts_with(begins), "{name}");
            assert!(name.len() <= LONGEST - ROOM, "{name}");
            assert!(
                name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-'),
                "{name}"
            );
        }
        assert_ne!(base("web.a", "x"), base("web-a", "x"), "a dot is no dash");
        assert_ne!(base(&long, "a"), base(&long, "b"), "what is cut off counts");
        assert_ne!(base(&long, "a"), base(&"a".repeat(252), "a"));
    }

    #[test]
    fn what_is_shared_is_told_from_what_a_gateway_of_the_class_has() {
        let shared = Names::of_class(&ObjectName::new("shop", "edge"));
        let own = Names::of(&ObjectName::new("shop", "web"), "edge");
        assert_eq!(shared.base.to_string(), "shop/edge-proxies");
        let selects = |names: &Names, of: &Names| {
            let labels = of.labels();
            names.selector().iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        assert!(selects(&shared, &shared) && selects(&own, &own));
        assert!(!selects(&shared, &own) && !selects(&own, &shared));
        assert!(are_ours(Some(&shared.labels())) && are_ours(Some(&own.labels())));
        assert!(!are_ours(None) && !are_ours(Some(&shared.selector())));
    }

    #[test]
    fn labels_hold_names_of_any_length() {
        let names = Names::of(&ObjectName::new("shop", "a".repeat(253).as_str()), "sluice");
        assert!(names.labels().values().all(|value| value.len() <= LONGEST));
        assert!(names.service(7).name.len() <= LONGEST);
        let short = Names::of(&ObjectName::new("shop", "web.example"), "sluice");
        assert_eq!(short.labels()[GATEWAY_LABEL], "web.example", "a label may have dots");
    }
}
