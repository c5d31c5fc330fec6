//! Files of every format and compression, well made and not.

#![expect(clippy::unwrap_used, reason = "a failed preparation fails the test")]

use std::{fmt::Write as _, fs, io::Write as _, path::PathBuf};

use futures::TryStreamExt;
use harvestman_engine::{
    Error, LineReader, Params, Result, Source, Task, testing::source_conformance,
};
use harvestman_sources::{Compression, FileSource, InputFormat, InputOptions, MAX_LINE_BYTES};
use proptest::prelude::*;
use tempfile::TempDir;

fn reader() -> LineReader {
    LineReader::new(Params::new())
}

fn pack(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        }
        Compression::Zstd => {
            let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
            packed.include_checksum(true).unwrap();
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, pack(bytes, Compression::of_path(&path))).unwrap();
        path
    }

    fn try_open(&self, name: &str, bytes: &[u8]) -> Result<FileSource> {
        FileSource::from_path(self.write(name, bytes), reader(), &InputOptions::new())
    }

    fn open(&self, name: &str, bytes: &[u8]) -> FileSource {
        self.try_open(name, bytes).unwrap()
    }
}

async fn tasks(source: &dyn Source, from: u64) -> Vec<Task> {
    source.open(from).try_collect().await.unwrap()
}

/// What came of each task: its line, and its URL or the message.
async fn outcomes(source: &dyn Source) -> Vec<(u64, String)> {
    let tasks = tasks(source, 0).await;
    let outcome = |task: &Task| match task.target() {
        Ok(_) => task.url().unwrap_or_default().to_owned(),
        Err(error) => error.message.clone(),
    };
    tasks.iter().map(|task| (task.line(), outcome(task))).collect()
}

