//! Uploads and results on this machine's disk, and results in the operator's own bucket.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use harvestman_engine::{
    Error, Refusal, RefusalCode, RequestError, Result,
    checkpoint::sync_directory,
    engine::{Files, ReceivedUpload, UploadOptions},
    id::{JobId, UploadId},
    spec::{InputCompression, InputFormat},
    store::UploadError,
};
use harvestman_sources::{self as sources, ReceiveError, ReceiveOptions, Received};
use tokio::sync::{mpsc, oneshot};

use super::{
    buckets::Buckets,
    layout::{Layout, upload_of},
};

/// How many chunks of an upload wait for the thread that writes them.
const CHUNKS: usize = 16;

/// Keeps files under a [`Layout`].
#[derive(Debug)]
pub(super) struct LocalFiles {
    layout: Arc<Layout>,
    buckets: Buckets,
}

impl LocalFiles {
    /// Makes the directories, and removes uploads that were cut off.
    pub(super) fn open(layout: Arc<Layout>, buckets: Buckets) -> Result<Self> {
        let uploads = layout.uploads();
        fs::create_dir_all(&uploads).map_err(Error::io("make", &uploads))?;
        let files = Self { layout, buckets };
        for path in files.entries()? {
            if path.extension().is_some_and(|suffix| suffix == super::layout::INCOMING) {
                remove_file(&path)?;
            }
        }
        Ok(files)
    }

    fn entries(&self) -> Result<Vec<std::path::PathBuf>> {
        let uploads = self.layout.uploads();
        let entries = fs::read_dir(&uploads).map_err(Error::io("read", &uploads))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<io::Result<_>>().map_err(Error::io("read", uploads))
    }
}

#[async_trait]
impl Files for LocalFiles {
    async fn receive(
        &self,
        id: &UploadId,
        options: &UploadOptions,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<ReceivedUpload, RequestError> {
        let (chunks, waiting) = mpsc::channel(CHUNKS);
        let (layout, id, options) =
            (Arc::clone(&self.layout), id.clone(), receive_options(options));
        let (done, received) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let received = write(&layout, &id, &options, waiting);
            if let Err(Ok(_)) = done.send(received)
                && let Some(path) = layout.find_upload(&id)
            {
                // Nobody waits any more; should this fail, the next start removes it.
                let _ = remove_file(&path);
            }
        });
        let feed = async {
            let mut body = body;
            while let Some(chunk) = body.next().await {
                let is_broken = chunk.is_err();
                if chunks.send(chunk.map(Some)).await.is_err() || is_broken {
                    return;
                }
            }
            // The writer has gone only with an error of its own.
            let _ = chunks.send(Ok(None)).await;
        };
        feed.await;
        received.await.map_err(|error| RequestError::failed("upload", error))?
    }

    async fn erase_upload(&self, id: &UploadId) -> Result<()> {
        match self.layout.find_upload(id) {
            Some(path) => blocking(move || remove_file(&path)).await,
            None => Ok(()),
        }
    }

    async fn erase_output(&self, id: &JobId) -> Result<()> {
        self.buckets.erase(id).await?;
        let directory = self.layout.output(id);
        blocking(move || match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", directory)(error))
            }
            _ => Ok(()),
        })
        .await
    }

    async fn uploads(&self) -> Result<Vec<UploadId>> {
        Ok(self.entries()?.iter().filter_map(|path| upload_of(path)).collect())
    }
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::part("store", error))?
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn receive_options(options: &UploadOptions) -> ReceiveOptions {
    let mut read =
        ReceiveOptions::new().with_max_bytes(options.max_bytes).with_max_tasks(options.max_tasks);
    if let Some(format) = options.format {
        read = read.with_format(match format {
            InputFormat::Csv => sources::InputFormat::Csv,
            InputFormat::Text => sources::InputFormat::Text,
            _ => sources::InputFormat::Ndjson,
        });
    }
    if let Some(compression) = options.compression {
        read = read.with_compression(match compression {
            InputCompression::Gzip => sources::Compression::Gzip,
            InputCompression::Zstd => sources::Compression::Zstd,
            _ => sources::Compression::None,
        });
    }
    read
}

/// Writes an upload under a name that no job reads, then gives it its own.
fn write(
    layout: &Layout,
    id: &UploadId,
    options: &ReceiveOptions,
    chunks: mpsc::Receiver<Chunk>,
) -> Result<ReceivedUpload, RequestError> {
    let incoming = layout.incoming(id);
    let received = write_file(&incoming, options, chunks);
    let received = received.and_then(|received| {
        let received = described(received);
        let path = layout.upload(id, received.format);
        fs::rename(&incoming, &path).map_err(Error::io("rename to", &path))?;
        sync_directory(&path)?;
        Ok(received)
    });
    if received.is_err() {
        remove_file(&incoming)?;
    }
    received
}

