//! How requests are sent: again where that may help, and nothing of the key to anybody else.

use serde_json::json;

use crate::scripted::{Place, Service, answer, broken, json};

const SPEC: &str = r#"{"urls": ["http://a.test/"]}"#;

#[test]
fn a_request_is_sent_until_it_is_answered_and_is_the_same_each_time() {
    let service = Service::new(|number, _| match number {
        0 => answer(503, &[("retry-after", "0")], ""),
        1 => answer(202, &[("content-length", "100")], broken("{")),
        2 => json(429, &json!({"status": "error", "code": "rate_limited", "retry_after_s": 0})),
        3 => json(409, &json!({"status": "error", "code": "idempotency_in_progress"})),
        _ => json(
            202,
            &json!({"id": "job_1", "status": "queued", "urls_total": 1, "eta_s": 1, "warnings": ["w"]}),
        ),
    });
    let place = Place::new();
    place.write("spec.json", SPEC);
    let said = place.run(&service.url, "jobs submit spec.json -c 3", 0);
    assert_eq!(said.out, "job_1\n");
    assert!(
        said.err.contains("job_1 is queued, 1 URLs") && said.err.contains("warning: w"),
        "{said:?}"
    );
    let seen = service.seen();
    assert_eq!(seen.len(), 5);
    for request in &seen {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/jobs"));
        assert_eq!(request.json(), json!({"urls": ["http://a.test/"], "concurrency": 3}));
        let key = request.header("idempotency-key").unwrap();
        assert!(key.len() >= 32 && Some(key) == seen[0].header("idempotency-key"));
        assert_eq!(request.header("authorization"), None);
    }
}

#[test]
fn a_refusal_is_not_tried_again_and_says_all_that_the_service_says() {
    let envelope = json!({
        "status": "error", "code": "schema_invalid", "message": "concurency: unknown key",
        "docs_url": "http://docs.test/x", "retryable": false, "trace_id": "trc_7", "detail": {},
    });
    let body = envelope.clone();
    let service = Service::new(move |_, _| json(422, &body));
    let place = Place::new();
    place.write("spec.json", SPEC);
    let said = place.run(&service.url, "jobs submit spec.json", 5);
    let expected = "harvestman: concurency: unknown key (schema_invalid, 422)\n  trace id: trc_7\n  more: http://docs.test/x\n";
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", expected));
    let said = place.run(&service.url, "jobs submit spec.json --json", 5);
    assert_eq!(said.json(), envelope);
    assert_eq!(service.seen().len(), 2);
}

#[test]
fn a_wait_that_is_too_long_is_left_to_a_person() {
    let service = Service::new(|_, _| answer(429, &[("retry-after", "3600")], ""));
    Place::new().run(&service.url, "jobs show job_1", 5);
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn what_fails_for_good_and_what_is_no_service_is_told_apart() {
    for (status, body, code, message) in [
        (500, "{}", 6, "500 without saying why"),
        (404, "<html>", 5, "is --url that of the API?"),
        (200, "<html>", 6, "not what the API says"),
        (200, "[1]", 6, "can't be read"),
    ] {
        let service = Service::new(move |_, _| answer(status, &[], body));
        let said = Place::new().run(&service.url, "jobs show job_1", code);
        assert!(said.err.contains(message), "{said:?}");
        assert_eq!(service.seen().len(), 1);
    }
}

#[test]
fn the_key_goes_to_the_service_and_nowhere_else() {
    let other = Service::new(|_, _| json(200, &json!({})));
    let location = format!("{}/v1/jobs/job_1", other.url);
    let service = Service::new(move |number, _| match number {
        0 => answer(307, &[("location", &location)], ""),
        _ => json(401, &json!({"status": "error", "code": "unknown_key", "message": "unknown"})),
    });
    let place = Place::new();
    for code in [6, 5] {
        let mut command = place.command(&service.url, "jobs show job_1 --log trace");
        let output = command.env("HARVESTMAN_KEY", "hd_live_s3cret").output().unwrap();
        let said = crate::scripted::Said::expect(output, "show", code);
        assert!(!said.err.contains("s3cret") && !said.out.contains("s3cret"), "{said:?}");
    }
    for seen in service.seen() {
        assert_eq!(seen.header("authorization"), Some("Bearer hd_live_s3cret"));
    }
    assert_eq!((service.seen().len(), other.seen().len()), (2, 0));
    let help = place.run(&service.url, "jobs --help", 0);
    assert!(help.out.contains("HARVESTMAN_KEY") && help.out.contains("Exit codes"));
}

#[test]
fn a_bad_key_is_not_quoted() {
    let place = Place::new();
    let mut command = place.command("http://127.0.0.1:9", "jobs list");
    let output = command.env("HARVESTMAN_KEY", "s3 cret").output().unwrap();
    let said = crate::scripted::Said::expect(output, "list", 2);
    assert!(!said.err.contains("cret"), "{said:?}");
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_sent() {
    let place = Place::new();
    place.write("spec.json", "[1]");
    for words in [
        "jobs submit",
        "jobs submit spec.json",
        "jobs submit nothing.json",
        "jobs submit --url-list nothing.txt",
        "jobs show ../x",
        "jobs list --url ftp://a.test",
        "jobs download job_1 --set x",
        "jobs",
        "uploads create nothing.txt",
    ] {
        place.run("http://127.0.0.1:9", words, 2);
    }
}

#[test]
fn a_list_goes_over_as_many_pages_as_it_takes() {
    let service = Service::new(|number, _| {
        let job = |id: usize| json!({"id": format!("job_{id}"), "status": "running", "urls_total": 9, "urls_done": 4, "created_at": "2026-05-11T22:20:14Z", "name": "n"});
        match number % 2 {
            0 => json(
                200,
                &json!({"data": (0..100).map(job).collect::<Vec<_>>(), "has_more": true, "next_cursor": "c1"}),
            ),
            _ => json(200, &json!({"data": [job(100)], "has_more": false, "next_cursor": null})),
        }
    });
    let place = Place::new();
    let said = place.run(&service.url, "jobs list --limit 150 --status running --name n", 0);
    assert_eq!(said.out.lines().count(), 101);
    let first = "job_0  2026-05-11 22:20  running                4/9  0 errors    n";
    assert_eq!(said.out.lines().next(), Some(first));
    let said = place.run(&service.url, "jobs list --limit 150 --json", 0).json();
    assert_eq!((said["data"].as_array().unwrap().len(), &said["has_more"]), (101, &json!(false)));
    let paths: Vec<_> = service.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths[0], "/v1/jobs?limit=100&status=running&name=n");
    assert_eq!(paths[1], "/v1/jobs?limit=50&cursor=c1&status=running&name=n");
}

#[test]
fn a_job_is_cancelled_and_tried_again() {
    let service = Service::new(|_, seen| match seen.method.as_str() {
        "DELETE" => json(202, &json!({"id": "job_1", "status": "running", "phase": "draining"})),
        _ => json(202, &json!({"id": "job_2", "status": "queued", "retry_of": "job_1"})),
    });
    let place = Place::new();
    let said = place.run(&service.url, "jobs cancel job_1", 0);
    assert_eq!(said.out, "job_1 running (draining)\n");
    let said = place.run(&service.url, "jobs retry job_1 --code timeout --include-skipped", 0);
    assert_eq!(said.out, "job_2\n");
    let retry = &service.seen()[1];
    assert_eq!(retry.path, "/v1/jobs/job_1/retry");
    assert_eq!(retry.json(), json!({"only": {"codes": ["timeout"]}, "include_skipped": true}));
    assert!(retry.header("idempotency-key").is_some());
}
