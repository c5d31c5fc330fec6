//! The commit rule of outputs in a bucket, and what a bucket that fails does to it.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow_array::{cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use futures::{TryStreamExt, executor::block_on, stream::BoxStream};
use harvestman_engine::{
    Error, Part, Schema, Sink, SinkState,
    testing::{SinkUnderTest, record, sink_conformance},
};
use harvestman_sinks::{AbortUploads, FileSink, ObjectSink, OutputFormat};
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result as StoreResult, UploadPart, memory::InMemory, path::Path,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const URI: &str = "s3://results/job";

/// What a bucket does with a request to write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Fine,
    /// Every so many fail.
    Failing(usize),
    /// Of every so many, the answer is lost.
    Losing(usize),
    Denying,
    Hanging,
}

/// A bucket with moods, which knows how many uploads were begun and not ended.
#[derive(Clone, Debug)]
struct Bucket {
    inner: Arc<InMemory>,
    mood: Arc<Mutex<Mood>>,
    requests: Arc<AtomicUsize>,
    uploads: Arc<AtomicI64>,
    aborted: Arc<AtomicUsize>,
}

impl Bucket {
    fn new() -> Self {
        let (inner, mood) = (Arc::default(), Arc::new(Mutex::new(Mood::Fine)));
        let (requests, uploads, aborted) = (Arc::default(), Arc::default(), Arc::default());
        Self { inner, mood, requests, uploads, aborted }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn request(&self) -> StoreResult<()> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Failing(every) if number.is_multiple_of(every) => {
                Err(StoreError::Generic { store: "test", source: "503 SlowDown".into() })
            }
            Mood::Denying => {
                Err(StoreError::PermissionDenied { path: "job".into(), source: "no".into() })
            }
            Mood::Hanging => std::future::pending().await,
            _ => Ok(()),
        }
    }

    fn names(&self) -> BTreeSet<String> {
        let listed: Vec<ObjectMeta> = block_on(self.inner.list(None).try_collect()).unwrap();
        listed.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = Path::from(name);
        block_on(async { self.inner.get(&path).await.unwrap().bytes().await.unwrap() }).into()
    }
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bucket")
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.request().await?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.request().await?;
        let inner = self.inner.put_multipart_opts(path, options).await?;
        let number = self.uploads.fetch_add(1, Ordering::Relaxed) as usize;
        if matches!(*self.mood.lock().unwrap(), Mood::Losing(every) if number.is_multiple_of(every))
        {
            return Err(StoreError::Generic { store: "test", source: "the line broke".into() });
        }
        Ok(Box::new(Upload { bucket: self.clone(), inner }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(path, options).await
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

#[async_trait]
impl AbortUploads for Bucket {
    async fn abort_uploads(&self) -> StoreResult<usize> {
        self.request().await?;
        self.aborted.fetch_add(1, Ordering::Relaxed);
        Ok(self.uploads.swap(0, Ordering::Relaxed).unsigned_abs() as usize)
    }
}

#[derive(Debug)]
struct Upload {
    bucket: Bucket,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (bucket, sent) = (self.bucket.clone(), self.inner.put_part(data));
        Box::pin(async move {
            bucket.request().await?;
            sent.await
        })
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        self.bucket.request().await?;
        self.bucket.uploads.fetch_sub(1, Ordering::Relaxed);
        self.inner.complete().await
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.bucket.uploads.fetch_sub(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}

struct Place {
    bucket: Bucket,
    spool: TempDir,
    format: OutputFormat,
    max_part_bytes: Option<u64>,
}

impl Place {
    fn new(suffix: &str, max_part_bytes: impl Into<Option<u64>>) -> Self {
        let format = OutputFormat::detect(format!("out.{suffix}")).unwrap();
        let (bucket, spool) = (Bucket::new(), TempDir::new().unwrap());
        Self { bucket, spool, format, max_part_bytes: max_part_bytes.into() }
    }

    fn object_sink(&self) -> ObjectSink {
        let pairs = [("name", "string"), ("price", "number"), ("tags", "array of string")];
        let schema = Arc::new(Schema::from_pairs(pairs).unwrap());
        let mut parts =
            FileSink::in_directory(self.spool.path().join("job"), self.format).with_schema(schema);
        if let Some(bytes) = self.max_part_bytes {
            parts = parts.with_max_part_bytes(bytes);
        }
        ObjectSink::new(parts, Arc::new(self.bucket.clone()), "job".into(), URI)
            .with_leftovers(Arc::new(self.bucket.clone()))
    }

    /// The complete parts on the disk.
    fn on_disk(&self) -> usize {
        let entries = fs::read_dir(self.spool.path().join("job")).unwrap();
        let suffix = format!(".{}", self.format);
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(&suffix)).count()
    }
}

impl SinkUnderTest for Place {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.object_sink())
    }

    fn indices(&self, parts: &[Part]) -> Vec<u64> {
        parts.iter().flat_map(|part| self.read(part)).collect()
    }
}

