//! One file to one object, in bounded memory.

use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, Result, path::Path};
use tokio::{fs::File, io::AsyncReadExt, task::JoinSet};

/// The size of a chunk, the least that S3 takes; a smaller file is uploaded in one request.
const CHUNK_BYTES: u64 = 5 * 1024 * 1024;
/// The size of a chunk of the largest objects: what two of them take of memory is bounded too.
const MAX_CHUNK_BYTES: u64 = 64 * 1024 * 1024;
/// The most chunks of an upload, with some room below the 10,000 that S3 takes.
const MAX_CHUNKS: u64 = 9_900;
/// The largest object that can be uploaded.
pub(super) const MAX_OBJECT_BYTES: u64 = MAX_CHUNK_BYTES * MAX_CHUNKS;
/// How many chunks are under way at a time.
const CONCURRENCY: usize = 2;

/// Uploads a file and checks that the object is there, as large as it should be. One that fails
/// leaves no upload behind.
pub(super) async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    file: &FilePath,
    bytes: u64,
) -> Result<()> {
    let mut file = File::open(file).await.map_err(unreadable)?;
    let etag = if bytes <= CHUNK_BYTES {
        let content = read(&mut file, bytes).await?;
        store.put(path, content.into()).await?.e_tag
    } else {
        upload_chunks(store, path, &mut file, bytes).await?
    };
    let found = store.head(path).await?;
    let is_other = etag.is_some() && found.e_tag.is_some() && found.e_tag != etag;
    if found.size != bytes || is_other {
        let source = format!("{path} has {} bytes instead of {bytes}", found.size).into();
        return Err(Error::Generic { store: "upload", source });
    }
    Ok(())
}

async fn upload_chunks(
    store: &dyn ObjectStore,
    path: &Path,
    file: &mut File,
    bytes: u64,
) -> Result<Option<String>> {
    let mut upload = store.put_multipart(path).await?;
    let sent = send_chunks(&mut *upload, file, bytes).await;
    let completed = match sent {
        Ok(()) => upload.complete().await,
        Err(error) => Err(error),
    };
    match completed {
        Ok(result) => Ok(result.e_tag),
        Err(error) => {
            // The failure itself is what counts; a completion whose answer was lost has nothing to
            // abort any more.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn send_chunks(upload: &mut dyn MultipartUpload, file: &mut File, bytes: u64) -> Result<()> {
    let chunk = chunk_bytes(bytes);
    let mut under_way = JoinSet::new();
    let mut left = bytes;
    while left > 0 {
        if under_way.len() >= CONCURRENCY {
            joined(under_way.join_next().await)?;
        }
        let content = read(file, chunk.min(left)).await?;
        left -= content.len() as u64;
        under_way.spawn(upload.put_part(content.into()));
    }
    while let Some(sent) = under_way.join_next().await {
        joined(Some(sent))?;
    }
    Ok(())
}

fn joined(sent: Option<Result<Result<()>, tokio::task::JoinError>>) -> Result<()> {
    match sent {
        None => Ok(()),
        Some(Ok(sent)) => sent,
        Some(Err(error)) => Err(Error::JoinError { source: error }),
    }
}

/// The size of the chunks of an object, all alike but the last.
fn chunk_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(MAX_CHUNKS).clamp(CHUNK_BYTES, MAX_CHUNK_BYTES)
}

async fn read(file: &mut File, bytes: u64) -> Result<Bytes> {
    let mut content = vec![0; bytes as usize];
    file.read_exact(&mut content).await.map_err(unreadable)?;
    Ok(content.into())
}

/// The disk's failure is no passing one of the bucket's.
fn unreadable(error: std::io::Error) -> Error {
    Error::NotSupported { source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_has_too_many_chunks_or_too_large_ones() {
        for bytes in [CHUNK_BYTES + 1, 50_000_000_000, 100_000_000_000, MAX_OBJECT_BYTES] {
            let chunk = chunk_bytes(bytes);
            assert!((CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&chunk), "{bytes}: {chunk}");
            assert!(bytes.div_ceil(chunk) <= MAX_CHUNKS, "{bytes}: {chunk}");
        }
        assert_eq!(chunk_bytes(50_000_000_000), CHUNK_BYTES);
    }
}
