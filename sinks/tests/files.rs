//! The commit rule of every file format, checked with readers that share no code with the sinks.
#![cfg(all(feature = "csv", feature = "parquet", feature = "compression"))]
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array, cast::AsArray, types::Int64Type};
use harvestman_engine::{
    Part, Schema, Sink, SinkState,
    testing::{SinkUnderTest, record, sink_conformance},
};
use harvestman_sinks::{FileSink, OutputFormat};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const FORMATS: [&str; 7] =
    ["ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "csv.zst", "parquet"];

fn schema() -> Arc<Schema> {
    let pairs = [("name", "string"), ("price", "number"), ("tags", "array of string")];
    Arc::new(Schema::from_pairs(pairs).unwrap())
}

/// A directory with an output of one format in it.
struct Place {
    directory: TempDir,
    format: OutputFormat,
    max_part_bytes: u64,
    is_directory: bool,
}

impl Place {
    fn new(suffix: &str, max_part_bytes: u64) -> Self {
        let format = OutputFormat::detect(format!("out.{suffix}")).unwrap();
        Self { directory: TempDir::new().unwrap(), format, max_part_bytes, is_directory: false }
    }

    /// An output whose parts stay where they are written.
    fn in_directory(suffix: &str, max_part_bytes: u64) -> Self {
        Self { is_directory: true, ..Self::new(suffix, max_part_bytes) }
    }

    /// The directory of the parts, some levels down.
    fn parts(&self) -> PathBuf {
        self.directory.path().join("outputs/job")
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("out.{}", self.format))
    }

    fn file_sink(&self) -> FileSink {
        let sink = if self.is_directory {
            FileSink::in_directory(self.parts(), self.format)
        } else {
            FileSink::new(self.path(), self.format)
        };
        sink.with_schema(schema()).with_max_part_bytes(self.max_part_bytes)
    }
}

impl SinkUnderTest for Place {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.file_sink())
    }

    fn indices(&self, parts: &[Part]) -> Vec<u64> {
        for part in parts {
            let bytes = fs::read(&part.location).unwrap();
            assert_eq!(part.bytes, bytes.len() as u64, "{}", part.location);
            let sha256 = self.is_directory.then(|| sha256(&bytes));
            assert_eq!(part.sha256, sha256, "{}", part.location);
        }
        parts.iter().flat_map(|part| read(Path::new(&part.location))).collect()
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut hex = String::new();
    Sha256::digest(bytes).iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    hex
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The `index` of each row of a part.
fn read(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap().to_str().unwrap();
    if name.ends_with(".parquet") {
        return read_parquet(path);
    }
    let bytes = unpacked(path);
    if name.contains(".csv") {
        let mut rows = csv::Reader::from_reader(&*bytes);
        assert_eq!(&rows.headers().unwrap()[5], "index");
        return rows.records().map(|row| row.unwrap()[5].parse().unwrap()).collect();
    }
    let text = std::str::from_utf8(&bytes).unwrap();
    let record = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| record(line)["index"].as_u64().unwrap()).collect()
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => {
            // Reads one member; anything after it would be left over.
            let mut member = flate2::bufread::GzDecoder::new(&*bytes);
            let mut plain = Vec::new();
            member.read_to_end(&mut plain).unwrap();
            assert!(member.into_inner().is_empty(), "more than one member");
            plain
        }
        "zst" => {
            let mut plain = Vec::new();
            zstd::Decoder::new(&*bytes).unwrap().read_to_end(&mut plain).unwrap();
            plain
        }
        _ => bytes,
    }
}

fn read_parquet(path: &Path) -> Vec<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap());
    let batches = reader.unwrap().build().unwrap().map(Result::unwrap);
    let indices = |batch: arrow_array::RecordBatch| -> Vec<u64> {
        let column = batch.column_by_name("index").unwrap().as_primitive::<Int64Type>().clone();
        column.values().iter().map(|index| index.unsigned_abs()).collect()
    };
    batches.flat_map(indices).collect()
}

#[tokio::test]
async fn every_format_keeps_the_commit_rule() {
    for suffix in FORMATS {
        sink_conformance(|| Place::new(suffix, u64::MAX)).await;
        sink_conformance(|| Place::in_directory(suffix, u64::MAX)).await;
    }
}

#[tokio::test]
async fn every_format_keeps_the_commit_rule_over_many_parts() {
    for suffix in FORMATS {
        sink_conformance(|| Place::new(suffix, 20_000)).await;
        sink_conformance(|| Place::in_directory(suffix, 20_000)).await;
    }
}

