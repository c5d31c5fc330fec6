//! The header of a CSV file, and its rows as tasks.

use std::collections::HashSet;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use harvestman_engine::{FetchError, Line, LineReader, Task, TaskFields};
use serde::{
    Serialize, Serializer,
    de::value::{Error as ProbeError, UnitDeserializer},
};

use crate::cell::{Cell, Text, has_control};

/// What begins the name of a column whose cells go into the task's metadata.
const METADATA_PREFIX: &str = "metadata.";

/// The columns that a message names; which ones there are is decided by the engine.
const KNOWN_COLUMNS: &str = "url, id, metadata.*, render, proxy_type, country, session_id, extract, \
    retry, method, headers, cookies, body, user_agent, timeout_ms, max_bytes, accept_status, \
    follow_redirects, wait_for, wait_ms, block_resources, screenshot, actions, formats, respect_robots";

/// What the columns of a CSV file mean, by position.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// The row that names them.
    #[cfg_attr(not(feature = "object"), expect(dead_code, reason = "only objects keep it"))]
    header: String,
}

#[derive(Debug)]
enum Column {
    Url,
    Id,
    /// A key of the metadata.
    Metadata(String),
    /// A Scrape parameter, or the metadata as a whole.
    Param(String),
}

impl Columns {
    /// Reads the header. The error continues "the header …".
    pub(crate) fn read(header: &[u8], reader: &LineReader) -> Result<Self, String> {
        let Ok(text) = std::str::from_utf8(header) else {
            return Err("is not valid UTF-8; save the file as UTF-8".to_owned());
        };
        if header.contains(&b'\r') {
            return Err("holds a carriage return; end lines with LF or CRLF".to_owned());
        }
        let width = header.split(|byte| *byte == b',').count();
        let mut cells = Cells::default();
        cells.split(header, width).expect("a row has no more cells than commas and one");
        let names: Vec<&str> = cells.iter().map(str::trim).collect();
        refuse_repeated(&names)?;
        let columns = names.iter().map(|name| Column::named(name, reader));
        let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
        if !columns.iter().any(|column| matches!(column, Column::Url)) {
            return Err("has no column `url`".to_owned());
        }
        Ok(Self { columns, header: text.to_owned() })
    }

    /// The row that names them.
    #[cfg(feature = "object")]
    pub(crate) fn header(&self) -> &str {
        &self.header
    }
}

fn refuse_repeated(names: &[&str]) -> Result<(), String> {
    let mut seen = HashSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(**name)) {
        return Err(format!("has the column `{}` twice", name.escape_debug()));
    }
    let is_part = |name: &&str| name.starts_with(METADATA_PREFIX);
    match names.iter().find(|name| is_part(name)) {
        Some(part) if names.contains(&"metadata") => {
            Err(format!("has both `metadata` and `{}`", part.escape_debug()))
        }
        _ => Ok(()),
    }
}

