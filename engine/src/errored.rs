//! The tasks that ended in an error, in the input's own format.

mod metadata;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Code, FetchError, Line, LineReader, Record, Task};

/// The most bytes of a message that are kept; what is cut off ends in `…`.
pub const MAX_MESSAGE_BYTES: usize = 1_000;

/// A task that ended in an error, with all that another job needs to try it again: neither the
/// output nor the input is read for it.
///
/// ```
/// use harvestman_engine::{Code, Errored, FetchError, Line, LineReader, Params, Record};
///
/// let reader = LineReader::new(Params::new());
/// let line = br#"{"url": "https://a.test/", "id": "7", "timeout_ms": 5000}"#;
/// let task = reader.read_json(Line { index: 41, number: 42 }, line);
/// let record = Record::error(task, FetchError::new(Code::Timeout, "no page within 5 s"));
///
/// let errored = Errored::of(&record).expect("an error");
/// let again = errored.into_task(0, &reader);
/// assert_eq!((again.ordinal(), again.index(), again.id()), (0, 41, Some("7")));
/// assert_eq!(again.params().timeout().as_secs(), 5);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Errored {
    /// The 0-based position in the input, which the record echoes.
    pub index: u64,
    /// The 1-based line of the file.
    pub line: u64,
    /// Why it failed.
    pub code: Code,
    /// Whether a later try may well succeed.
    pub retryable: bool,
    /// What happened, for a person, in at most [`MAX_MESSAGE_BYTES`].
    pub message: String,
    /// The last status answered, if there was an answer.
    pub http_status: Option<u16>,
    /// How often the page was tried; 0 for a line that can't be used, which no retry can mend.
    pub attempts: u32,
    /// The line as it could be read: `url`, `id`, `metadata` and the parameters that it has set
    /// itself, with null for a default that it removes. Metadata with a number that has no exact form
    /// in 64 bits, or nested very deep, stand as text under `metadata_text`.
    pub task: Map<String, Value>,
}

impl Errored {
    /// What is kept of an error's record; `None` for a record with data.
    pub fn of(record: &Record) -> Option<Self> {
        let error = record.outcome.as_ref().err()?;
        let mut task = Map::new();
        record.task.write(&mut task);
        if let Some(metadata) = record.task.metadata() {
            let (key, value) = metadata::write(metadata);
            task.insert(key.to_owned(), value);
        }
        Some(Self {
            index: record.task.index(),
            line: record.task.line(),
            code: error.code,
            retryable: error.retryable,
            message: shortened(&error.message),
            http_status: record.http_status,
            attempts: record.attempts,
            task,
        })
    }

    /// The task of another job that tries it again at this position of its input, with what its line
    /// didn't set itself by the reader's defaults. A line that couldn't be used still can't: its task
    /// is invalid with the same code and message.
    pub fn into_task(self, ordinal: u64, reader: &LineReader) -> Task {
        let line = Line { index: self.index, number: self.line };
        let mut fields = reader.fields();
        let mut unreadable = None;
        for (key, value) in self.task {
            let result = match &*key {
                metadata::TEXT_KEY => metadata::read(value).map(|raw| fields.set_raw_metadata(raw)),
                _ => fields.set(&key, value),
            };
            unreadable = unreadable.or(result.err());
        }
        let task = if self.attempts == 0 {
            let mut error = FetchError::new(self.code, self.message);
            error.retryable = self.retryable;
            fields.into_failed(line, error)
        } else if let Some(error) = unreadable {
            fields.into_invalid(line, &error.to_string())
        } else {
            fields.into_task(line)
        };
        task.with_ordinal(ordinal)
    }

    /// About how many bytes it takes in memory: its texts, and some words for each value.
    pub(crate) fn size(&self) -> usize {
        let entries = self.task.iter().map(|(key, value)| key.len() + size(value));
        size_of::<Self>() + self.message.len() + entries.sum::<usize>()
    }
}

