//! Who may do what, on every route.

use std::process::{Command, Stdio};

use harvestman_shop::Shop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{ACME, Answer, BETA, Service, id, send};

/// Every route that needs a key, with a body that it takes; `JOB`, `UPL` and `DLV` are ids.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/v1/jobs", r#"{"urls": ["http://127.0.0.1/"]}"#),
    ("GET", "/v1/jobs", ""),
    ("GET", "/v1/jobs/JOB", ""),
    ("DELETE", "/v1/jobs/JOB", ""),
    ("POST", "/v1/jobs/JOB/retry", ""),
    ("GET", "/v1/jobs/JOB/errors", ""),
    ("GET", "/v1/jobs/JOB/events", ""),
    ("POST", "/v1/jobs/JOB/download-url", ""),
    ("DELETE", "/v1/jobs/JOB/output", ""),
    ("POST", "/v1/preview", r#"{"url": "http://127.0.0.1/"}"#),
    ("POST", "/v1/uploads", "http://127.0.0.1/"),
    ("GET", "/v1/uploads/UPL", ""),
    ("DELETE", "/v1/uploads/UPL", ""),
    ("GET", "/v1/webhooks/deliveries", ""),
    ("POST", "/v1/webhooks/deliveries/DLV/replay", ""),
    ("GET", "/v1/workspace", ""),
];

async fn ask(
    service: &Service,
    route: &(&str, &str, &str),
    key: Option<&str>,
    ids: &[&str; 3],
) -> Answer {
    let (method, path, body) = route;
    let path = path.replace("JOB", ids[0]).replace("UPL", ids[1]).replace("DLV", ids[2]);
    let mut request = service.request(method.parse::<Method>().unwrap(), &path);
    if !body.is_empty() {
        let media = if body.starts_with('{') { "application/json" } else { "text/plain" };
        request = request.header("content-type", media).body((*body).to_owned());
    }
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    send(request).await
}

/// Runs `harvestman keys` beside the service.
fn keys(service: &Service, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .args([&["keys", "--data", service.path("data").to_str().unwrap()], args].concat())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A job, an upload and a delivery of the workspace acme.
async fn belongings(service: &Service) -> [String; 3] {
    let bearer = |request: reqwest::RequestBuilder| request.bearer_auth(ACME);
    let upload = service.request(Method::POST, "/v1/uploads").header("content-type", "text/plain");
    let upload = id(&send(bearer(upload.body(service.urls(1).join("\n")))).await.expect(201));
    let body = json!({"urls": service.urls(2), "webhook": format!("{}/hook", service.shop.url())});
    let job = service.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    let job = id(&send(bearer(job.body(body.to_string()))).await.expect(202));
    loop {
        let list =
            send(bearer(service.request(Method::GET, "/v1/webhooks/deliveries"))).await.expect(200);
        if let Some(delivery) = list["data"].get(0) {
            return [job, upload, id(delivery)];
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_known_key_and_the_right_scope() {
    let service = Service::with_keys();
    let ids = belongings(&service).await;
    let ids = [&*ids[0], &ids[1], &ids[2]];
    let created: Value =
        serde_json::from_str(&keys(&service, &["--json", "create", "acme"])).unwrap();
    let revoked = created["key"].as_str().unwrap();
    let looker = keys(&service, &["create", "acme", "--scope", "read"]);
    let doer = keys(&service, &["create", "acme", "--scope", "write"]);
    let route = &ROUTES[1];
    ask(&service, route, Some(revoked), &ids).await.expect(200);
    keys(&service, &["revoke", created["id"].as_str().unwrap()]);
    for route in ROUTES {
        ask(&service, route, None, &ids).await.refused(401, "missing_credentials");
        ask(&service, route, Some("hd_live_nobody_has_this"), &ids)
            .await
            .refused(401, "unknown_key");
        ask(&service, route, Some(revoked), &ids).await.refused(401, "revoked");
        let writes = route.0 != "GET" && !route.1.ends_with("download-url");
        let short = if writes { &looker } else { &doer };
        ask(&service, route, Some(short), &ids).await.refused(403, "insufficient_scope");
        if route.1.contains(['J', 'U', 'D']) && route.1 != "/v1/uploads" {
            ask(&service, route, Some(BETA), &ids).await.refused(404, "not_found");
        }
    }
    assert_eq!(keys(&service, &["list", "acme"]).lines().count(), 3);
    for secret in [ACME, revoked, &*looker] {
        assert!(!service.log().contains(secret), "the log shows a key");
    }
}

#[tokio::test]
async fn nothing_of_a_workspace_shows_in_the_lists_of_another() {
    let service = Service::with_keys();
    belongings(&service).await;
    for path in ["/v1/jobs", "/v1/webhooks/deliveries"] {
        let list = send(service.request(Method::GET, path).bearer_auth(BETA)).await.expect(200);
        assert_eq!(list["data"], json!([]));
    }
    let of = |key| send(service.request(Method::GET, "/v1/workspace").bearer_auth(key));
    let (acme, beta) = (of(ACME).await.expect(200), of(BETA).await.expect(200));
    assert_eq!((&acme["name"], &beta["name"]), (&json!("acme"), &json!("beta")));
    assert_ne!(acme["external_id"], beta["external_id"]);
}

#[tokio::test]
async fn without_keys_a_page_in_a_browser_gets_nothing() {
    let service = Service::open();
    let ask = |name: &'static str, value: &'static str| {
        send(service.request(Method::GET, "/v1/jobs").header(name, value))
    };
    ask("sec-fetch-site", "cross-site").await.refused(403, "foreign_origin");
    ask("sec-fetch-site", "same-site").await.refused(403, "foreign_origin");
    ask("origin", "https://evil.example").await.refused(403, "foreign_origin");
    ask("origin", "null").await.refused(403, "foreign_origin");
    ask("host", "x@localhost").await.refused(403, "foreign_origin");
    // A name of the page's own that leads here.
    ask("host", "evil.example:8080").await.refused(403, "foreign_origin");
    ask("host", "localhost:8080").await.expect(200);
    ask("sec-fetch-site", "same-origin").await.expect(200);
}

#[tokio::test]
async fn a_first_key_closes_the_door_at_once() {
    let service = Service::open();
    service.get("/v1/jobs").await.expect(200);
    let key = keys(&service, &["create", "acme"]);
    service.get("/v1/jobs").await.refused(401, "missing_credentials");
    send(service.request(Method::GET, "/v1/jobs").bearer_auth(key)).await.expect(200);
}

#[test]
fn without_keys_only_this_machine_is_listened_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harvestman"));
    command.args(["serve", "--listen", "0.0.0.0:0", "--data"]).arg(directory.path().join("data"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("harvestman keys create"), "{said}");
}

#[tokio::test]
async fn a_workspace_that_asks_too_often_is_told_when_to_come_back() {
    let keys = format!("acme={ACME};beta={BETA}");
    let env = [("HARVESTMAN_API_KEYS", &*keys)];
    let service = Service::with(Shop::new(), &["--rate-limit", "1"], &env);
    let ask = |key| send(service.request(Method::GET, "/v1/jobs").bearer_auth(key));
    let first = ask(ACME).await;
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("2", "1"));
    let refused = loop {
        let answer = ask(ACME).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    refused.refused(429, "rate_limited");
    ask(BETA).await.expect(200);
}
