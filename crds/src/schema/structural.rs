//! Turns a generated schema into one that the API server takes and that changes nothing in an object.

use serde_json::{Map, Value};

use crate::go_json;

/// Rewrites a schema in place:
///
/// - `nullable` goes, so that the API server drops `null` as it does under Argo's definitions;
/// - `default` goes, because absent and zero mean the same to Go programs, and a default would be written back;
/// - words of the generator (`title`, `$schema`) go, and descriptions become one line of plain text.
pub fn rewrite(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    for word in ["nullable", "default", "title", "$schema"] {
        fields.remove(word);
    }
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = plain_text(description);
    }
    for bound in ["minimum", "maximum"] {
        if let Some(bound) = fields.get_mut(bound) {
            go_json::write_whole_numbers_as_integers(bound);
        }
    }
    for list in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(items)) = fields.get_mut(list) {
            items.iter_mut().for_each(rewrite);
        }
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = fields.get_mut(child) {
            rewrite(child);
        }
    }
    if let Some(properties) = properties(fields) {
        properties.values_mut().for_each(rewrite);
    }
}

/// Takes the closed sets of words out of a schema: other controllers' words may be in a status.
pub fn open_words(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    fields.remove("enum");
    if let Some(items) = fields.get_mut("items") {
        open_words(items);
    }
    if let Some(properties) = properties(fields) {
        properties.values_mut().for_each(open_words);
    }
}

fn properties(fields: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    fields.get_mut("properties").and_then(Value::as_object_mut)
}

/// A doc comment without its line breaks and links: ``[`a`](b)`` and ``[`a`]`` become `` `a` ``.
fn plain_text(doc: &str) -> String {
    let line = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        text.extend([before, "`", name, "`"]);
        rest = match after.strip_prefix('(').and_then(|target| target.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_one_line_without_links() {
        let mut schema = json!({"description": "No [`a`](Self::a),\nsee [`B`]. A list is [x, y]."});
        rewrite(&mut schema);
        assert_eq!(schema["description"], "No `a`, see `B`. A list is [x, y].");
    }

    #[test]
    fn nothing_in_the_schema_changes_an_object() {
        let mut schema = json!({
            "type": "object",
            "title": "A",
            "properties": {
                "a": {"type": "integer", "nullable": true, "default": 5, "minimum": 0.0},
                "default": {"type": "string"},
            },
        });
        rewrite(&mut schema);
        let expected = json!({
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 0}, "default": {"type": "string"}},
        });
        assert_eq!(schema, expected);
    }
}
