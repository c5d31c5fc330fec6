//! What a person or a program gets to see.

use std::fmt::{self, Write};

use indicatif::{HumanBytes, HumanCount, ProgressBar};
use serde_json::Value;

use super::{
    Outcome,
    api::Api,
    bar::{errors, short},
    cli::ServiceArgs,
    failure::{Failure, shown},
    job::{Job, Seen},
};
use crate::say::{error_line, output_line};

/// Results go to standard output, all else to standard error.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(args: &ServiceArgs) -> Self {
        Self { json: args.json, quiet: args.quiet }
    }

    /// The same for what a command does on its way, for a person only.
    pub(crate) fn without_events(&self) -> Self {
        Self { json: false, quiet: self.quiet || self.json }
    }

    /// A bar, which by itself is hidden where standard error is no terminal.
    pub(crate) fn bar(&self) -> ProgressBar {
        if self.quiet || self.json { ProgressBar::hidden() } else { ProgressBar::no_length() }
    }

    /// The result: what the service said for a program, the text for a person.
    pub(crate) fn result(&self, raw: &Value, text: impl fmt::Display) {
        if self.json {
            output_line(raw);
        } else {
            output_line(text);
        }
    }

    /// Something that only a program wants to know.
    pub(crate) fn event(&self, raw: &Value) {
        if self.json {
            output_line(raw);
        }
    }

    /// Something that only a person wants to know.
    pub(crate) fn note(&self, message: impl fmt::Display) {
        if !self.quiet && !self.json {
            error_line(message);
        }
    }

    pub(crate) fn warn(&self, message: &str) {
        error_line(format_args!("harvestman: warning: {message}"));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        error_line(format_args!("harvestman: {failure}"));
        self.event(&failure.json());
    }
}

/// Shows how far a job is.
pub(crate) async fn show(api: &Api, id: &str, output: &Output) -> Result<Outcome, Failure> {
    let seen = Seen::get(api, id).await?;
    output.result(&seen.raw, describe(&seen.job).trim_end());
    Ok(Outcome::Done)
}

/// All that a person asks of a job.
pub(crate) fn describe(job: &Job) -> String {
    let mut text = String::new();
    write_job(&mut text, job).expect("a string takes everything");
    text
}

fn write_job(text: &mut String, job: &Job) -> fmt::Result {
    writeln!(text, "{}", headline(job))?;
    writeln!(text, "  {}", counts(job))?;
    for (code, count) in &job.by_code {
        writeln!(text, "  {:>9} {}", HumanCount(*count).to_string(), shown(code))?;
    }
    if let Some(error) = &job.error {
        writeln!(text, "  {}: {}", shown(&error.code), shown(&error.message))?;
    }
    if let Some(eta) = job.eta_s.filter(|_| !job.has_ended()) {
        writeln!(text, "  {} left", short(eta))?;
    }
    if let (Some(started), Some(finished)) = (job.started_at, job.finished_at) {
        let seconds = finished.duration_since(started).as_secs().max(0);
        writeln!(text, "  took {}", short(seconds.unsigned_abs()))?;
    }
    if job.credits_used > 0 {
        writeln!(text, "  {} credits", HumanCount(job.credits_used))?;
    }
    if let Some(retry_of) = &job.retry_of {
        writeln!(text, "  a retry of {}", shown(retry_of))?;
    }
    write_result(text, job)
}

fn write_result(text: &mut String, job: &Job) -> fmt::Result {
    let parts = &job.output.parts;
    if job.download_url.is_none() || parts.is_empty() {
        return Ok(());
    }
    let (rows, bytes): (u64, u64) =
        parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes));
    let files = if parts.len() == 1 { "file" } else { "files" };
    writeln!(
        text,
        "  {} {} {files}, {} records, {}: harvestman jobs download {}",
        parts.len(),
        shown(&job.output.format),
        HumanCount(rows),
        HumanBytes(bytes),
        shown(&job.id)
    )
}

/// E.g. `job_3F2D1A77B0E1 cancelled (deadline), nightly-catalog`.
pub(crate) fn headline(job: &Job) -> String {
    let mut line = format!("{} {}", shown(&job.id), shown(&job.status));
    let why = job.status_reason.as_ref().or(job.phase.as_ref().filter(|_| !job.has_ended()));
    if let Some(why) = why {
        line += &format!(" ({})", shown(why));
    }
    if let Some(name) = &job.name {
        line += &format!(", {}", shown(name));
    }
    line
}

/// E.g. `1,200 of 1,300 URLs: 1,166 ok, 34 errors, 100 skipped`.
pub(crate) fn counts(job: &Job) -> String {
    let done = match job.urls_total {
        Some(total) => format!("{} of {}", HumanCount(job.urls_done), HumanCount(total)),
        None => HumanCount(job.urls_done).to_string(),
    };
    let mut text =
        format!("{done} URLs: {} ok, {}", HumanCount(job.urls_ok), errors(job.urls_errored));
    if let Some(skipped) = job.urls_skipped.filter(|skipped| *skipped > 0) {
        text += &format!(", {} skipped", HumanCount(skipped));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_described() {
        let seen = Seen::new(json!({
            "id": "job_1", "status": "cancelled", "status_reason": "deadline", "name": "a\u{1b}[2Jb",
            "urls_total": 1300, "urls_done": 1200, "urls_ok": 1166, "urls_errored": 34,
            "urls_skipped": 100, "by_code": {"timeout": 34}, "credits_used": 1166, "eta_s": 0,
            "download_url": "http://a.test/x", "started_at": "2026-05-11T22:20:14Z",
            "finished_at": "2026-05-11T22:21:14Z", "something_new": [1],
            "output": {"format": "csv", "parts": [{"rows": 1200, "bytes": 2048}]},
        }));
        let expected = "job_1 cancelled (deadline), a·[2Jb\n  \
            1,200 of 1,300 URLs: 1,166 ok, 34 errors, 100 skipped\n         34 timeout\n  \
            took 60s\n  1,166 credits\n  \
            1 csv file, 1,200 records, 2.00 KiB: harvestman jobs download job_1\n";
        assert_eq!(describe(&seen.unwrap().job), expected);
    }
}
