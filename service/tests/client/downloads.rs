//! Results arrive whole, or not at all.

use axum::{body::Body, http::Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::scripted::{Place, Seen, Service, answer, broken, json};

const FILE: &str = "0123456789abcdefghij";

fn sha256(bytes: &str) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn job(sha256: &str) -> Value {
    let part = json!({"rows": 2, "bytes": FILE.len(), "sha256": sha256});
    json!({"id": "job_1", "status": "completed", "output": {"format": "ndjson", "parts": [part]}})
}

/// A service with a job whose result is at `/file`, served by `serve` with the number of the try.
fn service(
    file: &'static str,
    sha256: String,
    serve: impl Fn(usize, &Seen) -> Response<Body> + Send + Sync + 'static,
) -> Service {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    Service::new(move |_, seen| {
        let base = format!("http://{}", seen.header("host").unwrap());
        match seen.path.split('?').next().unwrap() {
            "/v1/jobs/job_1" => json(200, &job(&sha256)),
            "/v1/jobs/job_1/download-url" => {
                json(200, &json!({"download_url": format!("{base}{file}?sig=s3cret")}))
            }
            _ => serve(tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed), seen),
        }
    })
}

fn part(from: usize, body: impl Into<Body>) -> Response<Body> {
    let range = format!("bytes {from}-19/20");
    answer(206, &[("etag", "\"v1\""), ("content-range", &range)], body)
}

fn whole(etag: &str, body: impl Into<Body>) -> Response<Body> {
    answer(200, &[("etag", etag)], body)
}

fn ranges(service: &Service) -> Vec<(Option<String>, Option<String>)> {
    let seen = service.seen().into_iter().filter(|seen| seen.path.starts_with("/x/"));
    let header = |seen: &Seen, name| seen.header(name).map(str::to_owned);
    seen.map(|seen| (header(&seen, "range"), header(&seen, "if-range"))).collect()
}

fn resumed(from: usize) -> (Option<String>, Option<String>) {
    (Some(format!("bytes={from}-")), Some("\"v1\"".to_owned()))
}

#[test]
fn a_download_goes_on_where_it_broke() {
    let service = service("/x/part-00000.ndjson", sha256(FILE), |number, _| match number {
        0 => whole("\"v1\"", broken(&FILE.as_bytes()[..7])),
        1 => answer(503, &[("retry-after", "0")], ""),
        2 => part(7, broken(&FILE.as_bytes()[7..12])),
        _ => part(12, &FILE[12..]),
    });
    let place = Place::new();
    let said = place.run(&service.url, "jobs download job_1", 0);
    assert!(said.err.contains("job_1.ndjson: 2 records"), "{said:?}");
    assert!(!said.err.contains("s3cret"), "{said:?}");
    assert_eq!(
        (place.files(), place.read("job_1.ndjson")),
        (vec!["job_1.ndjson".to_owned()], FILE.into())
    );
    assert_eq!(ranges(&service), [(None, None), resumed(7), resumed(7), resumed(12)]);
    assert!(service.seen().iter().all(|seen| seen.header("authorization").is_none()));

    // What is there is not fetched again.
    let said = place.run(&service.url, "jobs download job_1 --json", 0).json();
    assert_eq!(said["files"][0]["sha256"], sha256(FILE));
    assert_eq!(ranges(&service).len(), 4);
}

#[test]
fn another_run_goes_on_where_the_last_one_was_killed() {
    for (from, status) in [(7, 206), (20, 416)] {
        let service = service("/x/part-00000.csv.gz", sha256(FILE), move |_, _| match status {
            206 => part(7, &FILE[7..]),
            _ => answer(416, &[("content-range", "bytes */20")], ""),
        });
        let place = Place::new();
        place.write("out.part", &FILE[..from]);
        place.write("out.part.etag", "\"v1\"");
        place.run(&service.url, "jobs download job_1 -o out", 0);
        assert_eq!((place.files(), place.read("out")), (vec!["out".to_owned()], FILE.into()));
        assert_eq!(ranges(&service), [resumed(from)]);
    }
}

