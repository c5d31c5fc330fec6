//! Erases what was kept long enough.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;

use super::Core;
use crate::{Result, clock::before};

/// How often it is looked for what can go.
const INTERVAL: Duration = Duration::from_mins(10);
/// How much goes at once, so that no transaction takes long.
const BATCH: usize = 500;

/// Runs until it is dropped. Every step may be cut short and is done again.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        if let Err(error) = core.clean_up().await {
            tracing::error!(%error, "failed to clean up");
        }
        sleep(INTERVAL).await;
    }
}

impl Core {
    /// Erases the files that an earlier life had taken in and not yet noted. For the time before any
    /// upload can be under way.
    pub(super) async fn sweep_uploads(&self) -> Result<()> {
        for id in self.parts.files.uploads().await? {
            if self.store().upload(&id).await?.is_none() {
                self.parts.files.erase_upload(&id).await?;
                self.store().forget_upload(&id).await?;
            }
        }
        Ok(())
    }

    async fn clean_up(&self) -> Result<()> {
        let now = self.now();
        let keep = &self.settings().retention;
        self.erase_outputs(now).await?;
        self.erase_uploads(now).await?;
        while self.store().forget(before(now, keep.jobs), BATCH).await? > 0 {}
        while self.store().forget_deliveries(before(now, keep.deliveries), BATCH).await? > 0 {}
        while self.store().forget_answers(before(now, keep.answers), BATCH).await? > 0 {}
        Ok(())
    }

    async fn erase_outputs(&self, now: Timestamp) -> Result<()> {
        loop {
            let jobs = self.store().outputs_to_erase(now, BATCH).await?;
            if jobs.is_empty() {
                return Ok(());
            }
            for job in jobs {
                self.erase_output(&job.id).await?;
            }
        }
    }

    async fn erase_uploads(&self, now: Timestamp) -> Result<()> {
        loop {
            let uploads = self.store().uploads_to_erase(now, BATCH).await?;
            if uploads.is_empty() {
                return Ok(());
            }
            for upload in uploads {
                self.parts.files.erase_upload(&upload).await?;
                self.store().forget_upload(&upload).await?;
            }
        }
    }
}
