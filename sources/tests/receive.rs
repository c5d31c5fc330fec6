//! Uploads, well made and not.

#![expect(clippy::unwrap_used, reason = "a failed preparation fails the test")]

use std::{
    fs,
    io::{self, Cursor, Read, Write},
};

use futures::TryStreamExt;
use harvestman_engine::{Code, LineReader, Params, Source, Task};
use harvestman_sources::{
    Compression, FileSource, InputFormat, InputOptions, MAX_LINE_ERRORS, ReceiveError,
    ReceiveOptions, Received, receive,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const NDJSON: &str = "{\"url\":\"http://a.test/\"}\r\n\n\"http://b.test/\"\n{oops\n{\"url\":\"x\"}";

fn pack(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        }
        Compression::Zstd => {
            let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

fn try_receive(sent: &[u8], options: &ReceiveOptions) -> (Vec<u8>, Result<Received, ReceiveError>) {
    let mut kept = Vec::new();
    let result = receive(sent, &mut kept, options);
    (kept, result)
}

fn error(sent: &[u8], options: &ReceiveOptions) -> ReceiveError {
    try_receive(sent, options).1.unwrap_err()
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut hex = String::new();
    Sha256::digest(bytes).iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    hex
}

#[test]
fn an_upload_is_kept_decoded_and_looked_through() {
    for (text, format, tasks, bad) in [
        (NDJSON, InputFormat::Ndjson, 4, vec![(4, "not valid JSON"), (5, "write https:// before")]),
        ("http://a.test/\n\nb.test\n", InputFormat::Text, 2, vec![(3, "write https:// before")]),
        (
            "\u{feff}url,timeout_ms\r\nhttp://a.test/,5000\r\nhttp://b.test/,soon\r\n",
            InputFormat::Csv,
            2,
            vec![(3, "is not a whole number")],
        ),
        ("", InputFormat::Text, 0, vec![]),
    ] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let sent = pack(text.as_bytes(), compression);
            let said = ReceiveOptions::new().with_format(format).with_compression(compression);
            for options in [ReceiveOptions::new(), said] {
                let (kept, received) = try_receive(&sent, &options);
                let received = received.unwrap();
                assert_eq!(kept, text.as_bytes(), "{text} {compression:?}");
                assert_eq!(received.format, format);
                assert_eq!(received.bytes, sent.len() as u64);
                assert_eq!(received.decoded_bytes, text.len() as u64);
                assert_eq!(received.sha256, sha256(text.as_bytes()));
                assert_eq!((received.tasks, received.invalid), (tasks, bad.len() as u64));
                for (found, (line, message)) in received.errors.iter().zip(&bad) {
                    assert_eq!((found.line, found.code), (*line, Code::InvalidUrl));
                    assert!(found.message.contains(message), "{found:?}");
                }
            }
        }
    }
}

#[test]
fn the_limit_is_exact_for_what_is_sent_and_what_is_decoded() {
    let text = "http://a.test/\n".repeat(5_000);
    let packed = pack(text.as_bytes(), Compression::Gzip);
    assert!(packed.len() < text.len());
    // Members without content: sent, but nothing when decoded.
    let mut padded = pack(b"http://a.test/\n", Compression::Gzip);
    (0..100).for_each(|_| padded.extend(pack(b"", Compression::Gzip)));
    for (sent, exact) in [
        (text.as_bytes(), text.len()),
        (&packed[..], text.len()),
        (&pack(text.as_bytes(), Compression::Zstd), text.len()),
        (&padded[..], padded.len()),
    ] {
        let exact = exact as u64;
        try_receive(sent, &ReceiveOptions::new().with_max_bytes(exact)).1.unwrap();
        let error = error(sent, &ReceiveOptions::new().with_max_bytes(exact - 1));
        assert!(
            matches!(error, ReceiveError::TooLarge { limit } if limit == exact - 1),
            "{error:?}"
        );
    }
}