#[tokio::test]
async fn parts_are_numbered_and_about_as_large_as_asked() {
    let place = Place::new("csv", 20_000);
    let mut writer = place.sink().open(None).await.unwrap();
    for first in (0..2_000).step_by(100) {
        writer.write((first..first + 100).map(record).collect()).await.unwrap();
    }
    let parts = writer.finish().await.unwrap();
    assert!(parts.len() >= 4, "{parts:?}");
    assert!(parts[1].location.ends_with("out.part-00001.csv"), "{}", parts[1].location);
    assert!(!place.path().exists(), "several parts leave the plain name alone");
    let last = parts.len() - 1;
    for part in &parts[..last] {
        assert!((20_000..600_000).contains(&part.bytes), "{part:?}");
    }
}

/// What the limit is about are the stored bytes. Beyond it is no more than one chunk, which for such
/// a limit is as large.
#[tokio::test]
async fn parts_are_as_large_as_asked_and_a_chunk_at_most() {
    const LIMIT: u64 = 60_000;
    for suffix in FORMATS {
        let place = Place::in_directory(suffix, LIMIT);
        let mut writer = place.sink().open(None).await.unwrap();
        for first in (0..20_000).step_by(100) {
            writer.write((first..first + 100).map(record).collect()).await.unwrap();
        }
        let parts = writer.finish().await.unwrap();
        let (last, full) = parts.split_last().unwrap();
        assert!(!full.is_empty() && last.bytes < 2 * LIMIT, "{suffix}: {parts:?}");
        for part in full {
            assert!(part.bytes < 2 * LIMIT, "{suffix}: {part:?}");
            assert!(part.bytes >= LIMIT || suffix == "parquet", "{suffix}: {part:?}");
        }
    }
}

#[tokio::test]
async fn a_sealed_part_can_be_read_while_the_job_runs() {
    for suffix in FORMATS {
        let place = Place::in_directory(suffix, 10_000);
        let mut writer = place.sink().open(None).await.unwrap();
        writer.write((0..12_000).map(record).collect()).await.unwrap();
        let state = writer.checkpoint().await.unwrap();
        let sealed = writer.sealed();
        assert_eq!(
            Path::new(&sealed[0].location),
            place.parts().join(format!("part-00000.{suffix}"))
        );
        assert_eq!(place.indices(&sealed)[..2], [0, 1], "{suffix}");

        drop(writer);
        let writer = place.sink().open(Some(&state)).await.unwrap();
        assert_eq!(writer.sealed(), sealed, "{suffix}");
        let parts = writer.finish().await.unwrap();
        assert_eq!(parts[..sealed.len()], sealed, "{suffix}");
        place.indices(&sealed);
    }
}

