//! What a user of an engine can do.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use metrics::counter;
use tokio::select;

use super::{Core, JobEvent, JobStatus};
use crate::{
    JobSpec, Progress, Refusal, RefusalCode, RequestError, Result,
    clock::after,
    id::{DeliveryId, JobId},
    spec::{Input, Limits},
    store::{
        Delivery, DeliveryQuery, ErroredQuery, JobEntry, JobQuery, NewJob, OutputState, Status,
        StoredAnswer, WorkspaceEntry,
    },
    webhook::{Event, Secret},
};

/// How often a watcher is told of progress, at most.
const EVENT_INTERVAL: Duration = Duration::from_millis(500);
/// How many jobs or deliveries one page of a list has at most.
const MAX_PAGE: usize = 100;
/// How long a replaced signing secret signs along.
const OLD_SECRET: Duration = Duration::from_hours(24);

/// A workspace of an engine: its jobs, uploads and deliveries. Cheap to clone.
///
/// What belongs to another workspace is answered as if it was not there.
#[derive(Clone, Debug)]
pub struct Workspace {
    core: Arc<Core>,
    name: Arc<str>,
}

/// What goes along with a job that is submitted.
#[derive(Default)]
pub struct SubmitOptions<'a> {
    /// The job's id; drawn at random when not said.
    pub id: Option<JobId>,
    /// Makes the answer to the request's idempotency key, which is kept together with the job.
    pub answer: Option<&'a (dyn Fn(&JobStatus) -> StoredAnswer + Sync)>,
}

