//! The written form of a task: a JSON object or string, or named cells.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeSeed, Error as _, MapAccess},
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    Code, FetchError, Params, Schema, Task,
    params::{ParamSeed, Said},
};

/// The most bytes of a bad line that its error message quotes.
pub const MAX_EXCERPT_BYTES: usize = 200;
/// For how many keys of a line there is room at once.
const USUAL_KEYS: usize = 8;

/// What is wrong with a line that has no URL.
const NO_URL: &str = "has no `url`";

/// Makes tasks of written lines, merged onto the defaults of the job.
///
/// ```
/// use harvestman_engine::{Line, LineReader, Params};
///
/// let reader = LineReader::new(Params::new());
/// let task = reader.read_json(Line { index: 0, number: 1 }, br#"{"url": "https://a.test/", "id": "7"}"#);
/// assert_eq!(task.id(), Some("7"));
/// let bad = reader.read_json(Line { index: 1, number: 2 }, b"{oops");
/// assert!(bad.target().unwrap_err().message.starts_with("line 2 is not valid JSON"));
/// ```
#[derive(Clone, Debug)]
pub struct LineReader {
    defaults: Arc<Params>,
    columns: Option<Arc<Schema>>,
}

/// Where a task stands in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The 0-based number of the task.
    pub index: u64,
    /// The 1-based number of the line in the file.
    pub number: u64,
}

/// A task that is being read, value by value.
#[derive(Debug)]
pub struct TaskFields<'a> {
    reader: &'a LineReader,
    url: Option<String>,
    id: Option<String>,
    metadata: Option<Box<RawValue>>,
    /// Copied from the defaults by the first parameter of the line.
    params: Option<Arc<Params>>,
    said: Said,
}

impl LineReader {
    /// Reads lines as overrides of `defaults`.
    pub fn new(defaults: impl Into<Arc<Params>>) -> Self {
        Self { defaults: defaults.into(), columns: None }
    }

    /// Says that the output has fixed columns: an `extract` of a line must be a part of them.
    pub fn with_columns(mut self, columns: impl Into<Arc<Schema>>) -> Self {
        self.columns = Some(columns.into());
        self
    }

    /// Reads an object with `url` and parameters, or a bare string. What can't be used makes an
    /// invalid task, whose message has the line's number and a short excerpt.
    pub fn read_json(&self, line: Line, json: &[u8]) -> Task {
        let mut fields = self.fields();
        match fields.fill(serde_json::Deserializer::from_slice(json)) {
            Ok(()) => fields.into_task(line),
            Err(error) if error.is_data() => fields.into_failed(line, refused(line, &error, json)),
            Err(error) => self.fields().into_failed(line, refused(line, &error, json)),
        }
    }

    /// Whether [`read_json`](Self::read_json) makes a task that can be fetched of this line; the error
    /// is that of its invalid task. Costs about a third, since no task is made.
    pub fn check_json(&self, line: Line, json: &str) -> Result<(), FetchError> {
        let mut fields = self.fields();
        match fields.fill(serde_json::Deserializer::from_str(json)) {
            Ok(()) => fields.check(line),
            Err(error) => Err(refused(line, &error, json.as_bytes())),
        }
    }

    /// Begins a task whose values are set one by one.
    pub fn fields(&self) -> TaskFields<'_> {
        TaskFields {
            reader: self,
            url: None,
            id: None,
            metadata: None,
            params: None,
            said: Said::default(),
        }
    }

    /// A task of nothing but an URL.
    pub fn read_url(&self, line: Line, url: &str) -> Task {
        Task::new(line.index, url, Arc::clone(&self.defaults)).with_line(line.number)
    }

    /// A task for a line that can't be used, with a message that names the line.
    pub fn invalid(&self, line: Line, message: impl Into<String>) -> Task {
        let error = FetchError::new(Code::InvalidUrl, message);
        Task::invalid(line.index, line.number, None, error)
    }
}

