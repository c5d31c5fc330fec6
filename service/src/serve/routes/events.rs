//! A job's events as they happen.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt};
use harvestman::{engine::JobEvent, id::JobId, spec::OutputSpec};
use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Id, jobs::job_body};
use crate::serve::{
    app::App,
    auth::{Caller, Reader},
    error::ApiError,
    places::Place,
    wire::{JobBody, PartBody},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a silent stream says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After how long a client that lost the stream should come back.
const RETRY: Duration = Duration::from_secs(2);

/// What happens to a job, as server-sent events.
///
/// `progress` (the job), `part` (a file that is complete), `terminal` (the job; the last one). The
/// present state comes first. With `Last-Event-ID` parts that were told before are left out.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", operation_id = "watchJob",
    params(("id" = String, Path, description = "The job."),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came.")),
    responses((status = 200, content_type = "text/event-stream", body = String,
               description = "Events until the job's end.")))]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Reader(workspace): Reader,
    Id(id): Id<JobId>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let known = known.and_then(|id| id.split_once('-')?.0.parse::<usize>().ok()).unwrap_or(0);
    let place = app.event_streams.take(workspace.name())?;
    let events = workspace.events(&id).await?;
    let output = workspace.status(&id).await?.job.spec.output;
    let told = Told { app: Arc::clone(&app), id, output, parts: 0, _place: place };
    let closing = app.closing.clone();
    let over = async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = caller.locked_out(app) => {}
        }
    };
    let stream = told.over(events, known).take_until(Box::pin(over));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// What was told of a job so far.
struct Told {
    app: Arc<App>,
    id: JobId,
    /// Where its parts go, and how long links to them are valid.
    output: OutputSpec,
    parts: usize,
    _place: Place,
}

impl Told {
    fn over(
        mut self,
        events: impl Stream<Item = JobEvent> + Send + 'static,
        known: usize,
    ) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let events = events.filter_map(move |event| {
            let told = self.tell(event).filter(|(is_part, _)| !is_part || self.parts > known);
            std::future::ready(told.map(|(_, event)| Ok(event)))
        });
        events.boxed()
    }

    /// An event in its form, and whether it tells of a part.
    fn tell(&mut self, event: JobEvent) -> Option<(bool, Event)> {
        let (is_part, name, done, body) = match event {
            JobEvent::Part(part) => {
                self.parts += 1;
                (true, "part", 0, Self::json(&self.part(&part)))
            }
            JobEvent::Progress(status) => {
                let done = status.job.counters.done();
                (false, "progress", done, Self::json(&self.job(status)))
            }
            JobEvent::Ended(status) => {
                let done = status.job.counters.done();
                (false, "terminal", done, Self::json(&self.job(status)))
            }
            _ => return None,
        };
        let id = format!("{}-{done}", self.parts);
        Some((is_part, Event::default().event(name).id(id).retry(RETRY).data(body)))
    }

    fn json(body: &impl Serialize) -> String {
        serde_json::to_string(body).unwrap_or_default()
    }

    fn job(&self, status: harvestman::engine::JobStatus) -> JobBody {
        job_body(&self.app, status).without_parts()
    }

    fn part(&self, part: &harvestman::Part) -> PartBody {
        let expires_in = self.output.expires_in_s.unwrap_or(self.app.limits().default_link_s);
        let until = self.app.engine.now().checked_add(SignedDuration::from_secs(expires_in as i64));
        let until = until.unwrap_or(Timestamp::MAX);
        let url = self.app.links.part_url(&self.id, &self.output, part, until);
        PartBody::new(part, Some(url))
    }
}
