//! How fields are found in a page: the [`Extractor`] trait and what it finds.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{FetchError, Page, Task};

/// Finds the fields that a task asks for (`task.params().extract`, `formats`) in its page.
///
/// The same page and the same schema must give the same fields. Work that takes more than some tens
/// of microseconds belongs on a blocking thread; it runs within the attempt's slot and deadline. A
/// failure is final for the task: the page would not change by fetching it again. A panic costs the
/// task ([`Code::PluginPanic`](crate::Code::PluginPanic)), not the job.
#[async_trait]
pub trait Extractor: fmt::Debug + Send + Sync {
    /// Finds what `task` asks for in `page`.
    async fn extract(&self, task: &Task, page: &Page) -> Result<Fields, FetchError>;
}

/// What was found in one page.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Fields {
    /// The fields of the schema, each present, in the schema's order; null where nothing was found.
    /// `None` when the task asked for no data.
    pub data: Option<Map<String, Value>>,
    /// The top-level fields for which there was nothing on the page.
    pub missing: Vec<String>,
    /// The top-level fields for which there was something, but nothing of their type, and why.
    pub field_errors: BTreeMap<String, String>,
    /// How much of what was asked for was found; `None` when the extractor doesn't say.
    pub extract_status: Option<ExtractStatus>,
    /// Where each top-level field was found and how sure that is, when `extract_options` has `meta`.
    pub meta: Option<BTreeMap<String, FieldMeta>>,
    /// The page's HTML, when `formats` has `html`.
    pub html: Option<String>,
    /// The page's visible text, when `formats` has `text`.
    pub text: Option<String>,
    /// The page as Markdown, when `formats` has `markdown`.
    pub markdown: Option<String>,
    /// The absolute link targets of the page, when `formats` has `links`.
    pub links: Option<Vec<String>>,
}

impl Fields {
    /// Fields with `data` only.
    pub fn from_data(data: Map<String, Value>) -> Self {
        Self { data: Some(data), ..Self::default() }
    }
}

/// How much of what was asked for was found in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExtractStatus {
    /// Every field has a value.
    Complete,
    /// Some fields have none.
    Partial,
    /// No field has one: often a page of another kind than was expected.
    Empty,
}

/// Where the value of a field was found, and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FieldMeta {
    /// How likely the value is right, from 0 to 1, to two digits.
    pub confidence: f64,
    /// What it was read from, e.g. `jsonld`, `meta`, `dom:label`, `selector`, `default`, `llm`.
    pub source: Cow<'static, str>,
    /// As it stands there, up to 200 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw: String,
    /// Where in the source, in its own words: a path, a selector, a label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl FieldMeta {
    /// Meta of a value with what it was read from.
    pub fn new(confidence: f64, source: impl Into<Cow<'static, str>>) -> Self {
        let confidence = (confidence.clamp(0.0, 1.0) * 100.0).round() / 100.0;
        Self { confidence, source: source.into(), raw: String::new(), path: String::new() }
    }
}

/// Hands over the page's HTML and nothing else: what a job does without an extractor.
#[derive(Clone, Copy, Debug, Default)]
pub struct WholePage;

#[async_trait]
impl Extractor for WholePage {
    async fn extract(&self, _task: &Task, page: &Page) -> Result<Fields, FetchError> {
        Ok(Fields { html: Some(page.text.clone()), ..Fields::default() })
    }
}
