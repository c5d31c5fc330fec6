//! A file that is being fetched: what there is of it, and what it gets its name by.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use reqwest::header::HeaderValue;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, Stdout},
};

use super::failure::Failure;

/// How many bytes of a file are hashed at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What came in so far. In a file it is kept as `NAME.part`, and beside it as `NAME.part.etag` of which
/// version it is, so that another run can go on with it.
pub(crate) struct Partial {
    place: Place,
    hash: Sha256,
    length: u64,
    etag: Option<HeaderValue>,
}

enum Place {
    File { file: File, path: PathBuf },
    Stdout(Stdout),
}

impl Partial {
    /// Goes on with what an earlier run has left of this file.
    pub(crate) async fn of_file(path: &Path) -> Result<Self, Failure> {
        let part = part(path);
        let open = async {
            let file = lock(&part).await?;
            let etag =
                fs::read(tag(path)).await.ok().and_then(|tag| HeaderValue::from_bytes(&tag).ok());
            let place = Place::File { file, path: path.to_owned() };
            let mut partial = Self { place, hash: Sha256::new(), length: 0, etag };
            if partial.etag.is_some() {
                partial.hash_what_is_there().await?;
            }
            Ok(partial)
        };
        open.await.map_err(|error| Failure::file("write to", &part, &error))
    }

    /// Writes to standard output.
    pub(crate) fn to_stdout() -> Self {
        let place = Place::Stdout(tokio::io::stdout());
        Self { place, hash: Sha256::new(), length: 0, etag: None }
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The version that these bytes are of, if there are any that can be gone on with.
    pub(crate) fn version(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|_| self.length > 0)
    }

    /// Begins anew with this version. What has left through a pipe can't be taken back.
    pub(crate) async fn restart(&mut self, etag: Option<HeaderValue>) -> Result<(), Failure> {
        // Only a strong one says that the bytes are the same.
        self.etag = etag.filter(|etag| etag.as_bytes().starts_with(b"\""));
        match &mut self.place {
            Place::File { file, path } => {
                let begun = begin(file, &tag(path), self.etag.as_ref()).await;
                begun.map_err(|error| Failure::file("write to", path, &error))?;
            }
            Place::Stdout(_) if self.length > 0 => {
                let message = "the connection broke, and the rest of the file can't be had alone; \
                               fetch it into a file";
                return Err(Failure::Damaged(message.to_owned()));
            }
            Place::Stdout(_) => {}
        }
        (self.hash, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.place {
            Place::File { file, .. } => file.write_all(bytes).await,
            Place::Stdout(stdout) => stdout.write_all(bytes).await,
        };
        written.map_err(|error| Failure::file("write to", self.name(), &error))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives a file its name, if it is what was promised. Its hash in hexadecimal digits.
    pub(crate) async fn finish(mut self, sha256: Option<&str>) -> Result<String, Failure> {
        let found = HEXLOWER.encode(&self.hash.clone().finalize());
        let is_right = sha256.is_none_or(|promised| promised.eq_ignore_ascii_case(&found));
        let done = match &mut self.place {
            Place::File { file, path } if is_right => publish(file, path).await,
            Place::File { path, .. } => discard(path).await,
            Place::Stdout(stdout) => stdout.flush().await,
        };
        done.map_err(|error| Failure::file("write", self.name(), &error))?;
        if is_right {
            return Ok(found);
        }
        let name = self.name().display();
        Err(Failure::Damaged(format!(
            "{name}: what came is not what its SHA-256 promises; try again"
        )))
    }

    fn name(&self) -> &Path {
        match &self.place {
            Place::File { path, .. } => path,
            Place::Stdout(_) => Path::new("standard output"),
        }
    }

    async fn hash_what_is_there(&mut self) -> io::Result<()> {
        let Place::File { file, .. } = &mut self.place else { return Ok(()) };
        (self.hash, self.length) = hash(file).await?;
        Ok(())
    }
}

/// Whether a file is there and complete.
pub(crate) async fn is_there(path: &Path, bytes: u64, sha256: &str) -> bool {
    let Ok(mut file) = File::open(path).await else { return false };
    if !file.metadata().await.is_ok_and(|metadata| metadata.len() == bytes) {
        return false;
    }
    let hashed = hash(&mut file).await;
    hashed.is_ok_and(|(hash, _)| HEXLOWER.encode(&hash.finalize()).eq_ignore_ascii_case(sha256))
}

async fn hash(file: &mut File) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok((hash, length));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

/// Opens a file that nobody else may write meanwhile.
async fn lock(part: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(part)?;
    match file.try_lock() {
        Ok(()) => Ok(File::from_std(file)),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another download writes to it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The version is known before the first byte of it is there.
async fn begin(file: &mut File, tag: &Path, etag: Option<&HeaderValue>) -> io::Result<()> {
    file.set_len(0).await?;
    file.rewind().await?;
    match etag {
        Some(etag) => fs::write(tag, etag).await,
        None => remove(tag).await,
    }
}

async fn publish(file: &mut File, path: &Path) -> io::Result<()> {
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(part(path), path).await?;
    remove(&tag(path)).await
}

async fn discard(path: &Path) -> io::Result<()> {
    remove(&part(path)).await?;
    remove(&tag(path)).await
}

async fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn part(path: &Path) -> PathBuf {
    path.with_added_extension("part")
}

fn tag(path: &Path) -> PathBuf {
    path.with_added_extension("part.etag")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn etag(text: &'static str) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(text))
    }

    #[tokio::test]
    async fn another_run_goes_on_with_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        let mut partial = Partial::of_file(&path).await.unwrap();
        partial.restart(etag("\"1\"")).await.unwrap();
        partial.append(b"ab").await.unwrap();
        let Place::File { file, .. } = &mut partial.place else { panic!() };
        file.flush().await.unwrap();
        drop(partial);

        let mut partial = Partial::of_file(&path).await.unwrap();
        assert_eq!((partial.length(), partial.version().unwrap().as_bytes()), (2, &b"\"1\""[..]));
        partial.append(b"c").await.unwrap();
        assert_eq!(partial.finish(Some(ABC)).await.unwrap(), ABC);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(is_there(&path, 3, ABC).await && !is_there(&path, 2, ABC).await);
    }

    #[tokio::test]
    async fn what_can_t_be_told_apart_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        for weak in [None, etag("W/\"1\"")] {
            let mut partial = Partial::of_file(&path).await.unwrap();
            partial.restart(weak).await.unwrap();
            partial.append(b"old").await.unwrap();
            assert_eq!(partial.version(), None);
            drop(partial);
            let partial = Partial::of_file(&path).await.unwrap();
            assert_eq!((partial.length(), partial.version()), (0, None));
        }
    }

    #[tokio::test]
    async fn damage_gets_no_name_and_is_not_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        std::fs::write(&path, "before").unwrap();
        let mut partial = Partial::of_file(&path).await.unwrap();
        partial.restart(etag("\"1\"")).await.unwrap();
        partial.append(b"abd").await.unwrap();
        let failure = partial.finish(Some(ABC)).await.unwrap_err();
        assert_eq!(failure.exit_code(), 7);
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn two_downloads_of_one_file_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        let _first = Partial::of_file(&path).await.unwrap();
        let second = Partial::of_file(&path).await.err().unwrap();
        assert!(second.to_string().contains("another download"), "{second}");
    }
}
