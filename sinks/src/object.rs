//! Records to objects in a bucket.

mod destination;
mod failure;
mod state;
mod upload;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use harvestman_engine::{Error, Part, Record, Result, Sink, SinkState, SinkWriter};
use object_store::{ObjectStore, path::Path};
use tokio::{task::JoinSet, time::Duration};

use self::{
    destination::{Destination, Patience},
    state::State,
    upload::MAX_OBJECT_BYTES,
};
use crate::{
    FileSink,
    file::{FileWriter, blocking},
    output::Output,
    work::remove,
};

/// How many complete parts may wait for their upload, the one under way included, before no more
/// records are taken.
const MAX_WAITING: usize = 2;
/// How long aborting uploads that belong to no part is tried.
const MAX_CLEANING: Duration = Duration::from_mins(2);

/// Writes records to objects of bounded size in a bucket, by way of a directory on the disk.
///
/// Each part is made in the directory by a [`FileSink`], and uploaded when it is complete, while the
/// next one is made. Once a checkpoint counts on a part, it is in the bucket, its size was checked,
/// and it never changes; the file goes after that. The disk holds the part under way, of Parquet
/// about twice that, and at most four more. A slow bucket slows the job down.
///
/// A life that is killed leaves the bucket as it is: the next one uploads again what no checkpoint
/// counts on, under the same names, and aborts what was uploaded in part. When all parts are there,
/// `manifest.json` is written, which says `{job_id, format, rows, bytes, parts: [{url, rows, bytes,
/// sha256}]}`: an output without it is not complete. After that, uploads are aborted once more whose
/// beginning had no answer.
///
/// The directory has to outlive a crash, or the job can't go on. Memory holds two chunks of 5 MiB,
/// larger ones beyond parts of 51 GB. A bucket that can't be reached is tried again for ten minutes.
///
/// ```
/// use std::sync::Arc;
///
/// use harvestman_engine::{Params, Record, Fields, Sink, Task};
/// use harvestman_sinks::{FileSink, ObjectSink, OutputFormat};
/// use object_store::{ObjectStoreExt, memory::InMemory};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # rt.block_on(async {
/// # let spool = tempfile::tempdir()?;
/// let parts = FileSink::in_directory(spool.path(), OutputFormat::detect("x.ndjson.gz")?);
/// let bucket = Arc::new(InMemory::new());
/// let sink = ObjectSink::new(parts, bucket.clone(), "nightly".into(), "s3://results/nightly");
///
/// let mut writer = sink.open(None).await?;
/// let task = Task::new(0, "https://shop.example/lamp", Params::new());
/// writer.write(vec![Record::ok(task, Fields::default())]).await?;
/// let parts = writer.finish().await?;
/// sink.ended().await?;
/// assert_eq!(parts[0].location, "s3://results/nightly/part-00000.ndjson.gz");
/// assert!(bucket.head(&"nightly/manifest.json".into()).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ObjectSink {
    parts: FileSink,
    destination: Arc<Destination>,
    leftovers: Option<Arc<dyn AbortUploads>>,
}

/// Aborts uploads that a crash has left behind, which no [`ObjectStore`] can list.
#[async_trait]
pub trait AbortUploads: fmt::Debug + Send + Sync {
    /// Aborts all uploads under the place that the sink writes to. Nobody else is writing there.
    async fn abort_uploads(&self) -> object_store::Result<usize>;
}

impl ObjectSink {
    /// A sink of the parts that `parts` makes [in a directory](FileSink::in_directory), to objects
    /// under `prefix`, which belongs to this job alone. Their locations begin with `uri`.
    pub fn new(
        parts: FileSink,
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        uri: impl Into<String>,
    ) -> Self {
        let uri: String = uri.into();
        let uri = uri.trim_end_matches('/').to_owned();
        let destination = Arc::new(Destination { store, prefix, uri });
        Self { parts, destination, leftovers: None }
    }

    /// Sets what aborts the uploads of a life that was killed; without it, they are left to the
    /// bucket's own rules.
    #[must_use]
    pub fn with_leftovers(mut self, leftovers: Arc<dyn AbortUploads>) -> Self {
        self.leftovers = Some(leftovers);
        self
    }

    fn check(&self) -> Result<()> {
        let refuse =
            |message| Err(Error::invalid(format!("output {}", self.destination.uri), message));
        if self.parts.directory().is_none() {
            return refuse("its parts have to be made in a directory");
        }
        if self.parts.max_part_bytes() > MAX_OBJECT_BYTES {
            return refuse("its parts may be larger than an object can be; lower max_part_bytes");
        }
        Ok(())
    }

