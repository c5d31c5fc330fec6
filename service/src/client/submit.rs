//! Jobs are made, cancelled, and tried again.

use indicatif::HumanCount;
use serde_json::Value;

use super::{
    Outcome,
    api::{Api, random_key},
    bar::short,
    cli::{CancelArgs, RetryArgs, SubmitArgs},
    failure::{Failure, shown},
    job::Seen,
    list::List,
    show::{Output, headline},
    spec,
    upload::{self, Upload},
    watch,
};

/// Makes a job; a list is uploaded first.
pub(crate) async fn submit(
    api: &Api,
    args: &SubmitArgs,
    output: &Output,
) -> Result<Outcome, Failure> {
    let mut body = spec::job(args)?;
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let uploaded = match &args.url_list {
        Some(path) => {
            let list = List::open(path).await?;
            let answer = upload::send(api, &list, &format!("{key}-list"), output).await?;
            let upload: Upload = answer.read()?;
            upload::note(&upload, output);
            spec::put(&mut body, "input.upload_id", upload.id.clone().into())?;
            Some(upload.id)
        }
        None => None,
    };
    let made = api.post(&["v1", "jobs"], &body, &key).await;
    let is_needed = made.as_ref().is_ok_and(|answer| answer.status == 202);
    if let Some(id) = uploaded.filter(|_| !is_needed) {
        // Nobody else knows of it. It runs out by itself if this fails.
        let _ = api.delete(&["v1", "uploads", &id]).await;
    }
    let answer = made?;
    if answer.status != 202 {
        let estimate = answer.value()?;
        output.result(&estimate, describe_estimate(&estimate));
        return Ok(Outcome::Done);
    }
    made_or_watched(api, answer.value()?, args.watch, output).await
}

/// Makes a job of what has failed in another one.
pub(crate) async fn retry(
    api: &Api,
    args: &RetryArgs,
    output: &Output,
) -> Result<Outcome, Failure> {
    let body = spec::retry(args)?;
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let answer = api.post(&["v1", "jobs", &args.id, "retry"], &body, &key).await?;
    made_or_watched(api, answer.value()?, args.watch, output).await
}

/// Stops a job.
pub(crate) async fn cancel(
    api: &Api,
    args: &CancelArgs,
    output: &Output,
) -> Result<Outcome, Failure> {
    let seen = Seen::of(&api.delete(&["v1", "jobs", &args.id]).await?)?;
    output.result(&seen.raw, headline(&seen.job));
    if !args.watch {
        return Ok(Outcome::Done);
    }
    match watch::watch(api, &args.id, output).await? {
        // That is what was asked for.
        Outcome::Cancelled => Ok(Outcome::Done),
        outcome => Ok(outcome),
    }
}

async fn made_or_watched(
    api: &Api,
    raw: Value,
    is_watched: bool,
    output: &Output,
) -> Result<Outcome, Failure> {
    let Seen { job, raw } = Seen::new(raw)?;
    let total = job.urls_total.map(|total| format!(", {} URLs", HumanCount(total)));
    let eta = job.eta_s.map(|eta| format!(", about {}", short(eta)));
    output.note(format_args!(
        "{} is {}{}{}",
        shown(&job.id),
        shown(&job.status),
        total.unwrap_or_default(),
        eta.unwrap_or_default()
    ));
    for warning in &job.warnings {
        output.note(format_args!("warning: {}", shown(warning)));
    }
    output.result(&raw, shown(&job.id));
    if is_watched { watch::watch(api, &job.id, output).await } else { Ok(Outcome::Done) }
}

/// What a job would be, for a person.
fn describe_estimate(estimate: &Value) -> String {
    let Value::Object(values) = estimate else { return String::new() };
    let lines = values.iter().filter(|(key, _)| *key != "dry_run" && *key != "warnings");
    let lines =
        lines.map(|(key, value)| format!("{:<18} {}", shown(key), shown(&value.to_string())));
    let warnings = estimate["warnings"].as_array().into_iter().flatten();
    let warnings =
        warnings.filter_map(Value::as_str).map(|text| format!("warning: {}", shown(text)));
    lines.chain(warnings).collect::<Vec<_>>().join("\n")
}