impl Column {
    fn named(name: &str, reader: &LineReader) -> Result<Self, String> {
        match name {
            "" => return Err("has a column without a name".to_owned()),
            "url" => return Ok(Self::Url),
            "id" => return Ok(Self::Id),
            _ => {}
        }
        if let Some(key) = name.strip_prefix(METADATA_PREFIX).filter(|key| !key.is_empty()) {
            return Ok(Self::Metadata(key.to_owned()));
        }
        // Null is fit for every parameter, so what is refused is the name.
        match reader.fields().set(name, UnitDeserializer::<ProbeError>::new()) {
            Ok(()) => Ok(Self::Param(name.to_owned())),
            Err(_) => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> String {
    let shown = harvestman_engine::excerpt(name.as_bytes(), 100);
    let hint = if name.contains([';', '\t']) { "separate columns by commas; " } else { "" };
    format!("has an unknown column `{shown}`; {hint}known are {KNOWN_COLUMNS}")
}

/// Makes tasks of rows.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    cells: Cells,
}

impl RowReader {
    /// Reads a row. An empty cell says nothing, nor does one that is missing at the end.
    pub(crate) fn read(
        &mut self,
        columns: &Columns,
        reader: &LineReader,
        line: Line,
        row: &[u8],
    ) -> Task {
        let mut fields = reader.fields();
        match self.fill(columns, &mut fields, row) {
            Ok(()) => fields.into_task(line),
            Err(message) => fields.into_invalid(line, &message),
        }
    }

    /// Whether [`read`](Self::read) makes a task that can be fetched.
    pub(crate) fn check(
        &mut self,
        columns: &Columns,
        reader: &LineReader,
        line: Line,
        row: &[u8],
    ) -> Result<(), FetchError> {
        let mut fields = reader.fields();
        self.fill(columns, &mut fields, row).map_err(|message| line.error(&message))?;
        fields.check(line)
    }

    /// Sets what the row says, of one that can't be used as much as can be read.
    fn fill(
        &mut self,
        columns: &Columns,
        fields: &mut TaskFields<'_>,
        row: &[u8],
    ) -> Result<(), String> {
        let columns = &columns.columns;
        if let Ok(()) = self.cells.split(row, columns.len()) {
            return self.fill_cells(columns, fields);
        }
        if let Some(url) = columns.iter().position(|column| matches!(column, Column::Url)) {
            set_url(fields, self.cells.get(url))?;
        }
        Err(format!("has more cells than the header's {}", columns.len()))
    }

    fn fill_cells(&self, columns: &[Column], fields: &mut TaskFields<'_>) -> Result<(), String> {
        let mut metadata = Vec::new();
        let mut first_error = None;
        for (column, cell) in columns.iter().zip(self.cells.iter()) {
            if cell.is_empty() {
                continue;
            }
            let result = match column {
                Column::Url => set_url(fields, cell),
                Column::Id => fields.set("id", Text(cell)).map_err(|error| describe(&error)),
                Column::Param(name) => {
                    fields.set(name, Cell(cell)).map_err(|error| describe(&error))
                }
                Column::Metadata(key) => {
                    metadata.push((key.as_str(), cell));
                    Ok(())
                }
            };
            first_error = first_error.or(result.err());
        }
        if !metadata.is_empty() {
            let result = fields.set_metadata(&Pairs(&metadata)).map_err(|error| describe(&error));
            first_error = first_error.or(result.err());
        }
        first_error.map_or(Ok(()), Err)
    }
}

fn set_url(fields: &mut TaskFields<'_>, cell: &str) -> Result<(), String> {
    let url = cell.trim();
    fields.set("url", Text(url)).map_err(|error| describe(&error))?;
    // The URL parser drops line breaks and tabs, which would join two URLs into one.
    if has_control(url) {
        return Err("the URL holds a control character".to_owned());
    }
    Ok(())
}

/// The message without the place inside the cell, which reads like one of the file.
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let cut = message.rfind(" at line ").unwrap_or(message.len());
    message[..cut].to_owned()
}

/// Keys and values, written as a JSON object.
struct Pairs<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// The cells of one row.
#[derive(Debug)]
struct Cells {
    csv: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

/// There are more cells than asked for.
#[derive(Debug)]
struct TooMany;

impl Default for Cells {
    fn default() -> Self {
        let csv = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        Self { csv, text: Vec::new(), ends: Vec::new(), count: 0 }
    }
}

impl Cells {
    /// Splits a row of valid UTF-8, of which at most `max` cells are kept.
    fn split(&mut self, row: &[u8], max: usize) -> Result<(), TooMany> {
        self.csv.reset();
        self.count = 0;
        if self.text.len() < row.len() {
            self.text.resize(row.len(), 0);
        }
        // One more, because a full list of ends is reported before the row is known to end there.
        self.ends.resize(max + 1, 0);
        let (mut input, mut written) = (row, 0);
        loop {
            let (result, read, wrote, ended) = self.csv.read_record(
                input,
                &mut self.text[written..],
                &mut self.ends[self.count..],
            );
            input = &input[read..];
            written += wrote;
            self.count += ended;
            // Once the input is empty, the next call takes that for its end.
            if result != ReadRecordResult::InputEmpty {
                break;
            }
        }
        if self.count > max {
            self.count = max;
            return Err(TooMany);
        }
        Ok(())
    }

