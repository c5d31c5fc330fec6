//! The rows of a file byte for byte, whether it is packed or not.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use harvestman_engine::{Error, Result};

use crate::OutputKind;

/// The longest row of NDJSON or CSV that is merged, in bytes: a page of 10 MiB in JSON, where each
/// of its bytes may take six, and as much again.
pub const MAX_ROW_BYTES: usize = 128 * 1024 * 1024;
/// How much is read from a file at once.
const BUFFER_BYTES: usize = 128 * 1024;
/// The largest window of a zstd frame, as a power of two: 8 MiB, what every decoder has to support.
#[cfg(feature = "compression")]
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// Rows one after the other, each with its line break.
pub(super) struct RawRows {
    input: Box<dyn BufRead>,
    path: PathBuf,
    /// Whether a line break between quotes ends no row.
    is_quoted: bool,
    row: Vec<u8>,
    max_bytes: usize,
}

impl fmt::Debug for RawRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRows").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RawRows {
    pub(super) fn open(path: &Path, kind: OutputKind) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let input = unpack(BufReader::with_capacity(BUFFER_BYTES, file));
        let input = input.map_err(Error::io("read", path))?;
        Ok(Self::new(input, path, kind == OutputKind::Csv, MAX_ROW_BYTES))
    }

    fn new(input: Box<dyn BufRead>, path: &Path, is_quoted: bool, max_bytes: usize) -> Self {
        Self { input, path: path.to_owned(), is_quoted, row: Vec::new(), max_bytes }
    }

    /// The next row. The last one gets a line break where it has none.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.row.clear();
        self.row.shrink_to(BUFFER_BYTES);
        let mut is_inside = false;
        loop {
            let before = self.row.len();
            let room = (self.max_bytes + 1).saturating_sub(before) as u64;
            let read = (&mut self.input).take(room).read_until(b'\n', &mut self.row);
            read.map_err(|error| self.unreadable(&error))?;
            if self.row.len() > self.max_bytes {
                return Err(self.damaged(format!("it is longer than {} bytes", self.max_bytes)));
            }
            let read = &self.row[before..];
            // A quote inside of a quoted cell is written twice.
            is_inside ^= self.is_quoted && has_odd_quotes(read);
            match read.last() {
                Some(b'\n') if is_inside => {}
                Some(b'\n') => return Ok(Some(&self.row)),
                _ if is_inside => {
                    return Err(self.damaged("it opens a quoted cell that never ends"));
                }
                None if self.row.is_empty() => return Ok(None),
                _ => {
                    let end: &[u8] = if self.is_quoted { b"\r\n" } else { b"\n" };
                    self.row.extend_from_slice(end);
                    return Ok(Some(&self.row));
                }
            }
        }
    }

    fn damaged(&self, message: impl Into<String>) -> Error {
        Error::damaged(self.path.display().to_string(), message)
    }

    /// A refusal by the operating system has its number; all else comes from a decoder.
    fn unreadable(&self, error: &io::Error) -> Error {
        match error.raw_os_error() {
            Some(code) => Error::io("read", &self.path)(io::Error::from_raw_os_error(code)),
            None => self.damaged(format!("it can't be unpacked ({error})")),
        }
    }
}

fn has_odd_quotes(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |is_odd, byte| is_odd ^ (*byte == b'"'))
}

/// Unpacks what begins as gzip or zstd does, as no row can.
fn unpack(mut input: BufReader<File>) -> io::Result<Box<dyn BufRead>> {
    let first = input.fill_buf()?;
    #[cfg(feature = "compression")]
    {
        if first.starts_with(b"\x1F\x8B") {
            let decoder = flate2::bufread::MultiGzDecoder::new(input);
            return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
        }
        if first.starts_with(b"\x28\xB5\x2F\xFD") {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
        }
    }
    let _ = first;
    Ok(Box::new(input))
}

/// A row without its line break.
pub(super) fn without_break(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static str, is_quoted: bool, max_bytes: usize) -> Vec<String> {
        let mut rows =
            RawRows::new(Box::new(text.as_bytes()), Path::new("x"), is_quoted, max_bytes);
        let mut all = Vec::new();
        loop {
            match rows.next() {
                Ok(Some(row)) => all.push(String::from_utf8(row.to_vec()).unwrap()),
                Ok(None) => return all,
                Err(error) => {
                    all.push(error.to_string());
                    return all;
                }
            }
        }
    }

    #[test]
    fn rows_are_split_outside_of_quotes_and_end_in_a_line_break() {
        assert_eq!(rows("a\n\"b\n\nc", false, 9), ["a\n", "\"b\n", "\n", "c\n"]);
        let text = "a,\"b\n\"\"\n\"\r\n\"\",c\r\nd";
        assert_eq!(rows(text, true, 20), ["a,\"b\n\"\"\n\"\r\n", "\"\",c\r\n", "d\r\n"]);
        assert!(rows("", true, 9).is_empty());
    }

    #[test]
    fn what_never_ends_is_refused() {
        let found = rows("a\nb,\"c\nd\n", true, 99);
        assert_eq!(found[0], "a\n");
        assert!(found[1].contains("never ends"), "{found:?}");
    }

    #[test]
    fn the_longest_row_is_exact() {
        assert_eq!(rows("abc\nabcd\n", false, 5), ["abc\n", "abcd\n"]);
        assert!(rows("abc\nabcd\n", false, 4)[1].contains("longer than 4 bytes"));
        assert!(rows("\"\n\n\n\n\n\n\n\n\n\"", true, 4)[0].contains("longer than 4 bytes"));
    }
}
