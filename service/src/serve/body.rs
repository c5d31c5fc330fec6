//! Reads what a client sends: bounded in size and in time, with errors in the envelope.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{HeaderMap, header};
use http_body::Body as _;
use serde::de::DeserializeOwned;
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, timeout, timeout_at},
};

use super::{
    app::App,
    error::{ApiError, ErrorCode},
};

/// A body of more bytes than this is large.
const LARGE_BYTES: usize = 64 * 1024;
/// How many bytes of a refused body are read on, so that the client gets to read why.
const MAX_DRAINED_BYTES: usize = 64 * 1024 * 1024;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// The least speed of an upload: what is slower holds a place for nothing.
const MIN_BYTES_PER_S: u64 = 16 * 1024;

/// A JSON body that was read whole.
pub(crate) struct Json<'a> {
    pub(crate) bytes: Bytes,
    /// Held for as long as what was read from it is in memory.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Json<'_> {
    /// Whether it takes long enough to read to be read on a thread of its own.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() > LARGE_BYTES
    }
}

/// Reads a whole JSON body. Its bytes are checked by whoever reads them.
pub(crate) async fn json<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<'a>, ApiError> {
    check_json(headers)?;
    let (most, time) = (app.limits().body_bytes, app.client_timeout);
    let mut body = body.into_data_stream();
    if length(headers).is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    let end = Instant::now() + time;
    let mut permit = None;
    let mut read = BytesMut::new();
    while let Some(chunk) = timeout_at(end, body.next()).await.map_err(|_| late())? {
        let chunk = chunk.map_err(|_| broken())?;
        if read.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        read.extend_from_slice(&chunk);
        if read.len() > LARGE_BYTES && permit.is_none() {
            let place = timeout_at(end, app.large_bodies.acquire()).await;
            permit = Some(place.map_err(|_| busy())?.map_err(|_| busy())?);
        }
    }
    Ok(Json { bytes: read.freeze(), _permit: permit })
}

/// A body as it comes, and what became of it.
pub(crate) struct Incoming {
    pub(crate) pieces: BoxStream<'static, io::Result<Bytes>>,
    pub(crate) fate: Fate,
}

/// Why a body did not come in whole, as soon as that is known: whoever reads it only sees that it
/// ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(Arc<OnceLock<ApiError>>);

impl Fate {
    /// Notes why, and gives what a reader is to see.
    pub(crate) fn seal(&self, error: ApiError) -> io::Error {
        let _ = self.0.set(error);
        io::ErrorKind::UnexpectedEof.into()
    }

    pub(crate) fn get(&self) -> Option<ApiError> {
        self.0.get().cloned()
    }
}

/// A body that is read as it comes: each piece within `time` after the one before, and all of it
/// not slower than [`MIN_BYTES_PER_S`] after that.
pub(crate) fn stream(body: Body, time: Duration) -> Incoming {
    let fate = Fate::default();
    let began = Instant::now();
    let state = (body.into_data_stream(), fate.clone(), 0_u64);
    let pieces = futures::stream::unfold(state, move |(mut body, fate, mut bytes)| async move {
        let end = began + time + Duration::from_secs(bytes / MIN_BYTES_PER_S);
        let end = end.min(Instant::now() + time);
        let piece = match timeout_at(end, body.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(piece))) => {
                bytes += piece.len() as u64;
                Ok(piece)
            }
            Ok(Some(Err(_))) => Err(fate.seal(broken())),
            Err(_) => Err(fate.seal(late())),
        };
        Some((piece, (body, fate, bytes)))
    });
    Incoming { pieces: pieces.boxed(), fate }
}

/// The query of a request; an unknown or wrong parameter is named.
pub(crate) fn query<T: DeserializeOwned>(query: Option<&str>) -> Result<T, ApiError> {
    let parameters = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(parameters);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { String::new() } else { format!(" `{path}`") };
        let message = format!("the query's parameter{at}: {}", error.into_inner());
        ApiError::new(ErrorCode::InvalidRequest, message)
    })
}

/// The media type of the body, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// How the body is packed, in lower case; `None` if it isn't, or if nothing is said.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?;
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    Some(text).filter(|text| text != "identity")
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(encoding) = encoding(headers) {
        let message = format!("a JSON body may not be packed ({encoding:.40}); send it as it is");
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    let media = media_type(headers);
    let has_body = length(headers) != Some(0)
        && (headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING));
    match media.as_deref() {
        Some("application/json") => Ok(()),
        None if !has_body => Ok(()),
        _ => {
            let message = "send the body with `Content-Type: application/json`";
            Err(ApiError::new(ErrorCode::UnsupportedMediaType, message))
        }
    }
}

fn too_large(most: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("the body is larger than {most} bytes"))
}

fn late() -> ApiError {
    ApiError::new(ErrorCode::RequestTimeout, "the body did not come in time")
}

fn busy() -> ApiError {
    let message = "too many large bodies are under way; try again later";
    ApiError::new(ErrorCode::Overloaded, message).with_retry_after(5)
}

fn broken() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "the body broke off")
}

/// A body that is read on for a while when nobody wants the rest of it: a connection that is closed
/// over unread bytes takes the answer with it.
pub(crate) fn drained(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::from_stream(Draining(Some(body.into_data_stream())))
}

struct Draining(Option<BodyDataStream>);

impl Stream for Draining {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let piece = ready!(body.poll_next_unpin(cx));
        if !matches!(piece, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(piece)
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let Some(body) = self.0.take() {
            tokio::spawn(timeout(DRAIN_TIME, drain(body)));
        }
    }
}

async fn drain(mut body: BodyDataStream) {
    let mut drained = 0;
    while let Some(Ok(piece)) = body.next().await {
        drained += piece.len();
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}
