//! What the operator relies on: readiness, figures, an orderly end, settings.

use std::{process::Command, time::Duration};

use harvestman_shop::Shop;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::service::{Service, send};

#[tokio::test]
async fn it_says_how_it_is() {
    let service = Service::open();
    let job = service.submit(3, json!({})).await;
    service.ended(&job).await;
    assert_eq!(service.get("/healthz").await.expect(200)["status"], "ok");
    assert_eq!(service.get("/readyz").await.expect(200)["status"], "ok");
    let text = service.get("/metrics").await.text();
    for line in [
        "harvestman_urls_total{code=\"ok\"} 3",
        "harvestman_jobs_ended_total{status=\"completed\"} 1",
        "harvestman_jobs{status=\"queued\"} 0",
        "harvestman_pages_in_flight 0",
        "harvestman_store_seconds_count{operation=\"write\"}",
        "harvestman_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"202\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains(&job), "a job is named");
}

#[tokio::test]
async fn the_figures_can_be_kept_from_others() {
    let service = Service::with(Shop::new(), &["--metrics-token", "tell-nobody"], &[]);
    service.get("/metrics").await.refused(401, "missing_credentials");
    let request = service.request(Method::GET, "/metrics").bearer_auth("tell-nobody");
    assert_eq!(send(request).await.status, 200);
}

#[tokio::test]
async fn it_stops_in_order_and_goes_on_later() {
    let shop = Shop::new().with_products(100).with_latency(Duration::from_millis(100));
    let mut service = Service::with(shop, &[], &[]);
    let job = service.submit(100, json!({"concurrency": 4})).await;
    service.until(&job, |job| job["urls_done"].as_u64() > Some(0)).await;
    // A stream and a long poll don't hold it up.
    let path = format!("/v1/jobs/{job}/events");
    let stream = service.request(Method::GET, &path).send().await.unwrap();
    let asked = || service.log().matches("authenticated").count();
    let before = asked();
    let poll = service.request(Method::GET, &format!("/v1/jobs/{job}?wait=60"));
    let poll = tokio::spawn(poll.send());
    while asked() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    service.signal(Signal::TERM);
    assert_eq!(service.exit_code(), Some(0));
    drop(stream);
    poll.await.unwrap().unwrap();
    let fetched = service.shop.requests();
    service.restart();
    let ended = service.ended(&job).await;
    assert_eq!((&ended["status"], &ended["urls_ok"]), (&json!("completed"), &json!(100)));
    assert_eq!(service.shop.requests() - fetched, 100 - fetched, "a page was fetched twice");
}

#[tokio::test]
async fn the_log_is_json_if_asked_and_tells_no_secrets() {
    let service = Service::with(Shop::new().with_products(1), &["--log-json"], &[]);
    let webhook =
        json!({"url": "http://127.0.0.1:1/path-secret", "headers": {"x-token": "header-secret"}});
    let defaults = json!({"headers": {"authorization": "Bearer default-secret"}});
    let job = service.submit(1, json!({"webhook": webhook, "defaults": defaults})).await;
    let ended = service.ended(&job).await;
    let answer = service.download(&ended["download_url"]).await;
    assert_eq!(answer.status, 200);
    let log = service.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let trace = answer.header("x-trace-id");
    assert!(lines.iter().any(|line| line["span"]["trace_id"] == trace), "{trace} is in no line");
    let signature = ended["download_url"].as_str().unwrap().split("sig=").nth(1).unwrap();
    for secret in ["path-secret", "header-secret", "default-secret", signature] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
}

#[test]
fn settings_come_from_a_file_and_mistakes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("harvestman.toml");
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_harvestman"));
        command.arg("serve").arg("--config").arg(&file).args(["--listen", "127.0.0.1:0", "--data"]);
        let output = command.arg(directory.path().join("data")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (text, part) in [
        ("slotz = 1", "slotz"),
        ("slots = \"many\"", "line 1"),
        ("webhook_secret = \"nonsense\"", "webhook_secret"),
        ("api_keys = [{workspace = \"acme\"}]", "`key` or `sha256`"),
    ] {
        let (code, said) = run(text);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part) && !said.contains("nonsense"), "{said}");
    }
}
