//! Reads results with programs that share no code with ours.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::program::{Place, decoded, stderr};

/// The formats that a result can have, by file name.
pub(crate) const FORMATS: [&str; 9] = [
    "out.ndjson",
    "out.jsonl",
    "out.ndjson.gz",
    "out.ndjson.zst",
    "out.csv",
    "out.csv.gz",
    "out.csv.zst",
    "out.parquet",
    "other.parquet",
];

/// The `index` of every record in a result, sorted.
pub(crate) fn indices(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut indices: Vec<u64> = if name.ends_with(".parquet") {
        let script = "import pyarrow.parquet as p, sys; \
                      print(*p.read_table(sys.argv[1]).column('index').to_pylist())";
        let text = python(script, path);
        text.split_whitespace().map(|index| index.parse().unwrap()).collect()
    } else {
        let bytes = match name.rsplit_once('.').unwrap().1 {
            "gz" => decoded("gzip", &["-dc"], path),
            "zst" => decoded("zstd", &["-dcq"], path),
            _ => std::fs::read(path).unwrap(),
        };
        if name.contains(".csv") { csv_indices(&bytes) } else { ndjson_indices(&bytes) }
    };
    indices.sort_unstable();
    indices
}

fn csv_indices(bytes: &[u8]) -> Vec<u64> {
    let mut reader = csv::Reader::from_reader(bytes);
    let column = reader.headers().unwrap().iter().position(|name| name == "index").unwrap();
    reader.records().map(|row| row.unwrap()[column].parse().unwrap()).collect()
}

fn ndjson_indices(bytes: &[u8]) -> Vec<u64> {
    records(bytes).iter().map(|record| record["index"].as_u64().unwrap()).collect()
}

/// The records of an NDJSON result.
pub(crate) fn records(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a Python script says about a file. `.ci/run` provides a Python with pandas, pyarrow and
/// `DuckDB` in `HARVESTMAN_TEST_PYTHON`.
pub(crate) fn python(script: &str, path: &Path) -> String {
    let python = std::env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python).args(["-c", script]).arg(path).output().unwrap();
    let hint = "`.ci/run` installs the Python packages that this test needs";
    assert!(output.status.success(), "{hint}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Every page has exactly one record.
pub(crate) fn assert_complete(place: &Place, name: &str, pages: u32) {
    let expected: Vec<_> = (0..u64::from(pages)).collect();
    assert_eq!(indices(&place.path(name)), expected, "{name}: every page has one record");
}
