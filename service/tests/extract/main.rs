//! What `harvestman extract` shows of a page, by the real program.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

#[path = "../../../extractors/tests/llm/script.rs"]
mod script;

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::script::Script;

const PAGE: &str = r#"<html lang="en"><title>Brass lamp</title>
    <script type="application/ld+json">{"@type": "Product", "name": "Brass lamp", "sku": "L-7"}</script>
    <h1>Brass lamp</h1><dl><dt>Brand</dt><dd>Lumo</dd></dl><p class="product-price">19,90 €</p>"#;

fn extract(arguments: &[&str]) -> Output {
    let directory = TempDir::new().unwrap();
    let page = directory.path().join("page.html");
    std::fs::write(&page, PAGE).unwrap();
    let program = env!("CARGO_BIN_EXE_harvestman");
    Command::new(program).arg("extract").arg(page).args(arguments).output().unwrap()
}

#[test]
fn each_field_is_shown_with_its_source_and_confidence() {
    let fields = [
        "--extract",
        "name:string",
        "--extract",
        "brand:string",
        "--extract",
        "price:number",
        "--extract",
        "isbn:string",
    ];
    let output = extract(&[&fields[..], &["--json"]].concat());
    assert!(output.status.success());
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let data = json!({"name": "Brass lamp", "brand": "Lumo", "price": 19.9, "isbn": null});
    assert_eq!((&shown["data"], &shown["missing"]), (&data, &json!(["isbn"])));
    assert_eq!(shown["extract_status"], "partial");
    assert_eq!(shown["meta"]["name"]["source"], "jsonld");
    assert_eq!(shown["meta"]["brand"]["source"], "dom:label");
    assert!(shown["meta"]["price"]["confidence"].as_f64().unwrap() > 0.3);

    let text = String::from_utf8(extract(&fields).stdout).unwrap();
    assert!(text.contains("\"Lumo\"") && text.contains("missing"), "{text}");
}

#[test]
fn what_a_strict_job_would_refuse_is_said() {
    let output = extract(&["--extract", "isbn:string", "--strict", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["validation_failed"], "isbn is missing");
}

#[test]
fn a_command_that_cannot_be_used_ends_with_2() {
    for arguments in
        [&[][..], &["--extract", "a:nope"], &["--extract", "a:string", "--url", "nowhere"]]
    {
        assert_eq!(extract(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_model_is_asked_last_and_shown_as_the_source() {
    let script = Script::says([json!({"origin": "Brass"}).to_string()]);
    let url = script.serve().await;
    let arguments = move || {
        let fields = ["--extract", "name:string", "--extract", "origin:string", "--json"];
        extract(&[&fields[..], &["--llm-url", &url, "--llm-model", "scripted"]].concat())
    };
    let output = tokio::task::spawn_blocking(arguments).await.unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["data"], json!({"name": "Brass lamp", "origin": "Brass"}));
    assert_eq!(shown["meta"]["origin"]["source"], "llm");
    assert_eq!(script.asked().len(), 1);
    assert_eq!(script.keys(), [None]);
}
