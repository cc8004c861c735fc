//! How much clients may ask for: the annotations that limit requests and bodies.

use proxy_config::model::{ClientLimits, Rate};

use super::{access::range, annotations::Annotations, defaults::Defaults};
use crate::object::ObjectName;

/// `limit-burst-multiplier` where it is not written: as many more requests may come at once as in so many times, as in
/// ingress-nginx.
const BURST: u32 = 5;
/// A rate above it limits nobody.
const MOST: u32 = 1_000_000;

/// `limit-rps`, `limit-rpm` and `limit-connections`; `None`: a client may ask as often as it wants.
pub(super) fn clients(
    annotations: &mut Annotations<'_>,
    name: &ObjectName,
) -> Result<Option<ClientLimits>, String> {
    let mut number = |name| Ok::<_, String>(annotations.number(name, 0, MOST)?.filter(|it| *it > 0));
    let (a_second, a_minute) = (number("limit-rps")?, number("limit-rpm")?);
    let at_once = number("limit-connections")?;
    let multiplier = number("limit-burst-multiplier")?.unwrap_or(BURST);
    let exempt = annotations.list("limit-whitelist").unwrap_or_default();
    let exempt = exempt.iter().map(|it| range(it)).collect::<Result<_, _>>();
    let exempt = exempt.map_err(|word| format!("`limit-whitelist`: {word}"))?;
    let rate = |requests: u32, per_ms| Rate { requests, per_ms, burst: requests.saturating_mul(multiplier) };
    let a_second = a_second.map(|requests| rate(requests, 1_000));
    let a_minute = a_minute.map(|requests| rate(requests, 60_000));
    let rates: Vec<Rate> = a_second.into_iter().chain(a_minute).collect();
    let limited = !rates.is_empty() || at_once.is_some();
    Ok(limited.then(|| ClientLimits { id: format!("ingress {name}"), rates, at_once, exempt }))
}

/// `proxy-body-size`, in bytes; `None`: any.
pub(super) fn body(annotations: &mut Annotations<'_>, defaults: &Defaults) -> Result<Option<u64>, String> {
    match annotations.text("proxy-body-size") {
        None => Ok(defaults.max_body_bytes),
        Some(text) => {
            let size = size(text).ok_or_else(|| format!("`proxy-body-size` is `{text}`, not {SIZE}"))?;
            Ok(limit(size))
        }
    }
}

/// What a size must be.
pub(super) const SIZE: &str = "a size such as 8m, 512k or 1g, or 0 for any";

/// What a size limits to: zero to nothing.
pub(super) fn limit(size: u64) -> Option<u64> {
    (size > 0).then_some(size)
}

/// A size as nginx has it, in bytes: a number of them, or with `k`, `m` or `g`.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = match text.strip_suffix(['k', 'm', 'g']) {
        None => (text.as_str(), 1),
        Some(digits) if text.ends_with('k') => (digits, 1 << 10),
        Some(digits) if text.ends_with('m') => (digits, 1 << 20),
        Some(digits) => (digits, 1_u64 << 30),
    };
    if !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_as_the_table_says() {
        let table = [
            ("0", Some(0)),
            ("0m", Some(0)),
            ("512", Some(512)),
            ("8k", Some(8_192)),
            ("8M", Some(8_388_608)),
            ("1g", Some(1_073_741_824)),
            ("", None),
            ("m", None),
            ("+8m", None),
            ("8mb", None),
            ("1.5m", None),
            ("99999999999999999999", None),
            ("99999999999g", None),
        ];
        for (text, expected) in table {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn limits_of_clients_read_as_the_table_says() {
        let read = |written: &[(&str, &str)]| {
            let all =
                written.iter().map(|(name, value)| (format!("n/{name}"), (*value).to_owned())).collect();
            let name = ObjectName::new("shop", "main");
            let limits = clients(&mut Annotations::new(&all, "n"), &name)?;
            Ok::<_, String>(limits.map(|it| {
                let rates = it.rates.iter().map(|it| (it.requests, it.per_ms, it.burst)).collect::<Vec<_>>();
                (it.id, rates, it.at_once, it.exempt.len())
            }))
        };
        let id = || "ingress shop/main".to_owned();
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("limit-rps", "0"), ("limit-whitelist", "198.18.0.1")]), Ok(None));
        assert_eq!(read(&[("limit-rps", "10")]), Ok(Some((id(), vec![(10, 1_000, 50)], None, 0))));
        let all = [
            ("limit-rps", "10"),
            ("limit-rpm", "100"),
            ("limit-burst-multiplier", "2"),
            ("limit-connections", "3"),
            ("limit-whitelist", "198.18.0.0/15, 192.0.2.1"),
        ];
        let rates = vec![(10, 1_000, 20), (100, 60_000, 200)];
        assert_eq!(read(&all), Ok(Some((id(), rates, Some(3), 2))));
        let odd = "`limit-rps` is `many`, not a whole number from 0 to 1000000";
        assert_eq!(read(&[("limit-rps", "many")]), Err(odd.to_owned()));
        assert!(read(&[("limit-rps", "1"), ("limit-whitelist", "office")]).is_err());
    }
}
