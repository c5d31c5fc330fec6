//! Splits bytes into rows: the lines of a text, or the rows of a CSV file, whose quoted cells may
//! hold line breaks.
//!
//! A row ends with LF or CRLF, or with the input; a carriage return alone is a character like any
//! other. Blank rows are counted as lines and left out. A row is held in memory whole, so one over
//! [`MAX_LINE_BYTES`] is skipped as it is read and reported without its bytes.

use std::io::{self, Read};

use crate::quotes::Quotes;

/// The longest line of a text or NDJSON file, and the longest row of a CSV file, in bytes without
/// the line break. A longer one makes an invalid task.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// How many bytes are asked for at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// One row, without its line break.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The bytes; none of them if the row is too long.
    pub(crate) bytes: &'a [u8],
    pub(crate) at: Position,
    pub(crate) flaw: Option<Flaw>,
}

/// Where a row begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// In bytes, 0-based.
    pub(crate) offset: u64,
    /// In lines, 1-based.
    pub(crate) line: u64,
}

/// Why a row can't be used, whatever its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    TooLong,
    /// The input ends inside a quoted cell.
    Unclosed,
}

/// The rows of an input. Rows that are already in memory are taken with [`next`](Self::next) until
/// there are none, then more is read with [`fill`](Self::fill).
#[derive(Debug)]
pub(crate) struct Rows<R> {
    input: R,
    buffer: Vec<u8>,
    /// The bytes of the current row that are in the buffer, and those after it.
    start: usize,
    end: usize,
    /// How far the current row was looked through.
    scanned: usize,
    /// The offset of the buffer's first byte in the input.
    base: u64,
    row: Position,
    breaks: RowBreaks,
    is_skipping: bool,
    is_ended: bool,
}

/// What ends a row.
#[derive(Debug)]
enum RowBreaks {
    Lines,
    Quoted(Quotes),
}

impl<R: Read> Rows<R> {
    /// Reads lines, the first of which begins at `at`.
    pub(crate) fn lines(input: R, at: Position) -> Self {
        Self::new(input, at, RowBreaks::Lines)
    }

    /// Reads rows of CSV, the first of which begins at `at`.
    pub(crate) fn csv(input: R, at: Position) -> Self {
        Self::new(input, at, RowBreaks::Quoted(Quotes::default()))
    }

    fn new(input: R, row: Position, breaks: RowBreaks) -> Self {
        let buffer = vec![0; CHUNK_BYTES];
        let base = row.offset;
        let (start, end, scanned) = (0, 0, 0);
        let (is_skipping, is_ended) = (false, false);
        Self { input, buffer, start, end, scanned, base, row, breaks, is_skipping, is_ended }
    }

    /// Takes the next row that is in memory.
    pub(crate) fn next(&mut self) -> Option<Row<'_>> {
        loop {
            let (bytes, at, flaw) = self.take()?;
            let is_blank = flaw.is_none() && self.buffer[bytes.clone()].trim_ascii().is_empty();
            if !is_blank {
                return Some(Row { bytes: &self.buffer[bytes], at, flaw });
            }
        }
    }

    /// Reads once from the input, keeping what is left of a row. False at the end of the input.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.is_ended {
            return Ok(false);
        }
        self.make_room();
        let read = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        self.is_ended = read == 0;
        // The end of the input ends a row, so there may be one more to take.
        Ok(read > 0 || self.start < self.end || self.is_skipping)
    }

    fn make_room(&mut self) {
        if self.is_skipping {
            self.start = self.end;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.scanned -= self.start.min(self.scanned);
        self.start = 0;
        if self.end == self.buffer.len() {
            let larger = (self.buffer.len() * 2).min(MAX_LINE_BYTES + CHUNK_BYTES);
            self.buffer.resize(larger, 0);
        }
    }

    /// Takes the next row, blank or not: where its bytes are, where it began, what is wrong.
    fn take(&mut self) -> Option<(std::ops::Range<usize>, Position, Option<Flaw>)> {
        let found = self.scan();
        let Some(end) = found.or_else(|| self.last_row_end()) else {
            // Two more bytes may be those of the line break.
            self.is_skipping |= self.end - self.start > MAX_LINE_BYTES + 2;
            return None;
        };
        let mut bytes = self.start..end;
        if bytes.end > bytes.start && self.buffer[bytes.end - 1] == b'\r' {
            bytes.end -= 1;
        }
        let is_unclosed = found.is_none() && self.breaks.is_inside();
        let flaw = if self.is_skipping || bytes.len() > MAX_LINE_BYTES {
            bytes.end = bytes.start;
            Some(Flaw::TooLong)
        } else {
            is_unclosed.then_some(Flaw::Unclosed)
        };
        let at = self.row;
        self.begin_row(if found.is_some() { end + 1 } else { end });
        Some((bytes, at, flaw))
    }

    /// The place of the line break that ends the current row.
    fn scan(&mut self) -> Option<usize> {
        let rest = &self.buffer[self.scanned..self.end];
        let found = match &mut self.breaks {
            RowBreaks::Lines => memchr::memchr(b'\n', rest),
            RowBreaks::Quoted(quotes) => quotes.find_break(rest),
        };
        let found = found.map(|offset| self.scanned + offset);
        self.scanned = found.unwrap_or(self.end);
        found
    }

    /// The end of a row that the input ends without a line break.
    fn last_row_end(&self) -> Option<usize> {
        let is_begun = self.start < self.end || self.is_skipping;
        (self.is_ended && is_begun).then_some(self.end)
    }

    fn begin_row(&mut self, start: usize) {
        self.start = start;
        self.scanned = start;
        self.is_skipping = false;
        self.row.offset = self.base + start as u64;
        self.row.line += 1 + self.breaks.restart();
    }
}