fn write_file(
    path: &Path,
    options: &ReceiveOptions,
    chunks: mpsc::Receiver<Chunk>,
) -> Result<Received, RequestError> {
    let mut file = File::create(path).map_err(Error::io("make", path))?;
    let input = Chunks { chunks, current: Bytes::new(), is_ended: false };
    let received =
        sources::receive(input, &mut file, options).map_err(|error| explain(error, path))?;
    file.flush().map_err(Error::io("write to", path))?;
    file.sync_all().map_err(Error::io("synchronise", path))?;
    Ok(received)
}

fn explain(error: ReceiveError, path: &Path) -> RequestError {
    let code = match &error {
        ReceiveError::TooLarge { .. } => RefusalCode::BodyTooLarge,
        ReceiveError::TooManyTasks { .. } => RefusalCode::LimitExceeded,
        ReceiveError::Io { .. } => {
            let ReceiveError::Io { source } = error else { unreachable!("matched just now") };
            return Error::io("write to", path)(source).into();
        }
        _ => RefusalCode::SchemaInvalid,
    };
    Refusal::new(code, error.to_string()).into()
}

fn described(received: Received) -> ReceivedUpload {
    let errors = received.errors.into_iter();
    let errors = errors.map(|error| UploadError {
        line: error.line,
        code: error.code,
        message: error.message,
    });
    ReceivedUpload {
        format: match received.format {
            sources::InputFormat::Csv => InputFormat::Csv,
            sources::InputFormat::Text => InputFormat::Text,
            _ => InputFormat::Ndjson,
        },
        bytes: received.bytes,
        total: received.tasks,
        invalid: received.invalid,
        errors: errors.collect(),
        sha256: received.sha256,
    }
}

/// A piece of a body, or its end. A body whose sender has gone has none.
type Chunk = io::Result<Option<Bytes>>;

/// Reads the chunks of a body as they come, on a thread that may block.
struct Chunks {
    chunks: mpsc::Receiver<Chunk>,
    current: Bytes,
    is_ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_ended {
            let gone = || io::Error::new(ErrorKind::UnexpectedEof, "the sender has gone");
            match self.chunks.blocking_recv().ok_or_else(gone)?? {
                Some(chunk) => self.current = chunk,
                None => self.is_ended = true,
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn open(directory: &tempfile::TempDir) -> LocalFiles {
        let layout = Layout::new(directory.path().to_owned(), None);
        LocalFiles::open(Arc::new(layout), Buckets::default()).unwrap()
    }

    fn options() -> UploadOptions {
        let mut options = UploadOptions::default();
        (options.max_bytes, options.max_tasks) = (1_000, 100);
        options
    }

    fn body(chunks: &[&'static str]) -> BoxStream<'static, io::Result<Bytes>> {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        stream::iter(chunks).boxed()
    }

    #[tokio::test]
    async fn an_upload_is_kept_whole_and_erased_whole() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(&directory);
        let id = UploadId::random();
        let sent = body(&["url,id\nhttps://a.t", "est/,1\nnonsense,2\n"]);
        let received = files.receive(&id, &options(), sent).await.unwrap();
        assert_eq!((received.format, received.total), (InputFormat::Csv, 2));
        assert_eq!((received.invalid, received.errors[0].line), (1, 3));
        assert_eq!(files.uploads().await.unwrap(), std::slice::from_ref(&id));
        files.erase_upload(&id).await.unwrap();
        files.erase_upload(&id).await.unwrap();
        assert!(files.uploads().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn nothing_is_left_of_an_upload_that_fails() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(&directory);
        let id = UploadId::random();
        let cut = stream::iter([
            Ok(Bytes::from_static(b"\"https://a.test/\"\n")),
            Err(io::Error::other("the sender has gone")),
        ]);
        let error = files.receive(&id, &options(), cut.boxed()).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
        let large = stream::iter((0..2).map(|_| Ok(Bytes::from_static(&[b'x'; 600]))));
        let error = files.receive(&id, &options(), large.boxed()).await.unwrap_err();
        assert_eq!(error.refusal().map(|refusal| refusal.code), Some(RefusalCode::BodyTooLarge));
        assert_eq!(fs::read_dir(directory.path().join("uploads")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_upload_whose_request_was_dropped_is_no_upload() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(&directory);
        let id = UploadId::random();
        let head = stream::iter([Ok(Bytes::from_static(b"\"https://a.test/\"\n"))]);
        let endless = head.chain(stream::pending()).boxed();
        let options = options();
        tokio::select! {
            biased;
            result = files.receive(&id, &options, endless) => panic!("{result:?}"),
            () = tokio::task::yield_now() => {}
        }
        // The thread that writes finds out by itself.
        let uploads = directory.path().join("uploads");
        while fs::read_dir(&uploads).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_upload_that_a_crash_cut_off_is_removed_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(&directory);
        fs::write(files.layout.incoming(&UploadId::random()), "half").unwrap();
        drop(files);
        assert!(open(&directory).uploads().await.unwrap().is_empty());
    }
}