impl TaskFields<'_> {
    /// Sets `url`, `id`, `metadata` or a parameter from any serde value.
    pub fn set<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "url" => self.url = Some(String::deserialize(value)?),
            "id" => self.id = Option::<Id>::deserialize(value)?.map(|id| id.0),
            "metadata" => {
                let metadata = Option::<serde_json::Value>::deserialize(value)?;
                self.metadata = metadata.map(|value| raw(&value)).transpose()?;
            }
            _ => return self.set_param(key, value),
        }
        Ok(())
    }

    /// Sets the user's own JSON from anything that can be written as JSON.
    pub fn set_metadata<T: Serialize>(&mut self, metadata: &T) -> Result<(), serde_json::Error> {
        self.metadata = Some(to_raw_value(metadata)?);
        Ok(())
    }

    /// Sets the user's own JSON as it is written.
    pub(crate) fn set_raw_metadata(&mut self, metadata: Box<RawValue>) {
        self.metadata = Some(metadata);
    }

    fn set_param<'de, D: Deserializer<'de>>(
        &mut self,
        key: &str,
        value: D,
    ) -> Result<(), D::Error> {
        self.param(key).deserialize(value)
    }

    /// Where the value of a parameter goes.
    fn param<'a>(&'a mut self, key: &'a str) -> ParamSeed<'a> {
        let params = self.params.get_or_insert_with(|| Arc::clone(&self.reader.defaults));
        ParamSeed { params: Arc::make_mut(params), said: &mut self.said, key }
    }

    /// Sets all that a JSON value says.
    fn fill<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        mut json: serde_json::Deserializer<R>,
    ) -> Result<(), serde_json::Error> {
        TaskVisitor { fields: self }.deserialize(&mut json)?;
        json.end()
    }

    /// Whether the task can be fetched; the error is that of the invalid task.
    pub fn check(&self, line: Line) -> Result<(), FetchError> {
        let Some(url) = &self.url else { return Err(line.error(NO_URL)) };
        self.mismatch().map_or_else(|| Task::check_url(url), Err)
    }

    /// The task; an invalid one if `url` is missing or can't be used.
    pub fn into_task(self, line: Line) -> Task {
        let Some(url) = &self.url else { return self.into_invalid(line, NO_URL) };
        if let Some(error) = self.mismatch() {
            return self.into_failed(line, error);
        }
        let params = self.params.unwrap_or_else(|| Arc::clone(&self.reader.defaults));
        let task = Task::new(line.index, url, params).with_line(line.number);
        let task = task.with_said(self.said);
        echo(task, self.id, self.metadata)
    }

    /// An invalid task with what could be read; `message` continues "line 7: …".
    pub fn into_invalid(self, line: Line, message: &str) -> Task {
        self.into_failed(line, line.error(message))
    }

    /// An invalid task with what could be read.
    pub(crate) fn into_failed(self, line: Line, error: FetchError) -> Task {
        let task = Task::invalid(line.index, line.number, self.url.as_deref(), error);
        echo(task, self.id, self.metadata)
    }

    fn mismatch(&self) -> Option<FetchError> {
        let columns = self.reader.columns.as_ref()?;
        let extract = self.params.as_ref()?.extract.as_ref()?;
        let field = extract.first_outside(columns)?;
        let message = match columns.field(&field.name) {
            Some(column) => format!(
                "extract.{}: is {} here, but the output's column is {}",
                field.name, field.kind, column.kind
            ),
            None => format!("extract.{}: is no column of the output", field.name),
        };
        Some(FetchError::new(Code::SchemaMismatch, message))
    }
}

impl Line {
    /// Why the line can't be used; `message` continues "line 7: …".
    pub fn error(self, message: &str) -> FetchError {
        FetchError::new(Code::InvalidUrl, format!("line {}: {message}", self.number))
    }
}

