//! Lays the records of a retry over the output that they mend.

mod overlay;
#[cfg(feature = "parquet")]
mod parquet;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use harvestman_engine::{Error, Part, Result, checkpoint::sync_directory};

pub use self::text::MAX_ROW_BYTES;
use crate::{OutputFormat, work::remove};

/// The files of two outputs, each in the order of its parts.
struct Inputs<'a> {
    original: &'a [PathBuf],
    retry: &'a [PathBuf],
    /// The first of all, whose columns are those of the others.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    first: &'a Path,
}

#[cfg(any(feature = "csv", feature = "parquet"))]
impl Inputs<'_> {
    fn all(&self) -> impl Iterator<Item = &Path> {
        self.original.iter().chain(self.retry).map(PathBuf::as_path)
    }
}

/// What has been written.
struct Written {
    rows: u64,
    sha256: String,
}

/// Writes an output of the rows of `original` whose `index` no row of `retry` has, and behind them
/// all rows of `retry`: so each record that was tried again is there once, as it came out last.
///
/// All files are outputs of the kind that `format` names, several parts in their order. NDJSON and CSV
/// may be packed, whatever their names say; `format` says how the result is packed. Rows are copied
/// as they are written. CSV needs the same header in all files, Parquet the same columns; what
/// Parquet has of metadata is taken from the first file.
///
/// `to` is replaced, durably and in one step, when the result is complete, and may be one of the
/// inputs; until then it is written beside it, with `.tmp` after its name. Memory holds the set of the indices, one bit each
/// where they are dense, and one row of at most [`MAX_ROW_BYTES`], of Parquet some thousand rows and
/// a row group. Each file is read once, those of `retry` twice. Blocks: call it on a thread for
/// blocking work.
///
/// Fails on a row without an `index`, on one that can't be read and on an index that comes twice in
/// one output, with file and row; and on columns that differ, with the first difference.
///
/// ```
/// use harvestman_sinks::{OutputFormat, merge};
///
/// # let dir = tempfile::tempdir()?;
/// let [original, retry, to] = ["a.ndjson", "b.ndjson", "c.ndjson"].map(|name| dir.path().join(name));
/// std::fs::write(&original, "{\"index\":0,\"status\":\"error\"}\n{\"index\":1,\"status\":\"ok\"}\n")?;
/// std::fs::write(&retry, "{\"index\":0,\"status\":\"ok\"}\n")?;
/// let part = merge(&[original], &[retry], OutputFormat::detect(&to)?, &to)?;
/// assert_eq!(part.rows, 2);
/// let merged = std::fs::read_to_string(&to)?;
/// assert_eq!(merged, "{\"index\":1,\"status\":\"ok\"}\n{\"index\":0,\"status\":\"ok\"}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge(
    original: &[PathBuf],
    retry: &[PathBuf],
    format: OutputFormat,
    to: &Path,
) -> Result<Part> {
    format.check()?;
    let Some(first) = original.iter().chain(retry).next() else {
        return Err(Error::invalid("the outputs to merge", "there are none; name their files"));
    };
    let _ = first;
    let inputs = Inputs {
        original,
        retry,
        #[cfg(any(feature = "csv", feature = "parquet"))]
        first,
    };
    let temporary = to.with_added_extension("tmp");
    let written = match format.kind {
        #[cfg(feature = "parquet")]
        crate::OutputKind::Parquet => parquet::merge(&inputs, &temporary),
        _ => text::merge(&inputs, format, &temporary),
    };
    let published = written.and_then(|written| publish(&temporary, to, written));
    if published.is_err() {
        // The failure itself is what the caller has to know.
        let _ = remove(&temporary);
    }
    published
}

fn publish(temporary: &Path, to: &Path, written: Written) -> Result<Part> {
    let bytes = fs::metadata(temporary).map_err(Error::io("examine", temporary))?.len();
    fs::rename(temporary, to).map_err(Error::io("rename to", to))?;
    sync_directory(to)?;
    let mut part = Part::new(to.to_string_lossy(), written.rows, bytes);
    part.sha256 = Some(written.sha256);
    Ok(part)
}
