//! Whose configuration a resource is part of.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use crate::object::{NotAnObjectName, ObjectName};

/// What the scope of a Gateway begins with.
const GATEWAY: &str = "gateway/";

/// The proxies that get the same configuration, and no other. Its text is what a proxy asks for with `--scope`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those that all Mappings and Ingresses share; the empty text.
    #[default]
    Fleet,
    /// Those of one Gateway; `gateway/namespace/name`.
    Gateway(ObjectName),
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => Ok(()),
            Self::Gateway(name) => write!(f, "{GATEWAY}{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(GATEWAY) {
            None if text.is_empty() => Ok(Self::Fleet),
            None => Err(NotAnObjectName { text: text.to_owned() }),
            Some(name) => name.parse().map(Self::Gateway),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_was_written() {
        for scope in [Scope::Fleet, Scope::Gateway(ObjectName::new("shop", "web"))] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!(Scope::Gateway(ObjectName::new("shop", "web")).to_string(), "gateway/shop/web");
        for text in ["fleet", "gateway/", "gateway/shop", "shop/web"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