    /// Aborts uploads that belong to no part: those of a life that was killed, and those whose answer
    /// was lost, so that another one was begun in their place. The output doesn't fail for it: a role
    /// may be allowed to write only.
    async fn abort_leftovers(&self) {
        let Some(leftovers) = &self.leftovers else { return };
        let uri = &self.destination.uri;
        let mut patience = Patience::new(uri, MAX_CLEANING);
        let aborted = loop {
            match leftovers.abort_uploads().await {
                Ok(count) => break Ok(count),
                Err(error) => {
                    if let Err(error) = patience.bear(error).await {
                        break Err(error);
                    }
                }
            }
        };
        match aborted {
            Ok(0) => {}
            Ok(count) => tracing::info!(%uri, count, "aborted uploads that belong to no part"),
            Err(error) => tracing::warn!(%uri, %error, "uploads that belong to no part stay"),
        }
    }
}

#[async_trait]
impl Sink for ObjectSink {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        self.check()?;
        let state = resume.map(|state| State::read(state, &self.destination.uri)).transpose()?;
        self.destination.probe(&self.parts.format().suffix()).await?;
        self.abort_leftovers().await;
        let shipped = state.as_ref().map_or(0, |state| state.shipped);
        let file = state.as_ref().map(|state| &state.parts);
        Ok(Box::new(ObjectWriter {
            file: self.parts.open_file(file, shipped).await?,
            sink: self.clone(),
            shipped,
            committed: shipped,
            removed: 0,
            upload: JoinSet::new(),
        }))
    }

    async fn ended(&self) -> Result<()> {
        let work = self.parts.work();
        blocking(move || work.clear(false)).await
    }
}

/// Makes one part while another one is uploaded.
struct ObjectWriter {
    file: FileWriter,
    sink: ObjectSink,
    /// How many parts are in the bucket,
    shipped: usize,
    /// of those, how many a checkpoint counts on,
    committed: usize,
    /// and of how many the file is gone.
    removed: usize,
    /// The upload under way, of the part after the shipped ones; dropping it ends it.
    upload: JoinSet<Result<()>>,
}

impl ObjectWriter {
    fn destination(&self) -> &Arc<Destination> {
        &self.sink.destination
    }

    /// Goes on with the uploads until at most so many parts wait for theirs.
    async fn ship(&mut self, most_waiting: usize) -> Result<()> {
        loop {
            let waiting = self.file.output()?.complete() - self.shipped;
            if waiting == 0 {
                return Ok(());
            }
            if self.upload.is_empty() {
                self.begin_upload()?;
            }
            let ended = if waiting > most_waiting {
                self.upload.join_next().await
            } else {
                self.upload.try_join_next()
            };
            match ended {
                Some(Ok(uploaded)) => uploaded?,
                Some(Err(error)) => return Err(Error::part("sink", error)),
                None => return Ok(()),
            }
            self.shipped += 1;
        }
    }

    fn begin_upload(&mut self) -> Result<()> {
        if let Some(part) = self.file.output()?.part(self.shipped) {
            let destination = Arc::clone(self.destination());
            self.upload.spawn(async move { destination.upload(&part).await });
        }
        Ok(())
    }

    /// Removes the files that the saved checkpoint does not need: the one that this writer gave
    /// last is saved when it is asked for the next.
    async fn remove_shipped(&mut self) -> Result<()> {
        let (from, to) = (self.removed, self.committed);
        if from == to {
            return Ok(());
        }
        let work = self.sink.parts.work();
        let parts = (from..to).map(move |part| work.part(part as u64));
        blocking(move || parts.into_iter().try_for_each(|path| remove(&path))).await?;
        self.removed = to;
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for ObjectWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        self.file.write(records).await?;
        self.ship(MAX_WAITING).await
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        self.remove_shipped().await?;
        let parts = self.file.checkpoint().await?;
        self.ship(MAX_WAITING).await?;
        self.committed = self.shipped;
        State::new(&self.destination().uri, parts, self.shipped).write()
    }

    fn sealed(&self) -> Vec<Part> {
        let Ok(output) = self.file.output() else { return Vec::new() };
        self.destination().relocate(output.first_parts(self.committed))
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Part>> {
        let parts = self.file.run(Output::finish).await?;
        self.ship(0).await?;
        let parts = self.destination().relocate(parts);
        let suffix = self.sink.parts.format().suffix();
        self.destination().remove_parts_from(parts.len(), &suffix).await;
        let format = self.sink.parts.format();
        self.destination().write_manifest(&parts, format, self.sink.parts.job_id()).await?;
        self.sink.abort_leftovers().await;
        Ok(parts)
    }
}