/// Why JSON can't be used: for what it says, or because it is none.
fn refused(line: Line, error: &serde_json::Error, json: &[u8]) -> FetchError {
    if error.is_data() {
        return line.error(&without_position(error));
    }
    let shown = excerpt(json, MAX_EXCERPT_BYTES);
    let message = format!("line {} is not valid JSON ({error}): {shown}", line.number);
    FetchError::new(Code::InvalidUrl, message)
}

fn echo(task: Task, id: Option<String>, metadata: Option<Box<RawValue>>) -> Task {
    let task = match id {
        Some(id) => task.with_id(id),
        None => task,
    };
    match metadata {
        Some(metadata) => task.with_metadata(metadata),
        None => task,
    }
}

fn raw<E: de::Error>(value: &serde_json::Value) -> Result<Box<RawValue>, E> {
    to_raw_value(value).map_err(E::custom)
}

/// The message without `serde_json`'s "at line 1 column 9", which says nothing of the file.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let cut = message.rfind(" at line ").unwrap_or(message.len());
    message[..cut].to_owned()
}

/// The beginning of a line that may be anything, safe to print.
pub fn excerpt(bytes: &[u8], max: usize) -> String {
    let shown = &bytes[..bytes.len().min(max)];
    let mut text: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text
}

struct TaskVisitor<'a, 'b> {
    fields: &'a mut TaskFields<'b>,
}

impl<'de> DeserializeSeed<'de> for TaskVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for TaskVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `url`, or a URL as a string")
    }

    fn visit_str<E>(self, url: &str) -> Result<(), E> {
        self.fields.url = Some(url.to_owned());
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.fields;
        let mut seen: Vec<Cow<'de, str>> = Vec::with_capacity(USUAL_KEYS);
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("`{}` is given twice", key.escape_debug())));
            }
            match &*key {
                "url" => fields.url = Some(map.next_value()?),
                "id" => fields.id = map.next_value::<Option<Id>>()?.map(|id| id.0),
                "metadata" => fields.metadata = map.next_value()?,
                _ => map.next_value_seed(fields.param(&key))?,
            }
            seen.push(key);
        }
        Ok(())
    }
}

