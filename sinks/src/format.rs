//! In what form an output is written.

use std::{fmt, path::Path};

use harvestman_engine::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the records of an output are written and packed; plain NDJSON by default.
///
/// ```
/// use harvestman_sinks::{Compression, OutputFormat, OutputKind};
///
/// let format = OutputFormat::detect("products.csv.gz")?;
/// assert_eq!(format, OutputFormat::new(OutputKind::Csv).with_compression(Compression::Gzip));
/// assert!(OutputFormat::detect("products.parquet.gz").is_err());
/// # Ok::<(), harvestman_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputFormat {
    /// How the records are written.
    pub kind: OutputKind,
    /// How the bytes are packed.
    pub compression: Compression,
}

/// How the records of an output are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputKind {
    /// One JSON object a line, with everything that a record has.
    #[default]
    Ndjson,
    /// Rows under a header, as in RFC 4180; needs a schema.
    Csv,
    /// Typed columns, packed with zstd by themselves; needs a schema and a file.
    Parquet,
}

/// How the bytes of an output are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// gzip, one standard member a file.
    Gzip,
    /// Zstandard, one frame or several a file.
    Zstd,
}

impl OutputFormat {
    /// A format without compression of its own.
    pub fn new(kind: OutputKind) -> Self {
        Self { kind, compression: Compression::None }
    }

    /// Sets the compression. Parquet is refused with any but [`Compression::None`] on opening.
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The format that a path's suffixes name: `.ndjson`, `.jsonl`, `.csv` or `.parquet`, the first
    /// three optionally followed by `.gz` or `.zst`; upper or lower case.
    ///
    /// [`Error::Invalid`] for any other.
    pub fn detect(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (_, suffix) = split_name(path);
        let suffix = suffix.to_ascii_lowercase();
        let (kind, compression) = match suffix.rsplit_once('.') {
            Some((kind, "gz")) => (kind, Compression::Gzip),
            Some((kind, "zst")) => (kind, Compression::Zstd),
            _ => (suffix.as_str(), Compression::None),
        };
        let kind = OutputKind::of_suffix(kind).ok_or_else(|| {
            let message = "has no suffix of a format; end it in .ndjson, .jsonl, .csv (each also \
                           with .gz or .zst) or .parquet";
            Error::invalid(format!("output {}", path.display()), message)
        })?;
        let format = Self { kind, compression };
        format.check()?;
        Ok(format)
    }

    /// Refuses what can't be combined or was not built in.
    pub(crate) fn check(self) -> Result<()> {
        let refuse = |message: &str| Err(Error::invalid(format!("output format {self}"), message));
        if self.kind == OutputKind::Parquet && self.compression != Compression::None {
            return refuse("Parquet is compressed inside already; leave .gz or .zst away");
        }
        match self.kind {
            OutputKind::Csv if !cfg!(feature = "csv") => {
                return refuse("was not built in; build with the feature `csv`");
            }
            OutputKind::Parquet if !cfg!(feature = "parquet") => {
                return refuse("was not built in; build with the feature `parquet`");
            }
            _ => {}
        }
        if self.compression != Compression::None && !cfg!(feature = "compression") {
            return refuse("was not built in; build with the feature `compression`");
        }
        Ok(())
    }

    /// The suffixes of a file in this format, without the first dot.
    pub fn suffix(self) -> String {
        let kind = match self.kind {
            OutputKind::Ndjson => "ndjson",
            OutputKind::Csv => "csv",
            OutputKind::Parquet => "parquet",
        };
        match self.compression {
            Compression::None => kind.to_owned(),
            Compression::Gzip => format!("{kind}.gz"),
            Compression::Zstd => format!("{kind}.zst"),
        }
    }
}

/// The suffixes, e.g. `csv.gz`.
impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffix())
    }
}

impl OutputKind {
    /// Whether the columns have to be known before the first record.
    pub fn needs_schema(self) -> bool {
        self != Self::Ndjson
    }

    fn of_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A file's name as stem and suffixes of format and compression, which may be empty.
pub(crate) fn split_name(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lower = name.to_ascii_lowercase();
    let packed = [".gz", ".zst"].into_iter().find_map(|suffix| lower.strip_suffix(suffix));
    let plain = packed.unwrap_or(&lower);
    let Some((stem, _)) =
        plain.rsplit_once('.').filter(|(_, kind)| OutputKind::of_suffix(kind).is_some())
    else {
        return (name, String::new());
    };
    // ASCII lower case keeps every byte's position.
    let (stem, suffix) = name.split_at(stem.len());
    (stem.to_owned(), suffix[1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_name_the_format() {
        use {Compression as C, OutputKind as K};
        for (path, expected) in [
            ("out.ndjson", Some((K::Ndjson, C::None))),
            ("a.b/OUT.JSONL.GZ", Some((K::Ndjson, C::Gzip))),
            ("out.v2.csv.zst", Some((K::Csv, C::Zstd))),
            ("out.parquet", Some((K::Parquet, C::None))),
            ("out.parquet.gz", None),
            ("out.parquet.zst", None),
            ("out.json", None),
            ("out.gz", None),
            ("csv", None),
            ("", None),
        ] {
            let found = OutputFormat::detect(path).ok();
            let expected = expected.map(|(kind, c)| OutputFormat::new(kind).with_compression(c));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_refusal_names_the_remedy() {
        let error = OutputFormat::detect("x.parquet.gz").unwrap_err().to_string();
        assert!(error.contains("leave .gz or .zst away"), "{error}");
        let error = OutputFormat::detect("x.txt").unwrap_err().to_string();
        assert!(error.contains(".ndjson"), "{error}");
    }

    #[test]
    fn a_name_is_split_before_its_suffixes() {
        for (path, stem, suffix) in [
            ("d/out.v2.ndjson.gz", "out.v2", "ndjson.gz"),
            ("Öl.CSV", "Öl", "CSV"),
            ("out.dat", "out.dat", ""),
            ("out.gz", "out.gz", ""),
        ] {
            assert_eq!(split_name(Path::new(path)), (stem.to_owned(), suffix.to_owned()), "{path}");
        }
    }
}
