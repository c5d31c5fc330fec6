//! Jobs: made, looked at, cancelled, tried again.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use harvestman::{
    Code, JobSpec, Refusal, RefusalCode, Task, Workspace,
    engine::{JobStatus, SubmitOptions},
    id::JobId,
    spec::RetryFilter,
    store::{ErroredQuery, JobQuery, OutputState, Status},
    webhook::Secret,
};
use headers::{ETag, HeaderMapExt};
use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::{Id, aside, page_size};
use crate::serve::{
    app::App,
    auth::{Reader, Writer},
    body,
    error::{ApiError, ErrorCode},
    etag::{is_known, tag, unchanged},
    idempotency::{Answer, IdempotencyHeader, Posted, Turn, posted},
    request::{JobRequest, LinkRequest, RetryRequest},
    wire::{CreatedBody, DryRunBody, ErroredBody, JobBody, Page, number_of},
};

/// The longest wait for a change, in seconds.
const MAX_WAIT_S: u64 = 60;

/// Make a job.
///
/// The job is durable when this answers. With `dry_run` nothing is made, and the answer says what
/// the job would be.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", operation_id = "createJob",
    params(IdempotencyHeader),
    request_body = JobRequest,
    responses(
        (status = 202, body = CreatedBody, description = "The job waits for its turn.",
         headers(("Location" = String, description = "The path of the job."))),
        (status = 200, body = DryRunBody, description = "What the job would be (`dry_run`)."),
    ))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (json, turn) = match posted(&app, &workspace, "/v1/jobs", &headers, body).await? {
        Posted::New(json, turn) => (json, turn),
        Posted::Known(answer) => return Ok(answer),
    };
    let bytes = json.bytes.clone();
    let (is_large, app) = (json.is_large(), Arc::clone(&app));
    let work = async move {
        let submission = JobSpec::read(&bytes, app.limits())?;
        if submission.dry_run {
            let _place = app.dry_runs.take(workspace.name())?;
            let estimate = workspace.estimate(&submission.spec).await?;
            let body = DryRunBody::new(&estimate, submission.warnings);
            return turn.answer(Answer::new(StatusCode::OK, &body)).await;
        }
        submit(&app, &workspace, submission.spec, submission.warnings, turn).await
    };
    Box::pin(aside(is_large, work)).await
}

/// Submits a job, and keeps the answer together with it.
async fn submit(
    app: &App,
    workspace: &Workspace,
    spec: JobSpec,
    warnings: Vec<String>,
    turn: Turn,
) -> Result<Response, ApiError> {
    if let Some(secret) = &app.webhook_secret
        && spec.webhook.as_ref().is_some_and(|webhook| webhook.secret.is_none())
    {
        sign_with(workspace, secret).await?;
    }
    // What a line of its own costs may differ; that is known when it is read.
    let price = app.engine.settings().meter.price(&Task::new(
        0,
        "http://localhost/",
        spec.defaults.clone(),
    ));
    let answer = |status: &JobStatus| {
        let credits = status.job.total.map(|total| total.saturating_mul(price));
        let body = CreatedBody::new(status, credits, warnings.clone());
        Answer::new(StatusCode::ACCEPTED, &body).at(format!("/v1/jobs/{}", body.id))
    };
    let status = if turn.has_key() {
        let stored = |status: &JobStatus| {
            turn.stored(&answer(status)).unwrap_or_else(|| unreachable!("the turn has a key"))
        };
        let options = SubmitOptions { answer: Some(&stored), ..SubmitOptions::default() };
        workspace.submit_with(spec, options).await?
    } else {
        workspace.submit(spec).await?
    };
    Ok(turn.answered(answer(&status)))
}

/// The operator's own secret signs for all workspaces.
async fn sign_with(workspace: &Workspace, secret: &Secret) -> Result<(), ApiError> {
    workspace.rotate_secret(secret.clone()).await?;
    Ok(())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatusQuery {
    /// Wait up to so many seconds for a change of status or phase, 60 at most. With `If-None-Match`
    /// any change since that answer counts.
    #[param(maximum = 60)]
    wait: Option<u64>,
}

/// How far a job is.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "getJob",
    params(("id" = String, Path, description = "The job."), StatusQuery,
           ("If-None-Match" = Option<String>, Header, description = "The ETag of the answer before.")),
    responses(
        (status = 200, body = JobBody, description = "The job.",
         headers(("ETag" = String, description = "Changes whenever the job does."))),
        (status = 304, description = "The job is as it was."),
    ))]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    Reader(workspace): Reader,
    Id(id): Id<JobId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let StatusQuery { wait } = body::query(query.as_deref())?;
    let wait = wait.unwrap_or(0);
    if wait > MAX_WAIT_S {
        let message = format!("the query's parameter `wait`: at most {MAX_WAIT_S} seconds");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let status = workspace.status(&id).await?;
    let (body, tag) = shown(&app, status.clone());
    let is_news = headers.contains_key(header::IF_NONE_MATCH) && !is_known(&headers, &tag);
    if wait == 0 || status.is_terminal() || is_news {
        return Ok(tagged(&headers, body, tag));
    }
    let most = Duration::from_secs(wait);
    let later = tokio::select! {
        later = workspace.wait_for_change(&id, &status, most) => later?,
        () = app.closing.cancelled() => status,
    };
    let (body, tag) = shown(&app, later);
    Ok(tagged(&headers, body, tag))
}