/// A key, borrowed from the line where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A string, or a number that is kept as text.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number as `id`")
            }

            fn visit_str<E>(self, id: &str) -> Result<Id, E> {
                Ok(Id(id.to_owned()))
            }

            fn visit_string<E>(self, id: String) -> Result<Id, E> {
                Ok(Id(id))
            }

            fn visit_u64<E>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }

            fn visit_i64<E>(self, id: i64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::params::written;

    const LINE: Line = Line { index: 4, number: 6 };

    fn reader(defaults: &str) -> LineReader {
        LineReader::new(serde_json::from_str::<Params>(defaults).unwrap())
    }

    fn message(line: &[u8]) -> String {
        reader("{}").read_json(LINE, line).target().unwrap_err().message.clone()
    }

    #[test]
    fn an_object_and_a_bare_string_are_tasks() {
        let reader = reader("{}");
        let json = br#"{"url":"http://a.test/","id":7,"metadata":{"b": 1e400},"method":"head"}"#;
        let task = reader.read_json(LINE, json);
        assert_eq!((task.index(), task.line(), task.id()), (4, 6, Some("7")));
        assert_eq!(task.metadata().unwrap().get(), r#"{"b": 1e400}"#);
        assert_eq!(task.params().method, Some(http::Method::HEAD));
        let bare = reader.read_json(LINE, br#""http://b.test/""#);
        assert_eq!(bare.url(), Some("http://b.test/"));
    }

    #[test]
    fn a_line_is_merged_onto_the_defaults() {
        let reader = reader(
            r#"{"headers":{"a":"1","b":"2"},"retry":{"max":5},"timeout_ms":9000,"country":"de"}"#,
        );
        let line = br#"{"url":"http://a.test/","headers":{"B":null,"c":"3"},"retry":{"on":["429"]},"country":null}"#;
        let task = reader.read_json(LINE, line);
        let headers = task.params().headers.as_ref().unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!((&headers["a"], &headers["c"]), (&"1".parse().unwrap(), &"3".parse().unwrap()));
        assert_eq!(task.params().retry.as_ref().unwrap().max, 2, "retry is replaced whole");
        assert_eq!(task.params().timeout().as_secs(), 9);
        assert_eq!(task.params().country, None);
    }

    #[test]
    fn lines_without_parameters_share_the_defaults() {
        let reader = reader(r#"{"timeout_ms":9000}"#);
        let [a, b] = [0, 1].map(|index| {
            reader.read_json(Line { index, number: 1 }, br#"{"url":"http://a.test/","id":"x"}"#)
        });
        assert!(std::ptr::eq(a.params(), b.params()));
    }

    #[test]
    fn what_cannot_be_used_says_where_and_why() {
        assert_eq!(message(b"{}"), "line 6: has no `url`");
        assert!(message(b"{\"url\": 5}").contains("invalid type: integer `5`"));
        assert!(
            message(br#"{"url":"http://a/","url":"http://b/"}"#).contains("`url` is given twice")
        );
        assert!(message(br#"{"url":"http://a/","webhook":"x"}"#).contains("belongs to the job"));
        assert!(message(br#"{"url":"http://a/"} x"#).contains("not valid JSON"));
        assert!(message(b"[1]").contains("an object with `url`"));
        assert!(message(b"\"a\xff\"").contains("not valid JSON"));
        let long = message(&[b'{', b'x'].repeat(600));
        assert!(long.len() < 400 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn an_extract_outside_the_columns_is_a_mismatch() {
        let columns: Schema = serde_json::from_str(r#"{"name":"string"}"#).unwrap();
        let reader = reader("{}").with_columns(columns);
        let task = reader.read_json(LINE, br#"{"url":"http://a/","extract":{"sku":"string"}}"#);
        assert_eq!(task.target().unwrap_err().code, Code::SchemaMismatch);
        let task = reader.read_json(LINE, br#"{"url":"http://a/","extract":{"name":"text"}}"#);
        assert!(task.target().is_ok());
    }

    fn failure(result: Result<(), FetchError>) -> Option<(Code, String)> {
        result.err().map(|error| (error.code, error.message))
    }

    #[test]
    fn a_mismatch_echoes_what_the_line_says() {
        let columns: Schema = serde_json::from_str(r#"{"name":"string"}"#).unwrap();
        let reader = reader("{}").with_columns(columns);
        let line = r#"{"url":"http://a/","id":"7","metadata":1,"extract":{"sku":"string"}}"#;
        let task = reader.read_json(LINE, line.as_bytes());
        assert_eq!((task.id(), task.metadata().unwrap().get()), (Some("7"), "1"));
        assert_eq!(
            failure(reader.check_json(LINE, line)).unwrap().1,
            task.target().unwrap_err().message
        );
    }

    proptest! {
        /// Of lines that are right, and of such in which something was changed.
        #[test]
        fn checking_a_line_says_what_reading_it_does(
            params in written::params(),
            url in prop_oneof![3 => "http://[a-z.:0-9@-]{0,6}/", 1 => "\\PC{0,8}"],
            place: prop::sample::Index,
            change in prop::option::of(prop_oneof!["[{}\\[\\]\",:\\\\e0-9]{0,2}", "\\PC"]),
        ) {
            let mut line = params.as_object().unwrap().clone();
            line.insert("url".to_owned(), url.into());
            let mut line = serde_json::Value::Object(line).to_string();
            if let Some(change) = change {
                let at = line.floor_char_boundary(place.index(line.len()));
                let end = line.ceil_char_boundary(at + 1);
                line.replace_range(at..end, &change);
            }
            let reader = reader(r#"{"headers": {"a": "b"}}"#);
            let task = reader.read_json(LINE, line.as_bytes());
            let expected = task.target().err().map(|error| (error.code, error.message.clone()));
            prop_assert_eq!(failure(reader.check_json(LINE, &line)), expected, "{}", line);
        }
    }
}
