//! The request for a job, out of a file and options. What is in it is for the service to judge.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::Path,
};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{
    cli::{RetryArgs, SubmitArgs},
    failure::Failure,
};

/// The largest file that says what a job is, in bytes; no service takes more by default.
const MAX_SPEC_BYTES: u64 = 25_000_000;

/// The body of a request for a job, without its list if that is still to be uploaded.
pub(crate) fn job(args: &SubmitArgs) -> Result<Value, Failure> {
    let stdin = Some(Path::new("-"));
    if args.spec.as_deref() == stdin && args.url_list.as_deref() == stdin {
        let message = "only one of the file and the list can be standard input";
        return Err(Failure::Unusable(message.to_owned()));
    }
    let mut body = match &args.spec {
        Some(path) => object(path)?,
        None => json!({}),
    };
    if args.url_list.is_some() && (has(&body, "input") || has(&body, "urls")) {
        let message = "--url-list and a file with `input` or `urls` exclude each other";
        return Err(Failure::Unusable(message.to_owned()));
    }
    for (path, value) in options(args)?.into_iter().chain(assigned(&args.set)) {
        put(&mut body, &path, value)?;
    }
    let has_input = args.url_list.is_some() || has(&body, "input") || has(&body, "urls");
    if !has_input {
        let message =
            "there is no list: pass --url-list, --upload-id or --input-uri, or a file that has one";
        return Err(Failure::Unusable(message.to_owned()));
    }
    Ok(body)
}

/// The body of a request to try again what has failed.
pub(crate) fn retry(args: &RetryArgs) -> Result<Value, Failure> {
    let mut body = json!({});
    let codes = (!args.codes.is_empty()).then(|| json!(args.codes));
    let options = [
        ("only.codes", codes),
        ("only.retryable", args.retryable.then(|| json!(true))),
        ("include_skipped", args.include_skipped.then(|| json!(true))),
        ("name", args.name.as_ref().map(|name| json!(name))),
        ("concurrency", args.concurrency.map(|concurrency| json!(concurrency))),
        ("webhook", args.webhook.as_ref().map(|webhook| json!(webhook))),
    ];
    for (path, value) in said(options).chain(assigned(&args.set)) {
        put(&mut body, &path, value)?;
    }
    Ok(body)
}

fn options(args: &SubmitArgs) -> Result<Vec<(String, Value)>, Failure> {
    let schema = match &args.schema {
        Some(path) => Some(object(path)?),
        None => (!args.fields.is_empty()).then(|| sketch(&args.fields)),
    };
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let (input, uri) = match args.input_uri.as_deref() {
        Some(uri) if uri.starts_with("gs://") => ("input.gcs_uri", Some(json!(uri))),
        uri => ("input.s3_uri", uri.map(|uri| json!(uri))),
    };
    let options = [
        ("input.upload_id", text(&args.upload_id)),
        (input, uri),
        ("name", text(&args.name)),
        ("defaults.extract", schema),
        ("defaults.render", args.render.then(|| json!(true))),
        ("concurrency", args.concurrency.map(|concurrency| json!(concurrency))),
        ("output.format", args.format.map(name_of)),
        ("output.compression", args.compression.map(name_of)),
        ("webhook", text(&args.webhook)),
        ("max_credits", args.max_credits.map(|credits| json!(credits))),
        ("dedupe", args.dedupe.then(|| json!(true))),
        ("dry_run", args.dry_run.then(|| json!(true))),
    ];
    Ok(said(options).collect())
}

fn said<const N: usize>(
    options: [(&str, Option<Value>); N],
) -> impl Iterator<Item = (String, Value)> {
    options.into_iter().filter_map(|(path, value)| Some((path.to_owned(), value?)))
}

fn sketch(fields: &[(String, String)]) -> Value {
    Value::Object(fields.iter().map(|(name, kind)| (name.clone(), json!(kind))).collect())
}

fn name_of(value: impl ValueEnum) -> Value {
    value.to_possible_value().map_or(Value::Null, |value| json!(value.get_name()))
}

