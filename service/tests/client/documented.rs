//! What `docs/api.md` shows is run: its curl and Python as they stand on the page, its Rust out of a file
//! that holds the same functions.

use std::process::Command;

use harvestman_shop::Shop;
use serde_json::json;

use crate::{
    calls::{self, Service},
    hosted::{Hosted, KEY},
    scripted::Said,
};

const PAGE: &str = include_str!("../../../docs/api.md");
const CALLS: &str = include_str!("../../../docs/api.rs");
/// The shop on the page.
const SHOP: &str = "https://shop.example";
const BODY: &[u8] = br#"{"event":"job.completed","id":"evt_0123456789ABCDEF","created_at":"2026-05-11T22:20:14Z","data":{"job_id":"job_3F2D1A77B0E1"}}"#;

/// The blocks of one language; between them what the page checks without showing it.
fn blocks(language: &str) -> Vec<String> {
    let (fence, check) = (format!("```{language}"), format!("<!-- check {language}: "));
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line == fence {
            blocks.push(
                lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"),
            );
        } else if let Some(check) = line.strip_prefix(&check) {
            blocks.push(check.strip_suffix(" -->").unwrap().to_owned());
        }
    }
    blocks
}

fn run(service: &Hosted, program: &str, file: &str, script: String) -> Said {
    service.place.write(file, script);
    let mut command = Command::new(program);
    // What stands between this machine's proxies and its own address is no matter of the page.
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.current_dir(service.place.path()).arg(file);
    let output = command.env("HARVESTMAN_URL", &service.url).env("HARVESTMAN_KEY", KEY).output();
    Said::expect(output.unwrap(), file, 0)
}

#[test]
fn the_curl_calls_of_the_page_do_what_it_says() {
    let service = Hosted::new(Shop::new());
    let blocks = blocks("sh");
    assert!(blocks.len() > 20);
    let script = format!("set -euo pipefail\nset -x\n{}\n", blocks.join("\n"));
    run(&service, "bash", "page.sh", script.replace(SHOP, &service.shop.url()));
}

#[test]
fn the_python_calls_of_the_page_do_what_it_says() {
    let service = Hosted::new(Shop::new());
    let list = format!("url,id\n{0}/products/3,a\n{0}/products/4,b\n", service.shop.url());
    service.place.write("urls.csv", list);
    let blocks = blocks("python");
    assert!(blocks.len() > 20);
    let python = std::env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(&service, &python, "page.py", blocks.join("\n").replace(SHOP, &service.shop.url()));
}

#[test]
fn the_rust_calls_of_the_page_are_those_that_are_run() {
    let blocks = blocks("rust");
    assert!(blocks.len() > 10);
    for block in &blocks {
        assert!(CALLS.contains(block.as_str()), "not in docs/api.rs:\n{block}");
    }
    let named = CALLS.lines().filter(|line| line.contains("fn ") && !line.starts_with(' '));
    for line in named {
        assert!(PAGE.contains(line), "not in docs/api.md: {line}");
    }
}

#[tokio::test]
async fn the_rust_calls_of_the_page_do_what_it_says() {
    let hosted = Hosted::new(Shop::new());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let service = Service { url: hosted.url.clone(), key: KEY.to_owned(), http };
    let urls = [hosted.shop.product_url(1), format!("{}/no/such/page", hosted.shop.url())];
    let id = calls::create(&service, &urls).await.unwrap();
    assert_eq!(calls::status(&service, &id).await.unwrap()["urls_total"], 2);
    let job = calls::wait(&service, &id).await.unwrap();
    assert_eq!((&job["status"], &job["urls_ok"]), (&json!("completed"), &json!(1)));
    calls::download(&service, &job, &hosted.place.path().join("result")).await.unwrap();
    assert_eq!(String::from_utf8(hosted.place.read("result")).unwrap().lines().count(), 2);

    let found = calls::errors(&service, &id).await.unwrap();
    assert_eq!((found.len(), &found[0]["code"]), (1, &json!("target_4xx")));
    let again = calls::retry(&service, &id).await.unwrap();
    assert_eq!(calls::cancel(&service, &again).await.unwrap()["id"], json!(again));
    let listed = calls::list(&service, "completed").await.unwrap();
    assert!(listed.iter().any(|listed| listed["id"] == job["id"]));

    hosted.write_list(3);
    let list = hosted.place.path().join("urls.csv");
    let of_list = calls::create_of_list(&service, &list).await.unwrap();
    assert_eq!(calls::wait(&service, &of_list).await.unwrap()["urls_ok"], 3);

    let spec = json!({"urls": urls});
    let (first, was_made) = calls::create_once(&service, &spec, "nightly").await.unwrap();
    assert!(!was_made);
    assert_eq!(calls::create_once(&service, &spec, "nightly").await.unwrap(), (first, true));
    let refused =
        calls::create_once(&service, &json!({"urls": urls, "concurency": 3}), "other").await;
    assert!(refused.unwrap_err().to_string().contains("schema_invalid"));
}

#[test]
fn the_rust_check_of_signatures_keeps_the_contract() {
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let signature = "v1,bad v1,A/LZ6MPnRAHx0diNk7nTTzugAEDhX51ZtrYbnd0NHiM=";
    let check = |signature, body, now| {
        calls::is_genuine(secret, "evt_0123456789ABCDEF", "1778538014", signature, body, now)
    };
    assert!(check(signature, BODY, 1_778_538_314));
    assert!(!check(signature, BODY, 1_778_538_315));
    assert!(!check(signature, b"{}", 1_778_538_014));
    assert!(!check("v1,bad", BODY, 1_778_538_014));
}
