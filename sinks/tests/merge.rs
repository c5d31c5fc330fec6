//! A retry's records over the original's, against a model in memory and readers of others.
#![cfg(all(feature = "csv", feature = "parquet", feature = "compression"))]
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use harvestman_engine::{Error, Fields, Params, Part, Record, Result, Schema, Sink, Task};
use harvestman_sinks::{FileSink, OutputFormat, OutputKind, merge};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const FORMATS: [&str; 7] =
    ["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "csv.zst", "parquet"];

fn format(suffix: &str) -> OutputFormat {
    OutputFormat::detect(format!("x.{suffix}")).unwrap()
}

/// A record whose name says of which output it is, and needs quotes.
fn record(index: u64, output: &str) -> Record {
    let task = Task::new(index, &format!("https://shop.test/p/{index}"), Params::new());
    let data = json!({"name": format!("{output} \"{index}\",\nof many"), "empty": ""});
    let fields = Fields::from_data(data.as_object().unwrap().clone());
    Record::ok(task, fields).with_fetched_at("2026-05-11T22:20:14Z".parse().unwrap())
}

/// Writes an output with a name in parts of about so many bytes.
async fn output(
    directory: &Path,
    name: &str,
    suffix: &str,
    indices: &[u64],
    max_part_bytes: u64,
) -> Vec<PathBuf> {
    let schema = Schema::from_pairs([("name", "string"), ("empty", "string")]).unwrap();
    let sink = FileSink::in_directory(directory.join(name), format(suffix))
        .with_schema(Arc::new(schema))
        .with_max_part_bytes(max_part_bytes)
        .with_job_id(name);
    let mut writer = sink.open(None).await.unwrap();
    for index in indices {
        writer.write(vec![record(*index, name)]).await.unwrap();
    }
    let parts = writer.finish().await.unwrap();
    parts.into_iter().map(|part| part.location.into()).collect()
}

/// Index and name of each row.
fn read(path: &Path) -> Vec<(u64, String)> {
    let bytes = fs::read(path).unwrap();
    let plain = unpacked(path, &bytes);
    match format_of(path).kind {
        OutputKind::Parquet => batches(path).iter().flat_map(rows_of_batch).collect(),
        OutputKind::Csv => {
            let mut rows = csv::Reader::from_reader(&*plain);
            let row = |row: csv::StringRecord| (row[5].parse().unwrap(), row[7].to_owned());
            rows.records().map(|found| row(found.unwrap())).collect()
        }
        _ => {
            let rows = serde_json::Deserializer::from_slice(&plain).into_iter();
            let row = |row: serde_json::Value| {
                let name = row["data"]["name"].as_str().unwrap().to_owned();
                (row["index"].as_u64().unwrap(), name)
            };
            rows.map(|found| row(found.unwrap())).collect()
        }
    }
}

fn format_of(path: &Path) -> OutputFormat {
    OutputFormat::detect(path).unwrap()
}

fn unpacked(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => {
            // Reads one member; anything after it would be left over.
            let mut member = flate2::bufread::GzDecoder::new(bytes);
            member.read_to_end(&mut plain).unwrap();
            assert!(member.into_inner().is_empty(), "more than one member");
        }
        "zst" => {
            zstd::Decoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap();
        }
        _ => plain.extend(bytes),
    }
    plain
}

fn text(path: &Path) -> String {
    String::from_utf8(unpacked(path, &fs::read(path).unwrap())).unwrap()
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap());
    reader.unwrap().build().unwrap().map(std::result::Result::unwrap).collect()
}

fn rows_of_batch(batch: &RecordBatch) -> Vec<(u64, String)> {
    let index = batch.column_by_name("index").unwrap().as_primitive::<Int64Type>();
    let name = batch.column_by_name("name").unwrap().as_string::<i32>();
    (0..batch.num_rows())
        .map(|row| (index.value(row).unsigned_abs(), name.value(row).to_owned()))
        .collect()
}

/// What a merge is to be, said as plainly as can be.
fn model(original: &[u64], retry: &[u64]) -> Vec<(u64, String)> {
    let name = |output: &str, index: u64| (index, format!("{output} \"{index}\",\nof many"));
    let kept = original.iter().filter(|index| !retry.contains(index));
    let kept = kept.map(|index| name("original", *index));
    kept.chain(retry.iter().map(|index| name("retry", *index))).collect()
}

