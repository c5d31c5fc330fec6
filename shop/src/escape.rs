//! Text inside HTML and inside JSON.

use std::fmt::{self, Display, Write as _};

/// Text for an element or a quoted attribute.
pub(crate) struct Html<'a>(pub(crate) &'a str);

/// Text for the inside of a JSON string.
pub(crate) struct Json<'a>(pub(crate) &'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_replaced(f, self.0, |c| match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '"' => Some("&quot;"),
            '\'' => Some("&#39;"),
            _ => None,
        })
    }
}

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_replaced(f, self.0, |c| match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '<' => Some("\\u003c"),
            _ => None,
        })
    }
}

fn write_replaced(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    replacement: impl Fn(char) -> Option<&'static str>,
) -> fmt::Result {
    for c in text.chars() {
        match replacement(c) {
            Some(replacement) => f.write_str(replacement)?,
            None => f.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(
            Html("a & <b> \"c\" 'd' é").to_string(),
            "a &amp; &lt;b> &quot;c&quot; &#39;d&#39; é"
        );
        assert_eq!(Json("12\" </script> \\ é").to_string(), "12\\\" \\u003c/script> \\\\ é");
    }
}
