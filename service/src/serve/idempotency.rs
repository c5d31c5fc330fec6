//! Requests that are sent twice and served once: `Idempotency-Key`.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use harvestman::{
    Workspace,
    store::{Begun, IdempotencyKey, StoredAnswer},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::{
    app::App,
    body::{self, Json},
    error::{ApiError, ErrorCode},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 256;

/// An answer that can be kept: JSON, and where the new thing is.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
    location: Option<String>,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Wire types have string keys and finite numbers only.
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status, body, location: None }
    }

    pub(crate) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::from(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let location = self.location.and_then(|location| HeaderValue::try_from(location).ok());
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

/// A request whose turn it is. Dropped without an answer, it can be sent again.
#[derive(Debug)]
pub(crate) struct Turn {
    app: Arc<App>,
    workspace: String,
    key: Option<String>,
    is_answered: bool,
}

/// Whether a request is to be served.
#[derive(Debug)]
pub(crate) enum Begin {
    Serve(Turn),
    /// It was served before: this was the answer.
    Replay(Answer),
}

/// What tells a request from another one under the same key.
pub(crate) fn fingerprint(method: &str, path: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), b" ", path.as_bytes(), b"\n", body] {
        hash.update(part);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// A request with a JSON body, as far as its turn and its bytes.
pub(crate) enum Posted<'a> {
    New(Json<'a>, Turn),
    /// It was served before: this is the answer again.
    Known(Response),
}

/// Reads a request with a JSON body, and begins to serve it.
pub(crate) async fn posted<'a>(
    app: &'a Arc<App>,
    workspace: &Workspace,
    path: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Posted<'a>, ApiError> {
    let json = body::json(app, headers, body).await?;
    let print = || fingerprint("POST", path, &json.bytes);
    match begin(app, workspace, headers, print).await? {
        Begin::Serve(turn) => Ok(Posted::New(json, turn)),
        Begin::Replay(answer) => Ok(Posted::Known(replayed(answer))),
    }
}

/// Makes it safe to send a request again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes the header")]
pub(crate) struct IdempotencyHeader {
    /// A text of the client's own: the same request under it gets the same answer for 24 hours.
    #[param(rename = "Idempotency-Key", max_length = 256)]
    key: Option<String>,
}

/// Begins to serve a request, unless it was served before, is being served, or is another one.
pub(crate) async fn begin(
    app: &Arc<App>,
    workspace: &Workspace,
    headers: &HeaderMap,
    fingerprint: impl FnOnce() -> String,
) -> Result<Begin, ApiError> {
    let turn = |key| Turn {
        app: Arc::clone(app),
        workspace: workspace.name().to_owned(),
        key,
        is_answered: false,
    };
    let Some(key) = key_of(headers)? else { return Ok(Begin::Serve(turn(None))) };
    let workspace = workspace.name().to_owned();
    let asked = IdempotencyKey { workspace, key: key.clone(), fingerprint: fingerprint() };
    let (mut turn, app) = (turn(None), Arc::clone(app));
    // In a task of its own: should the client hang up in between, what was begun becomes a turn
    // still, and that is given back.
    let begun = tokio::spawn(async move {
        let begun = app.engine.store().begin(&asked, app.engine.owner(), app.engine.now()).await;
        if let Ok(Begun::New) = &begun {
            turn.key = Some(key);
        }
        begun.map(|begun| (begun, turn))
    });
    let begun = begun.await.map_err(|error| harvestman::Error::part("service", error))?;
    match begun? {
        (Begun::New, turn) => Ok(Begin::Serve(turn)),
        (Begun::InProgress, _) => {
            let message = "a request with this Idempotency-Key is being served";
            Err(ApiError::new(ErrorCode::IdempotencyInProgress, message).with_retry_after(1))
        }
        (Begun::Conflict, _) => Err(conflict()),
        (Begun::Answered(stored), _) => {
            let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
            let StoredAnswer { body, location, .. } = stored;
            Ok(Begin::Replay(Answer { status, body, location }))
        }
    }
}

/// The same key came with another request.
pub(crate) fn conflict() -> ApiError {
    let message = "this Idempotency-Key came with another request before";
    ApiError::new(ErrorCode::IdempotencyConflict, message)
}

/// An answer that is given again.
pub(crate) fn replayed(answer: Answer) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()));
    let invalid = || {
        let message = format!("Idempotency-Key: write 1 to {MAX_KEY_CHARS} visible characters");
        ApiError::new(ErrorCode::InvalidRequest, message)
    };
    key.ok_or_else(invalid).map(|key| Some(key.to_owned()))
}

impl Turn {
    /// What is kept of an answer together with what it tells of, if the request has a key.
    pub(crate) fn stored(&self, answer: &Answer) -> Option<StoredAnswer> {
        Some(StoredAnswer {
            workspace: self.workspace.clone(),
            key: self.key.clone()?,
            status: answer.status.as_u16(),
            body: answer.body.clone(),
            location: answer.location.clone(),
        })
    }

    /// Whether the request has a key.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The answer was kept together with what it tells of.
    pub(crate) fn answered(mut self, answer: Answer) -> Response {
        self.is_answered = true;
        answer.into_response()
    }

    /// Keeps the answer by itself.
    pub(crate) async fn answer(self, answer: Answer) -> Result<Response, ApiError> {
        if let Some(stored) = self.stored(&answer) {
            self.app.engine.store().answer(&stored).await?;
        }
        Ok(self.answered(answer))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(key) = self.key.take().filter(|_| !self.is_answered) else { return };
        let (app, workspace) = (Arc::clone(&self.app), std::mem::take(&mut self.workspace));
        tokio::spawn(async move {
            if let Err(error) = app.engine.store().abandon(&workspace, &key).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a key stays taken");
            }
        });
    }
}