#[test]
fn the_limits_are_those_of_the_contract() {
    assert_eq!(harvestman_sources::DEFAULT_MAX_UPLOAD_BYTES, 1_000_000_000);
    assert_eq!(harvestman_sources::DEFAULT_MAX_TASKS, 1_000_000);
    let options = format!("{:?}", ReceiveOptions::new());
    assert!(options.contains("max_bytes: 1000000000, max_tasks: 1000000,"), "{options}");
}

/// Neither end takes more than its limit, whatever is sent.
#[test]
fn a_bomb_and_an_endless_upload_end_at_the_limit() {
    let options = ReceiveOptions::new().with_max_bytes(1_000_000);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bomb = pack(&vec![b'x'; 50_000_000], compression);
        let (kept, result) = try_receive(&bomb, &options);
        assert!(matches!(result, Err(ReceiveError::TooLarge { limit: 1_000_000 })));
        assert!(kept.len() <= 1_000_000, "{} bytes kept", kept.len());
    }
    let mut kept = Vec::new();
    let endless = receive(io::repeat(b'\n'), &mut kept, &options);
    assert!(matches!(endless, Err(ReceiveError::TooLarge { .. })));
    assert!(kept.len() <= 1_000_000, "{} bytes kept", kept.len());
}

#[test]
fn the_number_of_tasks_is_limited_exactly() {
    let text = "http://a.test/\nbad\n\n\nhttp://b.test/\n";
    let (_, received) = try_receive(text.as_bytes(), &ReceiveOptions::new().with_max_tasks(3));
    assert_eq!(received.unwrap().tasks, 3);
    let error = error(text.as_bytes(), &ReceiveOptions::new().with_max_tasks(2));
    assert!(matches!(error, ReceiveError::TooManyTasks { limit: 2 }), "{error:?}");
}

#[test]
fn the_first_errors_are_kept_and_all_are_counted() {
    let text = "bad\n".repeat(MAX_LINE_ERRORS + 50);
    let received = try_receive(text.as_bytes(), &ReceiveOptions::new()).1.unwrap();
    assert_eq!(received.invalid, MAX_LINE_ERRORS as u64 + 50);
    assert_eq!(received.errors.len(), MAX_LINE_ERRORS);
    assert_eq!(received.errors.last().unwrap().line, MAX_LINE_ERRORS as u64);
}

#[test]
fn a_message_is_short_and_harmless_whatever_the_line() {
    let key = format!("{}\\u001b[31m", "k".repeat(900_000));
    let text = format!("{{\"url\":\"http://a.test/\",\"{key}\":1}}\n{{\"\\u001b\\u0007\":1}}\n");
    let received = try_receive(text.as_bytes(), &ReceiveOptions::new()).1.unwrap();
    assert_eq!(received.invalid, 2);
    for error in &received.errors {
        assert!(error.message.len() < 1100, "{} bytes", error.message.len());
        assert!(!error.message.chars().any(char::is_control), "{}", error.message);
    }
}

