//! How the fields of a schema are read.

use serde::{Deserialize, Serialize};

/// How strictly the fields are read, and what is said of them: `extract_options` of a job or a line.
///
/// ```
/// use harvestman_engine::ExtractOptions;
///
/// let options: ExtractOptions = serde_json::from_str(r#"{"meta": true, "min_confidence": 0.8}"#)?;
/// assert!(options.meta && !options.strict);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExtractOptions {
    /// A missing or invalid field that isn't nullable fails the page (`validation_failed`). By default
    /// it is null for a sketch, and fails a JSON Schema that requires it.
    pub strict: bool,
    /// Say of each field where it was found and how sure it is.
    pub meta: bool,
    /// Below this confidence, from 0 to 1, a value counts as missing.
    pub min_confidence: Option<f64>,
}

impl ExtractOptions {
    /// Options that say where each field was found and how sure it is.
    pub fn with_meta(mut self) -> Self {
        self.meta = true;
        self
    }

    /// Options under which a missing field fails the page.
    pub fn with_strict(mut self) -> Self {
        self.strict = true;
        self
    }
}
