//! One attempt at one task: fetch, extract, within the deadline, whatever a plugin does.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::hosts::{HostKey, Pending};
use crate::{
    Code, Extractor, FetchError, Fetcher, Fields, Task,
    budget::{Hold, PageBudget},
    error::panic_message,
};

/// What an attempt needs of the job.
#[derive(Clone, Debug)]
pub(crate) struct Plugins {
    pub(crate) fetcher: Arc<dyn Fetcher>,
    pub(crate) extractor: Arc<dyn Extractor>,
    pub(crate) budget: PageBudget,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) pending: Pending,
    pub(crate) host: HostKey,
    pub(crate) begun: Instant,
    /// When the host had answered; what came after says nothing about the host.
    pub(crate) answered: Instant,
    pub(crate) outcome: Result<Found, FetchError>,
}

/// What a successful attempt brings.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) fields: Fields,
    pub(crate) status: u16,
    pub(crate) final_url: String,
    pub(crate) screenshot: Option<String>,
    pub(crate) hold: Hold,
}

impl Plugins {
    /// Makes one attempt. Never panics.
    pub(crate) async fn attempt(self, host: HostKey, mut pending: Pending) -> Attempt {
        let task = Arc::clone(&pending.task);
        // Waiting for a browser is our own affair and says nothing about the host.
        let _room = AssertUnwindSafe(self.fetcher.admit(&task)).catch_unwind().await;
        let begun = Instant::now();
        pending.first_begun.get_or_insert(begun);
        pending.attempts += 1;
        let mut answered = None;
        let work = AssertUnwindSafe(self.fetch_and_extract(&task, &mut answered));
        let outcome = work.catch_unwind().await.unwrap_or_else(|payload| {
            let message = format!("a plugin panicked: {}", panic_message(&*payload));
            Err(FetchError::new(Code::PluginPanic, message))
        });
        let answered = answered.unwrap_or_else(Instant::now);
        Attempt { pending, host, begun, answered, outcome }
    }

    async fn fetch_and_extract(
        &self,
        task: &Task,
        answered: &mut Option<Instant>,
    ) -> Result<Found, FetchError> {
        let limit = task.params().timeout();
        let fetched = timeout(limit, self.fetcher.fetch(task)).await;
        *answered = Some(Instant::now());
        let late = |_| FetchError::new(Code::Timeout, format!("no page within {limit:?}"));
        let page = fetched.map_err(late)??;
        // Waiting for room is our own affair and does not count against the task.
        let hold = self.budget.take(page.text.len()).await;
        let extracted = timeout(limit, self.extractor.extract(task, &page)).await;
        let slow = |_| FetchError::new(Code::ExtractFailed, format!("no fields within {limit:?}"));
        let fail = |error: FetchError| {
            let error = error.with_http_status(page.status);
            error.with_final_url(page.final_url.as_str())
        };
        let fields = extracted.map_err(slow).flatten().map_err(fail)?;
        Ok(Found {
            fields,
            status: page.status,
            final_url: page.final_url.into(),
            screenshot: page.screenshot,
            hold,
        })
    }
}
