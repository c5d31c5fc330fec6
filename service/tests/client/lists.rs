//! Lists that are uploaded, by themselves and for a job.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::scripted::{Place, Said, Service, answer, json};

const URLS: &str = "url,id\nhttp://a.test/,1\n";

fn upload() -> serde_json::Value {
    json!({"id": "upl_1", "upload_id": "upl_1", "format": "csv", "urls_total": 2, "invalid_lines": 1,
           "errors": [{"line": 3, "code": "invalid_url", "message": "the URL is empty"}]})
}

#[test]
fn a_list_is_sent_whole_again_when_the_service_could_not_take_it() {
    let service = Service::new(|number, _| match number {
        0 => answer(503, &[("retry-after", "0")], ""),
        _ => json(201, &upload()),
    });
    let place = Place::new();
    let urls = URLS.repeat(50_000);
    place.write("urls.csv", &urls);
    let said = place.run(&service.url, "uploads create urls.csv", 0);
    assert_eq!(said.out, "upl_1\n");
    assert!(said.err.contains("2 URLs, csv; 1 of them can't be used"), "{said:?}");
    assert!(said.err.contains("the URL is empty (line 3)"), "{said:?}");
    let seen = service.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert!(request.body == urls.as_bytes());
        assert_eq!(request.header("content-type"), Some("text/csv"));
        assert_eq!(request.header("content-length"), Some(urls.len().to_string().as_str()));
        assert_eq!(request.header("content-encoding"), None);
        assert_eq!(request.header("idempotency-key"), seen[0].header("idempotency-key"));
    }
}

#[test]
fn a_packed_list_is_sent_as_it_is() {
    let service = Service::new(|_, _| json(201, &upload()));
    let place = Place::new();
    let packed = zstd_of("{\"url\":\"http://a.test/\"}\n");
    place.write("urls.zst", &packed);
    place.run(&service.url, "uploads create urls.zst --json", 0);
    let seen = &service.seen()[0];
    assert!(seen.body == packed);
    assert_eq!(seen.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(seen.header("content-encoding"), Some("zstd"));
}

fn zstd_of(text: &str) -> Vec<u8> {
    let mut child = Command::new("zstd")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_job_with_a_list_is_an_upload_and_a_job_under_keys_of_one_name() {
    let service = Service::new(|_, seen| match seen.path.as_str() {
        "/v1/uploads" => json(201, &upload()),
        _ => json(202, &json!({"id": "job_1", "status": "queued", "urls_total": 2})),
    });
    let place = Place::new();
    let words = "jobs submit --url-list - -e name:string --format csv --idempotency-key k1";
    let mut child = place.command(&service.url, words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"http://a.test/\nhttp://b.test/\n").unwrap();
    let said = Said::expect(child.wait_with_output().unwrap(), words, 0);
    assert_eq!(said.out, "job_1\n");
    let seen = service.seen();
    assert_eq!(seen[0].header("content-type"), Some("text/plain"));
    assert_eq!(seen[0].body, "http://a.test/\nhttp://b.test/\n");
    let expected = json!({"defaults": {"extract": {"name": "string"}}, "output": {"format": "csv"}, "input": {"upload_id": "upl_1"}});
    assert_eq!(seen[1].json(), expected);
    let keys: Vec<_> = seen.iter().map(|seen| seen.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys, ["k1-list", "k1"]);
}

#[test]
fn an_upload_that_no_job_came_of_is_erased() {
    for status in [422, 200] {
        let service = Service::new(move |_, seen| {
            match (seen.method.as_str(), seen.path.as_str()) {
                ("POST", "/v1/uploads") => json(201, &upload()),
                ("POST", "/v1/jobs") => json(
                    status,
                    &json!({"code": "schema_invalid", "message": "no", "dry_run": true, "urls_total": 2, "warnings": ["w"]}),
                ),
                _ => answer(204, &[], ""),
            }
        });
        let place = Place::new();
        place.write("urls.csv", URLS);
        let words = "jobs submit --url-list urls.csv --dry-run";
        let said = place.run(&service.url, words, if status == 200 { 0 } else { 5 });
        assert!(status == 422 || said.out.contains("urls_total         2"), "{said:?}");
        let last = service.seen().pop().unwrap();
        assert_eq!((last.method.as_str(), last.path.as_str()), ("DELETE", "/v1/uploads/upl_1"));
    }
}