#[test]
fn what_is_no_list_of_tasks_is_told_apart_from_what_is_too_large() {
    let packed = pack(NDJSON.as_bytes(), Compression::Gzip);
    let followed = [&packed[..], b"more, but no member"].concat();
    let twice = pack(&packed, Compression::Gzip);
    let gzip = ReceiveOptions::new().with_compression(Compression::Gzip);
    let any = ReceiveOptions::new();
    for (sent, options, message) in [
        (&packed[..packed.len() / 2], &any, "ends too early"),
        (&followed, &any, "can't be decoded"),
        (NDJSON.as_bytes(), &gzip, "can't be decoded"),
        (&twice, &any, "is compressed with gzip"),
        (b"\xff\xfeh\0", &any, "is UTF-16"),
        (b"PK\x03\x04", &any, "save it as CSV"),
        (b"url,nope\n", &any, "unknown column `nope`"),
    ] {
        let error = error(sent, options);
        assert!(matches!(error, ReceiveError::Unreadable { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// Gives its bytes one by one, is interrupted by a signal before each, and breaks off at the end.
struct Broken(Cursor<Vec<u8>>, bool);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.0.read(&mut buffer[..1])? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn a_sender_that_breaks_off_is_told_apart_from_a_damaged_upload() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let input = Broken(Cursor::new(pack(NDJSON.as_bytes(), compression)), false);
        let error = receive(input, io::sink(), &ReceiveOptions::new()).unwrap_err();
        let ReceiveError::Interrupted { source } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::ConnectionReset, "{compression:?}");
    }
}

/// A disk that is full, at once or when what it holds back is to be written.
struct Full(bool);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 { Ok(bytes.len()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_full_disk_is_an_error_of_the_output() {
    for holds_back in [false, true] {
        let error = receive(NDJSON.as_bytes(), Full(holds_back), &ReceiveOptions::new());
        let Err(ReceiveError::Io { source }) = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn lines_are_checked_against_the_reader() {
    let schema = harvestman_engine::Schema::from_pairs([("name", "string")]).unwrap();
    let reader = LineReader::new(Params::new()).with_columns(schema);
    let line = br#"{"url":"http://a.test/","extract":{"other":"string"}}"#;
    let received = try_receive(line, &ReceiveOptions::new().with_reader(reader)).1.unwrap();
    assert_eq!(received.errors[0].code, Code::SchemaMismatch);
}

proptest! {
    /// What was received is what the job will read.
    #[test]
    fn a_file_source_finds_the_same_tasks(text in "([a\"{},:é\r\n]|http://a.test/|url){0,60}") {
        let (kept, received) = try_receive(text.as_bytes(), &ReceiveOptions::new());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upload");
        fs::write(&path, kept).unwrap();
        let reader = LineReader::new(Params::new());
        let source = FileSource::from_path(&path, reader, &InputOptions::new());
        let (Ok(received), Ok(source)) = (&received, &source) else {
            prop_assert!(received.is_err() && source.is_err(), "{:?} {:?}", received, source);
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks: Vec<Task> = runtime.block_on(source.open(0).try_collect()).unwrap();
        let bad = tasks.iter().filter_map(|task| Some((task.line(), task.target().err()?)));
        let bad: Vec<_> = bad.map(|(line, error)| (line, error.code, error.message.clone())).collect();
        let errors = received.errors.iter();
        let errors: Vec<_> =
            errors.map(|error| (error.line, error.code, error.message.clone())).collect();
        prop_assert_eq!(received.tasks, tasks.len() as u64);
        prop_assert_eq!(errors, bad);
        prop_assert_eq!(&received.sha256, &source.survey().sha256);
    }
}

/// A line of its kind, well made, bad, blank, or longer than a batch.
fn lines() -> impl Strategy<Value = String> {
    prop_oneof![
        "http://[a-z]{1,20}\\.test/[a-z]{0,40}\n",
        "(\"http://a\\.test/\"|\\{\"url\":\"http://[a-z]{0,3}/\",\"id\":[0-9]{1,3}\\})\r?\n",
        "http://a\\.test/,[a-z]{0,3},[0-9]{0,4}\n",
        "[\"{,a\n]{0,12}\n",
        "[ \n]{0,3}\n",
        Just(format!("http://a.test/{}\n", "x".repeat(8_000))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Several batches of lines, good and bad ones in turns of any length.
    #[test]
    fn any_number_of_threads_receives_the_same(
        turns in prop::collection::vec((lines(), 1_usize..4_000), 1..8),
        format in prop::sample::select(vec![InputFormat::Text, InputFormat::Ndjson, InputFormat::Csv]),
        threads in 2_usize..6,
        max_tasks in prop_oneof![Just(u64::MAX), 0_u64..20_000],
    ) {
        let header = if format == InputFormat::Csv { "url,id,timeout_ms\n" } else { "" };
        let turns = turns.iter().map(|(line, count)| line.repeat(*count));
        let text = header.to_owned() + &turns.collect::<String>();
        let options = ReceiveOptions::new().with_format(format).with_max_tasks(max_tasks);
        let [alone, together] = [1, threads].map(|threads| {
            let (kept, result) = try_receive(text.as_bytes(), &options.clone().with_threads(threads));
            (kept, result.map_err(|error| error.to_string()))
        });
        prop_assert!(alone == together, "{:?} {:?}", alone.1, together.1);
    }
}
