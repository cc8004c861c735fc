//! An Ingress that takes a part of the requests of another: the canary annotations of ingress-nginx.
//!
//! A request is asked in this order: a header, a cookie, the weight. A header or cookie with `always` goes to the canary and
//! with `never` it does not; any other value goes on to the next question. Where the annotation names a value or a
//! pattern, `always` and `never` mean nothing.

use proxy_config::{
    model::{NamedMatch, Share, TextMatch},
    pattern::compile,
};

use super::{annotations::Annotations, place::Level};
use crate::hostname;

/// Which part it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Canary {
    /// Of requests that neither header nor cookie decides.
    pub(crate) share: Share,
    header: Option<(String, Wanted)>,
    cookie: Option<String>,
}

/// What sends a header's requests to the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    AlwaysOrNever,
    Value(String),
    /// Found anywhere in the value.
    Pattern(String),
}

const HUNDRED: u32 = 100;

impl Canary {
    /// `None`: it is no canary.
    pub(super) fn parse(annotations: &mut Annotations<'_>) -> Result<Option<Self>, String> {
        let is_canary = annotations.flag("canary")?.unwrap_or(false);
        let total = annotations.number("canary-weight-total", 0, u32::MAX)?.unwrap_or(HUNDRED).max(HUNDRED);
        let weight = annotations.number("canary-weight", 0, u32::MAX)?.unwrap_or(0).min(total);
        let header = annotations.text("canary-by-header").map(str::to_ascii_lowercase);
        let value = annotations.text("canary-by-header-value").map(str::to_owned);
        let pattern = annotations.text("canary-by-header-pattern").map(str::to_owned);
        let cookie = annotations.text("canary-by-cookie").map(str::to_owned);
        if !is_canary {
            return Ok(None);
        }
        if let Some(cookie) = &cookie {
            let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
            if !cookie.bytes().all(token) {
                return Err(format!("`canary-by-cookie` is `{cookie}`, which is no name of a cookie"));
            }
        }
        let header = match (header, value, pattern) {
            (None, _, _) => None,
            (Some(header), Some(value), _) => Some((header, Wanted::Value(value))),
            (Some(header), None, Some(pattern)) => {
                compile(&anywhere(&pattern))
                    .map_err(|error| format!("`canary-by-header-pattern`: {error}"))?;
                Some((header, Wanted::Pattern(pattern)))
            }
            (Some(header), None, None) => Some((header, Wanted::AlwaysOrNever)),
        };
        let parts = u64::from(weight) * u64::from(Share::WHOLE.parts()) / u64::from(total);
        let share = u32::try_from(parts).ok().and_then(Share::of_10000).unwrap_or(Share::WHOLE);
        Ok(Some(Self { share, header, cookie }))
    }

    /// The condition of a level, besides the place; `None`: this canary does not tell such requests apart. The level of
    /// all others has none.
    pub(crate) fn condition(&self, level: Level) -> Option<NamedMatch> {
        let header =
            |value: TextMatch| self.header.as_ref().map(|(name, _)| NamedMatch { name: name.clone(), value });
        let wanted = self.header.as_ref().map(|(_, wanted)| wanted);
        match (level, wanted) {
            (Level::ByHeader, Some(Wanted::AlwaysOrNever)) => header(exact("always")),
            (Level::ByHeader, Some(Wanted::Value(value))) => header(exact(value)),
            (Level::ByHeader, Some(Wanted::Pattern(pattern))) => header(TextMatch::Regex(anywhere(pattern))),
            (Level::NotByHeader, Some(Wanted::AlwaysOrNever)) => header(exact("never")),
            (Level::ByCookie, _) => self.cookie("always"),
            (Level::NotByCookie, _) => self.cookie("never"),
            (Level::ByHeader, None) | (Level::NotByHeader | Level::Split, _) => None,
        }
    }

    fn cookie(&self, value: &str) -> Option<NamedMatch> {
        let name = self.cookie.as_ref()?;
        // Several lines of the header, which HTTP/2 allows, are compared with commas between them.
        let pattern = format!("(?:.*[;,])?[ \\t]*{}={value}[ \\t]*(?:[;,].*)?", hostname::escape(name));
        Some(NamedMatch { name: "cookie".to_owned(), value: TextMatch::Regex(pattern) })
    }
}

