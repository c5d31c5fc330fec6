//! Jobs as they are looked at: lists, changes, events, errors, previews.

use std::time::{Duration, Instant};

use futures::StreamExt;
use harvestman_shop::Shop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, id, send};

/// A shop whose pages take a while.
fn slow() -> Service {
    let shop = Shop::new().with_products(200).with_latency(Duration::from_millis(100));
    Service::with(shop, &[], &[])
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_newest_first() {
    let service = Service::open();
    let mut jobs = Vec::new();
    for name in ["a", "b", "a", "c", "a"] {
        jobs.push(service.submit(1, json!({"name": name})).await);
    }
    let ids = |list: &Value| list["data"].as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    let first = service.get("/v1/jobs?limit=2").await.expect(200);
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (vec![jobs[4].clone(), jobs[3].clone()], &json!(true))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service.get(&format!("/v1/jobs?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&second).len(), &second["next_cursor"]), (3, &json!(null)));
    let named = service.get("/v1/jobs?name=a").await.expect(200);
    assert_eq!(ids(&named), [&*jobs[4], &jobs[2], &jobs[0]]);
    let later = service.get("/v1/jobs?created_after=2999-01-01T00:00:00Z").await.expect(200);
    assert_eq!(ids(&later).len(), 0);
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=done",
        "cursor=!",
        "created_after=noon",
        "colour=red",
    ] {
        let name = query.split('=').next().unwrap();
        let body = service.get(&format!("/v1/jobs?{query}")).await.refused(400, "invalid_request");
        assert!(body["message"].as_str().unwrap().contains(name), "{body}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_change_it_waits_for() {
    let service = slow();
    let job = service.submit(60, json!({"concurrency": 4})).await;
    service.until(&job, |job| job["status"] == "running").await;
    let began = Instant::now();
    let mut status = json!({});
    while status["status"] != "completed" {
        status = service.get(&format!("/v1/jobs/{job}?wait=30")).await.expect(200);
    }
    assert!(began.elapsed() < Duration::from_secs(25), "it slept through the change");
    service.get(&format!("/v1/jobs/{job}?wait=61")).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_known_state_is_not_sent_again() {
    let service = Service::open();
    let job = service.submit(1, json!({})).await;
    service.ended(&job).await;
    let path = format!("/v1/jobs/{job}");
    let tag = service.get(&path).await.header("etag").to_owned();
    let known = send(service.request(Method::GET, &path).header("if-none-match", &tag)).await;
    assert_eq!((known.status.as_u16(), known.header("etag"), known.bytes.len()), (304, &*tag, 0));
    service.delete(&format!("{path}/output")).await.expect(200);
    let other = send(service.request(Method::GET, &path).header("if-none-match", &tag)).await;
    assert_eq!(other.status, 200);
}

/// The events of a job as name, id and data, until the stream ends.
async fn events(service: &Service, job: &str, last: Option<&str>) -> Vec<(String, String, Value)> {
    let mut request = service.request(Method::GET, &format!("/v1/jobs/{job}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    let parsed = |event: &str| serde_json::from_str(&field(event, "data:")).unwrap();
    events.map(|event| (field(event, "event:"), field(event, "id:"), parsed(event))).collect()
}

#[tokio::test]
async fn events_tell_of_progress_parts_and_the_end() {
    let service = slow();
    let job = service.submit(80, json!({"concurrency": 8})).await;
    let told = events(&service, &job, None).await;
    let names: Vec<_> = told.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names.last(), Some(&"terminal"), "{names:?}");
    assert!(names.iter().filter(|name| **name == "progress").count() >= 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "part").count(), 1);
    let done: Vec<_> = told.iter().filter_map(|(_, _, data)| data["urls_done"].as_u64()).collect();
    assert!(done.is_sorted() && done.last() == Some(&80), "{done:?}");
    let (_, last, _) = told.last().unwrap();
    let again = events(&service, &job, Some(last)).await;
    let names: Vec<_> = again.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names, ["terminal"], "what was told is told again");
}

#[tokio::test]
async fn a_running_job_is_cancelled_and_keeps_what_is_done() {
    let service = slow();
    let job = service.submit(200, json!({"concurrency": 4})).await;
    service.until(&job, |job| job["urls_done"].as_u64() > Some(0)).await;
    let path = format!("/v1/jobs/{job}");
    service.delete(&path).await.expect(202);
    let ended = service.ended(&job).await;
    assert_eq!((&ended["status"], &ended["status_reason"]), (&json!("cancelled"), &json!("user")));
    let number = |field: &str| ended[field].as_u64().unwrap();
    assert_eq!(number("urls_total"), number("urls_done") + number("urls_skipped"));
    let text = service.download(&ended["download_url"]).await.text();
    assert_eq!(text.lines().count() as u64, number("urls_done"));
    service.delete(&path).await.expect(200);
    let rest = json!({"include_skipped": true});
    let retried = service.post(&format!("{path}/retry"), &rest).await.expect(202);
    assert_eq!(retried["urls_total"], number("urls_skipped") + number("urls_errored"));
    service
        .post(&format!("/v1/jobs/{}/retry", id(&retried)), &json!({}))
        .await
        .refused(409, "job_not_finished");
}

#[tokio::test]
async fn errors_are_listed_by_code_in_pages() {
    let service = Service::open();
    let mut urls = service.urls(1);
    urls.extend((0..5).map(|page| format!("{}/missing/{page}", service.shop.url())));
    urls.push("http://127.0.0.1:1/".to_owned());
    let body = json!({"urls": urls, "defaults": {"retry": {"max": 0}}});
    let job = id(&service.post("/v1/jobs", &body).await.expect(202));
    service.ended(&job).await;
    let path = format!("/v1/jobs/{job}/errors");
    let first = service.get(&format!("{path}?limit=4")).await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service.get(&format!("{path}?limit=4&cursor={cursor}")).await.expect(200);
    let indexes: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|error| error["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6]);
    let refused =
        service.get(&format!("{path}?code=connect_failed&retryable=true")).await.expect(200);
    assert_eq!(refused["data"].as_array().unwrap().len(), 1);
    assert_eq!(refused["data"][0]["url"], "http://127.0.0.1:1/");
    service.get(&format!("{path}?code=bad_luck")).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_dry_run_makes_nothing_and_a_preview_shows_one_page() {
    let service = Service::open();
    let mut urls = service.urls(3);
    urls.push(urls[0].clone());
    let body = json!({"urls": urls, "dry_run": true, "defaults": {"extract": {"name": "string"}}});
    let dry = service.post("/v1/jobs", &body).await.expect(200);
    for (field, value) in [
        ("urls_total", 4),
        ("duplicates", 1),
        ("hosts", 1),
        ("invalid", 0),
        ("credits_estimate", 8),
    ] {
        assert_eq!(dry[field], value, "{field}");
    }
    assert_eq!(service.get("/v1/jobs").await.expect(200)["data"], json!([]));
    let line = json!({"url": urls[0], "extract": {"name": "string", "price": "number"}});
    let preview = service.post("/v1/preview", &line).await.expect(200);
    assert_eq!(preview["record"]["status"], "ok", "{preview}");
    assert!(preview["record"]["data"]["price"].is_number());
    assert!(
        preview["confidence"]["price"].as_f64() > Some(0.5)
            && preview["source"]["price"].is_string()
    );
    let missing = json!({"url": format!("{}/missing", service.shop.url())});
    let preview = service.post("/v1/preview", &missing).await.expect(200);
    assert_eq!(preview["record"]["code"], "target_4xx");
    service.post("/v1/preview", &json!({"url": "nonsense"})).await.refused(400, "invalid_url");
    service
        .post("/v1/preview", &json!({"url": urls[0], "timeout_ms": 1}))
        .await
        .refused(422, "schema_invalid");
}

#[tokio::test]
async fn what_the_installation_lacks_is_refused() {
    let service = Service::open();
    let body = json!({"urls": service.urls(1), "defaults": {"proxy_type": "mobile"}});
    let body = service.post("/v1/jobs", &body).await.refused(422, "unavailable");
    assert!(body["message"].as_str().unwrap().contains("prox"), "{body}");
}
