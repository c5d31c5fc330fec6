//! The limits, and one beyond.

use std::io::Write;

use harvestman_shop::Shop;
use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Service, id, send};

async fn upload(service: &Service, body: Vec<u8>, encoding: Option<&str>) -> Answer {
    let request = service.request(Method::POST, "/v1/uploads").header("content-type", "text/plain");
    let request = match encoding {
        Some(encoding) => request.header("content-encoding", encoding),
        None => request,
    };
    send(request.body(body)).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn inline_lists_and_concurrency() {
    let service = Service::open();
    let urls = |count| vec![service.shop.product_url(0); count];
    let job = id(&service
        .post("/v1/jobs", &json!({"urls": urls(1_000), "concurrency": 256}))
        .await
        .expect(202));
    assert_eq!(service.ended(&job).await["urls_ok"], 1_000);
    let body = service
        .post("/v1/jobs", &json!({"urls": urls(1_001)}))
        .await
        .refused(400, "limit_exceeded");
    assert_eq!(body["detail"]["fields"], json!(["input.urls"]));
    for concurrency in [0, 257] {
        let body = json!({"urls": urls(1), "concurrency": concurrency});
        service.post("/v1/jobs", &body).await.refused(400, "limit_exceeded");
    }
    for body in [
        json!({"urls": urls(1), "concurrency": -1}),
        json!({"urls": urls(1), "concurrency": 1e300}),
        json!({"urls": urls(1), "concurrency": "8"}),
        json!({"urls": urls(1), "concurency": 8}),
        json!({"urls": urls(1), "output": {"formt": "csv"}}),
    ] {
        service.post("/v1/jobs", &body).await.refused(422, "schema_invalid");
    }
    let bad = json!({"urls": [urls(1)[0], "nonsense"]});
    let body = service.post("/v1/jobs", &bad).await.refused(400, "invalid_url");
    assert_eq!(body["detail"]["fields"], json!(["input.urls[1]"]));
}

#[tokio::test]
async fn a_million_urls_and_one_more() {
    let service = Service::open();
    let mut list = "http://127.0.0.1/a\n".repeat(1_000_000).into_bytes();
    let taken = upload(&service, gzip(&list), Some("gzip")).await.expect(201);
    assert_eq!(taken["urls_total"], 1_000_000);
    list.extend_from_slice(b"http://127.0.0.1/a");
    upload(&service, gzip(&list), Some("gzip")).await.refused(400, "limit_exceeded");
}

#[tokio::test]
async fn the_size_of_an_upload_as_sent_and_as_decoded() {
    let service = Service::with(Shop::new(), &["--max-upload-bytes", "100000"], &[]);
    let line = b"http://127.0.0.1/aaaaaaa\n";
    let list = |bytes: usize| line.iter().copied().cycle().take(bytes).collect::<Vec<_>>();
    upload(&service, list(100_000), None).await.expect(201);
    upload(&service, list(100_001), None).await.refused(413, "body_too_large");
    upload(&service, gzip(&list(100_000)), Some("gzip")).await.expect(201);
    upload(&service, gzip(&list(100_001)), Some("gzip")).await.refused(413, "body_too_large");
    // Far more than is sent, and far more than is taken.
    let before = service.memory_kib();
    let bomb = gzip(&vec![b'a'; 200_000_000]);
    upload(&service, bomb, Some("gzip")).await.refused(413, "body_too_large");
    assert!(service.memory_kib() < before + 64 * 1024, "{} -> {}", before, service.memory_kib());
    let half = gzip(&list(100_000));
    upload(&service, half[..half.len() / 2].to_vec(), Some("gzip"))
        .await
        .refused(422, "schema_invalid");
}

#[tokio::test]
async fn the_size_of_a_json_body() {
    let service = Service::with(Shop::new(), &["--max-body-bytes", "10000"], &[]);
    let body = |bytes: usize| {
        let start = format!(r#"{{"urls": ["{}"]"#, service.shop.product_url(0));
        format!("{start}{}}}", " ".repeat(bytes - start.len() - 1))
    };
    let post = |body: String| {
        let request =
            service.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
        send(request.body(body))
    };
    post(body(10_000)).await.expect(202);
    post(body(10_001)).await.refused(413, "body_too_large");
    // Without a length to refuse at once.
    let chunks = [(); 2].map(|()| Ok::<_, std::io::Error>(vec![b' '; 6_000]));
    let request =
        service.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    send(request.body(reqwest::Body::wrap_stream(futures::stream::iter(chunks))))
        .await
        .refused(413, "body_too_large");
}
