//! Keeps what was read from a pipe, so that it can be read again.
//!
//! The spool is a prefix of the input, byte for byte. Once the input has ended, a marker beside it
//! holds its length and SHA-256; a marker that can't be read is none, since a crash may have torn it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use harvestman_engine::{Error, Result};
use sha2::{Digest, Sha256};

use crate::survey::hex;

/// What messages call the pipe.
pub(crate) const INPUT: &str = "the input";

/// At most so many bytes are read from the pipe at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A pipe and what was read from it, for any number of readers.
pub(crate) struct Spool {
    path: PathBuf,
    /// How many bytes of the spool belong to the input.
    bytes: AtomicU64,
    /// Whether the input has begun, and has been the spool's so far. Kept outside of the lock, which
    /// is held for as long as a read from a silent pipe takes.
    is_same: AtomicBool,
    pipe: Mutex<Pipe>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The end of the pipe, held by whoever reads from it.
struct Pipe {
    input: Box<dyn Read + Send>,
    chunk: Box<[u8]>,
    /// Appends to the spool.
    end: File,
    /// Reads the spool of an earlier process while the input is compared with it.
    earlier: File,
    /// How many bytes of the input are known to be those of the spool.
    compared: u64,
    hash: Sha256,
    max_bytes: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Some of the input, or all of it, may be missing.
    Open,
    /// An earlier process has spooled all of it; what comes must be the same, or nothing.
    Complete,
    Ended,
    /// Nothing can be read any more: the input differs, or the spool could not be written.
    Failed(String),
}

impl Spool {
    /// Opens a spool, or begins one. Blocks: a complete spool is read once and checked.
    pub(crate) fn open(path: &Path, input: Box<dyn Read + Send>, max_bytes: u64) -> Result<Self> {
        let end = OpenOptions::new().append(true).create(true).open(path);
        let end = end.map_err(Error::io("open", path))?;
        let bytes = end.metadata().map_err(Error::io("open", path))?.len();
        let earlier = File::open(path).map_err(Error::io("open", path))?;
        let state = if is_complete(path, bytes)? { State::Complete } else { State::Open };
        let chunk = vec![0; CHUNK_BYTES].into();
        let hash = Sha256::new();
        let pipe = Pipe { input, chunk, end, earlier, compared: 0, hash, max_bytes, state };
        Ok(Self {
            path: path.to_owned(),
            bytes: AtomicU64::new(bytes),
            is_same: AtomicBool::new(false),
            pipe: Mutex::new(pipe),
        })
    }

    /// Begins to read from the spool's beginning.
    ///
    /// If the spool is of an earlier process, waits for the first bytes of the input, so that
    /// another input is found out before anything is done.
    pub(crate) fn reader(self: &Arc<Self>) -> io::Result<SpoolReader> {
        if self.bytes() > 0 && !self.is_same.load(Ordering::Acquire) {
            // Another reader may have found out meanwhile.
            self.with_pipe(|pipe| if pipe.is_known() { Ok(()) } else { self.advance(pipe) })?;
        }
        let file = File::open(&self.path)?;
        Ok(SpoolReader { spool: Arc::clone(self), file, position: 0 })
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Reads from the pipe until the spool is longer than `position`. False at the input's end.
    fn extend(&self, position: u64) -> io::Result<bool> {
        self.with_pipe(|pipe| {
            while self.bytes() <= position && pipe.state != State::Ended {
                self.advance(pipe)?;
            }
            Ok(())
        })?;
        Ok(self.bytes() > position)
    }

    fn advance(&self, pipe: &mut Pipe) -> Result<()> {
        let result = pipe.advance(&self.path, &self.bytes);
        self.is_same.store(pipe.is_known(), Ordering::Release);
        result
    }

    fn with_pipe(&self, act: impl FnOnce(&mut Pipe) -> Result<()>) -> io::Result<()> {
        let Ok(mut pipe) = self.pipe.lock() else {
            return Err(io::Error::other(Error::damaged(INPUT, "a reader of it panicked")));
        };
        act(&mut pipe).map_err(io::Error::other)
    }
}

impl Pipe {
    /// Whether the input has begun as the spool does.
    fn is_known(&self) -> bool {
        match self.state {
            State::Open | State::Complete => self.compared > 0,
            State::Ended => true,
            State::Failed(_) => false,
        }
    }

    /// Reads once from the input: compares what the spool has of it, keeps the rest.
    fn advance(&mut self, path: &Path, bytes: &AtomicU64) -> Result<()> {
        if let State::Failed(message) = &self.state {
            return Err(Error::part("source", message.clone()));
        }
        let result = self.try_advance(path, bytes);
        if let Err(error) = &result {
            self.state = State::Failed(error.to_string());
        }
        result
    }

