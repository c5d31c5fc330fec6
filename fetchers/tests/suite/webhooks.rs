//! Webhooks to endpoints that are slow, hostile, or where none may be.

use std::time::Duration;

use bytes::Bytes;
use harvestman_engine::{Code, Courier, CourierAnswer, CourierError, CourierRequest};
use harvestman_fetchers::Webhooks;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::peer::{Peer, Reply};

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

async fn endpoint() -> Peer {
    Peer::start(|path| match path.split('?').next().unwrap_or_default() {
        "/gone" => Reply::Close(answer("410 Gone", "", "no\x07body\nhere")),
        "/busy" => Reply::Close(answer("503 Busy", "retry-after: 120\r\n", "")),
        "/moved" => Reply::Close(answer("302 Found", "location: /other\r\n", "")),
        "/silent" => Reply::Keep(Vec::new()),
        "/endless" => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            Reply::Forever(head, format!("1000\r\n{}\r\n", "x".repeat(4096)).into_bytes())
        }
        "/reset" => Reply::Close(Vec::new()),
        _ => Reply::Close(answer("204 No Content", "", "")),
    })
    .await
}

async fn deliver(peer: &Peer, path: &str, allow: bool) -> Result<CourierAnswer, CourierError> {
    let mut courier = Webhooks::builder().timeout(Duration::from_millis(800));
    if allow {
        courier = courier.allow(peer.address.to_string().parse().unwrap());
    }
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
    let url = format!("http://{}{path}", peer.address).parse().unwrap();
    let request = CourierRequest { url, headers, body: Bytes::from_static(b"{\"a\":1}") };
    courier.build().unwrap().deliver(request).await
}

#[tokio::test]
async fn an_event_arrives_as_it_was_given() {
    let peer = endpoint().await;
    assert_eq!(deliver(&peer, "/", true).await.unwrap().status, 204);
    let requests = peer.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("POST / HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("webhook-id: evt_1\r\n"), "{}", requests[0]);
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    let peer = endpoint().await;
    let gone = deliver(&peer, "/gone", true).await.unwrap();
    assert_eq!((gone.status, gone.excerpt.as_str()), (410, "no·body·here"));
    let busy = deliver(&peer, "/busy", true).await.unwrap();
    assert_eq!((busy.status, busy.retry_after), (503, Some(Duration::from_mins(2))));
    assert_eq!(deliver(&peer, "/moved", true).await.unwrap().status, 302);
    assert!(peer.requests().iter().all(|request| !request.contains("/other")));
}

#[tokio::test]
async fn an_endless_answer_is_read_so_far_and_no_further() {
    let peer = endpoint().await;
    let begun = Instant::now();
    let endless = deliver(&peer, "/endless", true).await.unwrap();
    assert_eq!((endless.status, endless.excerpt.len()), (200, 500));
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_does_not_come_is_told_by_its_code_without_the_path() {
    let peer = endpoint().await;
    for (path, allow, code) in [
        ("/silent?token=hush", true, Code::Timeout),
        ("/reset?token=hush", true, Code::ConnectFailed),
        ("/?token=hush", false, Code::ForbiddenAddress),
    ] {
        let error = deliver(&peer, path, allow).await.unwrap_err();
        assert_eq!(error.code, code, "{path}: {error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    assert!(peer.requests().iter().all(|request| !request.contains("POST /?")), "never sent");
}
