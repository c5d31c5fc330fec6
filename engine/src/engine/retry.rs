//! The input of a retry: the failures of an earlier job, from the store.

use std::{collections::VecDeque, fmt, sync::Arc};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};

use super::{Core, JobContext};
use crate::{
    Errored, LineReader, Result, Source, Task,
    checkpoint::Done,
    id::JobId,
    spec::{Input, RetryFilter},
    store::{ErroredQuery, Store},
};

/// How many failures are read from the store at once.
const PAGE: usize = 1_000;

/// Opens the input of a job, whatever it is.
pub(super) fn open_source<'a>(
    core: &'a Core,
    context: &'a JobContext,
) -> BoxFuture<'a, Result<Arc<dyn Source>>> {
    async move {
        let Input::Errored { job, only, include_skipped } = &context.spec.input else {
            return core.parts.assembler.source(context).await;
        };
        let skipped = if *include_skipped { skipped(core, job, context).await? } else { None };
        let source = Retry::new(core, job, only, context.spec.line_reader(), skipped).await?;
        Ok(Arc::new(source) as Arc<dyn Source>)
    }
    .boxed()
}

/// The tasks of a job that was stopped before their turn, if there are any.
async fn skipped(core: &Core, job: &JobId, context: &JobContext) -> Result<Option<Skipped>> {
    let Some(original) = core.store().job(job).await? else { return Ok(None) };
    if original.skipped() == Some(0) {
        return Ok(None);
    }
    let mut spec = original.spec;
    // The lines are the original's, what they are merged onto is the retry's.
    spec.defaults = context.spec.defaults.clone();
    spec.output = context.spec.output.clone();
    let urls = core.store().inline_urls(job).await?;
    let workspace = original.workspace;
    let original = JobContext::new(core, job.clone(), &workspace, spec, urls).await?;
    let source = open_source(core, &original).await?;
    let checkpoint = core.store().checkpoint(job).await?;
    // Records of an output that could not be completed can't be had: those tasks are to do, too.
    let done = checkpoint.filter(|saved| saved.finished.is_some()).map(|saved| saved.done);
    Ok(Some(Skipped { source, done: done.unwrap_or_default() }))
}

/// The tasks of a source without a record.
#[derive(Clone, Debug)]
struct Skipped {
    source: Arc<dyn Source>,
    done: Done,
}

/// The failed tasks of a job in the order of their index, then those that it never came to.
struct Retry {
    store: Arc<dyn Store>,
    job: JobId,
    only: RetryFilter,
    reader: LineReader,
    errored: u64,
    skipped: Option<Skipped>,
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("job", &self.job).finish_non_exhaustive()
    }
}

impl Retry {
    async fn new(
        core: &Core,
        job: &JobId,
        only: &RetryFilter,
        reader: LineReader,
        skipped: Option<Skipped>,
    ) -> Result<Self> {
        let store = Arc::clone(&core.parts.store);
        // Where nothing is done, the failed tasks are among those that are left.
        let is_anew = skipped.as_ref().is_some_and(|skipped| skipped.done.count() == 0);
        let errored = if is_anew { 0 } else { store.count_errored(job, only).await? };
        Ok(Self { store, job: job.clone(), only: only.clone(), reader, errored, skipped })
    }
}

impl Source for Retry {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let failures = Failures {
            store: Arc::clone(&self.store),
            job: self.job.clone(),
            query: ErroredQuery { only: self.only.clone(), after: None, skip: from, limit: PAGE },
            page: VecDeque::new(),
            is_ended: from >= self.errored,
        };
        let reader = self.reader.clone();
        let failures = stream::try_unfold(failures, |mut failures| async move {
            Ok(failures.next().await?.map(|errored| (errored, failures)))
        });
        let failures = failures.enumerate().map(move |(offset, errored)| {
            errored.map(|errored| errored.into_task(from + offset as u64, &reader))
        });
        match &self.skipped {
            None => failures.boxed(),
            Some(skipped) => failures.chain(skipped.open(from, self.errored)).boxed(),
        }
    }

    fn total(&self) -> Option<u64> {
        let Some(skipped) = &self.skipped else { return Some(self.errored) };
        let total = skipped.source.total()?;
        Some(self.errored + total.saturating_sub(skipped.done.count()))
    }
}

impl Skipped {
    /// The tasks behind the first `before` of the retry, from number `from` of the retry on.
    fn open(&self, from: u64, before: u64) -> BoxStream<'static, Result<Task>> {
        let done = self.done.clone();
        let left = self.source.open(done.next());
        let left = left.try_filter(move |task| std::future::ready(!done.contains(task.ordinal())));
        let passed = from.saturating_sub(before);
        left.enumerate()
            .filter(move |(number, _)| std::future::ready(*number as u64 >= passed))
            .map(move |(number, task)| task.map(|task| task.with_ordinal(before + number as u64)))
            .boxed()
    }
}

/// Pages through the failures of a job.
struct Failures {
    store: Arc<dyn Store>,
    job: JobId,
    query: ErroredQuery,
    page: VecDeque<Errored>,
    is_ended: bool,
}

impl Failures {
    async fn next(&mut self) -> Result<Option<Errored>> {
        if self.page.is_empty() && !self.is_ended {
            self.page = self.store.errored(&self.job, &self.query).await?.into();
            self.is_ended = self.page.len() < PAGE;
            self.query.skip = 0;
            self.query.after = self.page.back().map(|errored| errored.index);
        }
        Ok(self.page.pop_front())
    }
}
