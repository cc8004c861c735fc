//! How much of a route one client may have, in both directions.

use super::{ConvertError, out_of_range, positive};
use crate::{
    model::{ClientLimits, Rate},
    wire::config as wire,
};

impl TryFrom<wire::ClientLimits> for ClientLimits {
    type Error = ConvertError;

    fn try_from(limits: wire::ClientLimits) -> Result<Self, ConvertError> {
        let wire::ClientLimits { id, rates, at_once, exempt } = limits;
        let range =
            |text: String| text.parse().map_err(|_| out_of_range("client".to_owned(), "range", &text));
        let rate = |wire::Rate { requests, per_ms, burst }| Rate { requests, per_ms, burst };
        Ok(Self {
            id,
            rates: rates.into_iter().map(rate).collect(),
            at_once: positive(at_once),
            exempt: exempt.into_iter().map(range).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&ClientLimits> for wire::ClientLimits {
    fn from(limits: &ClientLimits) -> Self {
        let ClientLimits { id, rates, at_once, exempt } = limits;
        let rate = |&Rate { requests, per_ms, burst }: &Rate| wire::Rate { requests, per_ms, burst };
        Self {
            id: id.clone(),
            rates: rates.iter().map(rate).collect(),
            at_once: at_once.unwrap_or_default(),
            exempt: exempt.iter().map(ToString::to_string).collect(),
        }
    }
}
