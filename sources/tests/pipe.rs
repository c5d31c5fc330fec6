//! Pipes: tasks as they come, and again after a crash.

#![expect(clippy::unwrap_used, reason = "a failed preparation fails the test")]

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::mpsc,
};

use futures::{StreamExt, TryStreamExt};
use harvestman_engine::{
    Error, LineReader, Params, Result, Source, Task, testing::source_conformance,
};
use harvestman_sources::{Compression, InputFormat, InputOptions, PipeSource};

/// The end of a pipe whose other end the test holds; dropping that one ends the input.
struct Fed {
    pieces: mpsc::Receiver<Vec<u8>>,
    rest: io::Cursor<Vec<u8>>,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.position() == self.rest.get_ref().len() as u64 {
            let piece = self.pieces.recv().unwrap_or_default();
            self.rest = io::Cursor::new(piece);
        }
        self.rest.read(buffer)
    }
}

fn pipe() -> (mpsc::Sender<Vec<u8>>, Fed) {
    let (sender, pieces) = mpsc::channel();
    (sender, Fed { pieces, rest: io::Cursor::default() })
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn spool(&self) -> PathBuf {
        self.0.path().join("spool")
    }

    fn marker(&self) -> PathBuf {
        self.0.path().join("spool.complete")
    }
}

fn open(input: impl Read + Send + 'static, spool: &Path) -> Result<PipeSource> {
    let reader = LineReader::new(Params::new());
    PipeSource::new(input, spool, reader, &InputOptions::new())
}

async fn urls(source: &PipeSource, from: u64) -> Result<Vec<String>> {
    let tasks: Vec<Task> = source.open(from).try_collect().await?;
    Ok(tasks.iter().map(|task| task.url().unwrap_or("none").to_owned()).collect())
}

const LIST: &str = "http://a.test/\nhttp://b.test/\n\nhttp://c.test/";
const URLS: [&str; 3] = ["http://a.test/", "http://b.test/", "http://c.test/"];

#[tokio::test]
async fn every_format_conforms() {
    for (list, count) in [
        (LIST, 3),
        ("\u{feff}\"http://a.test/\"\n{\"url\":\"http://b.test/\"}\n", 2),
        ("url,id\nhttp://a.test/,1\nhttp://b.test/,\"2\n\"\n", 2),
        ("", 0),
    ] {
        let dir = Dir::new();
        let source = open(list.as_bytes(), &dir.spool()).unwrap();
        source_conformance(&source, count).await;
        assert_eq!(fs::read_to_string(dir.spool()).unwrap(), list);
        assert!(dir.marker().exists());
    }
}

#[tokio::test]
async fn tasks_come_before_the_input_ends_and_are_in_the_spool_by_then() {
    let dir = Dir::new();
    let (feed, input) = pipe();
    let source = open(input, &dir.spool()).unwrap();
    let mut stream = source.open(0);
    feed.send("h".into()).unwrap();
    feed.send("ttp://a.test/\nhttp://b.".into()).unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap().url(), Some("http://a.test/"));
    assert_eq!(fs::read_to_string(dir.spool()).unwrap(), "http://a.test/\nhttp://b.");
    assert!(!dir.marker().exists());
    // Another opening begins with what is in the spool.
    let first = source.open(0).try_next().await.unwrap().unwrap();
    assert_eq!(first.url(), Some("http://a.test/"));
    feed.send("test/\n".into()).unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap().url(), Some("http://b.test/"));
    drop(feed);
    assert!(stream.next().await.is_none());
    assert!(dir.marker().exists());
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn compressed_input_conforms_and_is_spooled_as_it_came() {
    let list: Vec<String> = (0..3000).map(|n| format!("http://a.test/{n}\n")).collect();
    let list = list.concat();
    let zstd = zstd::bulk::compress(list.as_bytes(), 1).unwrap();
    for packed in [gzip(&list), zstd] {
        let dir = Dir::new();
        let source = open(io::Cursor::new(packed.clone()), &dir.spool()).unwrap();
        source_conformance(&source, 3000).await;
        assert_eq!(fs::read(dir.spool()).unwrap(), packed);
        // Half a spool, as a crash leaves it.
        fs::remove_file(dir.marker()).unwrap();
        fs::write(dir.spool(), &packed[..packed.len() / 2]).unwrap();
        let again = open(io::Cursor::new(packed), &dir.spool()).unwrap();
        assert_eq!(urls(&again, 2999).await.unwrap(), ["http://a.test/2999"]);
    }
}

#[tokio::test]
async fn tasks_of_compressed_input_come_before_it_ends() {
    let dir = Dir::new();
    let (feed, input) = pipe();
    let mut stream = open(input, &dir.spool()).unwrap().open(0);
    feed.send(vec![0x1F]).unwrap();
    feed.send(gzip("http://a.test/\n")[1..].to_vec()).unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap().url(), Some("http://a.test/"));
    feed.send(gzip("http://b.test/\n")).unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap().url(), Some("http://b.test/"));
    drop(feed);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_compressed_input_is_bounded_when_decoded() {
    let dir = Dir::new();
    let packed = gzip(&"\n".repeat(100_000));
    let options = InputOptions::new().with_max_decoded_bytes(99_999);
    let reader = LineReader::new(Params::new());
    let source = PipeSource::new(io::Cursor::new(packed), dir.spool(), reader, &options).unwrap();
    let error = urls(&source, 0).await.unwrap_err();
    assert!(error.to_string().contains("holds more than 99999 bytes when decoded"), "{error}");
}

