//! What happens to a job, as the service tells it: server-sent events over one connection after the
//! other.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use reqwest::{Method, Response, header};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};
use tokio::time::timeout;

use super::{
    api::{Api, Failed},
    failure::Failure,
};

/// How long a stream may be silent. A service says every 15 s that it is there.
const SILENCE: Duration = Duration::from_secs(60);
/// The most bytes of one event.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
/// How often in a row a stream may fail before something else is tried.
const MAX_FAILURES: u32 = 3;
/// How long to wait before a new connection when the service doesn't say,
const PAUSE: Duration = Duration::from_secs(2);
/// and at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The events of a job, in their order.
pub(crate) struct Events<'a> {
    api: &'a Api,
    id: &'a str,
    last_id: Option<String>,
    pause: Duration,
    failures: u32,
    open: Option<BoxStream<'static, Result<Sse, String>>>,
}

/// An event that has a name and data.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl<'a> Events<'a> {
    pub(crate) fn new(api: &'a Api, id: &'a str) -> Self {
        Self { api, id, last_id: None, pause: PAUSE, failures: 0, open: None }
    }

    /// The next event; `None` if there is no stream to be had: polling will show why.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let failed = match self.read().await {
                Ok(Some(event)) => {
                    self.failures = 0;
                    return Some(event);
                }
                Ok(None) => Failed::passing("the stream of events ended early".to_owned()),
                Err(failed) => failed,
            };
            self.open = None;
            self.failures += 1;
            if self.failures >= MAX_FAILURES || !failed.may_pass {
                tracing::info!("no stream of events: {}", failed.failure);
                return None;
            }
            tokio::time::sleep(self.pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// The next event of the open connection; `None` at its end.
    async fn read(&mut self) -> Result<Option<Event>, Failed> {
        let stream = match &mut self.open {
            Some(stream) => stream,
            none => none.insert(connect(self.api, self.id, self.last_id.as_deref()).await?),
        };
        while let Some(sse) = stream.next().await {
            let sse = sse.map_err(Failed::passing)?;
            if sse.id.is_some() {
                self.last_id = sse.id;
            }
            if let Some(retry) = sse.retry {
                self.pause = Duration::from_millis(retry);
            }
            if let (Some(name), Some(data)) = (sse.event, sse.data) {
                let data = serde_json::from_str(&data);
                let data =
                    data.map_err(|error| Failed::passing(format!("event {name}: {error}")))?;
                return Ok(Some(Event { name, data }));
            }
        }
        Ok(None)
    }
}

async fn connect(
    api: &Api,
    id: &str,
    last_id: Option<&str>,
) -> Result<BoxStream<'static, Result<Sse, String>>, Failed> {
    let mut request = api.request(Method::GET, &["v1", "jobs", id, "events"], &[]);
    request = request.header(header::ACCEPT, "text/event-stream");
    if let Some(last_id) = last_id {
        request = request.header("Last-Event-ID", last_id);
    }
    let sent = timeout(SILENCE, request.send()).await;
    let response = sent.map_err(|_| Failed::passing("no answer in time".to_owned()))??;
    let status = response.status();
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    // A service with too many streams says so; it can still be polled.
    if !status.is_success() || !media.is_some_and(|media| media.starts_with("text/event-stream")) {
        let message = format!("the service answers {status} without a stream of events");
        return Err(Failed::lasting(Failure::Unreachable(message)));
    }
    Ok(parse(response))
}

fn parse(response: Response) -> BoxStream<'static, Result<Sse, String>> {
    let pending = Arc::new(AtomicUsize::new(0));
    let events = SseByteStream::new(bounded(response, Arc::clone(&pending)).boxed());
    let events = events.map(move |event| {
        pending.store(0, Ordering::Relaxed);
        event.map_err(|error| error.to_string())
    });
    events.boxed()
}

/// The bytes of an answer; an error when they stay away, or make no event.
fn bounded(
    response: Response,
    pending: Arc<AtomicUsize>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::unfold(Some(response), move |response| {
        let pending = Arc::clone(&pending);
        async move {
            let mut response = response?;
            match timeout(SILENCE, response.chunk()).await {
                Ok(Ok(None)) => None,
                Ok(Ok(Some(chunk))) => {
                    let bytes = pending.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
                    if bytes > MAX_EVENT_BYTES {
                        return Some((Err(io::ErrorKind::FileTooLarge.into()), None));
                    }
                    Some((Ok(chunk), Some(response)))
                }
                Ok(Err(error)) => Some((Err(io::Error::other(error.without_url())), None)),
                Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
            }
        }
    })
}