fn check(part: &Part, to: &Path, expected: &[(u64, String)]) {
    let bytes = fs::read(to).unwrap();
    let sha256: Vec<_> = Sha256::digest(&bytes).to_vec();
    let digits = part.sha256.as_deref().unwrap();
    let found = (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
    assert_eq!(found.collect::<Vec<_>>(), sha256);
    assert_eq!(Path::new(&part.location), to);
    assert_eq!((part.rows, part.bytes), (expected.len() as u64, bytes.len() as u64));
    assert_eq!(read(to), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_record_is_there_once_as_it_came_out_last(
        original in Just((0..300).collect::<Vec<u64>>()).prop_shuffle(),
        count in 0_usize..300,
        retry in prop::collection::btree_set(0_u64..320, 0..60),
        max_part_bytes in prop_oneof![Just(1_000), Just(u64::MAX)],
    ) {
        let original = &original[..count];
        let retry: Vec<_> = BTreeSet::into_iter(retry).rev().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for suffix in FORMATS {
            let directory = TempDir::new().unwrap();
            let made = |name, indices| {
                let output = output(directory.path(), name, suffix, indices, max_part_bytes);
                runtime.block_on(output)
            };
            let (first, second) = (made("original", original), made("retry", &retry));
            let to = directory.path().join(format!("merged.{suffix}"));
            let part = merge(&first, &second, format(suffix), &to).unwrap();
            check(&part, &to, &model(original, &retry));
        }
    }
}

#[tokio::test]
async fn rows_are_copied_byte_for_byte_whatever_they_were_packed_with() {
    let directory = TempDir::new().unwrap();
    for (from, to) in [("csv", "csv.gz"), ("csv.zst", "csv"), ("ndjson.gz", "ndjson.zst")] {
        let original = output(directory.path(), "original", from, &[3, 1, 2], u64::MAX).await;
        let retry = output(directory.path(), "retry", to, &[1], u64::MAX).await;
        let merged = directory.path().join(format!("merged.{to}"));
        merge(&original, &retry, format(to), &merged).unwrap();

        let elsewhere = directory.path().join("model");
        let kept = output(&elsewhere, "original", to, &[3, 2], u64::MAX).await;
        let header = usize::from(format(to).kind == OutputKind::Csv);
        let again = text(&retry[0]);
        let rows = again.splitn(header + 1, "\r\n").last().unwrap();
        assert_eq!(text(&merged), text(&kept[0]) + rows, "{from} to {to}");
    }
}

#[tokio::test]
async fn the_output_may_be_one_of_the_inputs_and_nothing_else_is_left() {
    for suffix in ["ndjson", "csv.gz", "parquet"] {
        let directory = TempDir::new().unwrap();
        let original = output(directory.path(), "original", suffix, &[0, 1], u64::MAX).await;
        let retry = output(directory.path(), "retry", suffix, &[0], u64::MAX).await;
        let part = merge(&original, &retry, format(suffix), &original[0]).unwrap();
        check(&part, &original[0], &model(&[0, 1], &[0]));
        assert!(!original[0].with_added_extension("tmp").exists(), "{suffix}");
    }
}

#[tokio::test]
async fn parquet_keeps_its_columns_types_and_metadata() {
    let directory = TempDir::new().unwrap();
    let original = output(directory.path(), "original", "parquet", &[0, 1], u64::MAX).await;
    let retry = output(directory.path(), "retry", "parquet", &[1], u64::MAX).await;
    let to = directory.path().join("merged.parquet");
    merge(&original, &retry, format("parquet"), &to).unwrap();
    let open = |path| ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let (before, after) = (open(&original[0]), open(&to));
    assert_eq!(after.parquet_schema(), before.parquet_schema());
    let metadata = |file: &ParquetRecordBatchReaderBuilder<File>| {
        file.metadata().file_metadata().key_value_metadata().cloned().unwrap()
    };
    assert_eq!(metadata(&after), metadata(&before));
    assert_eq!(metadata(&after)[1].value.as_deref(), Some("original"));
}

/// Files by name and text, merged; all but the last are of the original.
fn merge_texts(suffix: &str, files: &[&[u8]]) -> (TempDir, Result<Part>) {
    let directory = TempDir::new().unwrap();
    let write = |(number, text): (usize, &&[u8])| {
        let path = directory.path().join(format!("{number}.{suffix}"));
        fs::write(&path, text).unwrap();
        path
    };
    let paths: Vec<_> = files.iter().enumerate().map(write).collect();
    let (retry, original) = paths.split_last().unwrap();
    let to = directory.path().join("to");
    fs::write(&to, "older").unwrap();
    let result = merge(original, std::slice::from_ref(retry), format(suffix), &to);
    (directory, result)
}

#[test]
fn a_row_that_cannot_be_used_is_named() {
    const OK: &[u8] = b"{\"index\":0}\n{\"index\":1}\n";
    const TABLE: &[u8] = b"url,index\r\na,0\r\n\"b\r\n\",1\r\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(OK).unwrap();
    let packed = packed.finish().unwrap();
    for (suffix, files, message) in [
        ("ndjson", [OK, b"{\"index\":5}\n{\"index\":6"], "row 2 of "),
        ("ndjson", [OK, b"{\"index\":5}\n\n"], "row 2 of "),
        ("ndjson", [b"{\"url\":\"x\"}\n", OK], "no record with an index"),
        ("ndjson", [b"{\"index\":-1}\n", OK], "no record with an index"),
        ("ndjson", [OK, b"{\"index\":7}\n{\"index\":7}\n"], "index 7 has come before"),
        ("ndjson", [b"{\"index\":7}\n{\"index\":7}\n", OK], "index 7 has come before"),
        ("ndjson.gz", [OK, &packed[..packed.len() - 9]], "can't be unpacked"),
        ("csv", [TABLE, b"url,index\r\na,5\r\nb,6,7\r\n"], "row 2 of "),
        ("csv", [TABLE, b"url,index\r\na\r\n"], "not the 2 cells of the header"),
        ("csv", [TABLE, b"url,index\r\na,\r\n"], "it has no index"),
        ("csv", [TABLE, b"url,index\r\n\"a,5\r\n"], "never ends"),
        ("csv", [TABLE, b""], "it has no header"),
        ("csv", [b"url\r\n", b"url\r\n"], "no column `index`"),
    ] {
        let (directory, result) = merge_texts(suffix, &files);
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error} names {message}");
        assert!(error.to_string().contains(&format!(".{suffix}")), "{error} names the file");
        assert_eq!(fs::read(directory.path().join("to")).unwrap(), b"older", "{error}");
        assert!(!directory.path().join("to.tmp").exists(), "{error}");
    }
}

#[test]
fn columns_that_differ_are_named() {
    const TABLE: &[u8] = b"url,index\r\na,0\r\n";
    for (header, message) in [
        (&b"url,index,name\r\n"[..], "its column 3 is `name`"),
        (b"url\r\n", "its column 2 is missing"),
        (b"index,url\r\n", "its column 1 is `index`"),
    ] {
        let error = merge_texts("csv", &[TABLE, header]).1.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn parquet_columns_that_differ_are_named() {
    let directory = TempDir::new().unwrap();
    let original = output(directory.path(), "original", "parquet", &[0], u64::MAX).await;
    let schema = Schema::from_pairs([("name", "number")]).unwrap();
    let path = directory.path().join("other.parquet");
    let sink = FileSink::new(&path, format("parquet")).with_schema(Arc::new(schema));
    sink.open(None).await.unwrap().finish().await.unwrap();
    let to = directory.path().join("to.parquet");
    let error = merge(&original, &[path], format("parquet"), &to).unwrap_err().to_string();
    assert!(error.contains("its column 8 is `name` (Float64)"), "{error}");
    assert!(error.contains("it is `name` (Utf8)"), "{error}");
    fs::write(&to, "PAR1 and nothing else").unwrap();
    let error = merge(&original, std::slice::from_ref(&to), format("parquet"), &to).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(matches!(merge(&[], &[], format("parquet"), &to), Err(Error::Invalid { .. })));
}
