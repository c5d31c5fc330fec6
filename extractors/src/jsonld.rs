//! JSON-LD: finds its blocks without an HTML parser, and repairs what is no JSON.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::Value;

/// The most blocks that are read of one page.
const MAX_BLOCKS: usize = 200;
/// The largest block that is read, in bytes.
const MAX_BLOCK_BYTES: usize = 3 * 1024 * 1024;

/// The values of all blocks of a page. A block that can't be read even after repair is passed over.
pub(crate) fn values(html: &str) -> impl Iterator<Item = Value> {
    blocks(html).filter_map(parse)
}

/// The contents of the `<script type="application/ld+json">` elements.
fn blocks(html: &str) -> impl Iterator<Item = &str> {
    let finder = memmem::Finder::new("ld+json");
    let mut from = 0;
    let next = move || {
        while let Some(found) = finder.find(&html.as_bytes()[from..]) {
            let at = from + found;
            from = at + "ld+json".len();
            if let Some(block) = block_around(html, at) {
                from = block.as_ptr() as usize - html.as_ptr() as usize + block.len();
                return Some(block);
            }
        }
        None
    };
    std::iter::from_fn(next).take(MAX_BLOCKS).filter(|block| block.len() <= MAX_BLOCK_BYTES)
}

/// The content of the script whose start tag has the type at this position.
fn block_around(html: &str, at: usize) -> Option<&str> {
    let open = html[..at].rfind('<')?;
    let is_script = html.as_bytes().get(open + 1..open + 7)?.eq_ignore_ascii_case(b"script");
    let start = at + html[at..].find('>')? + 1;
    let is_one_tag = is_script && !html[open..at].contains('>');
    let content = is_one_tag.then(|| &html[start..])?;
    let ends = memmem::find_iter(content.as_bytes(), "</");
    let mut ends = ends.filter(|end| {
        let name = content.as_bytes().get(end + 2..end + 8);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"script"))
    });
    Some(&content[..ends.next().unwrap_or(content.len())])
}

/// Reads a block, repaired if need be: about one in thirty is not valid JSON.
fn parse(block: &str) -> Option<Value> {
    let block = block.trim();
    if let Ok(value) = serde_json::from_str(block) {
        return Some(value);
    }
    let repaired = repair(block);
    // Whatever follows the first value is garbage.
    serde_json::Deserializer::from_str(&repaired).into_iter().next()?.ok()
}

/// Drops wrappers of comments and CDATA and trailing commas, and makes spaces of control characters.
fn repair(block: &str) -> String {
    let start = block.find(['{', '[']).unwrap_or(0);
    let block = block[start..].trim_start_matches("[CDATA[").trim_start();
    let has_entities = block.contains("&quot;") && !block.contains('"');
    let block = if has_entities { htmlize::unescape(block) } else { Cow::Borrowed(block) };
    let mut repaired = String::with_capacity(block.len());
    let mut in_string = false;
    let mut is_escaped = false;
    for c in block.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if in_string {
            in_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
        } else if c == '"' {
            in_string = true;
        } else if matches!(c, '}' | ']') && repaired.trim_end().ends_with(',') {
            repaired.truncate(repaired.trim_end().len() - 1);
        }
        repaired.push(c);
    }
    repaired
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn page(block: &str) -> String {
        format!("<html><SCRIPT id=x type='application/ld+json' async>{block}</SCRIPT ><p>x</p>")
    }

    fn first(block: &str) -> Value {
        values(&page(block)).next().unwrap_or(Value::Null)
    }

    #[test]
    fn broken_blocks_are_repaired() {
        let whole = json!({"@type": "Product", "name": "A, }b"});
        for block in [
            r#"{"@type": "Product", "name": "A, }b"}"#,
            r#"<!-- {"@type": "Product", "name": "A, }b"} -->"#,
            "//<![CDATA[\n{\"@type\": \"Product\", \"name\": \"A, }b\"}\n//]]>",
            r#"{"@type": "Product", "name": "A, }b",}"#,
            r#"{"@type": "Product", "name": "A, }b"} ; garbage"#,
            "{\"@type\": \"Product\", \"name\": \"A,\n}b\"}",
            "{&quot;@type&quot;: &quot;Product&quot;, &quot;name&quot;: &quot;A, }b&quot;}",
        ] {
            assert_eq!(first(block), whole, "{block}");
        }
        assert_eq!(first("nothing"), Value::Null);
    }

    #[test]
    fn only_scripts_count() {
        for html in [
            r#"<p title="application/ld+json">{"@type": "Product", "name": "A"}</p>"#,
            r#"<script>var type = "application/ld+json" > 1; {"a": 1, "b": 2}</script>"#,
            "ld+json",
            "<script type=application/ld+json",
        ] {
            assert!(values(html).next().is_none(), "{html}");
        }
        assert!(values(r#"<script type=application/ld+json>{"a":1,"b":2}"#).next().is_some());
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(html in r#"(<script|type=|ld\+json|>|</script>|\{|\}|"|é|,|a|\[){0,40}"#) {
            values(&html).count();
            values(&page(&html)).count();
        }
    }
}
