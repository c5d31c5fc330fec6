//! Tasks from an object in a bucket.

mod failure;
mod pinned;
mod state;
mod windows;

use std::{
    io::Read,
    path::Path as FilePath,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::{StreamExt, stream::BoxStream};
use harvestman_engine::{LineReader, Result, Source, SourceState, Task};
use object_store::path::Path;
use tokio::runtime::Handle;

use self::{pinned::PinnedObject, state::State, windows::Windows};
use crate::{
    Compression, InputFormat, InputOptions,
    decode::{decode, read_error},
    feed::{Outlet, stream},
    index::RowIndex,
    reading::{Layout, Reading, begin},
};

/// The tasks of an object in a bucket: text, NDJSON or CSV, which may be compressed.
///
/// The object is streamed in windows of bounded size, each read again from where it broke off when
/// the connection does, and never held whole. It is pinned when it is [found](Self::pin): one that
/// is written again, or removed, ends the job with [`Error::Changed`](harvestman_engine::Error::Changed); so does, in a later life of
/// the job, another one than the checkpoint's.
///
/// Where rows begin is noted as they are read, and kept with the job's checkpoint: a job goes on with
/// one ranged read near its first task without a record. A compressed object can't be entered in its
/// middle and is decoded from its beginning.
///
/// Lines are read as by [`FileSource`](crate::FileSource). The format is that of the options, of the
/// key's suffix, or the one that the first line [looks like](InputFormat::of_first_line). The number
/// of tasks isn't known beforehand. Each opening has a thread until it is read or dropped; memory
/// holds three windows of at most 2 MiB.
///
/// ```
/// use std::sync::Arc;
///
/// use futures::TryStreamExt;
/// use harvestman_engine::{LineReader, Params, Source};
/// use harvestman_sources::{InputOptions, ObjectStore};
/// use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # rt.block_on(async {
/// let bucket = Arc::new(InMemory::new());
/// let key = Path::from("lists/urls.csv");
/// bucket.put(&key, "url,id\nhttps://a.test/,1\nhttps://b.test/,2\n".into()).await?;
/// let reader = LineReader::new(Params::new());
/// let name = "s3://bucket/lists/urls.csv";
/// let source = ObjectStore::pin(bucket, key, name, reader, &InputOptions::new()).await?;
/// let second = source.open(1).try_next().await?.expect("the second of two");
/// assert_eq!((second.id(), second.line()), (Some("2"), 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ObjectStore {
    object: Arc<ListObject>,
}

#[derive(Debug)]
struct ListObject {
    pinned: Arc<PinnedObject>,
    reader: LineReader,
    options: InputOptions,
    compression: Compression,
    /// Known once the beginning was read, here or in an earlier life.
    layout: OnceLock<Layout>,
    /// Of a plain object.
    index: Arc<Mutex<RowIndex>>,
    runtime: Handle,
}

impl ObjectStore {
    /// Finds the object and pins it as it is now. `name` is what messages call it: its URI. Nothing
    /// of it is read yet.
    ///
    /// Fails if it isn't there, if access is [denied](harvestman_engine::Error::Denied), or if it is larger than the
    /// options' limit of decoded bytes, which holds for a plain object too. Transient failures are
    /// for the store to retry.
    pub async fn pin(
        store: Arc<dyn object_store::ObjectStore>,
        path: Path,
        name: impl Into<String>,
        reader: LineReader,
        options: &InputOptions,
    ) -> Result<Self> {
        let pinned = PinnedObject::find(store, path, name.into()).await?;
        pinned.refuse_larger_than(options.max_decoded_bytes)?;
        let key = FilePath::new(pinned.path.as_ref()).to_owned();
        let mut options = options.clone();
        options.format = options.format.or_else(|| InputFormat::of_path(&key));
        let compression = options.compression.unwrap_or_else(|| Compression::of_path(&key));
        let object = ListObject {
            pinned: Arc::new(pinned),
            reader,
            options,
            compression,
            layout: OnceLock::new(),
            index: Arc::default(),
            runtime: Handle::current(),
        };
        Ok(Self { object: Arc::new(object) })
    }
}

impl Source for ObjectStore {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let object = Arc::clone(&self.object);
        stream(move |outlet| object.send(from, outlet))
    }

    fn total(&self) -> Option<u64> {
        None
    }

    fn state(&self, next: u64) -> Option<SourceState> {
        let object = &self.object;
        let before = lock(&object.index).before(next);
        let place = object.layout.get().zip(before);
        State::new(&object.pinned, place).write()
    }

    fn reopen(&self, from: u64, state: &SourceState) -> BoxStream<'static, Result<Task>> {
        match self.object.take_up(state) {
            Ok(()) => self.open(from),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }
}

impl ListObject {
    /// Checks that the object is the one of the state, and goes by what that knows of it.
    fn take_up(&self, state: &SourceState) -> Result<()> {
        let state = State::read(state)?;
        state.refuse_other(&self.pinned)?;
        if let Some((layout, task, at)) = state.place(&self.reader, &self.pinned.name)?
            && self.compression == Compression::None
            && self.layout.set(layout).is_ok()
        {
            *lock(&self.index) = RowIndex::beginning_at(task, at);
        }
        Ok(())
    }

    fn send(&self, from: u64, outlet: &Outlet) -> Result<()> {
        let entry = lock(&self.index).before(from);
        match self.layout.get().zip(entry) {
            Some((layout, (next, at))) => {
                let rows = layout.rows(self.bytes(at.offset), at);
                let reading = self.reading(rows, layout, next);
                reading.send(from, outlet)
            }
            None => self.send_from_beginning(from, outlet),
        }
    }

    fn send_from_beginning(&self, from: u64, outlet: &Outlet) -> Result<()> {
        let name = &self.pinned.name;
        let max = self.options.max_decoded_bytes;
        let decoded = decode(self.bytes(0), self.compression, max, name);
        let decoded = decoded.map_err(read_error(name))?;
        let (layout, rows) = begin(decoded, self.options.format, &self.reader, name)?;
        let reading = self.reading(rows, &layout, 0);
        let _ = self.layout.set(layout);
        reading.send(from, outlet)
    }

    fn reading<R: Read>(
        &self,
        rows: crate::rows::Rows<R>,
        layout: &Layout,
        next: u64,
    ) -> Reading<R> {
        let is_plain = self.compression == Compression::None;
        let index = is_plain.then(|| Arc::clone(&self.index));
        Reading::new(rows, layout, self.reader.clone(), next, &self.pinned.name)
            .with_max_tasks(self.options.max_tasks)
            .with_index(index)
    }

    fn bytes(&self, from: u64) -> Windows {
        Windows::open(&self.runtime, Arc::clone(&self.pinned), from)
    }
}

fn lock(index: &Mutex<RowIndex>) -> std::sync::MutexGuard<'_, RowIndex> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
