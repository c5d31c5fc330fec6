//! `harvestman run`: a list of URLs to a file of records.

mod display;
mod failure;
mod input;
mod output;
mod plan;
mod signals;
mod state;

use std::process::ExitCode;

use harvestman::{Ending, Report};

pub(crate) use self::failure::Failure;
pub(crate) use self::plan::schema;
use self::{display::Display, plan::Plan};
use crate::cli::RunArgs;

/// Runs the command and says how it went.
pub(crate) async fn main(args: &RunArgs) -> ExitCode {
    let display = Display::new(args);
    match run(args, &display).await {
        Ok(report) => {
            display.report(&report);
            match report.ending {
                Ending::Completed | Ending::Cancelled => ExitCode::SUCCESS,
                Ending::Suspended => ExitCode::from(4),
                _ => ExitCode::from(130),
            }
        }
        Err(failure) => {
            display.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(args: &RunArgs, display: &Display) -> Result<Report, Failure> {
    let plan = Plan::new(args)?;
    let (job, state, browser) = plan.into_job(display).await?;
    let job = job.spawn();
    let watching = display.follow(job.watch());
    let report = signals::obeyed_by(job, display).await;
    watching.stop().await;
    if let Some(browser) = browser {
        browser.close().await;
    }
    let report = report?;
    if matches!(report.ending, Ending::Completed | Ending::Cancelled) {
        state.remove()?;
    }
    Ok(report)
}
