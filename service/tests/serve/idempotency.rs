//! Requests that are sent twice and served once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, Service, id, send};

async fn post(service: &Service, path: &str, key: &str, body: &Value) -> Answer {
    let request = service.request(Method::POST, path).header("idempotency-key", key);
    send(request.header("content-type", "application/json").body(body.to_string())).await
}

async fn upload(service: &Service, key: &str, list: &str) -> Answer {
    let request = service.request(Method::POST, "/v1/uploads").header("idempotency-key", key);
    send(request.header("content-type", "text/plain").body(list.to_owned())).await
}

#[tokio::test]
async fn the_same_request_makes_one_job_also_after_a_crash() {
    let mut service = Service::open();
    let body = json!({"urls": service.urls(2)});
    let first = post(&service, "/v1/jobs", "a", &body).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    service.kill_and_restart();
    let second = post(&service, "/v1/jobs", "a", &body).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (first.status, "true"));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.bytes, first.bytes);
    post(&service, "/v1/jobs", "a", &json!({"urls": service.urls(3)}))
        .await
        .refused(409, "idempotency_conflict");
    let list = service.get("/v1/jobs").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_hundred_at_once_make_one_job() {
    let service = Service::open();
    let body = json!({"urls": service.urls(2)});
    let answers =
        futures::future::join_all((0..100).map(|_| post(&service, "/v1/jobs", "k", &body))).await;
    let ids: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 202)
        .map(|answer| id(&answer.json()))
        .collect();
    assert!(!ids.is_empty() && ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    for answer in answers.into_iter().filter(|answer| answer.status != 202) {
        answer.refused(409, "idempotency_in_progress");
    }
    assert_eq!(service.get("/v1/jobs").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_refused_can_be_sent_again_mended() {
    let service = Service::open();
    post(&service, "/v1/jobs", "a", &json!({"urls": []})).await.refused(422, "schema_invalid");
    let mended = json!({"urls": service.urls(1)});
    loop {
        // The key is given back behind the answer.
        let answer = post(&service, "/v1/jobs", "a", &mended).await;
        if answer.status == 202 {
            return;
        }
        answer.refused(409, "idempotency_conflict");
    }
}

#[tokio::test]
async fn an_upload_is_known_by_what_it_holds() {
    let service = Service::open();
    let first = upload(&service, "u", "http://127.0.0.1/a\n").await.expect(201);
    let again = upload(&service, "u", "http://127.0.0.1/a\n").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(201), first);
    upload(&service, "u", "http://127.0.0.1/b\n").await.refused(409, "idempotency_conflict");
    service.get(&format!("/v1/uploads/{}", id(&first))).await.expect(200);
}

#[tokio::test]
async fn every_post_takes_a_key() {
    let service = Service::open();
    let job = service.submit(1, json!({})).await;
    service.ended(&job).await;
    let path = format!("/v1/jobs/{job}/download-url");
    let first = post(&service, &path, "d", &json!({})).await;
    assert_eq!(post(&service, &path, "d", &json!({})).await.bytes, first.bytes);
    post(&service, &path, "d", &json!({"expires_in_s": 7_200}))
        .await
        .refused(409, "idempotency_conflict");
}

#[tokio::test]
async fn a_key_has_its_bounds() {
    let service = Service::open();
    let body = json!({"urls": service.urls(1)});
    post(&service, "/v1/jobs", &"k".repeat(256), &body).await.expect(202);
    post(&service, "/v1/jobs", &"k".repeat(257), &body).await.refused(400, "invalid_request");
    post(&service, "/v1/jobs", "", &body).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_client_that_hangs_up_can_send_it_again() {
    use std::io::Write;
    let service = Service::open();
    let body = json!({"urls": service.urls(1)}).to_string();
    for number in 0..40 {
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             idempotency-key: {number}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(service.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(number % 10)).await;
    }
    let body = serde_json::from_str(&body).unwrap();
    for number in 0..40 {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let answer = post(&service, "/v1/jobs", &number.to_string(), &body).await;
            if answer.status == 202 {
                break;
            }
            answer.refused(409, "idempotency_in_progress");
            assert!(std::time::Instant::now() < end, "key {number} stays taken");
        }
    }
    let list = service.get("/v1/jobs?limit=100").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 40);
}