pub(crate) fn job_body(app: &App, status: JobStatus) -> JobBody {
    JobBody::new(status, &app.links, app.engine.now(), app.limits().default_link_s)
}

/// A job's body, and the tag that tells it from others. Links that are made anew each time don't
/// count.
fn shown(app: &App, status: JobStatus) -> (Answer, ETag) {
    let fixed = status.job.created_at;
    let stable = JobBody::new(status.clone(), &app.links, fixed, app.limits().default_link_s);
    let digest = Sha256::digest(Answer::new(StatusCode::OK, &stable).body());
    let tag = tag(&data_encoding::HEXLOWER.encode(&digest[..12]));
    (Answer::new(StatusCode::OK, &job_body(app, status)), tag)
}

fn tagged(headers: &HeaderMap, body: Answer, tag: ETag) -> Response {
    if is_known(headers, &tag) {
        return unchanged(tag);
    }
    let mut response = body.into_response();
    response.headers_mut().typed_insert(tag);
    response
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Those in this state.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// Those with this name.
    name: Option<String>,
    /// Those made at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_after: Option<Timestamp>,
    /// Those made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
    /// How many, 20 unless said otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The workspace's jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "listJobs",
    params(ListQuery),
    responses((status = 200, body = Page<JobBody>, description = "A page of jobs.")))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Reader(workspace): Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query: ListQuery = body::query(query.as_deref())?;
    let limit = page_size(query.limit)?;
    let asked = JobQuery {
        status: query.status,
        name: query.name,
        created_after: query.created_after,
        created_before: query.created_before,
        before: query.cursor.as_deref().map(number_of).transpose()?,
        limit: limit + 1,
        ..JobQuery::default()
    };
    let jobs = workspace.list(&asked).await?;
    let page = Page::new(
        jobs,
        limit,
        |status| status.job.number,
        |status| job_body(&app, status).without_parts(),
    );
    Ok(Answer::new(StatusCode::OK, &page).into_response())
}

/// Stop a job.
///
/// Pages under way finish, the others get no record, what is done can be downloaded. A job that has
/// ended stays as it is.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "cancelJob",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, body = JobBody, description = "The job has ended, by this or before."),
        (status = 202, body = JobBody, description = "The job stops."),
    ))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    Id(id): Id<JobId>,
) -> Result<Response, ApiError> {
    let status = workspace.cancel(&id).await?;
    let code = if status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Answer::new(code, &job_body(&app, status)).into_response())
}

/// Try the URLs again that ended in an error.
///
/// Makes a new job over them alone; they keep their index, id, metadata and overrides.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retryJob",
    params(("id" = String, Path, description = "The job that has ended."),
           IdempotencyHeader),
    request_body(content = Option<RetryRequest>, description = "What is to be other than in the first job; may be left out."),
    responses((status = 202, body = CreatedBody, description = "The new job waits for its turn.",
               headers(("Location" = String, description = "The path of the new job.")))))]
pub(crate) async fn retry(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    Id(id): Id<JobId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let path = format!("/v1/jobs/{id}/retry");
    let (json, turn) = match posted(&app, &workspace, &path, &headers, body).await? {
        Posted::New(json, turn) => (json, turn),
        Posted::Known(answer) => return Ok(answer),
    };
    let bytes = json.bytes.clone();
    let (is_large, app) = (json.is_large(), Arc::clone(&app));
    let work = async move {
        let spec = workspace.retry_spec(&id, &bytes).await?;
        submit(&app, &workspace, spec, Vec::new(), turn).await
    };
    Box::pin(aside(is_large, work)).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ErroredParams {
    /// Those with one of these codes, separated by commas.
    code: Option<String>,
    /// Those of which another try may come out differently, or those of which it may not.
    retryable: Option<bool>,
    /// How many, 20 unless said otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The URLs that ended in an error, in the order of the input.
#[utoipa::path(get, path = "/v1/jobs/{id}/errors", tag = "jobs", operation_id = "listJobErrors",
    params(("id" = String, Path, description = "The job."), ErroredParams),
    responses((status = 200, body = Page<ErroredBody>, description = "A page of errors.")))]