#[tokio::test]
async fn a_part_under_way_has_another_name_and_only_parts_are_left() {
    for suffix in FORMATS {
        let place = Place::in_directory(suffix, u64::MAX);
        let mut writer = place.sink().open(None).await.unwrap();
        writer.write((0..50).map(record).collect()).await.unwrap();
        writer.checkpoint().await.unwrap();
        let name = format!("part-00000.{suffix}");
        assert!(!names(&place.parts()).contains(&name), "{suffix}");
        writer.finish().await.unwrap();
        place.file_sink().clear().unwrap();
        assert_eq!(names(&place.parts()), [name], "{suffix}");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused() {
    let place = Place::in_directory("ndjson", u64::MAX);
    let elsewhere = place.file_sink().with_work_directory(place.directory.path().join("w"));
    let error = elsewhere.open(None).await.err().unwrap().to_string();
    assert!(error.contains("set no other work directory"), "{error}");
    fs::create_dir_all(place.parts().parent().unwrap()).unwrap();
    fs::write(place.parts(), "").unwrap();
    let error = place.sink().open(None).await.err().unwrap().to_string();
    assert!(error.contains("is no directory"), "{error}");
}

#[tokio::test]
async fn an_older_file_stays_until_the_new_one_is_complete() {
    let place = Place::new("ndjson", u64::MAX);
    fs::write(place.path(), "older\n").unwrap();
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write(vec![record(0)]).await.unwrap();
    writer.checkpoint().await.unwrap();
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "older\n");
    writer.finish().await.unwrap();
    assert_eq!(read(&place.path()), [0]);
}

#[tokio::test]
async fn nothing_is_left_but_the_result() {
    for suffix in FORMATS {
        let place = Place::new(suffix, u64::MAX);
        let mut writer = place.sink().open(None).await.unwrap();
        writer.write((0..50).map(record).collect()).await.unwrap();
        writer.checkpoint().await.unwrap();
        writer.finish().await.unwrap();
        place.file_sink().clear().unwrap();
        assert_eq!(names(place.directory.path()), [format!("out.{suffix}")], "{suffix}");
    }
}

#[tokio::test]
async fn formulas_are_escaped_on_demand_only() {
    for (escape, cell) in [(false, "=1+1"), (true, "'=1+1")] {
        let place = Place::new("csv", u64::MAX);
        let sink = place.file_sink().with_escape_formulas(escape);
        let mut writer = sink.open(None).await.unwrap();
        let mut formula = record(0);
        let fields = formula.outcome.as_mut().unwrap();
        fields.data.as_mut().unwrap().insert("name".into(), "=1+1".into());
        writer.write(vec![formula]).await.unwrap();
        writer.finish().await.unwrap();
        let mut rows = csv::Reader::from_path(place.path()).unwrap();
        assert_eq!(&rows.records().next().unwrap().unwrap()[7], cell);
    }
}

#[tokio::test]
async fn parquet_has_typed_columns() {
    let place = Place::new("parquet", u64::MAX);
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write((0..8).map(record).collect()).await.unwrap();
    writer.finish().await.unwrap();
    let file = File::open(place.path()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = reader.map(Result::unwrap).next().unwrap();
    let schema = batch.schema();
    let types: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| format!("{}: {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(
        types[..8].join(", "),
        "url: Utf8, status: Utf8, http_status: Int64, code: Utf8, \
                                       message: Utf8, index: Int64, id: Utf8, name: Utf8"
    );
    assert_eq!(types[8], "price: Float64");
    assert!(types[9].starts_with("tags: List("), "{}", types[9]);
    assert!(batch.column(8).is_null(0) && batch.column(8).is_valid(1), "every fifth has no price");
    assert!(batch.column(3).is_valid(6) && batch.column(7).is_null(6), "the seventh failed");
}

/// What may happen to an output.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64),
    /// A checkpoint that is saved.
    Checkpoint,
    /// The process dies.
    Crash,
    /// The process dies between the sink's checkpoint and its saving.
    CrashWhileSaving,
    /// The process dies after the parts are published, before that is saved.
    CrashAfterFinish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u64..120).prop_map(Step::Write),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashWhileSaving),
        1 => Just(Step::CrashAfterFinish),
    ];
    proptest::collection::vec(step, 0..14)
}

/// Plays the steps, finishes, and gives what was to be written and what was published.
async fn play(place: &Place, steps: &[Step]) -> (u64, Vec<u64>) {
    let sink = place.sink();
    let mut saved: (Option<SinkState>, u64) = (None, 0);
    let mut sealed = Vec::new();
    let mut writer = sink.open(None).await.unwrap();
    let mut next = 0;
    for step in steps {
        match *step {
            Step::Write(count) => {
                writer.write((next..next + count).map(record).collect()).await.unwrap();
                next += count;
                continue;
            }
            Step::Checkpoint => {
                let state = writer.checkpoint().await.unwrap();
                // Those that a checkpoint counts on are whole, and stay as they are.
                let parts = writer.sealed();
                place.indices(&parts);
                assert_eq!(parts[..sealed.len()], sealed);
                (saved, sealed) = ((Some(state), next), parts);
                continue;
            }
            Step::Crash => drop(writer),
            Step::CrashWhileSaving => {
                writer.checkpoint().await.unwrap();
                drop(writer);
            }
            Step::CrashAfterFinish => {
                writer.finish().await.unwrap();
            }
        }
        writer = sink.open(saved.0.as_ref()).await.unwrap();
        next = saved.1;
    }
    let parts = writer.finish().await.unwrap();
    assert_eq!(parts[..sealed.len()], sealed);
    (next, place.indices(&parts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happens_the_result_has_what_was_committed(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for suffix in FORMATS {
            for (max_part_bytes, is_directory) in
                [(2_000, false), (u64::MAX, false), (2_000, true), (u64::MAX, true)]
            {
                let place = Place { is_directory, ..Place::new(suffix, max_part_bytes) };
                let (count, found) = runtime.block_on(play(&place, &steps));
                let expected: Vec<_> = (0..count).collect();
                prop_assert_eq!(found, expected, "{}, {}", suffix, max_part_bytes);
            }
        }
    }
}