#[test]
fn a_file_that_has_changed_is_begun_anew() {
    let service = service("/x/part-00000.csv", sha256(FILE), |number, seen| match number {
        0 => answer(416, &[("content-range", "bytes */3")], ""),
        1 => {
            assert_eq!(seen.header("range"), None);
            whole("\"v0\"", broken("xyz"))
        }
        _ => whole("\"v2\"", FILE),
    });
    let place = Place::new();
    place.write("out.part", "something else");
    place.write("out.part.etag", "\"v1\"");
    place.run(&service.url, "jobs download job_1 -o out", 0);
    assert_eq!((place.files(), place.read("out")), (vec!["out".to_owned()], FILE.into()));
}

#[test]
fn a_damaged_file_gets_no_name() {
    let service = service("/x/part-00000.csv", sha256("other"), |_, _| whole("\"v1\"", FILE));
    let place = Place::new();
    let said = place.run(&service.url, "jobs download job_1", 7);
    assert!(
        said.err.contains("SHA-256") && place.files().is_empty(),
        "{said:?} {:?}",
        place.files()
    );
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    let service = service("/x/part-00000.csv", sha256(FILE), |_, _| part(3, &FILE[3..]));
    Place::new().run(&service.url, "jobs download job_1", 7);
}

#[test]
fn a_result_that_is_gone_is_refused() {
    let service = service("/x/part-00000.csv", sha256(FILE), |_, _| {
        json(
            410,
            &json!({"status": "error", "code": "result_expired", "message": "the result was erased"}),
        )
    });
    let said = Place::new().run(&service.url, "jobs download job_1", 5);
    assert!(said.err.contains("the result was erased"), "{said:?}");
}

#[test]
fn several_parts_are_found_by_their_manifest() {
    let service = service("/x/manifest.json", sha256(FILE), |_, seen| {
        let base = format!("http://{}", seen.header("host").unwrap());
        let part = |name: &str, body: &str| json!({"url": format!("{base}/x/{name}"), "rows": 1, "bytes": body.len(), "sha256": sha256(body)});
        match seen.path.split('?').next().unwrap() {
            "/x/manifest.json" => json(
                200,
                &json!({"parts": [part("part-00000.ndjson", "a\n"), part("part-00001.ndjson", "b\n")]}),
            ),
            "/x/part-00000.ndjson" => whole("\"a\"", "a\n"),
            _ => whole("\"b\"", "b\n"),
        }
    });
    let place = Place::new();
    let said = place.run(&service.url, "jobs download job_1 --json", 0).json();
    assert_eq!(said["files"][1]["path"], "job_1/part-00001.ndjson");
    assert_eq!(
        (place.read("job_1/part-00000.ndjson"), place.read("job_1/part-00001.ndjson")),
        (b"a\n".to_vec(), b"b\n".to_vec())
    );
    // One of them is lost: it alone is fetched again.
    let before = service.seen().len();
    place.write("job_1/part-00001.ndjson", "?");
    place.run(&service.url, "jobs download job_1", 0);
    let again: Vec<_> = service.seen()[before..].iter().map(|seen| seen.path.clone()).collect();
    assert!(
        again.contains(&"/x/part-00001.ndjson".to_owned())
            && !again.contains(&"/x/part-00000.ndjson".to_owned())
    );
    assert_eq!(place.run(&service.url, "jobs download job_1 -o -", 0).out, "a\nb\n");
}

#[test]
fn standard_output_gets_every_byte_once() {
    let service = service("/x/part-00000.ndjson", sha256(FILE), |number, _| match number {
        0 => whole("\"v1\"", broken(&FILE.as_bytes()[..7])),
        _ => part(7, &FILE[7..]),
    });
    assert_eq!(Place::new().run(&service.url, "jobs download job_1 -o -", 0).out, FILE);
    let service = self::service("/x/part-00000.ndjson", sha256(FILE), |number, _| match number {
        0 => whole("\"v1\"", broken(&FILE.as_bytes()[..7])),
        _ => whole("\"v2\"", FILE),
    });
    assert_eq!(Place::new().run(&service.url, "jobs download job_1 -o -", 7).out, &FILE[..7]);
}
