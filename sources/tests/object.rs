//! Tasks from an object: as from a file, through cuts, and from where a job left off.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    fmt::Write as _,
    io::Write as _,
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use harvestman_engine::{Error, LineReader, Params, Source, Task, testing::source_conformance};
use harvestman_sources::{Deduplicated, InputOptions, ObjectStore};
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetRange, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result as StoreResult, memory::InMemory, path::Path,
};

/// A bucket that notes what is asked for and breaks off each answer after so many bytes.
#[derive(Debug, Clone)]
struct Bucket {
    inner: Arc<InMemory>,
    asked: Arc<Mutex<Vec<Range<u64>>>>,
    cut: Option<usize>,
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bucket")
    }
}

impl Bucket {
    fn new() -> Self {
        Self { inner: Arc::default(), asked: Arc::default(), cut: None }
    }

    async fn put(&self, key: &str, bytes: impl Into<PutPayload>) {
        self.inner.put(&key.into(), bytes.into()).await.unwrap();
    }

    async fn pin(&self, key: &str) -> harvestman_engine::Result<ObjectStore> {
        self.pin_with(key, &InputOptions::new()).await
    }

    async fn pin_with(
        &self,
        key: &str,
        options: &InputOptions,
    ) -> harvestman_engine::Result<ObjectStore> {
        let (name, reader) = (format!("s3://bucket/{key}"), LineReader::new(Params::new()));
        ObjectStore::pin(Arc::new(self.clone()), key.into(), name, reader, options).await
    }

