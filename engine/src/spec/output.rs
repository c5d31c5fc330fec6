//! What the result of a job looks like.

use serde::{Deserialize, Serialize};

/// What the result of a job looks like: NDJSON without compression by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OutputSpec {
    /// How the records are written.
    pub format: OutputFormat,
    /// The same as `compression: gzip`; Parquet, which is packed already, goes without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gzip: Option<bool>,
    /// How the bytes are packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<OutputCompression>,
    /// After how many bytes, as stored, the next part is begun; [`Limits::part_bytes`] when not
    /// said.
    ///
    /// [`Limits::part_bytes`]: super::Limits::part_bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_part_bytes: Option<u64>,
    /// How long the link to the result is valid, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Put `'` before CSV cells that a spreadsheet would run.
    pub escape_formulas: bool,
    /// A bucket of the user's own to deliver to, `s3://bucket/prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_uri: Option<String>,
    /// The role to take on for writing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

/// How the records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Rows under a header; needs `defaults.extract`.
    Csv,
    /// Typed columns; needs `defaults.extract`.
    Parquet,
}

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputCompression {
    /// As they are.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl OutputSpec {
    /// NDJSON.
    pub fn ndjson() -> Self {
        Self::default()
    }

    /// CSV.
    pub fn csv() -> Self {
        Self { format: OutputFormat::Csv, ..Self::default() }
    }

    /// Parquet.
    pub fn parquet() -> Self {
        Self { format: OutputFormat::Parquet, ..Self::default() }
    }

    /// Whether the result goes to a bucket of the user's own.
    pub fn is_delivered(&self) -> bool {
        self.s3_uri.is_some()
    }

    /// Sets whether the parts are packed with gzip.
    #[must_use]
    pub fn with_gzip(mut self, gzip: bool) -> Self {
        self.gzip = Some(gzip);
        self
    }

    /// Sets how the parts are packed.
    #[must_use]
    pub fn with_compression(mut self, compression: OutputCompression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets after how many bytes the next part is begun.
    #[must_use]
    pub fn with_max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = Some(bytes);
        self
    }

    /// How the parts are packed from outside: Parquet never is.
    pub fn effective_compression(&self) -> OutputCompression {
        match (self.format, self.compression, self.gzip) {
            (OutputFormat::Parquet, ..) => OutputCompression::None,
            (_, Some(compression), _) => compression,
            (_, None, Some(true)) => OutputCompression::Gzip,
            _ => OutputCompression::None,
        }
    }
}

impl OutputFormat {
    /// Whether the columns have to be known before the first record.
    pub fn needs_schema(self) -> bool {
        self != Self::Ndjson
    }
}
