//! Results, by signed links: whole, in ranges, and lists of their files.

use std::{
    ops::{Bound, RangeInclusive},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{self, RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use harvestman::{
    Part,
    id::JobId,
    store::{JobEntry, OutputState},
};
use headers::{AcceptRanges, ContentLength, ContentRange, ETag, HeaderMapExt, IfRange, Range};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::{
    app::App,
    body,
    error::{ApiError, ErrorCode},
    etag::{is_known, tag, unchanged},
    links::{MANIFEST, Signature, file_name},
    wire::PartBody,
};

/// The files of a result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManifestBody {
    /// The job.
    job_id: String,
    /// How it ended.
    status: String,
    /// ndjson, csv or parquet.
    format: String,
    /// How many records there are.
    rows: u64,
    /// How many bytes, as they are stored.
    bytes: u64,
    /// The files, in the order in which they were written.
    parts: Vec<PartBody>,
}

/// A file of a result, or the list of its files (`manifest.json`), by a signed link.
///
/// Needs no key. Ranges make interrupted downloads resumable.
#[utoipa::path(get, path = "/v1/exports/{job_id}/{file}", tag = "exports", operation_id = "download",
    security(()),
    params(("job_id" = String, Path, description = "The job."),
           ("file" = String, Path, description = "The file."),
           ("expires" = Option<i64>, Query, description = "Until when the link is valid, in seconds since 1970."),
           ("key" = Option<String>, Query, description = "What it was signed with."),
           ("sig" = Option<String>, Query, description = "The signature."),
           ("Range" = Option<String>, Header, description = "One range of bytes."),
           ("If-Range" = Option<String>, Header, description = "The ETag that the range belongs to.")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = String, description = "The file."),
        (status = 206, content_type = "application/octet-stream", body = String, description = "A range of the file."),
        (status = 304, description = "The file is as it was."),
        (status = 307, description = "The file is at the address of the Location header for some minutes; come back here for a rest. Only where the service leaves downloads to its storage."),
        (status = 410, body = crate::serve::error::ErrorBody, description = "The result was erased."),
        (status = 416, body = crate::serve::error::ErrorBody, description = "The file has no such range."),
    ))]
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    path: Result<extract::Path<(String, String)>, axum::extract::rejection::PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
    mut headers: HeaderMap,
) -> Result<Response, ApiError> {
    if method == Method::HEAD {
        // Ranges are defined for GET only.
        headers.remove(header::RANGE);
    }
    let forged = || ApiError::new(ErrorCode::LinkInvalid, "this link was not made by this service");
    let extract::Path((id, file)) = path.map_err(|_| forged())?;
    let said: Signature = body::query(query.as_deref()).map_err(|_| forged())?;
    let until = app.links.check(&id, &file, &said, app.engine.now())?;
    let id: JobId = id.parse().map_err(|_| forged())?;
    let gone = || ApiError::new(ErrorCode::ResultExpired, format!("the result of {id} was erased"));
    let job = app.engine.store().job(&id).await?.ok_or_else(gone)?;
    if job.output != OutputState::Kept {
        return Err(gone());
    }
    if file == MANIFEST {
        return Ok(manifest(&app, &job, until, &headers));
    }
    let part = job.parts.iter().find(|part| file_name(&part.location) == file);
    let part =
        part.ok_or_else(|| ApiError::not_found(format!("job {id} has no file of this name")))?;
    if method == Method::GET
        && let Some(url) = app.results.redirect(part).await?
    {
        return Ok(Redirect::temporary(url.as_str()).into_response());
    }
    send(&app, &job, part, &method, &headers).await
}

fn manifest(app: &App, job: &JobEntry, until: Timestamp, headers: &HeaderMap) -> Response {
    let parts = job.parts.iter();
    let url = |part: &Part| app.links.part_url(&job.id, &job.spec.output, part, until);
    let parts = parts.map(|part| PartBody::new(part, Some(url(part))));
    let body = ManifestBody {
        job_id: job.id.to_string(),
        status: job.status.to_string(),
        format: format_of(job).to_owned(),
        rows: job.parts.iter().map(|part| part.rows).sum(),
        bytes: job.parts.iter().map(|part| part.bytes).sum(),
        parts: parts.collect(),
    };
    let text = serde_json::to_vec(&body).unwrap_or_default();
    let tag = tag(&format!("{}-{}-{}", job.id, job.parts.len(), until.as_second()));
    if is_known(headers, &tag) {
        return unchanged(tag);
    }
    let mut response = Body::from(text).into_response();
    describe(&mut response, "application/json", &format!("{}-{MANIFEST}", name_of(job)), tag);
    response
}

