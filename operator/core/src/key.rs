//! What stands for an object that splits traffic, where names of several kinds meet.
//!
//! A Mapping stands under its own name; every other kind under a name that no Mapping can have, because it holds a
//! slash. So all that moves weights is the same for every kind, and what it writes says by the key what it writes to.

/// A kind of object whose traffic a Rollout splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `getambassador.io`: a copy beside it has the canary's weight.
    Mapping,
    /// `networking.k8s.io`: a copy beside it has the canary's weight.
    Ingress,
    /// `gateway.networking.k8s.io`: its own backends have the weights.
    HttpRoute,
    /// `gateway.networking.k8s.io`: its own backends have the weights.
    GrpcRoute,
}

impl Kind {
    const OTHERS: [Self; 3] = [Self::Ingress, Self::HttpRoute, Self::GrpcRoute];

    /// As in the object's `kind`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Mapping => "Mapping",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
        }
    }

    /// As in error messages of the API server.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Mapping => "mappings.getambassador.io",
            Self::Ingress => "ingresses.networking.k8s.io",
            Self::HttpRoute => "httproutes.gateway.networking.k8s.io",
            Self::GrpcRoute => "grpcroutes.gateway.networking.k8s.io",
        }
    }

    /// The weights are in the user's object itself, and nothing is made beside it.
    #[must_use]
    pub fn is_split_in_place(self) -> bool {
        match self {
            Self::Mapping | Self::Ingress => false,
            Self::HttpRoute | Self::GrpcRoute => true,
        }
    }

    /// What the keys of the kind begin with; empty for Mappings.
    fn prefix(self) -> &'static str {
        match self {
            Self::Mapping => "",
            Self::Ingress => "ingress/",
            Self::HttpRoute => "httproute/",
            Self::GrpcRoute => "grpcroute/",
        }
    }
}

/// What stands for an object of this kind and name.
#[must_use]
pub fn of(kind: Kind, name: &str) -> String {
    format!("{}{name}", kind.prefix())
}

/// The kind and the name that a key stands for.
#[must_use]
pub fn parse(key: &str) -> (Kind, &str) {
    let mut others = Kind::OTHERS.into_iter();
    others.find_map(|kind| Some((kind, key.strip_prefix(kind.prefix())?))).unwrap_or((Kind::Mapping, key))
}

/// The key as people say it: the kind and the name.
#[must_use]
pub fn show(key: &str) -> String {
    let (kind, name) = parse(key);
    format!("{} {name}", kind.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_the_kind_and_the_name() {
        for kind in [Kind::Mapping, Kind::Ingress, Kind::HttpRoute, Kind::GrpcRoute] {
            assert_eq!(parse(&of(kind, "shop")), (kind, "shop"));
            assert_eq!(show(&of(kind, "shop")), format!("{} shop", kind.text()));
        }
    }
}
