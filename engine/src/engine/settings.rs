//! Limits, prices and retention of an engine.

use std::{sync::Arc, time::Duration};

use crate::{Free, Meter, RetryPolicy, SharedLimits, spec::Limits, webhook::Schedule};

/// The settings of an [`Engine`](crate::Engine); each has a default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineSettings {
    /// What may be asked of it.
    pub limits: Limits,
    /// How many jobs run side by side; 64. Their slots, pages and hosts are [`shared`](Self::shared).
    pub max_running: usize,
    /// What the running jobs have in common.
    pub shared: SharedLimits,
    /// Which failures are tried again and when, for tasks that don't say themselves.
    pub retry: RetryPolicy,
    /// What a record costs; nothing by default.
    pub meter: Arc<dyn Meter>,
    /// How long things are kept.
    pub retention: Retention,
    /// When a webhook is tried again.
    pub webhook_schedule: Schedule,
    /// What the vendor's webhook headers begin with; `X-Hypedata`.
    pub vendor_header: String,
    /// How long stopping waits for the pages under way; 30 s.
    pub shutdown_grace: Duration,
}

/// How long things are kept after their end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// The files of an output; 30 days.
    pub outputs: Duration,
    /// An upload, or as long as a job needs it; 7 days.
    pub uploads: Duration,
    /// A job without its output, with its failures to retry; 90 days.
    pub jobs: Duration,
    /// Events and their deliveries; 30 days.
    pub deliveries: Duration,
    /// Answers to idempotency keys; 24 hours.
    pub answers: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(24 * days);
        Self {
            outputs: days(30),
            uploads: days(7),
            jobs: days(90),
            deliveries: days(30),
            answers: days(1),
        }
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_running: 64,
            shared: SharedLimits::default(),
            retry: RetryPolicy::default(),
            meter: Arc::new(Free),
            retention: Retention::default(),
            webhook_schedule: Schedule::default(),
            vendor_header: "X-Hypedata".to_owned(),
            shutdown_grace: Duration::from_secs(30),
        }
    }
}
