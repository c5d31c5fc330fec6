//! What one page yields, before a job is made of many.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use harvestman::{
    ExtractOptions, Extractor, FetchError, Fetcher, Fields, Line, LineReader, Params, Record,
    Refusal, RefusalCode, Task, extractors::Standard,
};
use http::{HeaderMap, StatusCode};
use jiff::{Timestamp, Unit};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::blocking;
use crate::serve::{
    app::App,
    auth::Writer,
    error::ApiError,
    idempotency::{Answer, IdempotencyHeader, Posted, posted},
};

/// To the millisecond, as records have it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// What one page yields.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewBody {
    /// The record, as it would stand in the result; `credits` are what it would cost.
    #[schema(value_type = Object)]
    record: Record,
    /// How sure each field is, from 0 to 1.
    confidence: BTreeMap<String, f64>,
    /// Where each field was found.
    source: BTreeMap<String, String>,
}

/// Fetch one page and show what a job would find on it.
///
/// The body is a line of a list: `url` and parameters. Costs nothing, and is not kept.
#[utoipa::path(post, path = "/v1/preview", tag = "jobs", operation_id = "preview",
    params(IdempotencyHeader),
    request_body(content = Object, description = "`url` and Scrape parameters.",
                 example = json!({"url": "https://example.com/", "extract": {"title": "string"}})),
    responses((status = 200, body = PreviewBody, description = "The record, of data or of an error.")))]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (json, turn) = match posted(&app, &workspace, "/v1/preview", &headers, body).await? {
        Posted::New(json, turn) => (json, turn),
        Posted::Known(answer) => return Ok(answer),
    };
    let bytes = json.bytes.clone();
    let task = blocking(move || read(&bytes)).await??;
    if let Some(schema) = &task.params().extract {
        Standard::check(schema)
            .map_err(|error| Refusal::new(RefusalCode::SchemaInvalid, error.to_string()))?;
    }
    let place = app.previews.take(workspace.name())?;
    let began = Instant::now();
    let task = Arc::new(task);
    let page = timeout(task.params().timeout(), fetch(&app, &task)).await;
    let late = || {
        let message = format!("no page within {} s", task.params().timeout().as_secs());
        Err(FetchError::new(harvestman::Code::Timeout, message))
    };
    let outcome = page.unwrap_or_else(|_| late());
    drop(place);
    let body = shown(&app, &task, outcome, began);
    turn.answer(Answer::new(StatusCode::OK, &body)).await
}

fn read(json: &Bytes) -> Result<Task, ApiError> {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    if !is_object || serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err() {
        return Err(Refusal::new(RefusalCode::InvalidJson, "the body is no JSON object").into());
    }
    let mut defaults = Params::new();
    defaults.extract_options = Some(Arc::new(ExtractOptions::default().with_meta()));
    let task = LineReader::new(defaults).read_json(Line { index: 0, number: 1 }, json);
    if let Err(error) = task.target() {
        let message = error.message.trim_start_matches("line 1: ");
        // The same URL without the parameters tells which of them is to blame.
        let url = task.url().unwrap_or_default();
        let is_url_bad = Task::new(0, url, Params::new()).target().is_err();
        let code = if is_url_bad { RefusalCode::InvalidUrl } else { RefusalCode::SchemaInvalid };
        return Err(Refusal::new(code, message).into());
    }
    Ok(task)
}

struct Fetched {
    fields: Fields,
    http_status: Option<u16>,
    final_url: String,
}

async fn fetch(app: &App, task: &Task) -> Result<Fetched, FetchError> {
    app.router.check(task.params())?;
    let _admitted = app.router.admit(task).await;
    let page = app.router.fetch(task).await?;
    // Making the client of a model takes time: only for who asks for it.
    let asks = task.params().extract_options.as_ref().is_some_and(|options| options.llm);
    let extractor = crate::llm::extractor(app.llm.as_ref().filter(|_| asks));
    let extractor = extractor
        .map_err(|error| FetchError::new(harvestman::Code::Internal, error.to_string()))?;
    let fields = extractor.extract(task, &page).await?;
    Ok(Fetched { fields, http_status: Some(page.status), final_url: page.final_url.to_string() })
}

fn shown(
    app: &App,
    task: &Arc<Task>,
    outcome: Result<Fetched, FetchError>,
    began: Instant,
) -> PreviewBody {
    let (mut confidence, mut source) = (BTreeMap::new(), BTreeMap::new());
    let record = match outcome {
        Ok(Fetched { mut fields, http_status, final_url }) => {
            for (name, found) in fields.meta.take().unwrap_or_default() {
                confidence.insert(name.clone(), found.confidence);
                let place = [&*found.source, &found.path].join(" ");
                source.insert(name, place.trim_end().to_owned());
            }
            let mut record = Record::ok(Arc::clone(task), fields).with_final_url(final_url);
            record.http_status = http_status;
            record.credits = app.engine.settings().meter.price(task);
            record
        }
        Err(error) => Record::error(Arc::clone(task), error),
    };
    let record = record.with_attempts(1).with_elapsed(began.elapsed()).with_fetched_at(now());
    PreviewBody { record, confidence, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::error::ErrorCode;

    #[test]
    fn what_is_wrong_is_told_apart() {
        let code = |json: &str| read(&Bytes::copy_from_slice(json.as_bytes())).unwrap_err().code;
        assert_eq!(code("[]"), ErrorCode::InvalidJson);
        assert_eq!(code("{"), ErrorCode::InvalidJson);
        assert_eq!(code(r#"{"url": "nonsense"}"#), ErrorCode::InvalidUrl);
        assert_eq!(code(r#"{"url": "http://a.test/", "timeout_ms": 1}"#), ErrorCode::SchemaInvalid);
        let task = read(&Bytes::from_static(br#"{"url": "http://a.test/"}"#)).unwrap();
        assert!(task.params().extract_options.as_ref().unwrap().meta);
    }
}