    fn try_advance(&mut self, path: &Path, bytes: &AtomicU64) -> Result<()> {
        let read = read_once(&mut self.input, &mut self.chunk).map_err(Error::io("read", INPUT))?;
        let spooled = bytes.load(Ordering::Acquire);
        if read == 0 {
            return self.end(path, spooled);
        }
        let known = usize::try_from(spooled - self.compared).map_or(read, |left| left.min(read));
        self.compare(known, path)?;
        if known < read {
            self.keep(known..read, path, spooled)?;
            bytes.store(self.compared, Ordering::Release);
        }
        Ok(())
    }

    fn compare(&mut self, length: usize, path: &Path) -> Result<()> {
        let mut earlier = vec![0; length];
        self.earlier.read_exact(&mut earlier).map_err(Error::io("read", path))?;
        let mut pairs = earlier.iter().zip(&*self.chunk);
        if let Some(place) = pairs.position(|(was, is)| was != is) {
            let byte = self.compared + place as u64 + 1;
            let message =
                format!("byte {byte} is another one; feed the same input again, or start anew");
            return Err(Error::changed(INPUT, message));
        }
        self.hash.update(&earlier);
        self.compared += length as u64;
        Ok(())
    }

    fn keep(&mut self, new: std::ops::Range<usize>, path: &Path, spooled: u64) -> Result<()> {
        if self.state == State::Complete {
            let message = format!("it goes on after the {spooled} bytes that were all of it");
            return Err(Error::changed(INPUT, message));
        }
        if spooled + new.len() as u64 > self.max_bytes {
            let max = self.max_bytes;
            let message = format!("holds more than {max} bytes; split it, or raise the limit");
            return Err(Error::invalid(INPUT, message));
        }
        let new = &self.chunk[new];
        self.end.write_all(new).map_err(Error::io("write to", path))?;
        self.hash.update(new);
        self.compared += new.len() as u64;
        Ok(())
    }

    fn end(&mut self, path: &Path, spooled: u64) -> Result<()> {
        let is_nothing = self.compared == 0 && self.state == State::Complete;
        if self.compared < spooled && !is_nothing {
            let compared = self.compared;
            let message = format!(
                "it ends after {compared} bytes, of which there were {spooled} before; \
                 feed it again from its beginning, or start anew"
            );
            return Err(Error::changed(INPUT, message));
        }
        if self.state == State::Open {
            self.end.sync_all().map_err(Error::io("sync", path))?;
            write_marker(path, spooled, &hex(self.hash.clone()))?;
        }
        self.state = State::Ended;
        Ok(())
    }
}

/// One reader of the spool, which goes on with the pipe where the spool ends.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    spool: Arc<Spool>,
    file: File,
    position: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.spool.bytes() && !self.spool.extend(self.position)? {
            return Ok(0);
        }
        let there = usize::try_from(self.spool.bytes() - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(there);
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            let name = self.spool.path.display().to_string();
            return Err(io::Error::other(Error::damaged(name, "it was cut while it was read")));
        }
        self.position += read as u64;
        Ok(read)
    }
}

fn read_once(input: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Where the marker of a complete spool is.
pub(crate) fn marker_path(spool: &Path) -> PathBuf {
    let mut name = spool.as_os_str().to_owned();
    name.push(".complete");
    name.into()
}

fn write_marker(spool: &Path, bytes: u64, sha256: &str) -> Result<()> {
    let path = marker_path(spool);
    let mut file = File::create(&path).map_err(Error::io("create", &path))?;
    let text = format!("{bytes} {sha256}\n");
    file.write_all(text.as_bytes()).map_err(Error::io("write to", &path))?;
    file.sync_all().map_err(Error::io("sync", &path))
}

/// Whether there is a marker. One that doesn't fit the spool is an error.
fn is_complete(spool: &Path, bytes: u64) -> Result<bool> {
    let path = marker_path(spool);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let Some((marked_bytes, marked_hash)) = parse_marker(&text) else {
        return Ok(false);
    };
    if marked_bytes == bytes && marked_hash == hash_file(spool)? {
        return Ok(true);
    }
    let message = "it isn't what its marker says; remove both and feed the input again";
    Err(Error::damaged(spool.display().to_string(), message))
}

fn parse_marker(text: &[u8]) -> Option<(u64, &str)> {
    let line = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let (bytes, hash) = line.split_once(' ')?;
    Some((bytes.parse().ok()?, hash))
}

fn hash_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = read_once(&mut file, &mut chunk).map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok(hex(hash));
        }
        hash.update(&chunk[..read]);
    }
}
