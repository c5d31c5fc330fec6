//! Reads an input from its beginning or from a row in it.

use std::{
    io::{Chain, Cursor, Read},
    sync::{Arc, Mutex, PoisonError},
};

use harvestman_engine::{Error, LineReader, Result};

use crate::{
    InputFormat,
    columns::Columns,
    decode::read_error,
    feed::Outlet,
    head::Head,
    index::RowIndex,
    parser::{Parser, Syntax},
    rows::{Position, Row, Rows},
};

/// A batch is sent on when it holds this many tasks,
const BATCH_TASKS: usize = 256;
/// or was made of this many bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// What has to be known of an input to read it from anywhere.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    Text,
    Ndjson,
    Csv(Arc<Columns>),
}

impl Layout {
    pub(crate) fn format(&self) -> InputFormat {
        match self {
            Self::Text => InputFormat::Text,
            Self::Ndjson => InputFormat::Ndjson,
            Self::Csv(_) => InputFormat::Csv,
        }
    }

    /// Splits an input that begins, or goes on, at the beginning of a row.
    pub(crate) fn rows<R: Read>(&self, input: R, at: Position) -> Rows<R> {
        match self {
            Self::Text | Self::Ndjson => Rows::lines(input, at),
            Self::Csv(_) => Rows::csv(input, at),
        }
    }

    pub(crate) fn parser(&self, reader: LineReader) -> Parser {
        let syntax = match self {
            Self::Text => Syntax::Url,
            Self::Ndjson => Syntax::Json,
            Self::Csv(columns) => Syntax::Cells(Arc::clone(columns), Box::default()),
        };
        Parser::new(reader, syntax)
    }
}

/// An input whose first bytes were read again.
pub(crate) type Reheaded<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the beginning of an input, including the header of a CSV file.
pub(crate) fn begin<R: Read>(
    mut input: R,
    format: Option<InputFormat>,
    reader: &LineReader,
    name: &str,
) -> Result<(Layout, Rows<Reheaded<R>>)> {
    let head = Head::read(&mut input, format, name).map_err(read_error(name))?;
    let at = Position { offset: head.mark as u64, line: 1 };
    let mut bytes = Cursor::new(head.bytes);
    bytes.set_position(at.offset);
    let input = bytes.chain(input);
    match head.format {
        InputFormat::Text => Ok((Layout::Text, Rows::lines(input, at))),
        InputFormat::Ndjson => Ok((Layout::Ndjson, Rows::lines(input, at))),
        InputFormat::Csv => {
            let mut rows = Rows::csv(input, at);
            let columns = read_columns(&mut rows, reader, name)?;
            Ok((Layout::Csv(Arc::new(columns)), rows))
        }
    }
}

/// Reads the header; an empty file has no columns, and no rows that would want them.
fn read_columns<R: Read>(rows: &mut Rows<R>, reader: &LineReader, name: &str) -> Result<Columns> {
    loop {
        if let Some(row) = rows.next() {
            return read_header(&row, reader)
                .map_err(|message| Error::invalid(name, format!("the header {message}")));
        }
        if !rows.fill().map_err(read_error(name))? {
            return Ok(Columns::default());
        }
    }
}

fn read_header(row: &Row<'_>, reader: &LineReader) -> Result<Columns, String> {
    match row.flaw {
        Some(_) => Err("is too long or has a quoted cell that never ends".to_owned()),
        None => Columns::read(row.bytes, reader),
    }
}

/// The rest of an input, to be sent on as tasks.
#[derive(Debug)]
pub(crate) struct Reading<R> {
    rows: Rows<R>,
    parser: Parser,
    /// The index of the next row.
    next: u64,
    max_tasks: u64,
    /// Where rows are noted down, if they are.
    index: Option<Arc<Mutex<RowIndex>>>,
    name: String,
}

impl<R: Read> Reading<R> {
    /// Goes on with `rows`, the first of which has the index `next`.
    pub(crate) fn new(
        rows: Rows<R>,
        layout: &Layout,
        reader: LineReader,
        next: u64,
        name: &str,
    ) -> Self {
        let parser = layout.parser(reader);
        Self { rows, parser, next, max_tasks: u64::MAX, index: None, name: name.to_owned() }
    }

    /// Sets where it is noted down where rows begin.
    #[cfg(feature = "object")]
    pub(crate) fn with_index(mut self, index: Option<Arc<Mutex<RowIndex>>>) -> Self {
        self.index = index;
        self
    }

    /// Sets how many tasks the whole input may hold.
    pub(crate) fn with_max_tasks(mut self, max: u64) -> Self {
        self.max_tasks = max;
        self
    }

    /// Sends the tasks from index `from` on, until the input ends or the stream is dropped.
    ///
    /// Whatever is complete is sent before more is read, so that a slow input isn't waited for.
    pub(crate) fn send(mut self, from: u64, outlet: &Outlet) -> Result<()> {
        loop {
            let goes_on = self.skip_to(from, outlet) && self.send_buffered(outlet)?;
            if !goes_on || !self.rows.fill().map_err(read_error(&self.name))? {
                return Ok(());
            }
        }
    }

    fn skip_to(&mut self, from: u64, outlet: &Outlet) -> bool {
        while self.next < from
            && let Some(row) = self.rows.next()
        {
            note(self.index.as_deref(), self.next, row.at);
            self.next += 1;
        }
        !outlet.is_closed()
    }

    fn send_buffered(&mut self, outlet: &Outlet) -> Result<bool> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(row) = self.rows.next() {
            if self.next >= self.max_tasks {
                return Err(too_many(&self.name, self.max_tasks));
            }
            note(self.index.as_deref(), self.next, row.at);
            bytes += row.bytes.len();
            batch.push(self.parser.parse(self.next, &row));
            self.next += 1;
            if batch.len() >= BATCH_TASKS || bytes >= BATCH_BYTES {
                bytes = 0;
                if !outlet.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_TASKS))) {
                    return Ok(false);
                }
            }
        }
        Ok(batch.is_empty() || outlet.send(batch))
    }
}

fn note(index: Option<&Mutex<RowIndex>>, task: u64, at: Position) {
    if let Some(index) = index {
        index.lock().unwrap_or_else(PoisonError::into_inner).note(task, at);
    }
}

/// The error of an input that holds more tasks than it may.
pub(crate) fn too_many(name: &str, max: u64) -> Error {
    Error::invalid(name, format!("holds more than {max} tasks; split it, or raise the limit"))
}