impl std::fmt::Debug for SubmitOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubmitOptions").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Workspace {
    pub(super) fn new(core: Arc<Core>, name: &str) -> Self {
        Self { core, name: name.into() }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> &Limits {
        &self.core.settings().limits
    }

    /// Puts a job into the queue. It is durable when this answers.
    pub async fn submit(&self, spec: JobSpec) -> Result<JobStatus, RequestError> {
        self.submit_with(spec, SubmitOptions::default()).await
    }

    /// Puts a job into the queue, with what goes along.
    pub async fn submit_with(
        &self,
        mut spec: JobSpec,
        options: SubmitOptions<'_>,
    ) -> Result<JobStatus, RequestError> {
        let total = self.check(&spec).await?;
        let open = self.core.store().open_jobs().await?;
        if open >= self.limits().open_jobs {
            let message = format!("{open} jobs are waiting already; try again later");
            return Err(Refusal::new(RefusalCode::Overloaded, message).into());
        }
        if spec.webhook.as_ref().is_some_and(|webhook| webhook.secret.is_none()) {
            self.credentials().await?;
        }
        let urls = match &mut spec.input {
            Input::Urls(urls) => std::mem::take(urls),
            _ => Vec::new(),
        };
        let mut new = NewJob {
            id: options.id.unwrap_or_else(JobId::random),
            workspace: self.name().to_owned(),
            spec,
            urls,
            total,
            created_at: self.core.now(),
            answer: None,
        };
        let status = self.core.status(JobEntry::queued(&new, 0));
        new.answer = options.answer.map(|answer| answer(&status));
        self.core.store().insert(new).await?;
        self.core.work.notify_one();
        Ok(status)
    }

    /// Refuses what can't be served, and says how many URLs there are where that is known.
    pub(super) async fn check(&self, spec: &JobSpec) -> Result<Option<u64>, RequestError> {
        spec.check(self.limits())?;
        self.core.parts.assembler.check(spec)?;
        if spec.names_role() {
            // The external id that goes with it is made with the workspace.
            self.credentials().await?;
        }
        match &spec.input {
            Input::Urls(urls) => Ok(Some(urls.len() as u64).filter(|_| !spec.dedupe)),
            Input::Upload(id) => {
                let upload = self.find_upload(id).await?;
                Ok(Some(upload.total).filter(|_| !spec.dedupe))
            }
            Input::Errored { job, only, include_skipped } => {
                let original = self.find(job).await?;
                self.check_retry(&original, only, *include_skipped).await
            }
            _ => Ok(None),
        }
    }

    async fn check_retry(
        &self,
        original: &JobEntry,
        only: &crate::spec::RetryFilter,
        include_skipped: bool,
    ) -> Result<Option<u64>, RequestError> {
        if !original.status.is_terminal() {
            let message = format!("job {} is {}; wait for its end", original.id, original.status);
            return Err(Refusal::new(RefusalCode::JobNotFinished, message).into());
        }
        let errored = self.core.store().count_errored(&original.id, only).await?;
        let skipped = if include_skipped { original.skipped() } else { Some(0) };
        if errored == 0 && skipped == Some(0) {
            let message = format!("job {} has no failed URL that the filter takes", original.id);
            return Err(Refusal::new(RefusalCode::NothingToRetry, message).into());
        }
        if skipped != Some(0)
            && let Input::Upload(upload) = &original.spec.input
        {
            // What was never fetched is in the upload only.
            let gone = |_| {
                let message = format!("upload {upload} is gone, and with it the skipped URLs");
                Refusal::new(RefusalCode::UploadExpired, message)
            };
            self.find_upload(upload).await.map_err(gone)?;
        }
        Ok(skipped.map(|skipped| errored + skipped))
    }

    async fn find(&self, id: &JobId) -> Result<JobEntry, RequestError> {
        let found = self.core.store().job(id).await?;
        let own = found.filter(|job| job.workspace == self.name());
        own.ok_or_else(|| Refusal::not_found("job", id).into())
    }

    /// How far a job is.
    pub async fn status(&self, id: &JobId) -> Result<JobStatus, RequestError> {
        Ok(self.core.status(self.find(id).await?))
    }

    /// Waits for a job's end. The job goes on if this is dropped.
    pub async fn wait(&self, id: &JobId) -> Result<JobStatus, RequestError> {
        self.find(id).await?;
        loop {
            let mut changes = self.core.signals.listen(id);
            let status = self.status(id).await?;
            if status.is_terminal() {
                return Ok(status);
            }
            // The bell hangs as long as somebody listens.
            let _ = changes.changed().await;
        }
    }

    /// Waits until a job's status or phase is another one than `seen`, or for `most`.
    pub async fn wait_for_change(
        &self,
        id: &JobId,
        seen: &JobStatus,
        most: Duration,
    ) -> Result<JobStatus, RequestError> {
        let is_other =
            |now: &JobStatus| (now.job.status, now.phase) != (seen.job.status, seen.phase);
        let mut events = self.events(id).await?;
        let changed = async {
            while let Some(event) = events.next().await {
                match event {
                    JobEvent::Progress(now) | JobEvent::Ended(now) if is_other(&now) => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(most, changed).await;
        self.status(id).await
    }

    /// The workspace's jobs that a query means, newest first, at most 100 of them. The query's own
    /// workspace doesn't count.
    pub async fn list(&self, query: &JobQuery) -> Result<Vec<JobStatus>, RequestError> {
        let query = JobQuery {
            workspace: Some(self.name().to_owned()),
            limit: query.limit.clamp(1, MAX_PAGE + 1),
            ..query.clone()
        };
        let jobs = self.core.store().jobs(&query).await?;
        Ok(jobs.into_iter().map(|job| self.core.status(job)).collect())
    }

    /// Stops a job: pages under way finish, the others get no record, what is done is kept. A
    /// queued job is cancelled at once; one that has ended stays as it is.
    pub async fn cancel(&self, id: &JobId) -> Result<JobStatus, RequestError> {
        let job = self.find(id).await?;
        let was_queued = job.status == Status::Queued;
        let now = self.core.now();
        let ended = JobEntry {
            status: Status::Cancelled,
            reason: Some(crate::StopReason::User),
            finished_at: Some(now),
            ..job
        };
        let event = Event::of(&ended, None).into_outbox(&ended)?;
        let job = self.core.store().cancel(id, now, Some(event)).await?;
        let job = job.ok_or_else(|| Refusal::not_found("job", id))?;
        if was_queued && job.status == Status::Cancelled {
            counter!("harvestman_jobs_ended_total", "status" => "cancelled").increment(1);
        }
        self.core.signals.ring(id);
        self.core.mail.notify_one();
        Ok(self.core.status(job))
    }

    /// Puts a job into the queue that has only the URLs of an earlier one that failed.
    ///
    /// They keep their index, id, metadata and overrides. Neither the earlier job's upload nor its
    /// output is needed.
    pub async fn retry(&self, id: &JobId) -> Result<JobStatus, RequestError> {
        let spec = self.retry_spec(id, b"").await?;
        self.submit(spec).await
    }

    /// The spec of a retry, changed as the contract's body of a retry says; nothing for nothing.
    pub async fn retry_spec(&self, id: &JobId, body: &[u8]) -> Result<JobSpec, RequestError> {
        let original = self.find(id).await?;
        Ok(JobSpec::read_retry(body, id, &original.spec, self.limits())?)
    }

    /// The failed tasks of a job, in the order of their index.
    pub async fn errored(
        &self,
        id: &JobId,
        query: &ErroredQuery,
    ) -> Result<Vec<crate::Errored>, RequestError> {
        self.find(id).await?;
        Ok(self.core.store().errored(id, query).await?)
    }

    /// Erases the files of a job that has ended. The job stays, and its failures can be retried.
    pub async fn delete_output(&self, id: &JobId) -> Result<JobStatus, RequestError> {
        let job = self.find(id).await?;
        if !job.status.is_terminal() {
            let message = format!("job {id} is {}; cancel it first", job.status);
            return Err(Refusal::new(RefusalCode::JobNotFinished, message).into());
        }
        self.core.erase_output(id).await?;
        self.status(id).await
    }

    /// What happens to a job from now on: progress now and whenever it comes further, parts as they
    /// are completed, and its end. The stream ends with the job.
    pub async fn events(&self, id: &JobId) -> Result<BoxStream<'static, JobEvent>, RequestError> {
        self.find(id).await?;
        let changes = self.core.signals.listen(id);
        let status = self.status(id).await?;
        let watcher = Watcher {
            workspace: self.clone(),
            id: id.clone(),
            changes,
            parts: 0,
            pending: Vec::new(),
            first: Some(status),
            is_ended: false,
        };
        Ok(stream::unfold(watcher, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((event, watcher))
        })
        .boxed())
    }

    /// The deliveries of the workspace's events, newest first, at most 100 of them.
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, RequestError> {
        let query = DeliveryQuery {
            workspace: Some(self.name().to_owned()),
            limit: query.limit.clamp(1, MAX_PAGE + 1),
            ..query.clone()
        };
        Ok(self.core.store().deliveries(&query).await?)
    }

    /// Delivers an event again, whatever became of it, with the whole schedule before it.
    pub async fn replay(&self, id: &DeliveryId) -> Result<(), RequestError> {
        if !self.core.store().replay(self.name(), id, self.core.now()).await? {
            return Err(Refusal::not_found("delivery", id).into());
        }
        self.core.mail.notify_one();
        Ok(())
    }

    /// The workspace's signing secret and external id, which are made at the first time.
    pub async fn credentials(&self) -> Result<WorkspaceEntry, RequestError> {
        if let Some(known) = self.core.store().workspace(self.name()).await? {
            return Ok(known);
        }
        let new = WorkspaceEntry::new(self.name(), self.core.now());
        Ok(self.core.store().add_workspace(&new).await?)
    }

    /// Replaces the signing secret; the old one signs along for a day.
    pub async fn rotate_secret(&self, secret: Secret) -> Result<WorkspaceEntry, RequestError> {
        let known = self.credentials().await?;
        if known.secret == secret {
            return Ok(known);
        }
        let until = after(self.core.now(), OLD_SECRET);
        let rotated = WorkspaceEntry { old_secret: Some((known.secret, until)), secret, ..known };
        self.core.store().set_workspace(&rotated).await?;
        Ok(rotated)
    }
}

impl Core {
    /// Erases an output in steps that a crash may come between.
    pub(super) async fn erase_output(&self, id: &JobId) -> Result<()> {
        self.store().set_output(id, OutputState::Erasing).await?;
        self.parts.files.erase_output(id).await?;
        self.store().set_output(id, OutputState::Erased).await
    }
}

/// Follows one job.
struct Watcher {
    workspace: Workspace,
    id: JobId,
    changes: tokio::sync::watch::Receiver<()>,
    /// How many parts were told of.
    parts: usize,
    /// What is to be told next, last first.
    pending: Vec<JobEvent>,
    /// What the job was like when the watching began, until that is told.
    first: Option<JobStatus>,
    is_ended: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<JobEvent> {
        if self.pending.is_empty() && !self.is_ended {
            let status = match self.first.take() {
                Some(status) => status,
                None => self.changed().await?,
            };
            self.note(status);
        }
        self.pending.pop()
    }

    /// Parts come before the progress that names them.
    fn note(&mut self, status: JobStatus) {
        let new_parts = status.job.parts.get(self.parts..).unwrap_or_default();
        let parts: Vec<_> = new_parts.iter().cloned().map(JobEvent::Part).collect();
        self.parts += parts.len();
        self.is_ended = status.is_terminal();
        let told = if self.is_ended { JobEvent::Ended } else { JobEvent::Progress };
        self.pending.push(told(status));
        self.pending.extend(parts.into_iter().rev());
    }

    /// The job's status after the next change; `None` if the job is gone.
    async fn changed(&mut self) -> Option<JobStatus> {
        let progress = self.workspace.core.running.progress(&self.id);
        select! {
            _ = self.changes.changed() => {}
            () = moved(progress) => {}
        }
        self.workspace.status(&self.id).await.ok()
    }
}

/// Waits for a change of the progress, and a little longer, since they come often; forever without
/// one.
async fn moved(progress: Option<tokio::sync::watch::Receiver<Progress>>) {
    if let Some(mut progress) = progress {
        progress.mark_unchanged();
        if progress.changed().await.is_ok() {
            return tokio::time::sleep(EVENT_INTERVAL).await;
        }
    }
    std::future::pending::<()>().await;
}