    /// One cell; empty if there is none.
    fn get(&self, index: usize) -> &str {
        if index >= self.count {
            return "";
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        std::str::from_utf8(&self.text[start..self.ends[index]])
            .expect("only ASCII characters are cut out of a row of valid UTF-8")
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.count).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use harvestman_engine::Params;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rows::{Position, Rows};

    fn reader() -> LineReader {
        LineReader::new(Params::new())
    }

    fn columns(header: &str) -> Result<Columns, String> {
        Columns::read(header.as_bytes(), &reader())
    }

    fn task(header: &str, row: &str) -> Task {
        let line = Line { index: 0, number: 2 };
        RowReader::default().read(&columns(header).unwrap(), &reader(), line, row.as_bytes())
    }

    fn message(header: &str, row: &str) -> String {
        task(header, row).target().unwrap_err().message.clone()
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused_by_column() {
        for (header, message) in [
            ("id", "has no column `url`"),
            ("url,id,url", "has the column `url` twice"),
            ("url,contry", "has an unknown column `contry`; known are url, id, metadata.*"),
            ("url;id", "has an unknown column `url;id`; separate columns by commas; known"),
            ("url,webhook", "has an unknown column `webhook`"),
            ("url,", "has a column without a name"),
            ("url,metadata.", "has an unknown column `metadata.`"),
            ("url,metadata,metadata.a", "has both `metadata` and `metadata.a`"),
            ("url\rhttp://a.test/", "end lines with LF or CRLF"),
        ] {
            let error = columns(header).unwrap_err();
            assert!(error.contains(message), "{header}: {error}");
        }
        assert!(Columns::read(b"url,\xFF", &reader()).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn every_column_that_a_message_names_is_known() {
        let names: Vec<&str> =
            KNOWN_COLUMNS.split(", ").filter(|name| *name != "metadata.*").collect();
        assert_eq!(names.len(), 24);
        columns(&names.join(",")).unwrap();
    }

    #[test]
    fn cells_are_typed_by_their_column() {
        let header = " url ,id,metadata.a,metadata.b,timeout_ms,render,formats,headers,proxy_type,accept_status";
        let row = r#" http://a.test/ ,007,"x, ""y""",,5000,TRUE,"data,links","{""X-A"": ""1""}",mobile,404"#;
        let task = task(header, row);
        assert_eq!((task.url(), task.id()), (Some("http://a.test/"), Some("007")));
        assert_eq!(task.metadata().unwrap().get(), r#"{"a":"x, \"y\""}"#);
        let expected: Params = serde_json::from_value(json!({
            "timeout_ms": 5000, "render": true, "formats": ["data", "links"],
            "headers": {"x-a": "1"}, "proxy_type": "mobile", "accept_status": [404]
        }))
        .unwrap();
        assert_eq!(task.params(), &expected);
    }

    #[test]
    fn rows_that_cannot_be_used_say_why() {
        assert_eq!(
            message("url,id", "http://a.test/,1,2"),
            "line 2: has more cells than the header's 2"
        );
        assert_eq!(message("url,id", ",1"), "line 2: has no `url`");
        assert_eq!(message("id,url", "1"), "line 2: has no `url`");
        let bad = message("url,timeout_ms", "http://a.test/,soon");
        assert_eq!(bad, r#"line 2: timeout_ms: "soon" is not a whole number"#);
        let bad = message("url", "\"http://a.test/\nhttp://b.test/\"");
        assert_eq!(bad, "line 2: the URL holds a control character");
        let bad = task("url,timeout_ms,id", "http://a.test/,soon,7");
        assert_eq!((bad.url(), bad.id()), (Some("http://a.test/"), Some("7")));
        assert_eq!(task("url,id", "http://a.test/,1,2").url(), Some("http://a.test/"));
        assert!(task("url,id", "http://a.test/").target().is_ok());
    }

    /// The cells of all rows, as this crate splits them.
    fn split(text: &str) -> Vec<Vec<String>> {
        let mut rows = Rows::csv(text.as_bytes(), Position { offset: 0, line: 1 });
        let mut cells = Cells::default();
        let mut all = Vec::new();
        loop {
            while let Some(row) = rows.next() {
                cells.split(row.bytes, row.bytes.len() + 1).unwrap();
                all.push(cells.iter().map(str::to_owned).collect());
            }
            if !rows.fill().unwrap() {
                return all;
            }
        }
    }

    proptest! {
        #[test]
        fn rows_and_cells_are_those_of_the_csv_crate(text in "[aé,\"\n]{0,40}") {
            let mut expected = csv::ReaderBuilder::new();
            expected.has_headers(false).flexible(true).terminator(csv::Terminator::Any(b'\n'));
            let expected: Vec<Vec<String>> =
                expected.from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
            prop_assert_eq!(split(&text), expected);
        }

        #[test]
        fn too_many_cells_are_noticed_and_no_others(width in 1_usize..9, max in 1_usize..9) {
            let row = vec!["x"; width].join(",");
            let mut cells = Cells::default();
            prop_assert_eq!(cells.split(row.as_bytes(), max).is_err(), width > max);
            prop_assert_eq!(cells.iter().count(), width.min(max));
        }
    }
}
