//! What is told of a job's end.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    StopReason,
    id::{DeliveryId, EventId, JobId},
    spec::WebhookEvent,
    store::{JobEntry, NewDelivery, NewEvent, Status},
};

/// The body of an event, in the contract's form.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    event: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    id: EventId,
    created_at: Timestamp,
    data: EventData<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct EventData<'a> {
    job_id: &'a JobId,
    name: Option<&'a str>,
    status: Status,
    status_reason: Option<StopReason>,
    urls_total: Option<u64>,
    urls_ok: u64,
    urls_failed: u64,
    urls_skipped: Option<u64>,
    credits_used: u64,
    download_url: Option<&'a str>,
    download_url_expires_at: Option<Timestamp>,
    metadata: Option<&'a Map<String, Value>>,
}

impl<'a> Event<'a> {
    /// The event of a job that is about to end as `job` says, at its `finished_at`. `link` leads to
    /// the result.
    pub fn of(job: &'a JobEntry, link: Option<(&'a str, Timestamp)>) -> Self {
        let kind = event_of(job.status).as_str();
        Self {
            event: kind,
            kind,
            id: EventId::random(),
            created_at: job.finished_at.unwrap_or(job.created_at),
            data: EventData {
                job_id: &job.id,
                name: job.spec.name.as_deref(),
                status: job.status,
                status_reason: job.reason,
                urls_total: job.total,
                urls_ok: job.counters.ok,
                urls_failed: job.counters.errored(),
                urls_skipped: job.skipped(),
                credits_used: job.counters.credits,
                download_url: link.map(|(url, _)| url),
                download_url_expires_at: link.map(|(_, expires_at)| expires_at),
                metadata: job.spec.metadata.as_ref(),
            },
        }
    }

    /// The event as it is kept, with a delivery if the job's endpoint wants to be told.
    pub fn into_outbox(self, job: &JobEntry) -> crate::Result<NewEvent> {
        let body =
            serde_json::to_string(&self).map_err(|error| crate::Error::part("webhook", error))?;
        let webhook = job.spec.webhook.as_ref();
        let webhook = webhook.filter(|hook| hook.events.contains(&event_of(job.status)));
        let delivery = webhook.map(|webhook| NewDelivery {
            id: DeliveryId::random(),
            host: webhook.url.host_str().unwrap_or_default().to_owned(),
        });
        Ok(NewEvent {
            id: self.id,
            kind: self.kind.to_owned(),
            body,
            created_at: self.created_at,
            delivery,
        })
    }
}

fn event_of(status: Status) -> WebhookEvent {
    match status {
        Status::Completed => WebhookEvent::Completed,
        Status::Failed => WebhookEvent::Failed,
        _ => WebhookEvent::Cancelled,
    }
}
