//! A source without the tasks that came before.

use std::{
    collections::HashSet,
    future::ready,
    sync::{Arc, OnceLock},
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use harvestman_engine::{Error, Result, Source, SourceState, Task};
use sha2::{Digest, Sha256};

/// The most different tasks that duplicates are looked for among. More of them end the job.
///
/// Each takes some 17 to 35 bytes of memory while the source is open.
pub const MAX_DISTINCT: u64 = 1_000_000;

/// The tasks of another source, each URL once.
///
/// A task is passed over if one before it has the same URL as it is understood (`HTTP://A.test` is
/// `http://a.test/`), the same method and the same body; what else they say may differ, and the
/// first one counts. Invalid tasks all stay, each with its own error.
///
/// A task keeps its [index](Task::index) and [line](Task::line), so there are gaps between indices;
/// [ordinals](Task::ordinal) are counted anew. The number of tasks isn't known until they are
/// [counted](Self::count). Each opening reads the other source from its beginning.
///
/// ```
/// use std::sync::Arc;
///
/// use harvestman_engine::Source;
/// use harvestman_sources::{Deduplicated, Inline};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().build()?;
/// # rt.block_on(async {
/// let urls = ["https://a.test/", "https://a.test", "https://b.test/"];
/// let source = Deduplicated::new(Arc::new(Inline::new(urls)));
/// assert_eq!(source.total(), None);
/// assert_eq!(source.count().await?, (2, 1));
/// assert_eq!(source.total(), Some(2));
/// # Ok::<(), harvestman_engine::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Deduplicated {
    inner: Arc<dyn Source>,
    max_distinct: u64,
    total: OnceLock<u64>,
}

impl Deduplicated {
    /// The tasks of `inner` without duplicates.
    pub fn new(inner: Arc<dyn Source>) -> Self {
        Self { inner, max_distinct: MAX_DISTINCT, total: OnceLock::new() }
    }

    /// Reads all tasks once, and tells how many stay and how many duplicates are passed over. From
    /// then on [`total`](Source::total) knows.
    pub async fn count(&self) -> Result<(u64, u64)> {
        let mut seen = Seen::new(self.max_distinct);
        let mut tasks = self.inner.open(0);
        let mut duplicates = 0;
        while let Some(task) = tasks.try_next().await? {
            duplicates += u64::from(seen.pass(task)?.is_none());
        }
        self.total.get_or_init(|| seen.passed);
        Ok((seen.passed, duplicates))
    }
}

impl Source for Deduplicated {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        self.distinct(self.inner.open(0), from)
    }

    fn total(&self) -> Option<u64> {
        self.total.get().copied()
    }

    /// The other source's at its beginning: all of it has to be read again.
    fn state(&self, _next: u64) -> Option<SourceState> {
        self.inner.state(0)
    }

    fn reopen(&self, from: u64, state: &SourceState) -> BoxStream<'static, Result<Task>> {
        self.distinct(self.inner.reopen(0, state), from)
    }
}

impl Deduplicated {
    /// The tasks from number `from` of what is left of `all`.
    fn distinct(
        &self,
        all: BoxStream<'static, Result<Task>>,
        from: u64,
    ) -> BoxStream<'static, Result<Task>> {
        let mut seen = Seen::new(self.max_distinct);
        let distinct = all.try_filter_map(move |task| ready(seen.pass(task)));
        let is_wanted = move |task: &Result<Task>| {
            // An error is never passed over.
            task.as_ref().map_or(true, |task| task.ordinal() >= from)
        };
        distinct.filter(move |task| ready(is_wanted(task))).boxed()
    }
}

/// The tasks so far.
struct Seen {
    hashes: HashSet<u128>,
    max_distinct: u64,
    passed: u64,
}

impl Seen {
    fn new(max_distinct: u64) -> Self {
        Self { hashes: HashSet::new(), max_distinct, passed: 0 }
    }

    /// The task with its ordinal, unless it came before.
    fn pass(&mut self, task: Task) -> Result<Option<Task>> {
        if let Some(hash) = hash(&task) {
            if !self.hashes.insert(hash) {
                return Ok(None);
            }
            if self.hashes.len() as u64 > self.max_distinct {
                let max = self.max_distinct;
                let message = format!(
                    "holds more than {max} different tasks; split it, or leave `dedupe` out"
                );
                return Err(Error::invalid("the input", message));
            }
        }
        self.passed += 1;
        Ok(Some(task.with_ordinal(self.passed - 1)))
    }
}

