//! `harvestman jobs watch`: a job is followed until its end.

use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    Outcome,
    api::Api,
    bar::show_job,
    events::Events,
    failure::Failure,
    job::Seen,
    show::{Output, describe},
};

/// How long a poll asks the service to wait for a change, in seconds.
const WAIT_S: &str = "30";
/// How far apart polls are at least, since a job at work changes all the time.
const POLL_PAUSE: Duration = Duration::from_secs(1);

/// Follows a job by its events, or else by polling, and shows its end.
pub(crate) async fn watch(api: &Api, id: &str, output: &Output) -> Result<Outcome, Failure> {
    let seen = follow(api, id, output).await?;
    output.note(describe(&seen.job).trim_end());
    Ok(seen.job.outcome())
}

/// The job at its end.
pub(crate) async fn follow(api: &Api, id: &str, output: &Output) -> Result<Seen, Failure> {
    let bar = output.bar();
    let ended = match by_events(api, id, output, &bar).await {
        Ok(None) => by_polls(api, id, output, &bar).await,
        Ok(Some(seen)) => Ok(seen),
        Err(failure) => Err(failure),
    };
    bar.finish_and_clear();
    ended
}

/// The job at its end; `None` if the service has no events to give.
async fn by_events(
    api: &Api,
    id: &str,
    output: &Output,
    bar: &ProgressBar,
) -> Result<Option<Seen>, Failure> {
    let mut events = Events::new(api, id);
    while let Some(event) = events.next().await {
        output.event(&json!({"event": event.name, "data": event.data}));
        match event.name.as_str() {
            "progress" => show_job(bar, &Seen::new(event.data)?.job),
            "terminal" => return Seen::new(event.data).map(Some),
            // Parts, and what there may come to be.
            _ => {}
        }
    }
    Ok(None)
}

async fn by_polls(
    api: &Api,
    id: &str,
    output: &Output,
    bar: &ProgressBar,
) -> Result<Seen, Failure> {
    let mut known = None;
    loop {
        let next = Instant::now() + POLL_PAUSE;
        let build = || {
            let request = api.request(Method::GET, &["v1", "jobs", id], &[("wait", WAIT_S)]);
            match &known {
                Some(etag) => request.header(header::IF_NONE_MATCH, etag),
                None => request,
            }
        };
        let answer = api.answer(build).await?;
        if answer.status != 304 {
            let seen = Seen::of(&answer)?;
            let name = if seen.job.has_ended() { "terminal" } else { "progress" };
            output.event(&event(name, &seen.raw));
            if seen.job.has_ended() {
                return Ok(seen);
            }
            show_job(bar, &seen.job);
            known = answer.etag;
        }
        sleep_until(next).await;
    }
}

/// A poll's answer in the form of an event, so that programs need not know how it came.
fn event(name: &str, job: &Value) -> Value {
    json!({"event": name, "data": job})
}
