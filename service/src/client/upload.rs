//! `harvestman uploads`, and the lists of jobs.

use indicatif::HumanCount;
use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::json;

use super::{
    Outcome,
    api::{Answer, Api, IDEMPOTENCY_KEY, accepted, random_key, read},
    bar,
    cli::CreateArgs,
    failure::{Failure, shown},
    list::List,
    retry::Tries,
    show::Output,
};

/// How many bad lines a person is shown.
const SHOWN_ERRORS: usize = 5;

/// What the service says of an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Upload {
    pub(crate) id: String,
    format: String,
    urls_total: u64,
    invalid_lines: u64,
    errors: Vec<LineError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LineError {
    line: u64,
    message: String,
}

/// Sends a list and shows what the service found in it.
pub(crate) async fn create(
    api: &Api,
    args: &CreateArgs,
    output: &Output,
) -> Result<Outcome, Failure> {
    let list = List::open(&args.file).await?;
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let answer = send(api, &list, &key, output).await?;
    let upload: Upload = answer.read()?;
    note(&upload, output);
    output.result(&answer.value()?, shown(&upload.id));
    Ok(Outcome::Done)
}

pub(crate) async fn show(api: &Api, id: &str, output: &Output) -> Result<Outcome, Failure> {
    let answer = api.get(&["v1", "uploads", id], &[]).await?;
    let upload: Upload = answer.read()?;
    output.result(&answer.value()?, describe(&upload));
    Ok(Outcome::Done)
}

pub(crate) async fn delete(api: &Api, id: &str, output: &Output) -> Result<Outcome, Failure> {
    api.delete(&["v1", "uploads", id]).await?;
    output.event(&json!({"id": id, "deleted": true}));
    output.note(format_args!("{} is erased", shown(id)));
    Ok(Outcome::Done)
}

/// Sends a list under a key that makes it one upload however often it is sent.
pub(crate) async fn send(
    api: &Api,
    list: &List,
    key: &str,
    output: &Output,
) -> Result<Answer, Failure> {
    let bar = bar::of_bytes(output.bar(), list.bytes, "uploading".to_owned());
    let mut tries = Tries::default();
    let answer = loop {
        let mut request = api.request(Method::POST, &["v1", "uploads"], &[]);
        request =
            request.header(IDEMPOTENCY_KEY, key).header(header::CONTENT_TYPE, list.media_type());
        request = request.header(header::CONTENT_LENGTH, list.bytes).body(list.body(&bar));
        if let Some(encoding) = list.encoding() {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        let sent = async { read(accepted(request.send().await).await?).await };
        match sent.await {
            Ok(answer) => break answer,
            Err(failed) => failed.wait(&mut tries).await?,
        }
    };
    bar.finish_and_clear();
    Ok(answer)
}

/// Tells a person what the service found.
pub(crate) fn note(upload: &Upload, output: &Output) {
    output.note(describe(upload));
}

fn describe(upload: &Upload) -> String {
    let mut text = format!(
        "{}: {} URLs, {}",
        shown(&upload.id),
        HumanCount(upload.urls_total),
        shown(&upload.format)
    );
    if upload.invalid_lines > 0 {
        text += &format!(
            "; {} of them can't be used, each will be a record with an error",
            HumanCount(upload.invalid_lines)
        );
    }
    for error in upload.errors.iter().take(SHOWN_ERRORS) {
        text += &format!("\n  {}", shown(&error.message));
        if !error.message.contains(&format!("line {}", error.line)) {
            text += &format!(" (line {})", error.line);
        }
    }
    text
}