impl Place {
    fn read(&self, part: &Part) -> Vec<u64> {
        let name = part.location.strip_prefix("s3://results/").unwrap();
        let bytes = self.bucket.read(name);
        assert_eq!(part.bytes, bytes.len() as u64, "{name}");
        let sha256 = Sha256::digest(&bytes);
        let sha256 = sha256.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(part.sha256.as_deref(), Some(&*sha256), "{name}");
        if name.ends_with(".parquet") {
            return read_parquet(bytes);
        }
        let mut text = String::new();
        if name.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "gz") {
            flate2::read::MultiGzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        let record = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|line| record(line)["index"].as_u64().unwrap()).collect()
    }
}

fn read_parquet(bytes: Vec<u8>) -> Vec<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let batches = reader.unwrap().build().unwrap().map(Result::unwrap);
    let indices = |batch: arrow_array::RecordBatch| -> Vec<u64> {
        let column = batch.column_by_name("index").unwrap().as_primitive::<Int64Type>().clone();
        column.values().iter().map(|index| index.unsigned_abs()).collect()
    };
    batches.flat_map(indices).collect()
}

#[tokio::test]
async fn objects_keep_the_commit_rule() {
    for suffix in ["ndjson", "ndjson.gz", "parquet"] {
        sink_conformance(|| Place::new(suffix, None)).await;
        sink_conformance(|| Place::new(suffix, 20_000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_now_and_then_changes_nothing() {
    for (every, part_bytes) in [(2, 20_000), (3, 20_000), (7, 20_000_000)] {
        let place = Place::new("ndjson", part_bytes);
        place.bucket.set(Mood::Failing(every));
        let mut writer = place.sink().open(None).await.unwrap();
        // Some parts of 20 kB, or two large ones of three chunks each.
        let count = if part_bytes < 100_000 { 3_000 } else { 90_000 };
        for first in (0..count).step_by(1_000) {
            writer.write((first..first + 1_000).map(record).collect()).await.unwrap();
            writer.checkpoint().await.unwrap();
        }
        let parts = writer.finish().await.unwrap();
        assert!(parts.len() >= 2, "{parts:?}");
        assert_eq!(place.indices(&parts), (0..count).collect::<Vec<_>>(), "{every}");
        assert_eq!(place.bucket.uploads.load(Ordering::Relaxed), 0, "no upload is left");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_beginning_had_no_answer_is_aborted_at_the_end() {
    let place = Place::new("ndjson", 20_000_000);
    place.bucket.set(Mood::Losing(2));
    let mut writer = place.sink().open(None).await.unwrap();
    for first in (0..90_000).step_by(1_000) {
        writer.write((first..first + 1_000).map(record).collect()).await.unwrap();
    }
    let parts = writer.finish().await.unwrap();
    assert_eq!(place.indices(&parts), (0..90_000).collect::<Vec<_>>());
    assert_eq!(place.bucket.uploads.load(Ordering::Relaxed), 0, "no upload is left");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_stays_away_fails_the_job_and_the_same_job_goes_on_later() {
    let place = Place::new("ndjson", 20_000);
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write((0..500).map(record).collect()).await.unwrap();
    let state = writer.checkpoint().await.unwrap();
    place.bucket.set(Mood::Failing(1));
    let written = writer.write((500..900).map(record).collect()).await;
    let error = match written {
        Ok(()) => writer.finish().await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(URI) && error.contains("503 SlowDown"), "{error}");

    place.bucket.set(Mood::Fine);
    let mut writer = place.sink().open(Some(&state)).await.unwrap();
    writer.write((500..1_000).map(record).collect()).await.unwrap();
    let parts = writer.finish().await.unwrap();
    assert_eq!(place.indices(&parts), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_denied_bucket_is_told_before_anything_is_written() {
    let place = Place::new("ndjson", None);
    place.bucket.set(Mood::Denying);
    let Err(error) = place.sink().open(None).await else { panic!("it was opened") };
    assert!(matches!(&error, Error::Denied { code: "s3_access_denied", .. }), "{error:?}");
    assert!(!place.spool.path().join("job").exists());
}

#[tokio::test]
async fn a_part_is_counted_on_when_it_is_in_the_bucket_and_its_file_goes_then() {
    let place = Place::new("ndjson", 20_000);
    let mut writer = place.sink().open(None).await.unwrap();
    let mut counted = 0;
    for first in (0..5_000).step_by(100) {
        writer.write((first..first + 100).map(record).collect()).await.unwrap();
        writer.checkpoint().await.unwrap();
        let sealed = writer.sealed();
        counted = sealed.len();
        place.indices(&sealed);
        assert!(place.on_disk() <= 4, "{} files at {first}", place.on_disk());
    }
    assert!(counted >= 5, "{counted}");
    assert!(!place.bucket.names().contains("job/manifest.json"));
    let state = writer.checkpoint().await.unwrap();
    drop(writer);
    let parts = place.sink().open(Some(&state)).await.unwrap().finish().await.unwrap();
    assert_eq!(place.indices(&parts), (0..5_000).collect::<Vec<_>>());

    let manifest = place.bucket.read("job/manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["rows"], 5_000);
    let urls = manifest["parts"].as_array().unwrap().iter().map(|part| part["url"].as_str());
    assert!(urls.eq(parts.iter().map(|part| Some(&*part.location))));
    place.sink().ended().await.unwrap();
    assert!(!place.spool.path().join("job").exists());
}

#[tokio::test(start_paused = true)]
async fn a_slow_bucket_holds_up_the_records_and_not_the_disk() {
    let place = Place::new("ndjson", 20_000);
    let mut writer = place.sink().open(None).await.unwrap();
    place.bucket.set(Mood::Hanging);
    let mut taken = 0;
    while tokio::time::timeout(
        Duration::from_secs(1),
        writer.write((taken..taken + 100).map(record).collect()),
    )
    .await
    .is_ok()
    {
        taken += 100;
        assert!(taken < 10_000, "it takes and takes");
    }
    assert!(taken > 0 && place.on_disk() <= 4, "{taken} records, {} files", place.on_disk());
}

#[tokio::test]
async fn what_a_killed_life_left_is_cleaned_up() {
    let place = Place::new("ndjson", 20_000);
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write((0..100).map(record).collect()).await.unwrap();
    let state = writer.checkpoint().await.unwrap();
    // Parts that no checkpoint counts on, and an upload that was cut off.
    for first in (100..3_000).step_by(100) {
        writer.write((first..first + 100).map(record).collect()).await.unwrap();
    }
    drop(writer);
    place.bucket.uploads.store(3, Ordering::Relaxed);
    assert!(place.bucket.names().len() > 5, "{:?}", place.bucket.names());

    let parts = place.sink().open(Some(&state)).await.unwrap().finish().await.unwrap();
    assert_eq!(place.indices(&parts), (0..100).collect::<Vec<_>>());
    let names = parts.iter().map(|part| part.location.replace("s3://results/", ""));
    let left: BTreeSet<_> = names.chain(["job/manifest.json".to_owned()]).collect();
    assert_eq!(place.bucket.names(), left);
    assert_eq!(place.bucket.uploads.load(Ordering::Relaxed), 0);
    assert_eq!(
        place.bucket.aborted.load(Ordering::Relaxed),
        3,
        "when it is opened, and at the end"
    );
}

#[tokio::test]
async fn what_can_not_be_uploaded_is_refused() {
    let place = Place::new("ndjson", u64::MAX);
    let refused = |opened: harvestman_engine::Result<_>| match opened {
        Ok(()) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    let error = refused(place.sink().open(None).await.map(drop));
    assert!(error.contains("max_part_bytes"), "{error}");
    let file = FileSink::new(place.spool.path().join("x.ndjson"), place.format);
    let sink = ObjectSink::new(file, Arc::new(place.bucket.clone()), "job".into(), URI);
    let error = refused(sink.open(None).await.map(drop));
    assert!(error.contains("in a directory"), "{error}");

    let place = Place::new("ndjson", None);
    let state = place.sink().open(None).await.unwrap().checkpoint().await.unwrap();
    let mut other = state.0.clone();
    other["uri"] = "s3://results/other".into();
    let error = place.sink().open(Some(&SinkState(other))).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error:?}");
}
