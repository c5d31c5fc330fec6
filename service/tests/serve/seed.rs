//! The examples of the original product page, as they stand there.

use std::io::Read;

use serde_json::{Value, json};

use crate::service::{Service, id, records, send};

/// The page's body of a job. It has a remark in it that is no JSON, and asks for proxies and a
/// browser; both are left out here, as is done on an installation without them.
const CREATE: &str = r#"{
  "name": "nightly-catalog-2026-05-12",
  "input": { "upload_id": "UPLOAD" },
  "defaults": {
    "extract": { "name": "string", "price": "number" }
  },
  "concurrency": 32,
  "output": { "format": "ndjson", "gzip": true },
  "webhook": "https://your-app.com/hooks/jobs"
}"#;

async fn upload(service: &Service, count: u32) -> String {
    let lines: Vec<_> =
        service.urls(count).iter().map(|url| json!({"url": url}).to_string()).collect();
    let request = service.request(reqwest::Method::POST, "/v1/uploads");
    let request = request.header("content-type", "application/x-ndjson").body(lines.join("\n"));
    id(&send(request).await.expect(201))
}

async fn create(service: &Service, body: &str) -> Value {
    let request = service.request(reqwest::Method::POST, "/v1/jobs");
    let answer =
        send(request.header("content-type", "application/json").body(body.to_owned())).await;
    let location = answer.header("location").to_owned();
    let created = answer.expect(202);
    assert_eq!(location, format!("/v1/jobs/{}", id(&created)));
    created
}

#[tokio::test]
async fn a_job_is_created_polled_listed_downloaded_and_tried_again() {
    let service = Service::open();
    let upload = upload(&service, 20).await;
    let created = create(&service, &CREATE.replace("UPLOAD", &upload)).await;
    assert_eq!(created["status"], "queued");
    assert_eq!(created["urls_total"], 20);
    assert_eq!(created["eta_s"], 1);
    assert!(created["created_at"].as_str().unwrap().ends_with('Z'), "{created}");
    let job = id(&created);
    assert!(job.starts_with("job_") && job.len() == 16, "{job}");

    let ended = service.ended(&job).await;
    for field in
        ["id", "status", "urls_total", "urls_done", "urls_errored", "credits_used", "eta_s"]
    {
        assert!(ended.get(field).is_some(), "{field}");
    }
    assert_eq!(ended["status"], "completed");
    assert_eq!((&ended["urls_done"], &ended["urls_errored"]), (&json!(20), &json!(0)));
    assert_eq!(ended["credits_used"], 40);

    let listed = service.get("/v1/jobs?status=completed&limit=20").await.expect(200);
    assert_eq!(listed["data"][0]["id"], job.as_str());
    let running = service.get("/v1/jobs?status=running&limit=20").await.expect(200);
    assert_eq!(running["data"], json!([]));

    let packed = service.download(&ended["download_url"]).await;
    assert_eq!(packed.header("content-type"), "application/gzip");
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&*packed.bytes).read_to_string(&mut text).unwrap();
    let records = records(&text);
    assert_eq!(records.len(), 20);
    assert!(records.iter().all(|record| record["data"]["price"].is_number()), "{}", records[0]);

    service
        .post(&format!("/v1/jobs/{job}/retry"), &json!({}))
        .await
        .refused(409, "nothing_to_retry");
    let unchanged = service.delete(&format!("/v1/jobs/{job}")).await.expect(200);
    assert_eq!(unchanged["status"], "completed");
}

#[tokio::test]
async fn urls_may_be_inline_at_the_top_or_in_the_input() {
    let service = Service::open();
    let urls = service.urls(3);
    for body in [json!({"urls": urls}), json!({"input": {"urls": urls}})] {
        let job = id(&create(&service, &body.to_string()).await);
        assert_eq!(service.ended(&job).await["urls_ok"], 3);
    }
}

#[tokio::test]
async fn a_job_is_cancelled_and_its_failures_are_tried_again_alone() {
    let service = Service::open();
    let mut urls = service.urls(4);
    urls.push(format!("{}/nothing-here", service.shop.url()));
    let job = id(&create(&service, &json!({"urls": urls}).to_string()).await);
    assert_eq!(service.ended(&job).await["by_code"], json!({"target_4xx": 1}));
    let again =
        service.post(&format!("/v1/jobs/{job}/retry"), &json!({"name": "again"})).await.expect(202);
    assert_eq!((&again["urls_total"], &again["retry_of"]), (&json!(1), &json!(job)));
    let ended = service.ended(&id(&again)).await;
    let text = service.download(&ended["download_url"]).await.text();
    assert_eq!(records(&text)[0]["index"], 4);
}

#[tokio::test]
async fn results_come_in_three_formats() {
    let service = Service::open();
    for (format, media, begin) in [
        ("ndjson", "application/x-ndjson", &b"{\"url\":"[..]),
        (
            "csv",
            "text/csv; charset=utf-8",
            b"url,status,http_status,code,message,index,id,name,price",
        ),
        ("parquet", "application/vnd.apache.parquet", b"PAR1"),
    ] {
        let job = service.submit(5, json!({"output": {"format": format}})).await;
        let ended = service.ended(&job).await;
        let answer = service.download(&ended["download_url"]).await;
        assert_eq!(answer.header("content-type"), media);
        assert!(answer.bytes.starts_with(begin), "{}", answer.text());
        let name = format!("attachment; filename=\"{job}.{format}\"");
        assert_eq!(answer.header("content-disposition"), name);
    }
}
