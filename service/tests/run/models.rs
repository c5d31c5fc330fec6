//! A language model asked for what is missing.

use std::{fs, process::Output};

use harvestman_shop::Shop;
use serde_json::json;

use crate::{
    program::{Place, stderr},
    readers::records,
    script::Script,
};

const SECRET: &str = "tell-nobody";

/// Runs a job over two pages with a model at this address.
async fn run(place: Place, url: String, more: &'static [&'static str]) -> (Place, Output) {
    let run = move || {
        let fields = ["--extract", "name:string", "--extract", "origin:string"];
        let mut command = place.command(&fields);
        command.args(["--output", "out.ndjson", "--llm-url", &url, "--log", "trace"]).args(more);
        let output = command.env("HARVESTMAN_LLM_KEY", SECRET).output().unwrap();
        (place, output)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_model_is_asked_for_what_is_missing_and_its_key_is_not_shown() {
    let answer = json!({"origin": "The Demo Shop"}).to_string();
    let script = Script::says([answer.clone(), answer, "no key".to_owned()]);
    let url = script.serve().await;
    let place = Place::new(Shop::new(), 2);
    let (place, output) = run(place, url, &["--llm-model", "scripted"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for record in records(&fs::read(place.path("out.ndjson")).unwrap()) {
        assert_eq!(record["data"]["origin"], "The Demo Shop", "{record}");
        assert!(record["data"]["name"].is_string(), "{record}");
        assert!(!record.to_string().contains(SECRET));
    }
    assert!(!stderr(&output).contains(SECRET), "{}", stderr(&output));
    assert_eq!(script.asked().len(), 2);
    assert_eq!(script.asked()[0]["model"], "scripted");
    let bearer = Some(format!("Bearer {SECRET}"));
    assert_eq!(script.keys(), [bearer.clone(), bearer]);
}

#[tokio::test]
async fn a_model_that_cannot_be_asked_is_refused_at_once() {
    let place = Place::new(Shop::new(), 1);
    let (place, output) = run(place, "http://127.0.0.1:9/v1".to_owned(), &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let model = &["--llm-model", "m", "--llm-key-file", "urls.ndjson"];
    let (_, output) = run(place, "http://127.0.0.1:9/v1".to_owned(), model).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("HARVESTMAN_LLM_KEY"), "{}", stderr(&output));
    assert!(!stderr(&output).contains(SECRET), "{}", stderr(&output));
}
