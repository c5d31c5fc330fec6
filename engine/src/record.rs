//! What comes of a task.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{Code, ExtractStatus, FetchError, Fields, Task, driver::Found, shared::Hold};

/// The result of one task: the fields found, or why there are none.
///
/// Its JSON form (by [`Serialize`]) is that of an NDJSON output, with its keys in a fixed order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// The task that it answers.
    pub task: Arc<Task>,
    /// How often the page was tried; 0 for a line that can't be used.
    pub attempts: u32,
    /// What it costs; nothing unless it is ok.
    pub credits: u64,
    /// From the first attempt's start to the end, waiting for retries included.
    pub elapsed: Duration,
    /// When it was done, to the millisecond.
    pub fetched_at: Timestamp,
    /// The last status answered, if there was an answer.
    pub http_status: Option<u16>,
    /// Where the redirects led, if a page came.
    pub final_url: Option<String>,
    /// The file with the page's image, if one was asked for, relative to where the records go.
    pub screenshot: Option<String>,
    /// The fields, or the failure.
    pub outcome: Result<Fields, FetchError>,
    #[expect(dead_code, reason = "gives the page's room back when the record is dropped")]
    pub(crate) hold: Option<Hold>,
}

impl Record {
    /// A record of fields found at the first attempt.
    pub fn ok(task: impl Into<Arc<Task>>, fields: Fields) -> Self {
        Self::new(task.into(), Ok(fields), 1)
    }

    /// A record of a failure; of an invalid task without any attempt.
    pub fn error(task: impl Into<Arc<Task>>, error: FetchError) -> Self {
        let task = task.into();
        let attempts = u32::from(task.target().is_ok());
        let (http_status, final_url) = (error.http_status, error.final_url.clone());
        Self { http_status, final_url, ..Self::new(task, Err(error), attempts) }
    }

    /// A record of what an attempt has found, and what it costs.
    pub(crate) fn found(task: Arc<Task>, found: Found, credits: u64) -> Self {
        Self {
            credits,
            http_status: Some(found.status),
            final_url: Some(found.final_url),
            screenshot: found.screenshot,
            hold: Some(found.hold),
            ..Self::new(task, Ok(found.fields), 1)
        }
    }

    fn new(task: Arc<Task>, outcome: Result<Fields, FetchError>, attempts: u32) -> Self {
        let now = Timestamp::now().as_millisecond();
        Self {
            task,
            attempts,
            credits: 0,
            elapsed: Duration::ZERO,
            fetched_at: Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH),
            http_status: None,
            final_url: None,
            screenshot: None,
            outcome,
            hold: None,
        }
    }

    /// Sets the number of attempts.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the time from the first attempt's start to the end.
    pub fn with_elapsed(mut self, elapsed: Duration) -> Self {
        self.elapsed = elapsed;
        self
    }

    /// Sets when it was done.
    pub fn with_fetched_at(mut self, fetched_at: Timestamp) -> Self {
        self.fetched_at = fetched_at;
        self
    }

    /// Sets the status answered.
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// Sets where the redirects led.
    pub fn with_final_url(mut self, url: impl Into<String>) -> Self {
        self.final_url = Some(url.into());
        self
    }

    /// Whether the page was fetched and its fields extracted.
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    /// `ok` or `error`.
    pub fn status(&self) -> &'static str {
        if self.is_ok() { "ok" } else { "error" }
    }

    /// The code of the failure, if it is one.
    pub fn code(&self) -> Option<Code> {
        self.outcome.as_ref().err().map(|error| error.code)
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("url", &self.task.url())?;
        map.serialize_entry("status", self.status())?;
        map.serialize_entry("index", &self.task.index())?;
        map.serialize_entry("line", &self.task.line())?;
        map.serialize_entry("id", &self.task.id())?;
        match &self.outcome {
            Ok(fields) => {
                map.serialize_entry("final_url", &self.final_url)?;
                map.serialize_entry("http_status", &self.http_status)?;
                serialize_fields(fields, &mut map)?;
                if let Some(file) = &self.screenshot {
                    map.serialize_entry("screenshot", file)?;
                }
            }
            Err(error) => {
                map.serialize_entry("code", &error.code)?;
                map.serialize_entry("message", &error.message)?;
                map.serialize_entry("retryable", &error.retryable)?;
                map.serialize_entry("http_status", &self.http_status)?;
                if let Some(partial) = &error.partial {
                    map.serialize_entry("partial_data", &partial.data)?;
                    serialize_remarks(partial, &mut map)?;
                }
            }
        }
        map.serialize_entry("attempts", &self.attempts)?;
        map.serialize_entry("credits", &self.credits)?;
        map.serialize_entry("elapsed_ms", &(self.elapsed.as_millis() as u64))?;
        map.serialize_entry("fetched_at", &self.fetched_at)?;
        map.serialize_entry("metadata", &self.task.metadata())?;
        map.end()
    }
}

