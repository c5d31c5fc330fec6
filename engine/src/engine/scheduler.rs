//! Starts jobs in their order, as many as may run.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{Core, execution::Execution};
use crate::{Result, clock::after, store::Claim};

/// How often the store is asked without a reason: for jobs whose lease has run out.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a lease lasts without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Claims jobs and runs them; when it is dropped, they stop as in a crash.
pub(super) struct Scheduler {
    core: Arc<Core>,
    executions: JoinSet<()>,
}

impl Scheduler {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, executions: JoinSet::new() }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(error) = self.start().await {
                tracing::error!(%error, "failed to claim jobs");
            }
            tokio::select! {
                () = self.core.work.notified() => {}
                Some(_) = self.executions.join_next() => {}
                () = sleep(IDLE_INTERVAL) => {}
            }
        }
    }

    async fn start(&mut self) -> Result<()> {
        while self.executions.try_join_next().is_some() {}
        let room = self.core.settings().max_running.saturating_sub(self.executions.len());
        if room == 0 || self.core.is_closing() {
            return Ok(());
        }
        let now = self.core.now();
        let until = after(now, LEASE);
        let (owner, held) = (&*self.core.owner, &*self.core.running.ids());
        let claim = Claim { owner, now, until, most: room, held };
        let claimed = self.core.store().claim(&claim).await?;
        for (lease, entry) in claimed {
            let execution = Execution { core: Arc::clone(&self.core), lease, entry };
            self.executions.spawn(execution.run());
        }
        Ok(())
    }
}
