//! Which members of what is kept are secrets, and how they lie in a store: sealed, in their place.
//!
//! Everything else stays as an operator can read it.

use serde_json::{Map, Value};

use crate::{Error, Errored, JobSpec, Result, seal::Sealer};

/// What begins the text that stands for a secret.
const SEALED: &str = "sealed:";
/// The secrets of a spec, by the object that they are members of. A webhook's URL counts as one: it
/// often holds a token.
const OF_SPEC: &[(&str, &[&str])] = &[
    ("/webhook", &["url", "secret", "headers"]),
    ("/defaults", OF_LINE),
    ("/input/object", &["external_id"]),
];
/// The secrets of a line.
const OF_LINE: &[&str] = &["headers", "cookies", "body"];

/// A spec as it is kept.
pub(crate) fn seal_spec(sealer: &Sealer, job: &str, spec: &JobSpec) -> Result<Value> {
    let mut kept = serde_json::to_value(spec).map_err(|error| Error::part("store", error))?;
    for (place, members) in OF_SPEC {
        if let Some(Value::Object(object)) = kept.pointer_mut(place) {
            seal(sealer, job, object, members);
        }
    }
    Ok(kept)
}

/// The spec that was kept.
pub(crate) fn open_spec(sealer: &Sealer, job: &str, mut kept: Value) -> Result<JobSpec> {
    for (place, members) in OF_SPEC {
        if let Some(Value::Object(object)) = kept.pointer_mut(place) {
            open(sealer, job, object, members)?;
        }
    }
    serde_json::from_value(kept)
        .map_err(|error| Error::damaged(format!("the spec of {job}"), error.to_string()))
}

/// An inline list as it is kept.
pub(crate) fn seal_lines(sealer: &Sealer, job: &str, lines: &mut [Value]) {
    for line in lines.iter_mut().filter_map(Value::as_object_mut) {
        seal(sealer, job, line, OF_LINE);
    }
}

/// The inline list that was kept.
pub(crate) fn open_lines(sealer: &Sealer, job: &str, lines: &mut [Value]) -> Result<()> {
    lines
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .try_for_each(|line| open(sealer, job, line, OF_LINE))
}

/// A failed task as it is kept.
pub(crate) fn seal_errored(sealer: &Sealer, job: &str, errored: &Errored) -> Errored {
    let mut kept = errored.clone();
    seal(sealer, job, &mut kept.task, OF_LINE);
    kept
}

/// Opens a failed task that was kept.
pub(crate) fn open_errored(sealer: &Sealer, job: &str, errored: &mut Errored) -> Result<()> {
    open(sealer, job, &mut errored.task, OF_LINE)
}

fn seal(sealer: &Sealer, job: &str, object: &mut Map<String, Value>, members: &[&str]) {
    for member in members {
        if let Some(secret) = object.get_mut(*member).filter(|secret| !secret.is_null()) {
            let sealed = sealer.seal(job, secret.to_string().as_bytes());
            *secret = format!("{SEALED}{}", data_encoding::BASE64.encode(&sealed)).into();
        }
    }
}

fn open(
    sealer: &Sealer,
    job: &str,
    object: &mut Map<String, Value>,
    members: &[&str],
) -> Result<()> {
    let damaged = || Error::damaged(format!("a secret of {job}"), "is not as it was sealed");
    for member in members {
        if let Some(secret) = object.get_mut(*member).filter(|secret| !secret.is_null()) {
            let text = secret.as_str().and_then(|text| text.strip_prefix(SEALED));
            let sealed = text.and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
            let json = sealer.open(job, &sealed.ok_or_else(damaged)?)?;
            *secret = serde_json::from_slice(&json).map_err(|_| damaged())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Code, FetchError, Line, LineReader, Params, Record, spec::Limits};

    fn sealer() -> Sealer {
        Sealer::new(&[3; 32])
    }

    #[test]
    fn no_secret_of_a_spec_stays_and_every_one_comes_back() {
        let body = json!({
            "urls": ["https://a.test/"],
            "defaults": {"headers": {"authorization": "Bearer hush1"}, "cookies": {"a": "hush2"},
                         "body": "sealed:hush3", "timeout_ms": 5000},
            "webhook": {"url": "https://a.test/hush4", "headers": {"x": "hush5"},
                        "secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
        });
        let submission = JobSpec::read(body.to_string().as_bytes(), &Limits::default());
        let spec = submission.unwrap().spec;
        let kept = seal_spec(&sealer(), "job_1", &spec).unwrap();
        let text = kept.to_string();
        assert!(!text.contains("hush") && !text.contains("whsec_"), "{text}");
        assert_eq!(kept["defaults"]["timeout_ms"], 5000, "the rest can be read");
        assert_eq!(open_spec(&sealer(), "job_1", kept.clone()).unwrap(), spec);
        assert!(open_spec(&sealer(), "job_2", kept).is_err(), "of another job");
        let debug = format!("{:?}", spec.webhook);
        assert!(!debug.contains("hush") && !debug.contains("whsec_"), "{debug}");
    }

    #[test]
    fn nor_one_of_a_line_or_of_a_failure() {
        let line = json!({"url": "https://a.test/", "headers": {"x": "hush"}, "id": "7"});
        let mut lines = [line.clone(), json!("https://b.test/")];
        seal_lines(&sealer(), "job_1", &mut lines);
        assert!(!json!(lines).to_string().contains("hush"));
        assert_eq!(lines[0]["id"], "7");
        open_lines(&sealer(), "job_1", &mut lines).unwrap();
        assert_eq!(lines[0], line);

        let at = Line { index: 0, number: 1 };
        let task = LineReader::new(Params::new()).read_json(at, line.to_string().as_bytes());
        let error = FetchError::new(Code::Timeout, "late");
        let errored = Errored::of(&Record::error(task, error)).unwrap();
        let mut kept = seal_errored(&sealer(), "job_1", &errored);
        assert!(!serde_json::to_string(&kept).unwrap().contains("hush"));
        open_errored(&sealer(), "job_1", &mut kept).unwrap();
        assert_eq!(kept, errored);
    }

    #[test]
    fn what_was_not_sealed_is_no_secret_of_ours() {
        let mut lines = [json!({"url": "https://a.test/", "body": "in the clear"})];
        assert!(open_lines(&sealer(), "job_1", &mut lines).is_err());
    }
}