/// `data` as soon as it was asked for; the rest only where there is something to say.
fn serialize_fields<M: SerializeMap>(fields: &Fields, map: &mut M) -> Result<(), M::Error> {
    if let Some(data) = &fields.data {
        map.serialize_entry("data", data)?;
    }
    serialize_remarks(fields, map)?;
    for (key, value) in
        [("html", &fields.html), ("text", &fields.text), ("markdown", &fields.markdown)]
    {
        if let Some(value) = value {
            map.serialize_entry(key, value)?;
        }
    }
    if let Some(links) = &fields.links {
        map.serialize_entry("links", links)?;
    }
    Ok(())
}

/// What there is to say about the data.
fn serialize_remarks<M: SerializeMap>(fields: &Fields, map: &mut M) -> Result<(), M::Error> {
    if let Some(status) = fields.extract_status.filter(|status| *status != ExtractStatus::Complete)
    {
        map.serialize_entry("extract_status", &status)?;
    }
    if !fields.missing.is_empty() {
        map.serialize_entry("missing", &fields.missing)?;
    }
    if !fields.field_errors.is_empty() {
        map.serialize_entry("field_errors", &fields.field_errors)?;
    }
    if let Some(meta) = &fields.meta {
        map.serialize_entry("meta", meta)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FieldMeta, Params};

    fn task() -> Task {
        let metadata = serde_json::value::to_raw_value(&json!({"m": 1})).unwrap();
        Task::new(1, "http://a.test/", Params::new()).with_id("x").with_metadata(metadata)
    }

    #[test]
    fn an_ok_record_reads_as_the_contract_says() {
        let data = json!({"name": "Lamp", "price": 19.9}).as_object().unwrap().clone();
        let record = Record::ok(task(), Fields::from_data(data))
            .with_http_status(200)
            .with_final_url("http://a.test/b")
            .with_elapsed(Duration::from_millis(84))
            .with_fetched_at("2026-05-11T22:20:14.5Z".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"url":"http://a.test/","status":"ok","index":1,"line":2,"id":"x","final_url":"http://a.test/b","http_status":200,"data":{"name":"Lamp","price":19.9},"attempts":1,"credits":0,"elapsed_ms":84,"fetched_at":"2026-05-11T22:20:14.5Z","metadata":{"m":1}}"#
        );
    }

    #[test]
    fn remarks_stand_beside_the_data() {
        let mut fields = Fields::from_data(json!({"a": null}).as_object().unwrap().clone());
        fields.extract_status = Some(ExtractStatus::Empty);
        fields.missing = vec!["a".to_owned()];
        fields.meta = Some([("b".to_owned(), FieldMeta::new(0.912, "jsonld"))].into());
        let remarks = r#""extract_status":"empty","missing":["a"],"meta":{"b":{"confidence":0.91,"source":"jsonld"}}"#;
        let ok = serde_json::to_string(&Record::ok(task(), fields.clone())).unwrap();
        assert!(ok.contains(&format!(r#""data":{{"a":null}},{remarks}"#)), "{ok}");
        let error = FetchError::new(Code::ValidationFailed, "no a").with_partial(fields);
        let error = serde_json::to_string(&Record::error(task(), error)).unwrap();
        assert!(error.contains(&format!(r#""partial_data":{{"a":null}},{remarks}"#)), "{error}");
    }

    #[test]
    fn an_error_record_reads_as_the_contract_says() {
        let error = FetchError::new(Code::Target5xx, "answered 503").with_http_status(503);
        let record = Record::error(task(), error)
            .with_attempts(3)
            .with_fetched_at("2026-05-11T22:20:14Z".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"url":"http://a.test/","status":"error","index":1,"line":2,"id":"x","code":"target_5xx","message":"answered 503","retryable":true,"http_status":503,"attempts":3,"credits":0,"elapsed_ms":0,"fetched_at":"2026-05-11T22:20:14Z","metadata":{"m":1}}"#
        );
    }
}