    fn asked(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl object_store::ObjectStore for Bucket {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range {
            self.asked.lock().unwrap().push(range.clone());
        }
        let mut result = self.inner.get_opts(path, options).await?;
        let Some(cut) = self.cut else { return Ok(result) };
        let bytes = self.inner.get_range(path, result.range.clone()).await?;
        let broken = || StoreError::Generic { store: "test", source: "the line broke".into() };
        let mut chunks = vec![Ok(bytes.slice(..cut.min(bytes.len())))];
        if cut < bytes.len() {
            chunks.push(Err(broken()));
        }
        result.payload = GetResultPayload::Stream(futures::stream::iter(chunks).boxed());
        Ok(result)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> StoreResult<PutResult> {
        Err(StoreError::NotImplemented { operation: "put".into(), implementer: "test".into() })
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        Err(StoreError::NotImplemented { operation: "put".into(), implementer: "test".into() })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn csv(rows: usize) -> String {
    (0..rows).fold("url,id\n".to_owned(), |mut text, row| {
        writeln!(text, "http://a.test/{row},{row}").unwrap();
        text
    })
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

async fn ids(tasks: BoxStream<'static, harvestman_engine::Result<Task>>) -> Vec<u64> {
    let tasks: Vec<Task> = tasks.try_collect().await.unwrap();
    tasks.iter().map(|task| task.id().unwrap().parse().unwrap()).collect()
}

async fn error_of(tasks: BoxStream<'static, harvestman_engine::Result<Task>>) -> Error {
    tasks.try_collect::<Vec<_>>().await.unwrap_err()
}

#[tokio::test]
async fn it_conforms_plain_packed_and_empty() {
    let bucket = Bucket::new();
    bucket.put("a.csv", csv(30_000)).await;
    bucket.put("a.csv.gz", gzipped(&csv(3_000))).await;
    bucket
        .put("a.ndjson.zst", zstd::encode_all(&b"\"http://a.test/\"\n\n{oops\n"[..], 1).unwrap())
        .await;
    bucket.put("a.txt", "").await;
    bucket.put("guessed", "{\"url\": \"http://a.test/\"}\n").await;
    for (key, count) in
        [("a.csv", 30_000), ("a.csv.gz", 3_000), ("a.ndjson.zst", 2), ("a.txt", 0), ("guessed", 1)]
    {
        let source = bucket.pin(key).await.unwrap();
        source_conformance(&source, count).await;
        assert_eq!(source.total(), None);
    }
}

/// The pauses between two tries pass at once.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_changes_nothing() {
    let mut bucket = Bucket::new();
    bucket.put("a.csv", csv(400)).await;
    bucket.put("a.csv.gz", gzipped(&csv(400))).await;
    for cut in [1, 2, 7, 100, 4_095] {
        bucket.cut = Some(cut);
        for key in ["a.csv", "a.csv.gz"] {
            let source = bucket.pin(key).await.unwrap();
            assert_eq!(ids(source.open(0)).await, (0..400).collect::<Vec<_>>(), "{key}, {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_gives_nothing_any_more_is_not_waited_for_for_ever() {
    let mut bucket = Bucket::new();
    bucket.put("a.csv", csv(10)).await;
    let source = {
        bucket.cut = Some(0);
        bucket.pin("a.csv").await.unwrap()
    };
    let begun = tokio::time::Instant::now();
    let error = error_of(source.open(0)).await.to_string();
    assert!(error.contains("s3://bucket/a.csv") && error.contains("the line broke"), "{error}");
    let minutes = begun.elapsed().as_secs() / 60;
    assert!((5..7).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn a_later_life_enters_the_object_with_one_ranged_read() {
    let bucket = Bucket::new();
    let text = csv(100_000);
    bucket.put("a.csv", text.clone()).await;
    let first = bucket.pin("a.csv").await.unwrap();
    assert_eq!(first.state(0).unwrap().0["place"], serde_json::Value::Null);
    assert_eq!(ids(first.open(0)).await.len(), 100_000);
    let state = first.state(70_000).unwrap();

    bucket.asked();
    let second = bucket.pin("a.csv").await.unwrap();
    let mut tasks = second.reopen(70_000, &state);
    assert_eq!(tasks.try_next().await.unwrap().unwrap().id(), Some("70000"));
    let asked = bucket.asked();
    let wanted = text.find("/70000,").unwrap() as u64;
    assert!(asked[0].start <= wanted && wanted - asked[0].start < 200_000, "{asked:?}");
    assert!(asked[0].contains(&wanted), "{asked:?}");
    assert!(asked.iter().all(|range| range.start >= asked[0].start), "{asked:?}");
    assert_eq!(ids(tasks).await, (70_001..100_000).collect::<Vec<_>>());

    // And so does the life after that, and an opening before the place where it begins.
    let state = second.state(90_000).unwrap();
    let third = bucket.pin("a.csv").await.unwrap();
    bucket.asked();
    assert_eq!(ids(third.reopen(99_000, &state)).await.len(), 1_000);
    assert!(bucket.asked()[0].start > wanted);
    assert_eq!(ids(third.open(3)).await.len(), 99_997);
}

#[tokio::test]
async fn a_packed_object_is_decoded_from_its_beginning() {
    let bucket = Bucket::new();
    bucket.put("a.csv.gz", gzipped(&csv(20_000))).await;
    let first = bucket.pin("a.csv.gz").await.unwrap();
    assert_eq!(ids(first.open(0)).await.len(), 20_000);
    let state = first.state(15_000).unwrap();
    let second = bucket.pin("a.csv.gz").await.unwrap();
    assert_eq!(ids(second.reopen(15_000, &state)).await, (15_000..20_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_changed_object_ends_the_job_in_this_life_and_in_the_next() {
    for key in ["a.csv", "a.csv.gz"] {
        let bucket = Bucket::new();
        bucket.put(key, if key == "a.csv" { csv(9).into_bytes() } else { gzipped(&csv(9)) }).await;
        let source = bucket.pin(key).await.unwrap();
        let distinct = Deduplicated::new(Arc::new(bucket.pin(key).await.unwrap()));
        let states = (source.state(0).unwrap(), distinct.state(5).unwrap());

        bucket.put(key, if key == "a.csv" { csv(9).into_bytes() } else { gzipped(&csv(9)) }).await;
        let error = error_of(source.open(0)).await;
        assert!(matches!(&error, Error::Changed { what, .. } if what.ends_with(key)), "{error:?}");
        let next = bucket.pin(key).await.unwrap();
        assert!(matches!(error_of(next.reopen(3, &states.0)).await, Error::Changed { .. }));
        let next = Deduplicated::new(Arc::new(next));
        assert!(matches!(error_of(next.reopen(3, &states.1)).await, Error::Changed { .. }));

        bucket.inner.delete(&key.into()).await.unwrap();
        assert!(matches!(error_of(source.open(0)).await, Error::Changed { .. }));
        assert!(bucket.pin(key).await.unwrap_err().to_string().contains("isn't there"));
    }
}

#[tokio::test]
async fn limits_hold() {
    let bucket = Bucket::new();
    bucket.put("a.csv", csv(100)).await;
    let large = InputOptions::new().with_max_decoded_bytes(1_000);
    let error = bucket.pin_with("a.csv", &large).await.unwrap_err().to_string();
    assert!(error.contains("more than 1000 bytes"), "{error}");
    assert!(bucket.asked().is_empty());
    let many = InputOptions::new().with_max_tasks(99);
    let source = bucket.pin_with("a.csv", &many).await.unwrap();
    let error = error_of(source.open(0)).await.to_string();
    assert!(error.contains("more than 99 tasks"), "{error}");
}

#[tokio::test]
async fn windows_are_bounded() {
    let bucket = Bucket::new();
    bucket.put("a.txt", "http://a.test/\n".repeat(1_000_000)).await;
    let source = bucket.pin("a.txt").await.unwrap();
    let mut tasks = source.open(0);
    tasks.try_next().await.unwrap();
    let asked = bucket.asked();
    // What is read ahead, before anybody takes a task.
    assert!(asked.last().unwrap().end < 4 * 1024 * 1024, "{asked:?}");
    assert_eq!(tasks.try_fold(1, async |count, _| Ok(count + 1)).await.unwrap(), 1_000_000);
    let largest = bucket.asked().iter().map(|range| range.end - range.start).max();
    assert_eq!(largest, Some(2 * 1024 * 1024));
}