/// What two tasks have in common if and only if they ask for the same; nothing for an invalid one.
///
/// Half of a SHA-256: nobody can make a list whose different tasks are taken for the same.
fn hash(task: &Task) -> Option<u128> {
    let url = task.target().ok()?;
    let params = task.params();
    let body = params.body.as_ref().map(|body| body.bytes().as_ref());
    // What fetchers take where the task doesn't say.
    let default = if body.is_some() { "POST" } else { "GET" };
    let method = params.method.as_ref().map_or(default, |method| method.as_str());
    let mut hash = Sha256::new();
    for part in [url.as_str().as_bytes(), method.as_bytes(), body.unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let (half, _) = hash.split_first_chunk()?;
    Some(u128::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use harvestman_engine::{LineReader, Params, testing::source_conformance};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Inline;

    fn deduplicated(values: &[serde_json::Value]) -> Deduplicated {
        let reader = LineReader::new(Params::new());
        Deduplicated::new(Arc::new(Inline::from_json(values, &reader)))
    }

    async fn tasks(source: &Deduplicated, from: u64) -> Vec<Task> {
        source.open(from).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn it_conforms_with_and_without_a_total() {
        let urls = (0..300).map(|n| json!(format!("http://a.test/{}", n % 70)));
        let source = deduplicated(&urls.collect::<Vec<_>>());
        source_conformance(&source, 70).await;
        assert_eq!(source.total(), None);
        assert_eq!(source.count().await.unwrap(), (70, 230));
        assert_eq!(source.total(), Some(70));
        source_conformance(&source, 70).await;
        source_conformance(&deduplicated(&[]), 0).await;
    }

    #[tokio::test]
    async fn url_method_and_body_make_the_difference_and_nothing_else() {
        let url = "http://a.test/x";
        let values = [
            json!(url),
            json!({"url": "HTTP://A.test:80/x", "id": "same", "method": "GET"}),
            json!({"url": url, "timeout_ms": 5000, "headers": {"x": "y"}}),
            json!({"url": url, "method": "POST"}),
            json!({"url": url, "body": "b"}),
            json!({"url": url, "body": "b", "method": "POST"}),
            json!({"url": url, "body": "b", "method": "PUT"}),
            json!({"url": url, "body": {"k": 1}}),
            json!("http://a.test/x?"),
            json!("http://a.test/x#f"),
        ];
        let tasks = tasks(&deduplicated(&values), 0).await;
        let indices: Vec<_> = tasks.iter().map(|task| (task.ordinal(), task.index())).collect();
        assert_eq!(indices, [(0, 0), (1, 3), (2, 4), (3, 6), (4, 7), (5, 8), (6, 9)]);
        assert_eq!(tasks[1].line(), 4);
    }

    #[tokio::test]
    async fn invalid_tasks_all_stay() {
        let values = [json!("nonsense"), json!(3), json!("nonsense"), json!("http://a.test/")];
        let source = deduplicated(&values);
        assert_eq!(tasks(&source, 0).await.len(), 4);
        assert_eq!(source.count().await.unwrap(), (4, 0));
    }

    #[tokio::test]
    async fn too_many_different_tasks_end_the_job() {
        let urls = (0..21).map(|n| json!(format!("http://a.test/{}", n % 11)));
        let mut source = deduplicated(&urls.collect::<Vec<_>>());
        source.max_distinct = 11;
        assert_eq!(tasks(&source, 0).await.len(), 11);
        source.max_distinct = 10;
        // Past the tasks that are asked for, too.
        for from in [0, 10, 99] {
            let error = source.open(from).try_collect::<Vec<_>>().await.unwrap_err().to_string();
            assert!(error.contains("more than 10 different tasks"), "{error}");
        }
        assert!(source.count().await.is_err());
        assert_eq!((source.total(), deduplicated(&[]).max_distinct), (None, 1_000_000));
    }

    proptest! {
        #[test]
        fn the_first_of_each_stays(numbers in prop::collection::vec(0_u8..12, 0..60), from in 0_u64..15) {
            let urls: Vec<_> = numbers.iter().map(|n| json!(format!("http://a.test/{n}"))).collect();
            let mut seen = BTreeSet::new();
            let first = |(_, number): &(u64, &u8)| seen.insert(**number);
            let expected: Vec<_> = (0..).zip(&numbers).filter(first).map(|(index, _)| index).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(tasks(&deduplicated(&urls), from));
            let found: Vec<u64> = found.iter().map(Task::index).collect();
            prop_assert_eq!(found, expected.into_iter().skip(from as usize).collect::<Vec<u64>>());
        }
    }
}
