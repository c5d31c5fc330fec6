//! Brings due deliveries to their endpoints.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinSet, time::sleep};

use super::{Schedule, Secret, SignatureHeaders, check_headers};
use crate::{
    Clock, Courier, CourierAnswer, CourierError, CourierRequest, Error, Result,
    id::DeliveryId,
    spec::WebhookSpec,
    store::{Attempted, Delivery, DeliveryState, Store},
};

/// How many deliveries are under way at a time.
const MAX_IN_FLIGHT: usize = 64;
/// How many of them to one host, so that a slow one doesn't hold up the others.
const MAX_PER_HOST: usize = 4;
/// How many due deliveries are looked at, so that those of busy hosts don't hide the others.
const LOOK_AHEAD: usize = 512;
/// The longest sleep: a wall clock may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// How long to leave a store alone that has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The loop that empties the outbox. It owns no state that a restart would miss.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) clock: Clock,
    pub(crate) schedule: Schedule,
    /// What the vendor's headers begin with.
    pub(crate) vendor: String,
    /// Told when a delivery may have come up.
    pub(crate) news: Arc<Notify>,
}

/// What is under way, by id and host.
#[derive(Debug, Default)]
struct UnderWay {
    ids: HashSet<DeliveryId>,
    hosts: HashMap<String, usize>,
}

impl UnderWay {
    fn takes(&self, delivery: &Delivery) -> bool {
        let at_host = self.hosts.get(&delivery.host).copied().unwrap_or_default();
        self.ids.len() < MAX_IN_FLIGHT && at_host < MAX_PER_HOST && !self.ids.contains(&delivery.id)
    }

    fn add(&mut self, delivery: &Delivery) {
        self.ids.insert(delivery.id.clone());
        *self.hosts.entry(delivery.host.clone()).or_default() += 1;
    }

    fn remove(&mut self, id: &DeliveryId, host: &str) {
        self.ids.remove(id);
        if let Some(count) = self.hosts.get_mut(host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(host);
            }
        }
    }
}