fn size(value: &Value) -> usize {
    let inner: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(object) => object.iter().map(|(key, value)| key.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES - '…'.len_utf8());
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Params, params::written};

    const LINE: Line = Line { index: 41, number: 43 };

    fn reader(defaults: &Value) -> LineReader {
        LineReader::new(serde_json::from_value::<Params>(defaults.clone()).unwrap())
    }

    fn errored(task: Task) -> Errored {
        let error = match task.target() {
            Ok(_) => FetchError::new(Code::Timeout, "no page within 5 s"),
            Err(error) => FetchError::new(error.code, error.message.clone()),
        };
        Errored::of(&Record::error(task, error)).unwrap()
    }

    fn reread(errored: &Errored) -> Errored {
        serde_json::from_str(&serde_json::to_string(errored).unwrap()).unwrap()
    }

    /// All that makes two tasks the same, but for the ordinal.
    fn assert_same(a: &Task, b: &Task) {
        let metadata = |task: &Task| {
            task.metadata().map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap())
        };
        let failure = |task: &Task| task.target().err().map(|e| (e.code, e.message.clone()));
        assert_eq!((a.index(), a.line(), a.url(), a.id()), (b.index(), b.line(), b.url(), b.id()));
        assert_eq!(metadata(a), metadata(b));
        assert_eq!(failure(a), failure(b));
        assert_eq!(a.params(), b.params());
    }

    proptest! {
        #[test]
        fn a_line_is_the_same_task_again_also_on_other_defaults(
            params in written::params(),
            defaults in written::params(),
            others in written::params(),
            id in "[a-z]{0,3}",
            metadata in written::json(),
        ) {
            let mut line = params.as_object().unwrap().clone();
            line.insert("url".to_owned(), json!("HTTP://A.test/é"));
            line.insert("id".to_owned(), json!(id));
            line.insert("metadata".to_owned(), metadata);
            let line = Value::Object(line).to_string();
            let task = reader(&defaults).read_json(LINE, line.as_bytes());
            let errored = errored(task.clone());
            let again = reread(&errored).into_task(3, &reader(&defaults));
            prop_assert_eq!(again.ordinal(), 3);
            assert_same(&again, &task);
            let elsewhere = reread(&errored).into_task(3, &reader(&others));
            assert_same(&elsewhere, &reader(&others).read_json(LINE, line.as_bytes()));
            // A retry of a retry.
            prop_assert_eq!(&super::tests::errored(elsewhere).task, &errored.task);
        }
    }

    #[test]
    fn only_what_the_line_has_said_is_kept() {
        let defaults =
            json!({"timeout_ms": 9000, "headers": {"a": "1", "b": "2"}, "country": "de"});
        let line = br#"{"url":"http://a.test/","headers":{"c":"3","B":null,"d":null,"D":"4"},"country":null,"max_bytes":7}"#;
        let errored = errored(reader(&defaults).read_json(LINE, line));
        let expected = json!({
            "url": "http://a.test/",
            "country": null,
            "headers": {"c": "3", "d": "4", "b": null},
            "max_bytes": 7,
        });
        assert_eq!(Value::Object(errored.task), expected);
    }

    #[test]
    fn a_line_that_could_not_be_used_stays_as_it_was() {
        let lines: [&[u8]; 5] = [
            b"{oops",
            br#"{"url":"http://a.test/","timeout":3,"id":"x"}"#,
            br#"{"url":"nonsense","metadata":{"a":1}}"#,
            b"[1]",
            br#"{"id":"y","url":7}"#,
        ];
        let reader = reader(&json!({}));
        for line in lines {
            let task = reader.read_json(LINE, line);
            let errored = errored(task.clone());
            assert_eq!(errored.attempts, 0);
            let again = reread(&errored).into_task(0, &reader);
            assert!(again.target().is_err());
            assert_same(&again, &task);
        }
    }

    #[test]
    fn metadata_keep_every_digit_and_any_depth() {
        // Deep enough for the record that holds it to be unreadable.
        let deep = format!("{}{}", "[".repeat(126), "]".repeat(126));
        for (metadata, key) in [
            (r#"{"a": 1.5, "b": -7e-7, "c": "1.50 \" [1.50"}"#, "metadata"),
            (r#"{"id": 123456789012345678901234567890}"#, "metadata_text"),
            (r"[1e400]", "metadata_text"),
            (r"[0.10]", "metadata_text"),
            (&deep, "metadata_text"),
        ] {
            let line = format!(r#"{{"url":"http://a.test/","metadata":{metadata}}}"#);
            let task = reader(&json!({})).read_json(LINE, line.as_bytes());
            assert_eq!(task.metadata().unwrap().get(), metadata);
            let errored = reread(&errored(task));
            assert!(errored.task.contains_key(key), "{errored:?}");
            let again = errored.into_task(0, &reader(&json!({})));
            let again = again.metadata().unwrap().get();
            let compact = |text: &str| text.replace(": ", ":").replace(", ", ",");
            assert_eq!(compact(again), compact(metadata));
        }
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let task = Task::new(0, "http://a.test/", Params::new());
        let error = FetchError::new(Code::Timeout, "é".repeat(MAX_MESSAGE_BYTES));
        let errored = Errored::of(&Record::error(task, error)).unwrap();
        assert!(errored.message.ends_with("é…") && errored.message.len() <= MAX_MESSAGE_BYTES);
        assert!(errored.message.len() > MAX_MESSAGE_BYTES - 4);
    }

    #[test]
    fn a_record_with_data_is_none() {
        let task = Task::new(0, "http://a.test/", Params::new());
        assert_eq!(Errored::of(&Record::ok(task, crate::Fields::default())), None);
    }
}
