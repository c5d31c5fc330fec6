//! `harvestman jobs list`.

use serde_json::{Value, json};

use super::{
    Outcome,
    api::Api,
    bar::errors,
    cli::ListArgs,
    failure::{Failure, shown},
    job::{Job, Seen},
    show::Output,
};

/// How many jobs a page of the API may have.
const PAGE: u32 = 100;

/// Lists jobs over as many pages as it takes.
pub(crate) async fn list(api: &Api, args: &ListArgs, output: &Output) -> Result<Outcome, Failure> {
    let mut jobs = Vec::new();
    let mut next = args.cursor.clone();
    let mut left = args.limit;
    let has_more = loop {
        let page: Value = page(api, args, left.min(PAGE), next.as_deref()).await?;
        let found = page["data"].as_array().cloned().unwrap_or_default();
        // A service that says more than it was asked for must not make this end too late.
        left = left.saturating_sub(found.len() as u32);
        jobs.extend(found.iter().cloned());
        next = page["next_cursor"].as_str().map(str::to_owned);
        let has_more = page["has_more"].as_bool().unwrap_or_default();
        if left == 0 || !has_more || next.is_none() || found.is_empty() {
            break has_more;
        }
    };
    let text = table(&jobs)?;
    if jobs.is_empty() {
        output.note("no jobs");
        output.event(&json!({"data": [], "has_more": false, "next_cursor": null}));
        return Ok(Outcome::Done);
    }
    output
        .result(&json!({"data": jobs, "has_more": has_more, "next_cursor": next}), text.trim_end());
    if let Some(cursor) = next.filter(|_| has_more) {
        output.note(format_args!("there are more: --limit, or --cursor {}", shown(&cursor)));
    }
    Ok(Outcome::Done)
}

async fn page(
    api: &Api,
    args: &ListArgs,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Value, Failure> {
    let limit = limit.to_string();
    let query = [
        ("limit", Some(limit.as_str())),
        ("cursor", cursor),
        ("status", args.status.as_deref()),
        ("name", args.name.as_deref()),
        ("created_after", args.created_after.as_deref()),
        ("created_before", args.created_before.as_deref()),
    ];
    let query: Vec<_> = query.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    api.get(&["v1", "jobs"], &query).await?.value()
}

fn table(jobs: &[Value]) -> Result<String, Failure> {
    let mut text = String::new();
    for raw in jobs {
        text += &row(&Seen::new(raw.clone())?.job);
        text.push('\n');
    }
    Ok(text)
}

/// E.g. `job_3F2D1A77B0E1  2026-05-11 22:20  running     12/1300 1 error  nightly`.
fn row(job: &Job) -> String {
    let created = job.created_at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
    let total = job.urls_total.map_or_else(|| "?".to_owned(), |total| total.to_string());
    format!(
        "{}  {:16}  {:9}  {:>15}  {:10}  {}",
        shown(&job.id),
        created.unwrap_or_default(),
        shown(&job.status),
        format!("{}/{total}", job.urls_done),
        errors(job.urls_errored),
        shown(job.name.as_deref().unwrap_or_default()),
    )
    .trim_end()
    .to_owned()
}
