//! The document of the API against the service itself.

use std::{collections::BTreeSet, process::Command};

use harvestman_shop::Shop;
use serde_json::{Value, json};

use crate::service::{ACME, Service};

/// The names that a schema of the document allows.
fn documented(document: &Value, schema: &str) -> BTreeSet<String> {
    let properties = &document["components"]["schemas"][schema]["properties"];
    properties.as_object().unwrap_or_else(|| panic!("{schema}")).keys().cloned().collect()
}

/// The names that a message offers instead of an unknown one.
fn offered(message: &str) -> BTreeSet<String> {
    let (_, names) = message.split_once("expected").unwrap_or_else(|| panic!("{message}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn it_names_what_the_service_reads() {
    let service = Service::open();
    let document = service.get("/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let url = service.shop.product_url(0);
    for (schema, body) in [
        ("JobRequest", json!({"zzz": 1})),
        ("InputRequest", json!({"input": {"zzz": 1}})),
        ("OutputRequest", json!({"urls": [url], "output": {"zzz": 1}})),
        ("WebhookRequest", json!({"urls": [url], "webhook": {"zzz": 1}})),
        ("FailIfRequest", json!({"urls": [url], "fail_if": {"zzz": 1}})),
    ] {
        let refused = service.post("/v1/jobs", &body).await.refused(422, "schema_invalid");
        let offered = offered(refused["message"].as_str().unwrap());
        assert_eq!(documented(&document, schema), offered, "{schema}: {refused}");
    }
    // A line may set any of them to null, which takes the default away.
    for name in documented(&document, "ScrapeParameters") {
        let line = json!({"url": url, name.as_str(): null});
        service.post("/v1/jobs", &json!({"urls": [line]})).await.expect(202);
    }
    let job = service.submit(1, json!({})).await;
    service.ended(&job).await;
    for (schema, body) in
        [("RetryRequest", json!({"zzz": 1})), ("FilterRequest", json!({"only": {"zzz": 1}}))]
    {
        let refused = service
            .post(&format!("/v1/jobs/{job}/retry"), &body)
            .await
            .refused(422, "schema_invalid");
        assert_eq!(
            documented(&document, schema),
            offered(refused["message"].as_str().unwrap()),
            "{schema}"
        );
    }
}

#[tokio::test]
async fn its_pages_work_without_the_internet() {
    let service = Service::open();
    let errors = service.get("/docs/errors").await.text();
    assert!(errors.contains("id=\"rate_limited\""));
    let index = service.get("/docs/").await;
    assert!(index.header("content-security-policy").contains("script-src 'self'"));
    let text = index.text();
    let is_file = |part: &str| matches!(part.rsplit_once('.'), Some((_, "js" | "css")));
    let files = text.split('"').filter(|part| is_file(part));
    let mut count = 0;
    for file in files {
        let path = file.trim_start_matches("./");
        assert_eq!(service.get(&format!("/docs/{path}")).await.status, 200, "{path}");
        count += 1;
    }
    assert!(count >= 3, "{text}");
}

/// Every operation of the document is driven with what the document allows and with what it does
/// not; the program is installed by the test command.
#[tokio::test]
async fn every_operation_keeps_to_it() {
    let keys = format!("acme={ACME}");
    let service =
        Service::with(Shop::new(), &["--rate-limit", "100000"], &[("HARVESTMAN_API_KEYS", &keys)]);
    let python = std::env::var("HARVESTMAN_TEST_PYTHON");
    let python =
        python.expect("HARVESTMAN_TEST_PYTHON names a Python with schemathesis; .ci/run sets it");
    let schema = format!("{}/openapi.json", service.url);
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(python);
        // It keeps notes where it runs.
        let place = tempfile::tempdir().unwrap();
        command.current_dir(&place);
        command.args([
            "-m",
            "schemathesis.cli",
            "run",
            &schema,
            "--max-examples",
            "20",
            "--seed",
            "1",
        ]);
        command.args(["--header", &format!("Authorization: Bearer {ACME}"), "--no-color"]);
        command.args(["--exclude-path", "/v1/jobs/{id}/events", "--request-timeout", "20"]);
        command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"]);
        command.args(["--suppress-health-check", "all"]);
        command.output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