#[tokio::test]
async fn the_same_input_goes_on_behind_the_spool_of_a_crash() {
    for spooled in 0..=LIST.len() {
        let dir = Dir::new();
        fs::write(dir.spool(), &LIST[..spooled]).unwrap();
        let source = open(LIST.as_bytes(), &dir.spool()).unwrap();
        assert_eq!(urls(&source, 1).await.unwrap(), URLS[1..], "{spooled} bytes");
        assert_eq!(fs::read_to_string(dir.spool()).unwrap(), LIST);
    }
}

#[tokio::test]
async fn a_spool_is_handed_out_before_the_input_has_come_so_far() {
    let dir = Dir::new();
    fs::write(dir.spool(), LIST).unwrap();
    let (feed, input) = pipe();
    let source = open(input, &dir.spool()).unwrap();
    feed.send("http:".into()).unwrap();
    let mut stream = source.open(0);
    for url in &URLS[..2] {
        assert_eq!(stream.try_next().await.unwrap().unwrap().url(), Some(*url));
    }
    feed.send("//other".into()).unwrap();
    let error = stream.try_next().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the input differs from the job that was begun: byte 8 is another one; \
         feed the same input again, or start anew"
    );
    assert!(urls(&source, 0).await.is_err(), "no later opening takes it for the same input");
}

#[tokio::test]
async fn another_input_is_refused_before_anything_is_handed_out() {
    let longer = format!("{LIST}\nhttp://d.test/");
    for (input, is_complete, message) in [
        ("http://z.test/\n", false, "byte 8 is another one"),
        ("http://z.test/\n", true, "byte 8 is another one"),
        ("", false, "it ends after 0 bytes, of which there were 45 before"),
        (&longer, true, "it goes on after the 45 bytes"),
    ] {
        let dir = Dir::new();
        fs::write(dir.spool(), LIST).unwrap();
        if is_complete {
            urls(&open(LIST.as_bytes(), &dir.spool()).unwrap(), 0).await.unwrap();
        }
        let input = io::Cursor::new(input.as_bytes().to_vec());
        let error = open(input, &dir.spool()).unwrap().open(0).next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_shorter_input_is_refused_at_its_end() {
    let dir = Dir::new();
    fs::write(dir.spool(), LIST).unwrap();
    let error = urls(&open(&LIST.as_bytes()[..20], &dir.spool()).unwrap(), 0).await.unwrap_err();
    assert!(error.to_string().contains("it ends after 20 bytes"), "{error}");
}

#[tokio::test]
async fn a_complete_spool_needs_no_input_or_the_same() {
    let dir = Dir::new();
    urls(&open(LIST.as_bytes(), &dir.spool()).unwrap(), 0).await.unwrap();
    for input in ["", LIST] {
        let source = open(input.as_bytes(), &dir.spool()).unwrap();
        assert_eq!(urls(&source, 0).await.unwrap(), URLS);
    }
}

#[tokio::test]
async fn a_marker_is_checked_and_a_torn_one_is_none() {
    let dir = Dir::new();
    urls(&open(LIST.as_bytes(), &dir.spool()).unwrap(), 0).await.unwrap();
    let marker = fs::read_to_string(dir.marker()).unwrap();
    fs::write(dir.marker(), &marker[..marker.len() - 1]).unwrap();
    let torn = open(io::empty(), &dir.spool()).unwrap();
    assert!(matches!(urls(&torn, 0).await, Err(Error::Changed { .. })));
    fs::write(dir.marker(), &marker).unwrap();
    fs::write(dir.spool(), LIST.replace('a', "x")).unwrap();
    assert!(matches!(open(io::empty(), &dir.spool()), Err(Error::Damaged { .. })));
    PipeSource::remove_spool(dir.spool()).unwrap();
    PipeSource::remove_spool(dir.spool()).unwrap();
    assert!(!dir.spool().exists() && !dir.marker().exists());
}

#[tokio::test]
async fn limits_and_unfit_input_end_the_job() {
    let table: [(&'static [u8], InputOptions, &str); 6] = [
        (
            LIST.as_bytes(),
            InputOptions::new().with_max_decoded_bytes(44),
            "holds more than 44 bytes",
        ),
        (LIST.as_bytes(), InputOptions::new().with_max_tasks(2), "holds more than 2 tasks"),
        (b"\x1F\x8B\x08", InputOptions::new(), "it ends too early"),
        (
            b"\x1F\x8B\x08",
            InputOptions::new().with_compression(Compression::None),
            "is compressed with gzip",
        ),
        (b"PK\x03\x04", InputOptions::new(), "save it as CSV"),
        (b"id\n", InputOptions::new().with_format(InputFormat::Csv), "no column `url`"),
    ];
    for (input, options, message) in table {
        let dir = Dir::new();
        let reader = LineReader::new(Params::new());
        let source = PipeSource::new(input, dir.spool(), reader, &options).unwrap();
        let error = urls(&source, 0).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
