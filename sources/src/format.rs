//! In what form the tasks of an input are written.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// How the tasks of an input are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputFormat {
    /// One URL a line; white space around it is dropped.
    Text,
    /// One JSON value a line: an object with `url` and Scrape parameters, or a string.
    Ndjson,
    /// Rows under a header with `url`; the other columns are Scrape parameters.
    Csv,
}

/// How the bytes of an input are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard, of one or several frames.
    Zstd,
}

const SIGNATURES: &[(&[u8], Compression)] =
    &[(b"\x1F\x8B", Compression::Gzip), (b"\x28\xB5\x2F\xFD", Compression::Zstd)];

impl InputFormat {
    /// The format that a file's suffix names, below `.gz` or `.zst`: `.txt`, `.list`, `.urls`;
    /// `.ndjson`, `.jsonl`; `.csv`.
    pub fn of_path(path: &Path) -> Option<Self> {
        let (name, _) = split_name(path)?;
        let (_, suffix) = name.rsplit_once('.')?;
        match suffix {
            "txt" | "list" | "urls" => Some(Self::Text),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The format that the first line of an input looks like.
    ///
    /// `{` begins NDJSON; a row with a cell `url` is the header of a CSV file; `"` begins NDJSON
    /// as well; everything else is text.
    pub fn of_first_line(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        let is_url = |cell: &[u8]| matches!(cell.trim_ascii(), b"url" | b"\"url\"");
        match line.first() {
            Some(b'{') => Self::Ndjson,
            _ if line.split(|byte| *byte == b',').any(is_url) => Self::Csv,
            Some(b'"') => Self::Ndjson,
            _ => Self::Text,
        }
    }
}

impl Compression {
    /// The compression that a file's suffix names: `.gz` or `.zst`, or none.
    pub fn of_path(path: &Path) -> Self {
        split_name(path).map_or(Self::None, |(_, compression)| compression)
    }

    /// The compression that the first bytes of an input are those of; `None` if there are too few
    /// to tell. No list of tasks begins with either signature.
    pub fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        for (signature, compression) in SIGNATURES {
            if bytes.starts_with(signature) {
                return Some(*compression);
            }
            if signature.starts_with(bytes) {
                return None;
            }
        }
        Some(Self::None)
    }
}

/// The file's name in lower case without the suffix of its compression.
fn split_name(path: &Path) -> Option<(String, Compression)> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    Some(match name.rsplit_once('.') {
        Some((rest, "gz")) => (rest.to_owned(), Compression::Gzip),
        Some((rest, "zst")) => (rest.to_owned(), Compression::Zstd),
        _ => (name, Compression::None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_name_the_format_and_the_compression() {
        use {Compression as C, InputFormat as F};
        for (path, format, compression) in [
            ("a/urls.txt", Some(F::Text), C::None),
            ("urls.list.gz", Some(F::Text), C::Gzip),
            ("x.urls", Some(F::Text), C::None),
            ("X.NDJSON.GZ", Some(F::Ndjson), C::Gzip),
            ("x.jsonl.zst", Some(F::Ndjson), C::Zstd),
            ("x.csv", Some(F::Csv), C::None),
            ("x.csv.bak", None, C::None),
            ("csv", None, C::None),
            ("x.gz", None, C::Gzip),
            ("/", None, C::None),
        ] {
            let path = Path::new(path);
            let found = (InputFormat::of_path(path), Compression::of_path(path));
            assert_eq!(found, (format, compression), "{}", path.display());
        }
    }

    #[test]
    fn the_first_bytes_tell_the_compressions_apart() {
        for (bytes, compression) in [
            (&b""[..], None),
            (b"\x1F", None),
            (b"\x1F\x8B\x08", Some(Compression::Gzip)),
            (b"(", None),
            (b"(\xB5/", None),
            (b"(\xB5/\xFD", Some(Compression::Zstd)),
            (b"h", Some(Compression::None)),
            (b"(a", Some(Compression::None)),
        ] {
            assert_eq!(Compression::of_first_bytes(bytes), compression, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_line_tells_the_formats_apart() {
        use InputFormat as F;
        for (line, format) in [
            (r#"  {"url": "http://a.test/"}"#, F::Ndjson),
            (r#""http://a.test/""#, F::Ndjson),
            ("url", F::Csv),
            ("id, url ,country\r", F::Csv),
            (r#""url","id""#, F::Csv),
            ("http://a.test/?x=url,y", F::Text),
            ("", F::Text),
        ] {
            assert_eq!(InputFormat::of_first_line(line.as_bytes()), format, "{line}");
        }
    }
}
