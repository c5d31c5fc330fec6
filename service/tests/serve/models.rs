//! A language model, for who asks for it.

use std::fs;

use harvestman_shop::Shop;
use serde_json::{Value, json};

use crate::{
    script::Script,
    service::{Service, records},
};

const SECRET: &str = "tell-nobody";

/// Parameters that ask a model for what is missing.
fn asking() -> Value {
    json!({"extract": {"name": "string", "origin": "string"}, "extract_options": {"llm": true, "meta": true}})
}

#[tokio::test]
async fn jobs_and_previews_ask_the_model_of_the_installation() {
    let answer = json!({"origin": "The Demo Shop"}).to_string();
    let script = Script::says(vec![answer; 3]);
    let url = script.serve().await;
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), SECRET).unwrap();
    let key = key.path().display().to_string();
    let args = ["--llm-url", &url, "--llm-model", "scripted", "--llm-key-file", &key];
    let service = Service::with(Shop::new().with_products(2), &args, &[]);

    let job = service.submit(2, json!({"defaults": asking()})).await;
    let job = service.ended(&job).await;
    assert_eq!(job["urls_ok"], 2, "{job}");
    let result = service.download(&job["download_url"]).await.text();
    for record in records(&result) {
        assert_eq!(record["data"]["origin"], "The Demo Shop", "{record}");
        assert_eq!(record["meta"]["origin"]["source"], "llm", "{record}");
    }

    let mut line = asking();
    line["url"] = json!(service.urls(1)[0]);
    let preview = service.post("/v1/preview", &line).await.expect(200);
    assert_eq!(preview["record"]["data"]["origin"], "The Demo Shop", "{preview}");
    line["extract_options"] = json!({"meta": true});
    let preview = service.post("/v1/preview", &line).await.expect(200);
    assert_eq!(preview["record"]["data"]["origin"], Value::Null, "{preview}");

    assert_eq!(script.asked().len(), 3, "only who asks for it");
    assert!(script.keys().iter().all(|key| key.as_deref() == Some("Bearer tell-nobody")));
    assert!(!service.log().contains(SECRET) && !result.contains(SECRET));
}

#[tokio::test]
async fn without_a_model_who_asks_for_it_is_refused() {
    let service = Service::open();
    let body = json!({"urls": service.urls(1), "defaults": asking()});
    service.post("/v1/jobs", &body).await.refused(422, "unavailable");
}
