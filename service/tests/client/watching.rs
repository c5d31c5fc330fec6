//! Jobs are followed to their end, by events and without.

use axum::body::Body;
use serde_json::{Value, json};

use crate::scripted::{Place, Service, answer, broken, json};

fn job(status: &str, done: u64) -> Value {
    json!({"id": "job_1", "status": status, "urls_total": 9, "urls_done": done, "urls_ok": done, "name": "n"})
}

fn event(name: &str, id: &str, job: &Value) -> String {
    format!("event: {name}\nid: {id}\nretry: 10\ndata: {job}\n\n")
}

fn stream(body: impl Into<Body>) -> axum::http::Response<Body> {
    answer(200, &[("content-type", "text/event-stream")], body)
}

#[test]
fn a_stream_that_breaks_is_gone_on_with() {
    let service = Service::new(|number, _| match number {
        0 => stream(broken(event("progress", "0-3", &job("running", 3)))),
        // An end without the job's end.
        1 => stream(format!(": still here\n\n{}", event("part", "1-5", &json!({"rows": 5})))),
        _ => stream(event("terminal", "1-9", &job("completed", 9))),
    });
    let said = Place::new().run(&service.url, "jobs watch job_1 --json", 0);
    let names: Vec<_> = said.lines().iter().map(|line| line["event"].clone()).collect();
    assert_eq!(names, ["progress", "part", "terminal"]);
    assert_eq!(said.lines()[2]["data"], job("completed", 9));
    let seen = service.seen();
    let known: Vec<_> = seen.iter().map(|seen| seen.header("last-event-id")).collect();
    assert_eq!(known, [None, Some("0-3"), Some("1-5")]);
    assert!(seen.iter().all(|seen| seen.path == "/v1/jobs/job_1/events"));
}

#[test]
fn the_end_of_the_job_is_the_end_of_the_command() {
    for (status, code, text) in [
        ("completed", 0, "job_1 completed, n\n  9 of 9 URLs: 9 ok, 0 errors\n"),
        ("failed", 3, "job_1 failed, n\n"),
        ("cancelled", 4, "job_1 cancelled, n\n"),
    ] {
        let service = Service::new(move |_, _| stream(event("terminal", "0-9", &job(status, 9))));
        let said = Place::new().run(&service.url, "jobs watch job_1", code);
        assert!(said.err.starts_with(text), "{said:?}");
    }
}

#[test]
fn without_a_stream_the_job_is_polled() {
    for refused in [503, 200] {
        let service = Service::new(move |number, seen| match number {
            0 => answer(refused, &[], ""),
            1 => {
                assert_eq!(seen.header("if-none-match"), None);
                let body = job("running", 1).to_string();
                answer(200, &[("etag", "\"v1\"")], body)
            }
            2 => answer(304, &[("etag", "\"v1\"")], ""),
            _ => json(200, &job("completed", 9)),
        });
        let said = Place::new().run(&service.url, "jobs watch job_1 --json", 0);
        let lines: Vec<_> = said
            .lines()
            .iter()
            .map(|line| (line["event"].clone(), line["data"]["urls_done"].clone()))
            .collect();
        assert_eq!(lines, [("progress".into(), 1.into()), ("terminal".into(), 9.into())]);
        let seen = service.seen();
        assert_eq!(seen[3].path, "/v1/jobs/job_1?wait=30");
        assert_eq!(
            (seen[2].header("if-none-match"), seen[3].header("if-none-match")),
            (Some("\"v1\""), Some("\"v1\""))
        );
    }
}

#[test]
fn a_job_that_is_not_there_is_refused() {
    let service = Service::new(|_, _| {
        json(
            404,
            &json!({"status": "error", "code": "not_found", "message": "there is no job with this id"}),
        )
    });
    let said = Place::new().run(&service.url, "jobs watch job_1", 5);
    assert!(said.err.contains("there is no job with this id"), "{said:?}");
}

#[test]
fn a_stream_that_never_makes_an_event_is_given_up() {
    let service = Service::new(|_, seen| {
        if seen.path.ends_with("/events") {
            let endless =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1024 * 1024]));
            return stream(Body::from_stream(futures::StreamExt::chain(
                futures::stream::iter([Ok(b"retry: 1\n\ndata: ".to_vec())]),
                endless,
            )));
        }
        json(200, &job("completed", 9))
    });
    Place::new().run(&service.url, "jobs watch job_1", 0);
    assert_eq!(service.seen().len(), 4);
}
