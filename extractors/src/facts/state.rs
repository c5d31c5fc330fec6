//! The state that a page's scripts carry: JSON in scripts, and what is assigned to variables.

use memchr::memmem;
use serde_json::Value;

use crate::tree::{Tag, Tree};

/// The most scripts that are looked into.
const MAX_SCRIPTS: usize = 200;
/// The largest script that is looked into, in bytes.
const MAX_SCRIPT_BYTES: usize = 3 * 1024 * 1024;
/// The most values that are kept.
const MAX_LEAVES: usize = 20_000;
/// The most assignments of one script.
const MAX_ASSIGNMENTS: usize = 20;
/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 2_000;

/// A value with the keys that lead to it.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// The keys, innermost last, joined by dots.
    pub(crate) path: String,
    pub(crate) value: Value,
}

/// The JSON values in a page's scripts, in order.
pub(crate) fn values(tree: &Tree<'_>) -> Vec<Value> {
    let scripts = (1..tree.len()).filter(|place| tree.tag(*place) == Tag::Script).take(MAX_SCRIPTS);
    let mut values = Vec::new();
    for script in scripts {
        let kind = tree.raw_attribute(script, "type").unwrap_or_default();
        let Some(text) = tree.children(script).next() else { continue };
        let text = tree.raw_text(text);
        if text.len() > MAX_SCRIPT_BYTES || kind.contains("ld+json") {
            continue;
        }
        if kind.contains("json") {
            values.extend(serde_json::from_str::<Value>(text.trim()).ok());
        } else {
            assigned(text, &mut values);
        }
    }
    values
}

/// What is assigned or pushed as JSON: `x = {…}`, `dataLayer.push({…})`.
fn assigned(script: &str, values: &mut Vec<Value>) {
    let bytes = script.as_bytes();
    let mut found = 0;
    let mut from = 0;
    while found < MAX_ASSIGNMENTS {
        let Some(open) = memmem::find(&bytes[from..], b"{\"") else { return };
        let open = from + open;
        let before = script[..open].trim_end();
        from = open + 2;
        if !before.ends_with(['=', '(', ',', ':']) {
            continue;
        }
        let mut stream = serde_json::Deserializer::from_str(&script[open..]).into_iter::<Value>();
        if let Some(Ok(value)) = stream.next() {
            from = open + stream.byte_offset().max(2);
            values.push(value);
        }
        found += 1;
    }
}

/// All single values below, without recursion.
pub(crate) fn leaves(values: &[Value]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut open: Vec<(String, &Value)> =
        values.iter().rev().map(|value| (String::new(), value)).collect();
    let mut visited = 0;
    while let Some((path, value)) = open.pop() {
        visited += 1;
        if leaves.len() >= MAX_LEAVES || visited > 10 * MAX_LEAVES {
            break;
        }
        match value {
            Value::Null => {}
            Value::Object(object) => {
                for (key, inner) in object.iter().rev() {
                    open.push((join(&path, key), inner));
                }
            }
            Value::Array(elements) => {
                for inner in elements.iter().rev().take(50) {
                    open.push((join(&path, "[]"), inner));
                }
            }
            Value::String(text) if text.len() > MAX_VALUE_BYTES => {}
            leaf => leaves.push(Leaf { path, value: leaf.clone() }),
        }
    }
    leaves
}

/// Keeps the innermost keys only: a path must not grow with the depth of hostile data.
fn join(path: &str, key: &str) -> String {
    const MAX_PATH_BYTES: usize = 120;
    let key = crate::text::cut(key, MAX_PATH_BYTES / 2);
    let excess = (path.len() + key.len()).saturating_sub(MAX_PATH_BYTES);
    let path = &path[path.ceil_char_boundary(excess.min(path.len()))..];
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(html: &str) -> Vec<String> {
        leaves(&values(&Tree::new(html))).into_iter().map(|leaf| leaf.path).collect()
    }

    #[test]
    fn state_is_found_where_scripts_keep_it() {
        let html = r#"<script type="application/json">{"a": {"b": 1}}</script>
            <script>var x = 1; window.__S = {"c": [{"d": "}"}]}; push({"e": true}); f{"g": 2}</script>"#;
        assert_eq!(paths(html), ["a.b", "c.[].d", "e"]);
    }

    #[test]
    fn hostile_state_is_bounded() {
        let wide = format!("<script type=json>[{}1]</script>", "1,".repeat(1_000_000));
        assert!(paths(&wide).len() <= 50);
        let many = format!("<script>{}</script>", "x={\"".repeat(100_000));
        assert!(paths(&many).is_empty());
        let deep = format!("<script>x={}</script>", "{\"a\":".repeat(100_000));
        assert!(paths(&deep).is_empty());
    }
}