/// JSON, or else text: most values need no quotes then.
fn assigned(set: &[(String, String)]) -> impl Iterator<Item = (String, Value)> {
    set.iter().map(|(path, text)| {
        (path.clone(), serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
    })
}

fn has(body: &Value, key: &str) -> bool {
    body.get(key).is_some_and(|value| !value.is_null())
}

/// Puts a value at a path of keys between dots.
pub(crate) fn put(body: &mut Value, path: &str, value: Value) -> Result<(), Failure> {
    let mut place = body;
    for key in path.split('.') {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(object) = place else {
            let message = format!("{path}: what is above `{key}` is no object");
            return Err(Failure::Unusable(message));
        };
        place = object.entry(key).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

/// Reads a JSON object; `-` is standard input.
fn object(path: &Path) -> Result<Value, Failure> {
    let unreadable = |error: io::Error| Failure::file("read", path, &error);
    let text = if path.as_os_str() == OsStr::new("-") {
        bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(bounded)
    };
    let value: Value = serde_json::from_slice(&text.map_err(unreadable)?).map_err(|error| {
        Failure::Unusable(format!("{}: is not valid JSON: {error}", path.display()))
    })?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Failure::Unusable(format!("{}: is no JSON object", path.display())))
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_SPEC_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_SPEC_BYTES {
        let message = format!("more than {MAX_SPEC_BYTES} bytes; put the URLs into a list");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        client::cli::JobsCommand,
    };

    fn command(line: &str) -> JobsCommand {
        let words = ["harvestman", "jobs"].into_iter().chain(line.split(' '));
        match Cli::parse_from(words).command {
            Command::Jobs(args) => args.command,
            other => panic!("{other:?}"),
        }
    }

    fn body(line: &str) -> Result<Value, Failure> {
        match command(line) {
            JobsCommand::Submit(args) => job(&args),
            JobsCommand::Retry(args) => retry(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_request() {
        let found = body(
            "submit --upload-id upl_1 -e name:string -e price:number -c 8 --format csv --compression zstd \
             --webhook https://a.test/ --max-credits 5 --dedupe --dry-run --render --name n \
             --set defaults.timeout_ms=5000 --set metadata.team=blue --set output.expires_in_s=7200",
        );
        let expected = json!({
            "input": {"upload_id": "upl_1"}, "name": "n",
            "defaults": {"extract": {"name": "string", "price": "number"}, "render": true, "timeout_ms": 5000},
            "concurrency": 8, "webhook": "https://a.test/", "max_credits": 5, "dedupe": true, "dry_run": true,
            "output": {"format": "csv", "compression": "zstd", "expires_in_s": 7200},
            "metadata": {"team": "blue"},
        });
        assert_eq!(found.unwrap(), expected);
        let uris = [("s3://b/k", "s3_uri"), ("gs://b/k", "gcs_uri")];
        for (uri, key) in uris {
            let found = body(&format!("submit --input-uri {uri}")).unwrap();
            assert_eq!(found, json!({"input": {key: uri}}));
        }
    }

    #[test]
    fn a_retry_says_only_what_was_said() {
        assert_eq!(body("retry job_1").unwrap(), json!({}));
        let found = body("retry job_1 --code timeout,target_5xx --code blocked --retryable -c 4");
        let expected = json!({
            "only": {"codes": ["timeout", "target_5xx", "blocked"], "retryable": true},
            "concurrency": 4,
        });
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn options_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = json!({"urls": ["http://a.test/"], "concurrency": 2, "defaults": {"render": false, "country": "de"}});
        std::fs::write(file.path(), said.to_string()).unwrap();
        let path = file.path().display();
        let found = body(&format!("submit {path} --render -c 9")).unwrap();
        let expected = json!({"urls": ["http://a.test/"], "concurrency": 9, "defaults": {"render": true, "country": "de"}});
        assert_eq!(found, expected);
        for (line, message) in [
            (format!("submit {path} --url-list x"), "exclude each other"),
            (format!("submit {path} --set urls.a=1"), "no object"),
            ("submit - --url-list -".to_owned(), "only one"),
            ("submit".to_owned(), "there is no list"),
            ("submit /nonexistent".to_owned(), "/nonexistent"),
        ] {
            let failure = body(&line).unwrap_err();
            assert!(failure.to_string().contains(message), "{line}: {failure}");
        }
    }
}
