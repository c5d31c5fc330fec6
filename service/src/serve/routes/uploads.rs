//! Uploads: lists that are sent once and read by jobs.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use harvestman::{
    Workspace,
    engine::UploadOptions,
    id::UploadId,
    spec::{InputCompression, InputFormat},
    store::{StoredAnswer, UploadEntry},
};
use http::{HeaderMap, StatusCode, header};

use super::Id;
use crate::serve::{
    app::App,
    auth::{Reader, Writer},
    body::{self, Incoming},
    error::{ApiError, ErrorCode},
    form,
    idempotency::{Answer, Begin, IdempotencyHeader, begin, conflict, fingerprint, replayed},
    wire::UploadBody,
};

/// What is sent: a list, and how it is written as far as that was said.
pub(crate) struct Sent {
    pub(crate) options: UploadOptions,
    pub(crate) body: Incoming,
}

impl Sent {
    /// Takes it in, durably.
    async fn receive(
        self,
        workspace: &Workspace,
        answer: Option<&(dyn Fn(&UploadEntry) -> StoredAnswer + Sync)>,
    ) -> Result<UploadEntry, ApiError> {
        let Incoming { pieces, fate } = self.body;
        let received = workspace.upload(self.options, pieces, answer).await;
        received.map_err(|error| fate.get().unwrap_or_else(|| error.into()))
    }
}

/// Upload a list.
///
/// NDJSON (an object with `url` and parameters, or a bare string, a line), CSV with a header, or
/// text (a URL a line); also packed by gzip or zstd. Raw, or as the field `file` of a form. Bad
/// lines don't fail it: each will be a record with an error.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads", operation_id = "createUpload",
    params(IdempotencyHeader),
    request_body(description = "The list.", content(
        (String = "application/x-ndjson"),
        (String = "text/csv", example = json!("url,id\nhttps://example.com/,1\n")),
        (String = "text/plain", example = json!("https://example.com/\n")),
        (UploadForm = "multipart/form-data"),
    )),
    responses((status = 201, body = UploadBody, description = "The list came in.",
               headers(("Location" = String, description = "The path of the upload.")))))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let _place = app.uploads.take(workspace.name())?;
    let print = || fingerprint("POST", "/v1/uploads", &[]);
    let sent = |body| open(&app, &headers, body);
    let turn = match begin(&app, &workspace, &headers, print).await? {
        Begin::Serve(turn) => turn,
        Begin::Replay(answer) => {
            return again(&workspace, sent(body).await?, answer).await;
        }
    };
    let sent = sent(body).await?;
    let stored = |upload: &UploadEntry| {
        turn.stored(&answer(upload)).unwrap_or_else(|| unreachable!("the turn has a key"))
    };
    let upload = if turn.has_key() {
        sent.receive(&workspace, Some(&stored)).await?
    } else {
        sent.receive(&workspace, None).await?
    };
    let answer = answer(&upload);
    Ok(turn.answered(answer))
}

fn answer(upload: &UploadEntry) -> Answer {
    let location = format!("/v1/uploads/{}", upload.id);
    Answer::new(StatusCode::CREATED, &UploadBody::from(upload)).at(location)
}

/// What came before under the same key is answered again if it was the same file: that is known
/// when it has come in.
async fn again(workspace: &Workspace, sent: Sent, earlier: Answer) -> Result<Response, ApiError> {
    let copy = sent.receive(workspace, None).await?;
    workspace.delete_upload(&copy.id).await?;
    let known: serde_json::Value = serde_json::from_str(earlier.body()).unwrap_or_default();
    if known.get("sha256").and_then(serde_json::Value::as_str) != Some(&copy.sha256) {
        return Err(conflict());
    }
    Ok(replayed(earlier))
}

async fn open(app: &App, headers: &HeaderMap, body: Body) -> Result<Sent, ApiError> {
    let media = body::media_type(headers);
    let options = options(app).with_encoding(body::encoding(headers).as_deref())?;
    if media.as_deref() == Some("multipart/form-data") {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let body = body::stream(body, app.client_timeout);
        return form::open(content_type.unwrap_or_default(), body, options).await;
    }
    let format = media.as_deref().and_then(format_of).ok_or_else(|| {
        let message = "send application/x-ndjson, text/csv, text/plain or multipart/form-data";
        ApiError::new(ErrorCode::UnsupportedMediaType, message)
    })?;
    let options = options.with_format(format);
    Ok(Sent { options, body: body::stream(body, app.client_timeout) })
}

fn options(app: &App) -> UploadOptions {
    let mut options = UploadOptions::default();
    options.max_bytes = app.limits().upload_bytes;
    options.max_tasks = app.limits().urls;
    options
}

/// The format that a media type stands for.
pub(crate) fn format_of(media: &str) -> Option<InputFormat> {
    match media {
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines" => Some(InputFormat::Ndjson),
        "text/csv" => Some(InputFormat::Csv),
        "text/plain" => Some(InputFormat::Text),
        _ => None,
    }
}

trait WithEncoding: Sized {
    /// Sets how the bytes are packed, by a `Content-Encoding`.
    fn with_encoding(self, encoding: Option<&str>) -> Result<Self, ApiError>;
}

impl WithEncoding for UploadOptions {
    fn with_encoding(self, encoding: Option<&str>) -> Result<Self, ApiError> {
        match encoding {
            None => Ok(self),
            Some("gzip" | "x-gzip") => Ok(self.with_compression(InputCompression::Gzip)),
            Some("zstd") => Ok(self.with_compression(InputCompression::Zstd)),
            Some(_) => {
                let message = "Content-Encoding: gzip and zstd are understood";
                Err(ApiError::new(ErrorCode::UnsupportedMediaType, message))
            }
        }
    }
}

/// A form with a list.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes the form")]
pub(crate) struct UploadForm {
    /// The list.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// An upload.
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "getUpload",
    params(("id" = String, Path, description = "The upload.")),
    responses((status = 200, body = UploadBody, description = "The upload.")))]
pub(crate) async fn show(
    Reader(workspace): Reader,
    Id(id): Id<UploadId>,
) -> Result<Response, ApiError> {
    let upload = workspace.find_upload(&id).await?;
    Ok(Answer::new(StatusCode::OK, &UploadBody::from(&upload)).into_response())
}

/// Erase an upload.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "deleteUpload",
    params(("id" = String, Path, description = "The upload.")),
    responses((status = 204, description = "The upload is gone.")))]
pub(crate) async fn delete(
    Writer(workspace): Writer,
    Id(id): Id<UploadId>,
) -> Result<StatusCode, ApiError> {
    workspace.delete_upload(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
