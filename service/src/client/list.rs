//! A list on this machine: how it is written, and its bytes as often as they are asked for.

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::{Path, PathBuf},
};

use futures::StreamExt;
use harvestman::sources::{Compression, InputFormat};
use indicatif::ProgressBar;
use reqwest::Body;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::failure::Failure;

/// The most bytes that are taken from standard input: no service takes more by default.
const MAX_PIPED_BYTES: u64 = 1_000_000_000;
/// How many bytes are read to tell how a list is written.
const HEAD_BYTES: u64 = 64 * 1024;
/// How many bytes are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A list in a file.
#[derive(Debug)]
pub(crate) struct List {
    path: PathBuf,
    /// What came from standard input, which can't be read twice.
    _spooled: Option<NamedTempFile>,
    pub(crate) bytes: u64,
    format: InputFormat,
    compression: Compression,
}

impl List {
    /// Finds a list; `-` is standard input, which is read to its end.
    pub(crate) async fn open(path: &Path) -> Result<Self, Failure> {
        let path = path.to_owned();
        let open = move || {
            if path.as_os_str() == OsStr::new("-") {
                let spooled = spool(io::stdin().lock());
                let spooled = spooled
                    .map_err(|error| Failure::file("read", Path::new("standard input"), &error))?;
                Self::new(spooled.path().to_owned(), Path::new(""), Some(spooled))
            } else {
                Self::new(path.clone(), &path, None)
            }
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| {
            Err(Failure::Unusable(format!("the list could not be read: {error}")))
        })
    }

    fn new(path: PathBuf, name: &Path, spooled: Option<NamedTempFile>) -> Result<Self, Failure> {
        let (head, bytes) = head(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let by_bytes = Compression::of_first_bytes(&head).unwrap_or_default();
        let format = InputFormat::of_path(name).unwrap_or_else(|| guess(&head, by_bytes));
        Ok(Self { path, _spooled: spooled, bytes, format, compression: by_bytes })
    }

    /// The media type, for the header `Content-Type`.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.format {
            InputFormat::Csv => "text/csv",
            InputFormat::Ndjson => "application/x-ndjson",
            _ => "text/plain",
        }
    }

    /// How it is packed, for the header `Content-Encoding`.
    pub(crate) fn encoding(&self) -> Option<&'static str> {
        match self.compression {
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            _ => None,
        }
    }

    /// The bytes as they are read, from the beginning; `bar` shows how many have gone.
    pub(crate) fn body(&self, bar: &ProgressBar) -> Body {
        let (path, bar) = (self.path.clone(), bar.clone());
        bar.set_position(0);
        let file = futures::stream::once(File::open(path));
        let chunks = file.flat_map(|opened| match opened {
            Ok(file) => ReaderStream::with_capacity(file, CHUNK_BYTES).boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        });
        Body::wrap_stream(chunks.inspect(move |chunk| {
            bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        }))
    }
}

fn head(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok((head, metadata.len()))
}

/// What the first line looks like. Behind a compression only the service can see it, and text is what
/// neither format would be.
fn guess(head: &[u8], compression: Compression) -> InputFormat {
    let unpacked = match compression {
        Compression::Gzip => first_bytes(flate2::read::MultiGzDecoder::new(head)),
        Compression::Zstd => {
            zstd::stream::read::Decoder::with_buffer(head).map_or_else(|_| Vec::new(), first_bytes)
        }
        _ => head.to_vec(),
    };
    let text = unpacked.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&unpacked);
    let line = text.trim_ascii_start().split(|byte| *byte == b'\n').next();
    InputFormat::of_first_line(line.unwrap_or_default())
}

/// The beginning of a stream that is cut off somewhere behind it.
fn first_bytes(mut decoder: impl Read) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES as usize];
    let mut filled = 0;
    while let Ok(read @ 1..) = decoder.read(&mut bytes[filled..]) {
        filled += read;
    }
    bytes.truncate(filled);
    bytes
}

fn spool(input: impl Read) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let copied = io::copy(&mut input.take(MAX_PIPED_BYTES + 1), &mut file)?;
    if copied > MAX_PIPED_BYTES {
        let message = format!("more than {MAX_PIPED_BYTES} bytes; split the list");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzipped(text: &str) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn lists_are_known_by_name_and_by_content() {
        let directory = tempfile::tempdir().unwrap();
        let long = "http://a.test/\n".repeat(100_000);
        for (name, content, media, encoding) in [
            ("a.csv", b"url\n".to_vec(), "text/csv", None),
            ("a", b"\xEF\xBB\xBFurl,id\n".to_vec(), "text/csv", None),
            ("a", b"{\"url\":1}".to_vec(), "application/x-ndjson", None),
            ("a.ndjson.gz", gzipped("{}"), "application/x-ndjson", Some("gzip")),
            ("a", gzipped("url\nx"), "text/csv", Some("gzip")),
            (
                "a",
                zstd::encode_all(&b"\"http://a.test/\""[..], 1).unwrap(),
                "application/x-ndjson",
                Some("zstd"),
            ),
            // What the suffix says is no matter if the bytes say otherwise.
            ("a.txt.gz", long.clone().into_bytes(), "text/plain", None),
            ("a", gzipped(&long), "text/plain", Some("gzip")),
            ("a", vec![], "text/plain", None),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, &content).unwrap();
            let list = List::new(path.clone(), &path, None).unwrap();
            assert_eq!((list.media_type(), list.encoding()), (media, encoding), "{name}");
            assert_eq!(list.bytes, content.len() as u64);
        }
    }

    #[test]
    fn a_directory_and_nothing_are_refused() {
        for path in ["/", "/nonexistent"] {
            let failure = List::new(path.into(), Path::new(path), None).unwrap_err();
            assert!(matches!(failure, Failure::Unusable(_)), "{failure}");
        }
    }
}