impl RowBreaks {
    fn is_inside(&self) -> bool {
        matches!(self, Self::Quoted(quotes) if quotes.is_inside())
    }

    /// Begins a row. Returns how many line breaks were inside the last one.
    fn restart(&mut self) -> u64 {
        match self {
            Self::Lines => 0,
            Self::Quoted(quotes) => std::mem::take(quotes).inner_breaks(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Chunks;

    const START: Position = Position { offset: 0, line: 1 };

    #[derive(Debug, PartialEq)]
    struct Seen {
        bytes: Vec<u8>,
        at: Position,
        flaw: Option<Flaw>,
    }

    fn read<R: Read>(mut rows: Rows<R>) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            while let Some(row) = rows.next() {
                all.push(Seen { bytes: row.bytes.to_vec(), at: row.at, flaw: row.flaw });
            }
            if !rows.fill().unwrap() {
                return all;
            }
        }
    }

    /// What lines are, said as plainly as can be.
    fn model(input: &[u8]) -> Vec<Seen> {
        let mut offset = 0;
        let mut all = Vec::new();
        for (number, whole) in input.split(|byte| *byte == b'\n').enumerate() {
            let bytes = whole.strip_suffix(b"\r").unwrap_or(whole);
            let at = Position { offset, line: number as u64 + 1 };
            offset += whole.len() as u64 + 1;
            if bytes.len() > MAX_LINE_BYTES {
                all.push(Seen { bytes: Vec::new(), at, flaw: Some(Flaw::TooLong) });
            } else if !bytes.iter().all(u8::is_ascii_whitespace) {
                all.push(Seen { bytes: bytes.to_vec(), at, flaw: None });
            }
        }
        all
    }

    #[test]
    fn the_limit_is_exact_and_what_follows_is_read() {
        for (length, ending) in [
            (MAX_LINE_BYTES, "\n"),
            (MAX_LINE_BYTES, "\r\n"),
            (MAX_LINE_BYTES, ""),
            (MAX_LINE_BYTES + 1, "\n"),
            (MAX_LINE_BYTES + 1, "\r\n"),
            (MAX_LINE_BYTES + 1, ""),
            (MAX_LINE_BYTES * 3 + 7, "\n"),
        ] {
            let long = "x".repeat(length);
            let input = format!("a\n{long}{ending}{}", if ending.is_empty() { "" } else { "b" });
            let lines = read(Rows::lines(input.as_bytes(), START));
            assert!(lines == model(input.as_bytes()), "{length} bytes and {ending:?}");
            let rows = read(Rows::csv(input.as_bytes(), START));
            assert!(rows == lines, "CSV of {length} bytes and {ending:?}");
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_not_kept_in_memory() {
        let input = io::repeat(b'x').take(50 * MAX_LINE_BYTES as u64);
        let mut rows = Rows::lines(input, START);
        while rows.fill().unwrap() {
            if let Some(row) = rows.next() {
                assert_eq!(row.flaw, Some(Flaw::TooLong));
            }
            assert!(rows.buffer.len() <= MAX_LINE_BYTES + CHUNK_BYTES);
        }
    }

    #[test]
    fn quoted_line_breaks_are_counted_but_end_no_row() {
        let input = b"url,id\r\n\r\n\"a\n\nb\",1\r\nc,\"2";
        let rows = read(Rows::csv(&input[..], START));
        let found: Vec<_> = rows.iter().map(|row| (&*row.bytes, row.at.line, row.flaw)).collect();
        let expected: Vec<(&[u8], u64, Option<Flaw>)> = vec![
            (b"url,id", 1, None),
            (b"\"a\n\nb\",1", 3, None),
            (b"c,\"2", 6, Some(Flaw::Unclosed)),
        ];
        assert_eq!(found, expected);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let common = prop::sample::select(b"ab,\"\n\n\r \t\0\xFF".to_vec());
        prop::collection::vec(prop_oneof![4 => common, 1 => any::<u8>()], 0..200)
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_model(input in bytes(), sizes in prop::collection::vec(1_usize..9, 1..9)) {
            let chunks = Chunks::new(input.clone(), sizes);
            prop_assert_eq!(read(Rows::lines(chunks, START)), model(&input));
        }

        #[test]
        fn rows_of_csv_are_the_same_in_any_chunks_and_stand_where_they_say(
            input in bytes(), sizes in prop::collection::vec(1_usize..9, 1..9)
        ) {
            let rows = read(Rows::csv(&input[..], START));
            for row in &rows {
                let at = row.at.offset as usize;
                prop_assert!(input[at..].starts_with(&row.bytes));
                let before = memchr::memchr_iter(b'\n', &input[..at]).count();
                prop_assert_eq!(row.at.line, before as u64 + 1);
                let rest = read(Rows::csv(&input[at..], row.at));
                prop_assert_eq!(rest.first(), Some(row));
            }
            prop_assert_eq!(read(Rows::csv(Chunks::new(input, sizes), START)), rows);
        }
    }
}
