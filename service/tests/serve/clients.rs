//! Clients that mean no good, or know no better.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use futures::StreamExt;
use harvestman_shop::Shop;
use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Service, send};

/// Sends bytes as they are, says that no more will come, and reads the answer.
fn raw(service: &Service, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn post(service: &Service, body: impl Into<reqwest::Body>) -> Answer {
    let request = service.request(Method::POST, "/v1/jobs");
    send(request.header("content-type", "application/json").body(body)).await
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let service = Service::open();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_inside = format!(r#"{{"metadata": {{"a": {deep}}}}}"#);
    let many_keys: Vec<_> = (0..200_000).map(|key| format!("\"k{key}\":1")).collect();
    for (body, status, code) in [
        (b"".to_vec(), 400, "invalid_json"),
        (b"{".to_vec(), 400, "invalid_json"),
        (b"null".to_vec(), 400, "invalid_json"),
        (b"{\"name\": \"\xff\xfe\"}".to_vec(), 400, "invalid_json"),
        (b"{\"name\": \"\\ud800\"}".to_vec(), 400, "invalid_json"),
        (deep.into_bytes(), 400, "invalid_json"),
        (deep_inside.into_bytes(), 400, "invalid_json"),
        (b"{\"name\": \"a\", \"name\": \"b\", \"urls\": []}".to_vec(), 422, "schema_invalid"),
        (format!("{{{}}}", many_keys.join(",")).into_bytes(), 422, "schema_invalid"),
        (b"{\"urls\": [], \"concurrency\": 1e999}".to_vec(), 400, "invalid_json"),
        (b"{\"urls\": [], \"max_credits\": -5}".to_vec(), 422, "schema_invalid"),
        (
            b"{\"urls\": [], \"max_credits\": 99999999999999999999999}".to_vec(),
            422,
            "schema_invalid",
        ),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = post(&service, body).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text());
        let message = answer.refused(status, code)["message"].as_str().unwrap().to_owned();
        assert!(message.len() < 2_000, "{} bytes of message for {shown}", message.len());
    }
    let memory = service.memory_kib();
    assert!(memory < 300 * 1024, "{memory} KiB");
    service.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn bodies_of_another_kind() {
    let service = Service::open();
    let body = json!({"urls": service.urls(1)}).to_string();
    for (name, value) in
        [("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")]
    {
        let request = service.request(Method::POST, "/v1/jobs");
        let request = if name == "content-type" {
            request
        } else {
            request.header("content-type", "application/json")
        };
        send(request.header(name, value).body(body.clone()))
            .await
            .refused(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn ids_that_lead_elsewhere() {
    let service = Service::open();
    for id in
        ["..%2f..%2fdata", "job_..%2fx", "job_%00", "%ff", "job_A%0d%0aX", "JOB_1", "job_", "upl_1"]
    {
        service.get(&format!("/v1/jobs/{id}")).await.refused(404, "not_found");
        service.delete(&format!("/v1/jobs/{id}")).await.refused(404, "not_found");
        service.get(&format!("/v1/jobs/{id}/events")).await.refused(404, "not_found");
    }
    service.get("/v1/uploads/..%2f..%2fetc%2fpasswd").await.refused(404, "not_found");
    service.get("/docs/..%2f..%2fCargo.toml").await.refused(404, "not_found");
    service.get("/v1").await.refused(404, "not_found");
    send(service.request(Method::PATCH, "/v1/jobs")).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn requests_that_are_no_http() {
    let service = Service::open();
    let many = (0..200).map(|header| format!("x-{header}: 1\r\n")).collect::<Vec<_>>().concat();
    let long = format!("x: {}\r\n", "a".repeat(200_000));
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{long}\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), "4"),
        ("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello".to_owned(), "400"),
    ] {
        let answer = raw(&service, request.as_bytes());
        let start = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&start), "{}… → {answer:.80}", &request[..40.min(request.len())]);
    }
    // A body that breaks off: whoever sent it may be reading still.
    let cut = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"urls\"";
    let answer = raw(&service, cut.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    service.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn clients_that_keep_it_waiting() {
    let service = Service::with(Shop::new(), &["--client-timeout", "3"], &[]);
    let mut silent: Vec<_> =
        (0..200).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    for stream in &mut silent[..100] {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost").unwrap();
    }
    for stream in &mut silent[100..] {
        let head = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
    }
    service.get("/healthz").await.expect(200);
    for (index, stream) in silent.iter_mut().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{index} is kept: {error}"));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(index < 100 || answer.contains("request_timeout"), "{answer}");
    }
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait() {
    let service =
        Service::with(Shop::new(), &["--max-connections", "4", "--client-timeout", "1"], &[]);
    let _silent: Vec<_> = (0..8).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    service.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn silent_connections_end_and_do_not_keep_it_from_stopping() {
    let service = Service::with(Shop::new(), &["--max-connections", "2"], &[]);
    let mut silent: Vec<_> =
        (0..2).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    silent[0].write_all(b"PRI * HT").unwrap();
    service.signal(rustix::process::Signal::TERM);
    assert_eq!(service.exit_code(), Some(0));
}

#[tokio::test]
async fn uploads_that_trickle_hold_up_nobody_else() {
    let service = Service::open();
    let head = "POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 1000000\r\n\r\nhttp://a.te";
    let mut trickling = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(service.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        trickling.push(stream);
    }
    service.get("/readyz").await.expect(200);
    let job = service.submit(2, json!({})).await;
    service.ended(&job).await;
    let request = service.request(Method::POST, "/v1/uploads").header("content-type", "text/plain");
    let refused = send(request.body("http://a.test/")).await;
    assert_eq!(refused.header("retry-after"), "5");
    refused.refused(503, "overloaded");
    drop(trickling);
    loop {
        let request =
            service.request(Method::POST, "/v1/uploads").header("content-type", "text/plain");
        let answer = send(request.body("http://a.test/")).await;
        if answer.status == 201 {
            return;
        }
        answer.refused(503, "overloaded");
    }
}

#[tokio::test]
async fn forms_of_nothing_but_headers() {
    let service = Service::open();
    let before = service.memory_kib();
    let whole =
        "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhttp://a.test/\r\n--b\r\nx: ";
    for start in ["--b\r\nContent-Disposition: form-data; name=\"file\"; x=\"", "", whole] {
        let flood =
            futures::stream::iter(0..4_000).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 32 * 1024]));
        let start = futures::stream::iter([Ok(start.as_bytes().to_vec())]);
        let request = service.request(Method::POST, "/v1/uploads");
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        let body = reqwest::Body::wrap_stream(start.chain(flood));
        send(request.body(body)).await.refused(400, "invalid_request");
    }
    let after = service.memory_kib();
    assert!(after < before + 48 * 1024, "{before} KiB -> {after} KiB");
}

#[tokio::test]
async fn methods_that_somebody_made_up_are_one_figure() {
    let service = Service::open();
    for number in 0..50 {
        let method = Method::from_bytes(format!("MADEUP{number}").as_bytes()).unwrap();
        send(service.request(method, "/nothing")).await.refused(404, "not_found");
    }
    let text = service.get("/metrics").await.text();
    assert!(
        !text.contains("MADEUP")
            && text.contains("method=\"other\",route=\"none\",status=\"404\"} 50"),
        "{text}"
    );
}

#[tokio::test]
async fn refused_bodies_are_read_on_so_that_the_answer_arrives() {
    let service = Service::with_keys();
    let body = || vec![b'x'; 20_000_000];
    send(service.request(Method::POST, "/v1/jobs").body(body()))
        .await
        .refused(401, "missing_credentials");
    send(service.request(Method::POST, "/nowhere").body(body())).await.refused(404, "not_found");
}
