//! Who may use a route, in both directions.

use super::{ConvertError, out_of_range};
use crate::{
    model::{Access, Login, Origin, Secret, User},
    wire::config as wire,
};

impl TryFrom<wire::Access> for Access {
    type Error = ConvertError;

    fn try_from(access: wire::Access) -> Result<Self, ConvertError> {
        let wire::Access { allowed, denied, login, authorization } = access;
        Ok(Self {
            allowed: allowed.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            denied: denied.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            login: login.map(|wire::Login { realm, users }| Login {
                realm,
                users: users.into_iter().map(|it| User { name: it.name, hash: Secret(it.hash) }).collect(),
            }),
            authorization: authorization.map(TryInto::try_into).transpose()?,
        })
    }
}

impl TryFrom<wire::Origin> for Origin {
    type Error = ConvertError;

    fn try_from(origin: wire::Origin) -> Result<Self, ConvertError> {
        let wire::Origin { range, peer } = origin;
        let range = range.parse().map_err(|_| out_of_range("origin".to_owned(), "range", &range))?;
        Ok(if peer { Self::Peer(range) } else { Self::Client(range) })
    }
}

impl From<&Origin> for wire::Origin {
    fn from(origin: &Origin) -> Self {
        let (range, peer) = match origin {
            Origin::Client(range) => (range, false),
            Origin::Peer(range) => (range, true),
        };
        Self { range: range.to_string(), peer }
    }
}

impl From<&Access> for wire::Access {
    fn from(access: &Access) -> Self {
        let Access { allowed, denied, login, authorization } = access;
        Self {
            allowed: allowed.iter().map(Into::into).collect(),
            denied: denied.iter().map(Into::into).collect(),
            login: login.as_ref().map(|Login { realm, users }| wire::Login {
                realm: realm.clone(),
                users: users
                    .iter()
                    .map(|User { name, hash }| wire::User { name: name.clone(), hash: hash.0.clone() })
                    .collect(),
            }),
            authorization: authorization.as_ref().map(Into::into),
        }
    }
}
