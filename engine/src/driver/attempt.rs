//! One attempt at one task: fetch, extract, within the deadline, whatever a plugin does.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::hosts::{HostKey, Pending};
use crate::{
    Code, Extractor, FetchError, Fetcher, Fields, Task,
    error::panic_message,
    shared::{Hold, PageBudget, Request, Slot, Verdict},
};

/// What an attempt needs of the job.
#[derive(Debug)]
pub(crate) struct Plugins {
    pub(crate) fetcher: Arc<dyn Fetcher>,
    pub(crate) extractor: Arc<dyn Extractor>,
    pub(crate) budget: PageBudget,
}

/// What an attempt takes up: its place at the host, and its slot. Dropped, both are free.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) request: Request,
    pub(crate) _slot: Slot,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) pending: Pending,
    pub(crate) host: HostKey,
    /// Unless it was given back before the end.
    pub(crate) permit: Option<Permit>,
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
    pub(crate) async fn attempt(
        self: Arc<Self>,
        host: HostKey,
        mut pending: Pending,
        permit: Permit,
    ) -> Attempt {
        let task = Arc::clone(pending.tried_as());
        // Waiting for a browser is our own affair and says nothing about the host.
        let _room = AssertUnwindSafe(self.fetcher.admit(&task)).catch_unwind().await;
        let begun = Instant::now();
        pending.first_begun.get_or_insert(begun);
        pending.attempts += 1;
        let (mut answered, mut permit) = (None, Some(permit));
        let work = AssertUnwindSafe(self.fetch_and_extract(&task, &mut answered, &mut permit));
        let outcome = work.catch_unwind().await.unwrap_or_else(|payload| {
            let message = format!("a plugin panicked: {}", panic_message(&*payload));
            Err(FetchError::new(Code::PluginPanic, message))
        });
        let answered = answered.unwrap_or_else(Instant::now);
        Attempt { pending, host, permit, answered, outcome }
    }

    async fn fetch_and_extract(
        &self,
        task: &Task,
        answered: &mut Option<Instant>,
        permit: &mut Option<Permit>,
    ) -> Result<Found, FetchError> {
        let limit = task.params().timeout();
        let fetched = timeout(limit, self.fetcher.fetch(task)).await;
        *answered = Some(Instant::now());
        let late = |_| FetchError::new(Code::Timeout, format!("no page within {limit:?}"));
        let page = fetched.map_err(late)??;
        let hold = self.room(page.text.len(), permit).await;
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
    /// Waits for room for a page, for as long as it takes: that is the job's own affair, which counts
    /// neither against the task nor against the host or the other jobs.
    async fn room(&self, bytes: usize, permit: &mut Option<Permit>) -> Hold {
        if let Some(hold) = self.budget.try_take(bytes) {
            return hold;
        }
        if let Some(permit) = permit.take() {
            permit.request.end(Verdict::Answered, Instant::now());
        }
        self.budget.take(bytes).await
    }
}
