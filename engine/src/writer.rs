//! Writes a job's records and commits them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{
    CheckpointStore, Errored, Record, Result, SinkWriter, Source,
    checkpoint::{
        Checkpoint, Counters, Done, Finished, MAX_ERRORED_A_COMMIT, MAX_ERRORED_BYTES_A_COMMIT,
    },
    driver::{Ended, Ending},
    progress::Progress,
};

/// How often records are committed: what a crash costs is at most this much fetching.
pub(crate) const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// The most records handed to the sink in one call.
const MAX_BATCH: usize = 1_024;

/// The only one who touches sink and store while the job runs.
pub(crate) struct Writer {
    pub(crate) sink: Box<dyn SinkWriter>,
    pub(crate) store: Arc<dyn CheckpointStore>,
    /// Asked what to keep with a checkpoint.
    pub(crate) source: Arc<dyn Source>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) done: Done,
    pub(crate) counters: Counters,
    /// Those of the records since the last commit.
    pub(crate) errored: Vec<Errored>,
    /// About how many bytes they take.
    pub(crate) errored_bytes: usize,
    /// When [`Counters::running`] was last brought up to date.
    pub(crate) counted_at: Instant,
}

/// What has been written in all the job's lives.
pub(crate) struct Written {
    pub(crate) counters: Counters,
    pub(crate) finished: Option<Finished>,
}

impl Writer {
    /// Writes records until the driver has hung up, committing once a second and before the errored
    /// tasks get too many, then ends the output
    /// as `ended` says. Without that, the driver has failed: what came is committed.
    pub(crate) async fn run(
        mut self,
        mut records: mpsc::Receiver<Record>,
        ended: oneshot::Receiver<Ended>,
    ) -> Result<Written> {
        let mut commits = interval_at(Instant::now() + COMMIT_INTERVAL, COMMIT_INTERVAL);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_dirty = false;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                _ = commits.tick() => if is_dirty {
                    self.commit().await?;
                    is_dirty = false;
                },
                count = records.recv_many(&mut batch, MAX_BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.write(batch).await?;
                    is_dirty = true;
                    if self.has_many_errored() {
                        commits.reset_immediately();
                    }
                }
            }
        }
        self.end(ended.await.ok()).await
    }

    async fn write(&mut self, batch: Vec<Record>) -> Result<()> {
        for record in &batch {
            let is_new = self.done.insert(record.task.ordinal());
            debug_assert!(is_new, "task {} was written before", record.task.ordinal());
            self.counters.add(record);
            if let Some(errored) = Errored::of(record) {
                self.errored_bytes += errored.size();
                self.errored.push(errored);
            }
        }
        self.sink.write(batch).await
    }

    /// Whether another batch might bring more errored tasks than one commit takes.
    fn has_many_errored(&self) -> bool {
        self.errored.len() + MAX_BATCH > MAX_ERRORED_A_COMMIT
            || self.errored_bytes > MAX_ERRORED_BYTES_A_COMMIT
    }

    /// The commit rule: the sink is durable first, then one checkpoint says so.
    async fn commit(&mut self) -> Result<Checkpoint> {
        let sink = self.sink.checkpoint().await?;
        let now = Instant::now();
        self.counters.running += now - self.counted_at;
        self.counted_at = now;
        let parts = self.sink.sealed();
        let checkpoint = Checkpoint::new(self.done.clone(), sink, self.counters.clone());
        let source = self.source.state(self.done.next());
        let checkpoint = checkpoint.with_parts(parts).with_source(source);
        self.store.save(&checkpoint, &self.errored).await?;
        self.errored.clear();
        self.errored_bytes = 0;
        self.progress.send_modify(|progress| {
            progress.counters = self.counters.clone();
            progress.parts = checkpoint.parts.len();
        });
        Ok(checkpoint)
    }

    async fn end(mut self, ended: Option<Ended>) -> Result<Written> {
        // Committed before the output is published, so that a crash in between repeats only that.
        let mut checkpoint = self.commit().await?;
        let Some(Ended { ending: Ending::Completed | Ending::Cancelled, reason }) = ended else {
            return Ok(Written { counters: self.counters, finished: None });
        };
        let finished = Finished { reason, parts: self.sink.finish().await? };
        checkpoint.finished = Some(finished.clone());
        self.store.save(&checkpoint, &[]).await?;
        self.progress.send_modify(|progress| progress.parts = finished.parts.len());
        Ok(Written { counters: self.counters, finished: Some(finished) })
    }
}
