//! The Mappings of managed routes: copies of the base that only requests with certain headers, methods or paths match.

use crds::contract::CANARY_MAPPING_SUFFIX;
use serde_json::{Map, Value, json};

use super::suffixed;
use crate::spec::{Action, Condition, Text};

/// `<base>-canary-<route>`, from the second condition on with its number; the base is cut to what fits.
pub(super) fn name(base: &str, route: &str, index: usize) -> String {
    let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
    let suffix = format!("{CANARY_MAPPING_SUFFIX}-{route}{number}");
    suffixed(base, &suffix)
}

/// Adds the conditions to the fields of the base. Emissary asks the rules with more conditions first, so these are
/// asked before the base.
pub(super) fn restrict(fields: &mut Map<String, Value>, action: Action, condition: &Condition) {
    fields.remove("weight");
    if let Action::Mirror(share) = action {
        fields.insert("shadow".to_owned(), json!(true));
        fields.insert("weight".to_owned(), json!(share.percent()));
    }
    if let Some(method) = &condition.method {
        let (text, regex) = exact_or_regex(method);
        fields.insert("method".to_owned(), json!(text));
        fields.insert("method_regex".to_owned(), json!(regex));
    }
    if let Some(path) = &condition.path {
        let (text, exact, regex) = match path {
            Text::Exact(text) => (text, true, false),
            Text::Prefix(text) => (text, false, false),
            Text::Regex(text) => (text, false, true),
        };
        fields.insert("prefix".to_owned(), json!(text));
        fields.insert("prefix_exact".to_owned(), json!(exact));
        fields.insert("prefix_regex".to_owned(), json!(regex));
    }
    for (name, value) in &condition.headers {
        let (text, regex) = exact_or_regex(value);
        let (field, other) = if regex { ("regex_headers", "headers") } else { ("headers", "regex_headers") };
        if let Some(Value::Object(others)) = fields.get_mut(other) {
            others.retain(|held, _| !held.eq_ignore_ascii_case(name));
        }
        if let Some(headers) = fields.entry(field).or_insert_with(|| json!({})).as_object_mut() {
            headers.retain(|held, _| !held.eq_ignore_ascii_case(name));
            headers.insert(name.clone(), json!(text));
        }
    }
}

/// Mappings know no beginnings of texts: an expression for the whole text says it.
fn exact_or_regex(text: &Text) -> (String, bool) {
    match text {
        Text::Exact(text) => (text.clone(), false),
        Text::Prefix(text) => (format!("{}.*", escape(text)), true),
        Text::Regex(text) => (text.clone(), true),
    }
}

/// The text as an RE2 expression for itself.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_punctuation() && letter != '_' {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::Weight;

    fn restricted(action: Action, condition: &Condition) -> Value {
        let base = json!({"prefix": "/shop/", "service": "shop", "weight": 3, "headers": {"X-Beta": "0", "x-region": "eu"}});
        let mut fields = base.as_object().unwrap().clone();
        restrict(&mut fields, action, condition);
        Value::Object(fields)
    }

    #[test]
    fn a_name_is_told_from_others_and_never_too_long() {
        assert_eq!(name("shop", "beta", 0), "shop-canary-beta");
        assert_eq!(name("shop", "beta", 1), "shop-canary-beta-2");
        assert_eq!(name(&"a".repeat(253), "beta", 0).len(), 253);
    }

    #[test]
    fn headers_are_added_to_those_of_the_base() {
        let headers = vec![
            ("x-beta".to_owned(), Text::Exact("1".to_owned())),
            ("x-user".to_owned(), Text::Prefix("a.b".to_owned())),
        ];
        assert_eq!(
            restricted(Action::Send, &Condition { headers, ..Condition::default() }),
            json!({
                "prefix": "/shop/", "service": "shop",
                "headers": {"x-beta": "1", "x-region": "eu"},
                "regex_headers": {"x-user": "a\\.b.*"},
            })
        );
    }

    #[test]
    fn a_mirror_is_a_shadow_with_its_share() {
        let condition = Condition {
            method: Some(Text::Exact("GET".to_owned())),
            path: Some(Text::Regex("/shop/[0-9]+".to_owned())),
            headers: Vec::new(),
        };
        assert_eq!(
            restricted(Action::Mirror(Weight::of_percent(35)), &condition),
            json!({
                "prefix": "/shop/[0-9]+", "prefix_exact": false, "prefix_regex": true, "service": "shop",
                "method": "GET", "method_regex": false, "shadow": true, "weight": 35,
                "headers": {"X-Beta": "0", "x-region": "eu"},
            })
        );
    }
}
