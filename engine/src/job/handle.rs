//! The handle to a running job, and what is left of it at the end.

use serde::Serialize;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    Error, Part, Result,
    checkpoint::Counters,
    driver::{Command, Ending},
    progress::Progress,
    writer::Written,
};

/// A running job: watch it, stop it, wait for it. Dropping the handle leaves the job running.
#[derive(Debug)]
pub struct JobHandle {
    task: JoinHandle<Result<Report>>,
    stopper: Stopper,
    progress: watch::Receiver<Progress>,
}

/// Stops a running job.
#[derive(Clone, Debug)]
pub struct Stopper {
    command: watch::Sender<Command>,
    task: AbortHandle,
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// The figures over all records in the output, of all the job's lives.
    pub counters: Counters,
    /// How many tasks there are, where that is known.
    pub total: Option<u64>,
    /// The files of the output; empty unless the job has completed or was cancelled.
    pub parts: Vec<Part>,
}

impl JobHandle {
    pub(crate) fn new(
        task: JoinHandle<Result<Report>>,
        command: watch::Sender<Command>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        let stopper = Stopper { command, task: task.abort_handle() };
        Self { task, stopper, progress }
    }

    /// How far the job is.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Tells of every change of the progress; it closes at the job's end.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Stops the job for good, as [`Stopper::cancel`].
    pub fn cancel(&self) {
        self.stopper.cancel();
    }

    /// Stops the job so that it can go on later, as [`Stopper::suspend`].
    pub fn suspend(&self) {
        self.stopper.suspend();
    }

    /// Stops the job at once, as [`Stopper::abort`].
    pub fn abort(&self) {
        self.stopper.abort();
    }

    /// What stops the job while somebody else [waits](Self::wait) for it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the end of the job.
    ///
    /// The error is one of the whole job; the checkpoint is then as it was last saved, and the same
    /// job goes on from there.
    pub async fn wait(self) -> Result<Report> {
        match self.task.await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => {
                let Progress { counters, total, .. } = self.progress.borrow().clone();
                Ok(Report { ending: Ending::Aborted, counters, total, parts: Vec::new() })
            }
            Err(error) => Err(Error::Panicked { part: "job", message: error.to_string() }),
        }
    }
}

impl Stopper {
    /// Stops the job for good: pages under way are finished (within the
    /// [grace](crate::Job::with_grace), without further retries), the other tasks get no record,
    /// and the output is completed.
    pub fn cancel(&self) {
        self.command.send_replace(Command::Cancel);
    }

    /// Stops the job so that it can go on later: pages under way are finished (within the grace),
    /// everything is saved, and the output stays open.
    pub fn suspend(&self) {
        self.command.send_if_modified(|command| {
            let is_news = *command == Command::Run;
            if is_news {
                *command = Command::Suspend;
            }
            is_news
        });
    }

    /// Stops the job at once, as a crash would: the same job goes on from its last commit.
    pub fn abort(&self) {
        self.task.abort();
    }
}

impl Report {
    /// `ending` is `None` for a job that had ended in an earlier life.
    pub(crate) fn new(ending: Option<Ending>, written: Written, total: Option<u64>) -> Self {
        let earlier = || match &written.finished {
            Some(finished) if finished.cancelled => Ending::Cancelled,
            _ => Ending::Completed,
        };
        let ending = ending.unwrap_or_else(earlier);
        let parts = written.finished.map(|finished| finished.parts).unwrap_or_default();
        Self { ending, counters: written.counters, total, parts }
    }

    /// How many tasks have no record.
    pub fn skipped(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.counters.done()))
    }
}