/// A list of `count` tasks with blank lines, bad ones and, in CSV, quoted line breaks.
fn list(format: InputFormat, count: u64) -> String {
    let mut text = String::new();
    if format == InputFormat::Csv {
        text.push_str("id,url,metadata.note,timeout_ms\r\n");
    }
    for n in 0..count {
        let result = match format {
            _ if n % 97 == 96 => writeln!(text, "\r\nbad"),
            InputFormat::Ndjson => writeln!(text, r#"{{"url":"http://a.test/{n}","id":{n}}}"#),
            InputFormat::Csv => writeln!(text, "{n},http://a.test/{n},\"two\n\"\"lines\"\"\",9000"),
            _ => writeln!(text, "  http://a.test/{n}\r"),
        };
        result.unwrap();
    }
    text
}

#[tokio::test]
async fn every_format_and_compression_conforms() {
    let files = Files::new();
    for (suffix, format) in
        [("txt", InputFormat::Text), ("jsonl", InputFormat::Ndjson), ("csv", InputFormat::Csv)]
    {
        for packed in ["", ".gz", ".zst"] {
            // More than the first entries of the index, and fewer than one batch.
            for count in [10_000, 7, 1, 0] {
                let name = format!("list.{suffix}{packed}");
                let source = files.open(&name, list(format, count).as_bytes());
                assert_eq!(source.format(), format);
                source_conformance(&source, count).await;
            }
        }
    }
}

#[tokio::test]
async fn lines_that_are_unusual_have_a_defined_outcome() {
    let files = Files::new();
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    let text =
        format!("\u{feff} http://a.test/ \r\n\n\t\r\nhttp://a.test/\n{long}\nhttp://b.test/");
    let source = files.open("a.txt", text.as_bytes());
    let expected = [
        (1, "http://a.test/".to_owned()),
        (4, "http://a.test/".to_owned()),
        (5, format!("line 5 is longer than {MAX_LINE_BYTES} bytes")),
        (6, "http://b.test/".to_owned()),
    ];
    assert_eq!(outcomes(&source).await, expected);
}

#[tokio::test]
async fn bytes_that_are_no_text_make_a_bad_line_in_every_format() {
    let files = Files::new();
    for (name, before) in [("a.txt", ""), ("a.ndjson", ""), ("a.csv", "url\n")] {
        let after = if name == "a.ndjson" { "\"http://b.test/\"\n" } else { "http://b.test/\n" };
        for (bad, message) in [
            (&b"http://a.test/\xFF"[..], "is not valid UTF-8: http://a.test/\u{fffd}"),
            (b"http://a.test/\0", "holds a NUL byte: http://a.test/·"),
        ] {
            let bytes = [before.as_bytes(), bad, b"\n", after.as_bytes()].concat();
            let found = outcomes(&files.open(name, &bytes)).await;
            let first = 1 + u64::from(!before.is_empty());
            assert_eq!(found[0], (first, format!("line {first} {message}")), "{name}");
            assert_eq!(found[1], (first + 1, "http://b.test/".to_owned()), "{name}");
        }
    }
    let found = outcomes(&files.open("a.txt", b"http://a.test/\rhttp://b.test/\n")).await;
    assert_eq!(found.len(), 1, "a carriage return ends no line");
    assert!(found[0].1.starts_with("line 1 holds a control character"), "{found:?}");
}

#[tokio::test]
async fn rows_of_csv_that_are_unusual_have_a_defined_outcome() {
    let files = Files::new();
    let long = "x".repeat(MAX_LINE_BYTES);
    let text = format!(
        "url,id\nhttp://a.test/\n\nhttp://b.test/,\"1\n2\"\nhttp://c.test/,1,2\n\"{long}\n\",1\n\
         http://d.test/,\"never"
    );
    let found = outcomes(&files.open("a.csv", text.as_bytes())).await;
    let expected = [
        (2, "http://a.test/".to_owned()),
        (4, "http://b.test/".to_owned()),
        (6, "line 6: has more cells than the header's 2".to_owned()),
        (7, format!("line 7 is longer than {MAX_LINE_BYTES} bytes")),
        (9, "line 9 opens a quoted cell that never ends: http://d.test/,\"never".to_owned()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn files_that_are_no_list_fail_with_a_remedy() {
    let files = Files::new();
    let gzip = pack(b"http://a.test/\n", Compression::Gzip);
    let zstd = pack(b"http://a.test/\n", Compression::Zstd);
    for (name, bytes, message) in [
        ("a.txt", &b"\xFF\xFEh\0"[..], "save it as UTF-8"),
        ("a.csv", b"\xFE\xFF\0h", "save it as UTF-8"),
        ("a.txt", &gzip, "is compressed with gzip; name it .gz"),
        ("a.txt", &zstd, "is compressed with zstd; name it .zst"),
        ("a.csv", b"PK\x03\x04...", "save it as CSV"),
        ("a.txt.gz", &gzip, "is compressed with gzip"),
        ("a.csv", b"url,contry\n", "unknown column `contry`"),
        ("a.csv.gz", b"id\n", "no column `url`"),
        ("a.csv", b"\"url\n", "the header is too long or has a quoted cell that never ends"),
    ] {
        let error = files.try_open(name, bytes).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(message) && error.contains(name), "{name}: {error}");
    }
}

#[test]
fn damaged_compression_fails() {
    let files = Files::new();
    let text = list(InputFormat::Text, 5_000);
    for (name, compression) in [("a.txt.gz", Compression::Gzip), ("a.txt.zst", Compression::Zstd)] {
        let whole = pack(text.as_bytes(), compression);
        let path = files.0.path().join(name);
        let open = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            FileSource::from_path(&path, reader(), &InputOptions::new())
        };
        assert_eq!(open(&whole).unwrap().survey().tasks, 5_000);
        assert_eq!(open(&[&*whole, &*whole].concat()).unwrap().survey().tasks, 10_000);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        let garbage = [&*whole, b"garbage"].concat();
        let cut = whole[..whole.len() - 3].to_vec();
        for bytes in [cut, whole[..5].to_vec(), flipped, garbage, Vec::new()] {
            let error = open(&bytes).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{name}: {error:?}");
        }
    }
}

#[test]
fn limits_end_the_job() {
    let files = Files::new();
    let text = list(InputFormat::Text, 96);
    let size = text.len() as u64;
    for (name, bomb) in [("a.txt.gz", true), ("a.txt.zst", true), ("a.txt", false)] {
        let path = files.write(name, text.as_bytes());
        let open = |options| FileSource::from_path(&path, reader(), &options);
        open(InputOptions::new().with_max_decoded_bytes(size).with_max_tasks(96)).unwrap();
        let result = open(InputOptions::new().with_max_decoded_bytes(size - 1));
        assert_eq!(result.is_err(), bomb, "a plain file may be of any size");
        if let Err(error) = result {
            assert!(error.to_string().contains("when decoded"), "{error}");
        }
        let error = open(InputOptions::new().with_max_tasks(95)).unwrap_err();
        assert!(error.to_string().contains("holds more than 95 tasks"), "{error}");
    }
}

#[test]
fn a_zstd_window_is_bounded() {
    let files = Files::new();
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    packed.window_log(24).unwrap();
    packed.write_all(list(InputFormat::Text, 9).as_bytes()).unwrap();
    let path = files.0.path().join("a.txt.zst");
    fs::write(&path, packed.finish().unwrap()).unwrap();
    let error = FileSource::from_path(&path, reader(), &InputOptions::new()).unwrap_err();
    assert!(error.to_string().contains("without --long"), "{error}");
}

#[tokio::test]
async fn format_and_compression_can_be_said_or_seen() {
    let files = Files::new();
    for (bytes, format) in [
        (&b"\n\n {\"url\": \"http://a.test/\"}"[..], InputFormat::Ndjson),
        (b"\"http://a.test/\"\n", InputFormat::Ndjson),
        (b"http://a.test/\n", InputFormat::Text),
        (b"\xEF\xBB\xBFurl\nhttp://a.test/\n", InputFormat::Csv),
        (b"", InputFormat::Text),
    ] {
        assert_eq!(files.open("list", bytes).format(), format);
    }
    let path = files.0.path().join("a.txt");
    fs::write(&path, pack(b"\"http://a.test/\"", Compression::Zstd)).unwrap();
    let options =
        InputOptions::new().with_format(InputFormat::Ndjson).with_compression(Compression::Zstd);
    let source = FileSource::from_path(&path, reader(), &options).unwrap();
    source_conformance(&source, 1).await;
}

#[tokio::test]
async fn the_survey_is_of_the_stored_bytes_and_a_change_is_noticed() {
    let files = Files::new();
    let source = files.open("a.txt", b"http://a.test/\n");
    let survey = source.survey();
    assert_eq!((survey.tasks, survey.bytes), (1, 15));
    let sha256 = "ab57d3628132e9d9f3bd029089f5bc0011f0e3f3371d29900dbedd33ba56d071";
    assert_eq!(survey.sha256, sha256);
    files.write("a.txt", b"http://a.test/\nhttp://b.test/\n");
    let result: Result<Vec<Task>> = source.open(0).try_collect().await;
    assert!(matches!(result.unwrap_err(), Error::Changed { .. }));
    let error = FileSource::from_path(files.0.path(), reader(), &InputOptions::new()).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

fn any_name() -> impl Strategy<Value = String> {
    let formats = prop::sample::select(vec!["txt", "ndjson", "csv", "other"]);
    let packings = prop::sample::select(vec!["", ".gz", ".zst"]);
    (formats, packings).prop_map(|(format, packing)| format!("a.{format}{packing}"))
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"url,id,metadata.a\n",
        b"\"http://a.test/\"",
        b"http://a.test/,1,",
        b"\n",
        b"\r\n",
        b"\"",
        b"{\"url\":\"http://a.test/\"}",
        b",",
        b" ",
        b"\xEF\xBB\xBF",
        b"\0",
        b"\xFF",
        b"{",
    ];
    let piece = prop_oneof![
        6 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_file_opens_anywhere_as_it_opens_at_the_beginning(name in any_name(), bytes in any_file()) {
        let files = Files::new();
        if let Ok(source) = files.try_open(&name, &bytes) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(source_conformance(&source, source.survey().tasks));
        }
    }
}