impl Dispatcher {
    /// Runs until it is dropped; what is under way then is tried again by the next one.
    pub(crate) async fn run(self) {
        let mut under_way = UnderWay::default();
        let mut tries = JoinSet::new();
        loop {
            let wait = match self.start_due(&mut under_way, &mut tries).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "failed to read the outbox");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep(wait) => {}
                Some(ended) = tries.join_next() => if let Ok((id, host)) = ended {
                    under_way.remove(&id, &host);
                },
            }
        }
    }

    /// Starts what is due, and says how long there is nothing more to start.
    async fn start_due(
        &self,
        under_way: &mut UnderWay,
        tries: &mut JoinSet<(DeliveryId, String)>,
    ) -> Result<Duration> {
        let now = self.clock.now();
        for delivery in self.store.due(now, LOOK_AHEAD).await? {
            if under_way.takes(&delivery) {
                under_way.add(&delivery);
                tries.spawn(self.clone().attempt(delivery));
            }
        }
        if !under_way.ids.is_empty() {
            // Whatever ends makes room; what isn't due yet is looked for again by then.
            return Ok(Duration::from_secs(1));
        }
        let next = self.store.next_due().await?;
        let wait = next.map(|next| next.duration_since(now).try_into().unwrap_or_default());
        Ok(wait.unwrap_or(MAX_SLEEP).min(MAX_SLEEP))
    }

    /// Makes one try and notes what came of it. Never panics on what the endpoint does.
    async fn attempt(self, delivery: Delivery) -> (DeliveryId, String) {
        let outcome = self.deliver(&delivery).await;
        let attempted = self.judge(&delivery, outcome);
        if attempted.state == DeliveryState::Failed {
            tracing::warn!(delivery = %delivery.id, host = delivery.host, "webhook given up");
        }
        let outcome = match attempted.state {
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "given_up",
            DeliveryState::Pending => "failed",
        };
        metrics::counter!("harvestman_webhook_attempts_total", "outcome" => outcome).increment(1);
        if let Err(error) = self.store.attempted(&delivery.id, &attempted).await {
            tracing::error!(%error, delivery = %delivery.id, "failed to note a delivery");
            // It is due still: not at once again.
            sleep(AFTER_FAILURE).await;
        }
        (delivery.id, delivery.host)
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<CourierAnswer, Undelivered> {
        let job =
            self.store.job(&delivery.job).await.map_err(|error| Undelivered::later(&error))?;
        let webhook = job.and_then(|job| job.spec.webhook);
        let webhook = webhook.ok_or_else(|| Undelivered::never("the job is gone"))?;
        let secrets =
            self.secrets(delivery, &webhook).await.map_err(|error| Undelivered::later(&error))?;
        let headers = self
            .headers(delivery, &webhook, &secrets)
            .map_err(|error| Undelivered::later(&error))?;
        let body = Bytes::from(delivery.body.clone());
        let request = CourierRequest { url: webhook.url, headers, body };
        self.courier.deliver(request).await.map_err(|error| Undelivered::courier(&error))
    }

    /// The job's own secret, or the workspace's current one and, while it is rotated, the old one.
    async fn secrets(&self, delivery: &Delivery, webhook: &WebhookSpec) -> Result<Vec<Secret>> {
        if let Some(secret) = &webhook.secret {
            let secret = Secret::parse(secret);
            return secret
                .map(|secret| vec![secret])
                .map_err(|error| Error::invalid("webhook.secret", error));
        }
        let Some(workspace) = self.store.workspace(&delivery.workspace).await? else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let old = workspace.old_secret.filter(|(_, until)| *until > now);
        Ok([workspace.secret].into_iter().chain(old.map(|(secret, _)| secret)).collect())
    }

    fn headers(
        &self,
        delivery: &Delivery,
        webhook: &WebhookSpec,
        secrets: &[Secret],
    ) -> Result<HeaderMap> {
        let mut headers = check_headers(&webhook.headers)
            .map_err(|error| Error::invalid("webhook.headers", error))?;
        let signature = SignatureHeaders {
            vendor: &self.vendor,
            event: &delivery.kind,
            event_id: delivery.event.as_str(),
            delivery_id: delivery.id.as_str(),
            timestamp: self.clock.now().as_second(),
        };
        headers.extend(signature.sign(secrets, delivery.body.as_bytes())?);
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        Ok(headers)
    }

    fn judge(&self, delivery: &Delivery, outcome: Result<CourierAnswer, Undelivered>) -> Attempted {
        let now = self.clock.now();
        let settled = |state, http_status| Attempted {
            at: now,
            state,
            next_at: None,
            http_status,
            error: None,
        };
        let (undelivered, http_status) = match outcome {
            Ok(answer) if (200..300).contains(&answer.status) => {
                return settled(DeliveryState::Delivered, Some(answer.status));
            }
            Ok(answer) => {
                let status = answer.status;
                (Undelivered::answered(&answer), Some(status))
            }
            Err(undelivered) => (undelivered, None),
        };
        let tried = delivery.attempts - delivery.attempts_before + 1;
        let next_at = self.next(&undelivered, tried, now);
        let state = if next_at.is_some() { DeliveryState::Pending } else { DeliveryState::Failed };
        let error = Some(undelivered.message);
        Attempted { next_at, error, ..settled(state, http_status) }
    }

    fn next(&self, undelivered: &Undelivered, tried: u32, now: Timestamp) -> Option<Timestamp> {
        if undelivered.is_final {
            return None;
        }
        self.schedule.next(tried, now, undelivered.retry_after)
    }
}

/// Why a try came to nothing.
struct Undelivered {
    message: String,
    is_final: bool,
    retry_after: Option<Duration>,
}

impl Undelivered {
    fn never(message: &str) -> Self {
        Self { message: message.to_owned(), is_final: true, retry_after: None }
    }

    fn later(error: &Error) -> Self {
        Self { message: error.to_string(), is_final: false, retry_after: None }
    }

    fn courier(error: &CourierError) -> Self {
        let message = format!("{}: {}", error.code, error.message);
        Self { message, is_final: false, retry_after: None }
    }

    /// 410 says that there is nobody any more, by the Standard Webhooks specification.
    fn answered(answer: &CourierAnswer) -> Self {
        let message = format!("answered {}: {}", answer.status, answer.excerpt);
        Self { message, is_final: answer.status == 410, retry_after: answer.retry_after }
    }
}
