//! Makes tasks of rows, whatever their format.

use std::sync::Arc;

use harvestman_engine::{Line, LineReader, MAX_EXCERPT_BYTES, Task, excerpt};

use crate::{
    cell::has_control,
    columns::{Columns, RowReader},
    rows::{Flaw, MAX_LINE_BYTES, Row},
};

/// Reads rows of one format. Whatever a row holds, it makes one task.
#[derive(Debug)]
pub(crate) struct Parser {
    reader: LineReader,
    syntax: Syntax,
}

/// What a row is made of.
#[derive(Debug)]
pub(crate) enum Syntax {
    Url,
    Json,
    Cells(Arc<Columns>, Box<RowReader>),
}

impl Parser {
    pub(crate) fn new(reader: LineReader, syntax: Syntax) -> Self {
        Self { reader, syntax }
    }

    /// Makes the task with this index.
    pub(crate) fn parse(&mut self, index: u64, row: &Row<'_>) -> Task {
        let line = Line { index, number: row.at.line };
        if let Some(flaw) = row.flaw {
            return self.reader.invalid(line, describe(flaw, line, row.bytes));
        }
        let Ok(text) = std::str::from_utf8(row.bytes) else {
            return self.unreadable(line, "is not valid UTF-8", row.bytes);
        };
        // No format has a use for one, and JSON in its own words calls it a syntax error.
        if memchr::memchr(0, row.bytes).is_some() {
            return self.unreadable(line, "holds a NUL byte", row.bytes);
        }
        match &mut self.syntax {
            Syntax::Json => self.reader.read_json(line, row.bytes),
            Syntax::Cells(columns, rows) => rows.read(columns, &self.reader, line, row.bytes),
            Syntax::Url => self.parse_url(line, text.trim()),
        }
    }

    fn parse_url(&self, line: Line, url: &str) -> Task {
        // The URL parser drops tabs and carriage returns, which would join two URLs into one.
        if has_control(url) {
            return self.unreadable(line, "holds a control character", url.as_bytes());
        }
        self.reader.read_url(line, url)
    }

    fn unreadable(&self, line: Line, what: &str, bytes: &[u8]) -> Task {
        let shown = excerpt(bytes, MAX_EXCERPT_BYTES);
        self.reader.invalid(line, format!("line {} {what}: {shown}", line.number))
    }
}

fn describe(flaw: Flaw, line: Line, bytes: &[u8]) -> String {
    let number = line.number;
    match flaw {
        Flaw::TooLong => format!("line {number} is longer than {MAX_LINE_BYTES} bytes"),
        Flaw::Unclosed => {
            let shown = excerpt(bytes, MAX_EXCERPT_BYTES);
            format!("line {number} opens a quoted cell that never ends: {shown}")
        }
    }
}
