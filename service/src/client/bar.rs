//! Progress, for a person who watches.

use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::{failure::shown, job::Job};

const JOB: &str = "{spinner:.cyan} {bar:32.cyan/blue} {human_pos}/{human_len}  {wide_msg}";
const JOB_OF_UNKNOWN_SIZE: &str = "{spinner:.cyan} {human_pos}  {wide_msg}";
const BYTES: &str = "{spinner:.cyan} {bar:32.cyan/blue} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left  {wide_msg}";
const TICK: Duration = Duration::from_millis(120);

/// A bar of bytes that are sent or fetched.
pub(crate) fn of_bytes(bar: ProgressBar, total: u64, message: String) -> ProgressBar {
    bar.set_style(style(BYTES));
    bar.set_length(total);
    bar.set_message(message);
    bar.enable_steady_tick(TICK);
    bar
}

/// Shows how far a job is.
pub(crate) fn show_job(bar: &ProgressBar, job: &Job) {
    match job.urls_total {
        Some(total) => {
            bar.set_style(style(JOB));
            bar.set_length(total);
        }
        None => bar.set_style(style(JOB_OF_UNKNOWN_SIZE)),
    }
    bar.enable_steady_tick(TICK);
    bar.set_position(job.urls_done);
    bar.set_message(message(job));
}

/// E.g. `fetching, 12 errors, 3s left, waiting for slow.test`.
fn message(job: &Job) -> String {
    let mut parts =
        vec![shown(job.phase.as_deref().unwrap_or(&job.status)), errors(job.urls_errored)];
    if let Some(eta) = job.eta_s {
        parts.push(format!("{} left", short(eta)));
    }
    let slowest = job.slowest_hosts.first();
    // A host that holds everything up is worth to be known.
    let slowest = slowest
        .filter(|host| host.remaining > 0 && host.eta_s.is_some() && host.eta_s == job.eta_s);
    if let Some(host) = slowest {
        parts.push(format!("waiting for {}", shown(&host.host)));
    }
    parts.join(", ")
}

pub(crate) fn errors(count: u64) -> String {
    let noun = if count == 1 { "error" } else { "errors" };
    format!("{} {noun}", HumanCount(count))
}

/// E.g. `45m`.
pub(crate) fn short(seconds: u64) -> String {
    format!("{:#}", HumanDuration(Duration::from_secs(seconds)))
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    style.progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::job::Seen;

    #[test]
    fn the_host_that_holds_up_a_job_is_named() {
        let host = json!({"host": "slow.test", "remaining": 4, "eta_s": 90});
        let job = json!({"status": "running", "phase": "fetching", "urls_errored": 1, "eta_s": 90, "slowest_hosts": [host]});
        let job = Seen::new(job).unwrap().job;
        assert_eq!(message(&job), "fetching, 1 error, 90s left, waiting for slow.test");
        assert_eq!(message(&Job { eta_s: Some(100), ..job }), "fetching, 1 error, 100s left");
    }
}