async fn send(
    app: &App,
    job: &JobEntry,
    part: &Part,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let file = file_name(&part.location);
    let tag = tag(part.sha256.as_deref().unwrap_or(&format!("{}-{file}-{}", job.id, part.bytes)));
    if is_known(headers, &tag) {
        return Ok(unchanged(tag));
    }
    let range = wanted(headers, &tag, part.bytes)?;
    let (first, count) = match &range {
        Some(range) => (*range.start(), range.end() - range.start() + 1),
        None => (0, part.bytes),
    };
    // Without a body, one byte tells whether the file is there.
    let read = if method == Method::HEAD { count.min(1) } else { count };
    let body = app.results.read(&job.id, part, first, read).await?;
    let mut response = body.into_response();
    let name = match job.parts.len() {
        1 => file.replacen("part-00000", &name_of(job), 1),
        _ => format!("{}-{file}", name_of(job)),
    };
    describe(&mut response, media_of(&file), &name, tag);
    response.headers_mut().typed_insert(ContentLength(count));
    response.headers_mut().typed_insert(AcceptRanges::bytes());
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        if let Ok(range) = ContentRange::bytes(range, part.bytes) {
            response.headers_mut().typed_insert(range);
        }
    }
    Ok(response)
}

/// The range that is asked for, if it is one and belongs to this file; several are answered whole.
fn wanted(
    headers: &HeaderMap,
    tag: &ETag,
    size: u64,
) -> Result<Option<RangeInclusive<u64>>, ApiError> {
    let is_range = |value: &HeaderValue| value.to_str().is_ok_and(is_range);
    if !headers.get(header::RANGE).is_some_and(is_range) {
        return Ok(None);
    }
    let Some(range) = headers.typed_get::<Range>() else { return Ok(None) };
    let other = headers.typed_get::<IfRange>();
    if other.is_some_and(|known| known.is_modified(Some(tag), None)) {
        return Ok(None);
    }
    let mut ranges = range.satisfiable_ranges(size).filter_map(|range| within(range, size));
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => Ok(Some(range)),
        (Some(_), Some(_)) => Ok(None),
        (None, _) => {
            let message = format!("the file has {size} bytes");
            let whole = HeaderValue::try_from(format!("bytes */{size}"));
            let error = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
            Err(whole
                .map_or(error.clone(), |whole| error.with_header(header::CONTENT_RANGE, whole)))
        }
    }
}

/// Whether a header asks for ranges at all; what is none has to be ignored (RFC 9110, 14.2).
fn is_range(text: &str) -> bool {
    let Some(ranges) = text.strip_prefix("bytes=") else { return false };
    ranges.split(',').all(|range| {
        let Some((first, last)) = range.trim().split_once('-') else { return false };
        let number = |text: &str| text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit());
        let in_order = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => !first.is_empty() || !last.is_empty(),
        };
        number(first) && number(last) && in_order
    })
}

fn within((start, end): (Bound<u64>, Bound<u64>), size: u64) -> Option<RangeInclusive<u64>> {
    let first = match start {
        Bound::Included(first) => first,
        Bound::Excluded(before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let last = match end {
        Bound::Included(last) => last.min(size.checked_sub(1)?),
        Bound::Excluded(behind) => behind.min(size).checked_sub(1)?,
        Bound::Unbounded => size.checked_sub(1)?,
    };
    (first <= last).then_some(first..=last)
}

fn describe(response: &mut Response, media: &'static str, name: &str, tag: ETag) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=0"));
    // A page of somebody else's is never run here, whatever a browser makes of it.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.typed_insert(tag);
}

/// The name of the downloaded file: the job's own, as far as it can stand in a file's name.
fn name_of(job: &JobEntry) -> String {
    let name = job.spec.name.as_deref().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = name.chars().take(80).map(plain).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { job.id.to_string() } else { name.to_owned() }
}

fn format_of(job: &JobEntry) -> &'static str {
    match job.spec.output.format {
        harvestman::spec::OutputFormat::Csv => "csv",
        harvestman::spec::OutputFormat::Parquet => "parquet",
        _ => "ndjson",
    }
}

fn media_of(file: &str) -> &'static str {
    match file.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
        "ndjson" => "application/x-ndjson",
        "csv" => "text/csv; charset=utf-8",
        "parquet" => "application/vnd.apache.parquet",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str, size: u64) -> Result<Option<RangeInclusive<u64>>, ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::try_from(range).unwrap());
        wanted(&headers, &tag("a"), size).map_err(|error| error.code)
    }

    #[test]
    fn one_range_is_served_and_what_is_none_is_refused() {
        assert_eq!(ask("bytes=0-4", 10), Ok(Some(0..=4)));
        assert_eq!(ask("bytes=4-", 10), Ok(Some(4..=9)));
        assert_eq!(ask("bytes=4-400", 10), Ok(Some(4..=9)));
        assert_eq!(ask("bytes=-3", 10), Ok(Some(7..=9)));
        assert_eq!(ask("bytes=0-1,4-5", 10), Ok(None));
        for no_range in ["bytes=abc", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=1"] {
            assert_eq!(ask(no_range, 10), Ok(None), "{no_range}");
        }
        assert_eq!(ask("bytes=10-", 10), Err(ErrorCode::RangeNotSatisfiable));
        assert_eq!(ask("bytes=0-", 0), Err(ErrorCode::RangeNotSatisfiable));
    }

    #[test]
    fn a_range_of_another_file_is_answered_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-4"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"a\""));
        assert_eq!(wanted(&headers, &tag("a"), 10).unwrap(), Some(0..=4));
        assert_eq!(wanted(&headers, &tag("b"), 10).unwrap(), None);
    }
}
