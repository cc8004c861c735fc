//! Whose configuration a resource is part of.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use crate::object::{NotAnObjectName, ObjectName};

/// What the scope of a Gateway begins with.
const GATEWAY: &str = "gateway/";
/// What the scope of a class begins with.
const CLASS: &str = "class/";

/// The proxies that get the same configuration, and no other. Its text is what a proxy asks for with `--scope`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those that all Mappings and Ingresses share; the empty text.
    #[default]
    Fleet,
    /// Those of one Gateway; `gateway/namespace/name`.
    Gateway(ObjectName),
    /// Those that all Gateways of a class share, by the namespace that they are in and the name of the class;
    /// `class/namespace/name`.
    Class(ObjectName),
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => Ok(()),
            Self::Gateway(name) => write!(f, "{GATEWAY}{name}"),
            Self::Class(name) => write!(f, "{CLASS}{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.strip_prefix(GATEWAY), text.strip_prefix(CLASS)) {
            (None, None) if text.is_empty() => Ok(Self::Fleet),
            (None, None) => Err(NotAnObjectName { text: text.to_owned() }),
            (Some(name), _) => name.parse().map(Self::Gateway),
            (None, Some(name)) => name.parse().map(Self::Class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_was_written() {
        let name = || ObjectName::new("shop", "web");
        for scope in [Scope::Fleet, Scope::Gateway(name()), Scope::Class(name())] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!(Scope::Gateway(ObjectName::new("shop", "web")).to_string(), "gateway/shop/web");
        assert_eq!(Scope::Class(name()).to_string(), "class/shop/web");
        for text in ["fleet", "gateway/", "gateway/shop", "class/web", "shop/web"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
