//! The suites of an engine's store.

mod idempotency;
mod keys;
mod outbox;
mod queue;
mod uploads;

use jiff::{SignedDuration, Timestamp};

pub use self::{
    idempotency::idempotency_conformance, keys::keys_conformance, outbox::outbox_conformance,
    queue::jobs_conformance, uploads::uploads_conformance,
};
use crate::{
    JobSpec,
    id::{DeliveryId, EventId, JobId},
    spec::Input,
    store::{NewDelivery, NewEvent, NewJob},
};

/// A moment in seconds after the one that all suites begin at.
fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-05-12T22:00:00Z".parse().unwrap();
    begin.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// A job of a workspace, over a list of one URL.
fn new_job(workspace: &str, created_at: Timestamp) -> NewJob {
    NewJob {
        id: JobId::random(),
        workspace: workspace.to_owned(),
        spec: JobSpec::new(Input::Urls(Vec::new())).with_name("suite"),
        urls: vec!["https://a.test/".into()],
        total: Some(1),
        created_at,
        answer: None,
    }
}

fn new_event(created_at: Timestamp, host: Option<&str>) -> NewEvent {
    NewEvent {
        id: EventId::random(),
        kind: "job.completed".to_owned(),
        body: r#"{"event":"job.completed"}"#.to_owned(),
        created_at,
        delivery: host.map(|host| NewDelivery { id: DeliveryId::random(), host: host.to_owned() }),
    }
}
