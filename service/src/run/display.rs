//! What a person or a program gets to see of a run.

use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

use harvestman::{Ending, Phase, Progress, Report};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use super::failure::Failure;
use crate::{
    cli::RunArgs,
    say::{error_line, output_line},
};

const BAR: &str = "{spinner:.cyan} {bar:32.cyan/blue} {human_pos}/{human_len}  {wide_msg}";
const NO_BAR: &str = "{spinner:.cyan} {human_pos}  {wide_msg}";

/// Shows progress, notes and the summary: on standard error, and the summary for programs on
/// standard output unless the result goes there.
#[derive(Debug)]
pub(crate) struct Display {
    json: bool,
    quiet: bool,
    stdout_is_result: bool,
    begun: Instant,
    bar: ProgressBar,
}

/// The progress is being shown.
pub(crate) struct Watching(JoinHandle<()>);

impl Watching {
    pub(crate) async fn stop(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

impl Display {
    pub(crate) fn new(args: &RunArgs) -> Self {
        let is_silent = args.quiet || args.json;
        // By itself it is hidden where standard error is no terminal.
        let bar = if is_silent { ProgressBar::hidden() } else { ProgressBar::no_length() };
        Self {
            json: args.json,
            quiet: args.quiet,
            stdout_is_result: args.output.as_os_str() == "-",
            begun: Instant::now(),
            bar,
        }
    }

    /// Tells a person something that is not an error.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet && !self.json {
            self.bar.suspend(|| error_line(format_args!("harvestman: {message}")));
        }
    }

    /// Shows the progress until stopped.
    pub(crate) fn follow(&self, mut progress: watch::Receiver<Progress>) -> Watching {
        let bar = self.bar.clone();
        bar.enable_steady_tick(Duration::from_millis(120));
        Watching(tokio::spawn(async move {
            loop {
                show(&bar, &progress.borrow_and_update());
                if progress.changed().await.is_err() {
                    return;
                }
            }
        }))
    }

    /// Shows the end of a job that has not failed.
    pub(crate) fn report(&self, report: &Report) {
        self.bar.finish_and_clear();
        if self.json {
            self.write_json(&summary_json(report, self.begun.elapsed()));
        } else if !self.quiet {
            let text = summary(report, self.begun.elapsed());
            error_line(text.expect("a string takes everything").trim_end());
        }
    }

    /// Shows why there is no result.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.bar.finish_and_clear();
        error_line(format_args!("harvestman: {failure}"));
        if self.json {
            self.write_json(&json!({"status": "failed", "error": failure.to_string()}));
        }
    }

    fn write_json(&self, value: &serde_json::Value) {
        if self.stdout_is_result {
            error_line(value);
        } else {
            output_line(value);
        }
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let template = match progress.total {
        Some(total) => {
            bar.set_length(total);
            BAR
        }
        None => NO_BAR,
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_position(progress.counters.done());
    bar.set_message(message(progress));
}

/// E.g. `12 errors, 241/s, 3s left`.
fn message(progress: &Progress) -> String {
    let mut parts = vec![errors(progress.counters.errored())];
    if let Some(rate) = progress.rate {
        parts.push(per_second(rate));
    }
    match (progress.phase, progress.eta) {
        (Phase::Draining, _) => parts.push(format!("stopping, {} under way", progress.in_flight)),
        (Phase::Finalizing, _) => parts.push("completing the result".to_owned()),
        (_, Some(eta)) => parts.push(format!("{} left", short(eta))),
        _ => {}
    }
    parts.join(", ")
}

fn errors(count: u64) -> String {
    let noun = if count == 1 { "error" } else { "errors" };
    format!("{} {noun}", HumanCount(count))
}

fn short(time: Duration) -> String {
    format!("{:#}", HumanDuration(time))
}

fn per_second(rate: f64) -> String {
    if rate >= 10.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") }
}

/// How the job ended, in words that the API uses too.
fn status(ending: Ending) -> &'static str {
    match ending {
        Ending::Completed => "completed",
        Ending::Cancelled => "cancelled",
        Ending::Suspended => "suspended",
        _ => "interrupted",
    }
}

/// The summary for a person.
fn summary(report: &Report, elapsed: Duration) -> Result<String, fmt::Error> {
    let counters = &report.counters;
    let rate = counters.done() as f64 / counters.running.as_secs_f64().max(0.001);
    let mut text = format!(
        "{}: {} ok, {}",
        status(report.ending),
        HumanCount(counters.ok),
        errors(counters.errored())
    );
    if let Some(skipped) = report.skipped().filter(|skipped| *skipped > 0) {
        write!(text, ", {} still to do", HumanCount(skipped))?;
    }
    writeln!(text, " in {}, {}", short(elapsed), per_second(rate))?;
    for (code, count) in &counters.by_code {
        writeln!(text, "  {:>9} {code}", HumanCount(*count).to_string())?;
    }
    for part in &report.parts {
        let size = indicatif::HumanBytes(part.bytes);
        writeln!(text, "{}: {} records, {size}", part.location, HumanCount(part.rows))?;
    }
    if matches!(report.ending, Ending::Suspended | Ending::Aborted) {
        text += "run the same command to go on\n";
    }
    Ok(text)
}

/// The summary for a program; its keys are those of the API.
fn summary_json(report: &Report, elapsed: Duration) -> serde_json::Value {
    let counters = &report.counters;
    json!({
        "status": status(report.ending),
        "status_reason": report.reason,
        "urls_total": report.total,
        "urls_done": counters.done(),
        "urls_ok": counters.ok,
        "urls_errored": counters.errored(),
        "urls_skipped": report.skipped(),
        "by_code": counters.by_code,
        "attempts": counters.attempts,
        "elapsed_ms": elapsed.as_millis() as u64,
        "running_ms": counters.running.as_millis() as u64,
        "parts": report.parts,
    })
}

#[cfg(test)]
mod tests {
    use harvestman::{Code, Part};

    use super::*;

    #[test]
    fn the_summary_has_what_a_person_asks_for() {
        let mut report = Report::default();
        report.counters.ok = 1_200;
        report.counters.by_code.insert(Code::Timeout, 34);
        report.counters.running = Duration::from_secs(10);
        report.total = Some(1_300);
        report.parts.push(Part::new("out.csv", 1_234, 2_048));
        let text = summary(&report, Duration::from_secs(10)).unwrap();
        let expected = "completed: 1,200 ok, 34 errors, 66 still to do in 10s, 123/s\n         \
                        34 timeout\nout.csv: 1,234 records, 2.00 KiB\n";
        assert_eq!(text, expected);
    }
}
