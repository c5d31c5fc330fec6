//! Makes tasks of rows, whatever their format.

use std::sync::Arc;

use harvestman_engine::{Code, FetchError, Line, LineReader, MAX_EXCERPT_BYTES, Task, excerpt};

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
        let text = match self.text(row) {
            Ok(text) => text,
            Err(message) => return self.reader.invalid(line, message),
        };
        match &mut self.syntax {
            Syntax::Json => self.reader.read_json(line, row.bytes),
            Syntax::Cells(columns, rows) => rows.read(columns, &self.reader, line, row.bytes),
            Syntax::Url => self.reader.read_url(line, text),
        }
    }

    /// Whether [`parse`](Self::parse) makes a task that can be fetched, without making it; the error is
    /// that of the invalid task.
    pub(crate) fn check(&mut self, row: &Row<'_>) -> Result<(), FetchError> {
        // No message has the index.
        let line = Line { index: 0, number: row.at.line };
        let text = self.text(row).map_err(|message| FetchError::new(Code::InvalidUrl, message))?;
        match &mut self.syntax {
            Syntax::Json => self.reader.check_json(line, text),
            Syntax::Cells(columns, rows) => rows.check(columns, &self.reader, line, row.bytes),
            Syntax::Url => Task::check_url(text),
        }
    }

    /// The text of a row, of an URL without white space around it; or what no format has a use for.
    fn text<'a>(&self, row: &Row<'a>) -> Result<&'a str, String> {
        if let Some(flaw) = row.flaw {
            return Err(describe(flaw, row));
        }
        let Ok(text) = std::str::from_utf8(row.bytes) else {
            return Err(unreadable(row, "is not valid UTF-8", row.bytes));
        };
        // JSON in its own words calls it a syntax error.
        if memchr::memchr(0, row.bytes).is_some() {
            return Err(unreadable(row, "holds a NUL byte", row.bytes));
        }
        let Syntax::Url = self.syntax else { return Ok(text) };
        let url = text.trim();
        // The URL parser drops tabs and carriage returns, which would join two URLs into one.
        if has_control(url) {
            return Err(unreadable(row, "holds a control character", url.as_bytes()));
        }
        Ok(url)
    }
}

fn unreadable(row: &Row<'_>, what: &str, bytes: &[u8]) -> String {
    let shown = excerpt(bytes, MAX_EXCERPT_BYTES);
    format!("line {} {what}: {shown}", row.at.line)
}

fn describe(flaw: Flaw, row: &Row<'_>) -> String {
    match flaw {
        Flaw::TooLong => {
            format!("line {} is longer than {MAX_LINE_BYTES} bytes", row.at.line)
        }
        Flaw::Unclosed => unreadable(row, "opens a quoted cell that never ends", row.bytes),
    }
}
