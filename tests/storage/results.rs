//! What is in a bucket when a job has ended.

use std::process::Command;

use serde_json::Value;

use crate::moto::{Moto, python};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storage/read.py");

/// The records in the parts that the manifest of a job names, in the order of their index, without
/// what differs from run to run. All that the manifest says is checked.
pub(crate) async fn records(moto: &Moto, directory: &str) -> Vec<Value> {
    let manifest = moto.read(&format!("{directory}/manifest.json")).await;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let parts = manifest["parts"].as_array().unwrap();
    let files = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for part in parts {
        let url = part["url"].as_str().unwrap();
        let name = url.strip_prefix(directory).unwrap().trim_start_matches('/');
        assert!(name.ends_with(&format!(".{}", manifest["format"].as_str().unwrap())), "{name}");
        std::fs::write(files.path().join(name), moto.read(url).await).unwrap();
        names.push(files.path().join(name));
    }
    let (mut records, mut read) = (Vec::new(), Vec::new());
    let output = Command::new(python()).arg(SCRIPT).args(names).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{directory}: {said}");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("part").is_some() { read.push(line) } else { records.push(line) }
    }
    assert_eq!(read.len(), parts.len());
    for (part, read) in parts.iter().zip(&read) {
        for what in ["bytes", "sha256", "rows"] {
            assert_eq!(part[what], read[what], "{what} of {}", part["url"]);
        }
    }
    let sum = |what: &str| read.iter().map(|part| part[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!(
        (manifest["rows"].as_u64(), manifest["bytes"].as_u64()),
        (Some(sum("rows")), Some(sum("bytes")))
    );
    records.sort_by_key(|record| record["index"].as_u64().unwrap());
    records
}