fn exact(text: &str) -> TextMatch {
    TextMatch::Exact(text.to_owned())
}

/// The pattern as one for the whole text.
fn anywhere(pattern: &str) -> String {
    format!("(?s:.*)(?:{pattern})(?s:.*)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What becomes of a header value and of a cookie line: `canary`, `main` or `-` for the weight.
    fn decided(annotations: &[(&str, &str)], level: [Level; 2], value: &str) -> &'static str {
        let all: BTreeMap<String, String> = annotations
            .iter()
            .chain(&[("canary", "true")])
            .map(|(name, value)| (format!("n/{name}"), (*value).to_owned()))
            .collect();
        let canary = Canary::parse(&mut Annotations::new(&all, "n")).unwrap().unwrap();
        let holds = |level| match canary.condition(level).map(|it| it.value) {
            Some(TextMatch::Exact(text)) => text == value,
            Some(TextMatch::Regex(pattern)) => compile(&pattern).unwrap().is_match(value),
            Some(TextMatch::Present) | None => false,
        };
        match level.map(holds) {
            [true, _] => "canary",
            [false, true] => "main",
            [false, false] => "-",
        }
    }

    /// Names without their prefix, and values.
    type Written<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn headers_decide_as_the_table_says() {
        let by = ("canary-by-header", "X-Canary");
        let value = ("canary-by-header-value", "yes");
        let pattern = ("canary-by-header-pattern", "^(de|at)-");
        let table: [(Written<'_>, &str, &str); 11] = [
            (&[by], "always", "canary"),
            (&[by], "never", "main"),
            (&[by], "Always", "-"),
            (&[by], "yes", "-"),
            (&[by, value], "yes", "canary"),
            (&[by, value], "always", "-"),
            (&[by, value], "never", "-"),
            (&[by, value, pattern], "de-AT", "-"),
            (&[by, pattern], "de-AT", "canary"),
            (&[by, pattern], "xde-AT", "-"),
            (&[value], "yes", "-"),
        ];
        for (annotations, line, expected) in table {
            let level = [Level::ByHeader, Level::NotByHeader];
            assert_eq!(decided(annotations, level, line), expected, "{annotations:?} {line}");
        }
    }

    #[test]
    fn cookies_decide_as_the_table_says() {
        let table = [
            ("users_from.eu=always", "canary"),
            ("a=1; users_from.eu=always; b=2", "canary"),
            ("a=1,users_from.eu=always", "canary"),
            ("users_from.eu=never", "main"),
            ("users_from.eu=alwaysnot", "-"),
            ("xusers_from.eu=always", "-"),
            ("users_fromxeu=always", "-"),
        ];
        for (line, expected) in table {
            let level = [Level::ByCookie, Level::NotByCookie];
            let annotations = [("canary-by-cookie", "users_from.eu")];
            assert_eq!(decided(&annotations, level, line), expected, "{line}");
        }
    }

    #[test]
    fn a_weight_is_a_share_of_its_total() {
        let table = [
            (&[("canary-weight", "30")][..], Ok(3000)),
            (&[], Ok(0)),
            (&[("canary-weight", "150")], Ok(10_000)),
            (&[("canary-weight", "5"), ("canary-weight-total", "1000")], Ok(50)),
            (&[("canary-weight", "30"), ("canary-weight-total", "50")], Ok(3000)),
            (&[("canary-weight", "-1")], Err(())),
            (&[("canary-by-header", "x"), ("canary-by-header-pattern", "(")], Err(())),
            (&[("canary-by-cookie", "a b")], Err(())),
        ];
        for (annotations, expected) in table {
            let mut all = BTreeMap::from([("n/canary".to_owned(), "true".to_owned())]);
            all.extend(annotations.iter().map(|(name, value)| (format!("n/{name}"), (*value).to_owned())));
            let read = Canary::parse(&mut Annotations::new(&all, "n"));
            assert_eq!(read.map(|it| it.unwrap().share.parts()).map_err(drop), expected, "{annotations:?}");
        }
    }
}