pub(crate) async fn errors(
    Reader(workspace): Reader,
    Id(id): Id<JobId>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query: ErroredParams = body::query(query.as_deref())?;
    let limit = page_size(query.limit)?;
    let codes = query.code.as_deref().map(codes_of).transpose()?.unwrap_or_default();
    let asked = ErroredQuery {
        only: RetryFilter { codes, retryable: query.retryable },
        after: query.cursor.as_deref().map(number_of).transpose()?,
        limit: limit + 1,
        ..ErroredQuery::default()
    };
    let errored = workspace.errored(&id, &asked).await?;
    let page = Page::new(errored, limit, |errored| errored.index, ErroredBody::from);
    Ok(Answer::new(StatusCode::OK, &page).into_response())
}

fn codes_of(text: &str) -> Result<Vec<Code>, ApiError> {
    let codes = text.split(',').map(|code| code.trim().parse::<Code>());
    codes.collect::<Result<_, _>>().map_err(|error| {
        let message = format!("the query's parameter `code`: {error}");
        ApiError::new(ErrorCode::InvalidRequest, message)
    })
}

/// Where a result is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkBody {
    /// The file, or the list of its files. Needs no key.
    download_url: String,
    /// Until when the link is valid.
    #[schema(value_type = String, format = DateTime)]
    download_url_expires_at: Timestamp,
}

/// A new link to the result of a job that has ended.
#[utoipa::path(post, path = "/v1/jobs/{id}/download-url", tag = "jobs", operation_id = "createDownloadUrl",
    params(("id" = String, Path, description = "The job that has ended."),
           IdempotencyHeader),
    request_body(content = Option<LinkRequest>, description = "How long the link is to be valid; may be left out."),
    responses(
        (status = 200, body = LinkBody, description = "The link."),
    ))]
pub(crate) async fn download_url(
    State(app): State<Arc<App>>,
    Reader(workspace): Reader,
    Id(id): Id<JobId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let path = format!("/v1/jobs/{id}/download-url");
    let (json, turn) = match posted(&app, &workspace, &path, &headers, body).await? {
        Posted::New(json, turn) => (json, turn),
        Posted::Known(answer) => return Ok(answer),
    };
    let request = LinkRequest::read(&json.bytes)?;
    let limits = app.limits();
    let expires_in = request.expires_in_s.unwrap_or(limits.default_link_s);
    if !limits.link_s.contains(&expires_in) {
        let message = format!("must be {} to {}", limits.link_s.start(), limits.link_s.end());
        return Err(Refusal::at(RefusalCode::LimitExceeded, "expires_in_s", message).into());
    }
    let job = workspace.status(&id).await?.job;
    if !job.status.is_terminal() {
        let message = format!("job {id} is {}; wait for its end", job.status);
        return Err(ApiError::new(ErrorCode::JobNotFinished, message));
    }
    if job.output != OutputState::Kept {
        return Err(ApiError::new(
            ErrorCode::ResultExpired,
            format!("the result of {id} was erased"),
        ));
    }
    let wanted = app.engine.now().checked_add(SignedDuration::from_secs(expires_in as i64));
    let until = wanted.unwrap_or(Timestamp::MAX).min(job.expires_at.unwrap_or(Timestamp::MAX));
    let url = app.links.whole_url(&job, until);
    let url = url.ok_or_else(|| ApiError::not_found(format!("job {id} has no records")))?;
    let body = LinkBody { download_url: url, download_url_expires_at: until };
    turn.answer(Answer::new(StatusCode::OK, &body)).await
}

/// Erase the files of a job that has ended.
///
/// The job stays, and its failures can be tried again.
#[utoipa::path(delete, path = "/v1/jobs/{id}/output", tag = "jobs", operation_id = "deleteJobOutput",
    params(("id" = String, Path, description = "The job that has ended.")),
    responses((status = 200, body = JobBody, description = "The files are gone.")))]
pub(crate) async fn delete_output(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    Id(id): Id<JobId>,
) -> Result<Response, ApiError> {
    let status = workspace.delete_output(&id).await?;
    Ok(Answer::new(StatusCode::OK, &job_body(&app, status)).into_response())
}
