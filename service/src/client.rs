//! `harvestman jobs` and `harvestman uploads`: the client of a service.
//!
//! It knows no more of the service than the HTTP API says. Requests are safe to send again, and are:
//! what may pass is waited out within bounds, and a job is never made twice.

mod api;
mod bar;
pub(crate) mod cli;
mod download;
mod events;
mod failure;
mod job;
mod key;
mod list;
mod listing;
mod partial;
mod retry;
mod show;
mod spec;
mod submit;
mod transfer;
mod upload;
mod watch;

use std::process::ExitCode;

use self::{
    api::Api,
    cli::{JobsArgs, JobsCommand, UploadsArgs, UploadsCommand},
    failure::Failure,
    show::Output,
};

/// How a command went when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The job has failed.
    Failed,
    /// The job was stopped, its result is a part of what was asked for.
    Cancelled,
}

/// Runs `harvestman jobs …`.
pub(crate) async fn jobs(args: &JobsArgs) -> ExitCode {
    let output = Output::new(&args.service);
    exit_code(&output, run_jobs(args, &output).await)
}

/// Runs `harvestman uploads …`.
pub(crate) async fn uploads(args: &UploadsArgs) -> ExitCode {
    let output = Output::new(&args.service);
    exit_code(&output, run_uploads(args, &output).await)
}

fn exit_code(output: &Output, result: Result<Outcome, Failure>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(3),
        Ok(Outcome::Cancelled) => ExitCode::from(4),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run_jobs(args: &JobsArgs, output: &Output) -> Result<Outcome, Failure> {
    let api = Api::new(&args.service, output)?;
    match &args.command {
        JobsCommand::Submit(args) => submit::submit(&api, args, output).await,
        JobsCommand::List(args) => listing::list(&api, args, output).await,
        JobsCommand::Show(args) => show::show(&api, &args.id, output).await,
        JobsCommand::Watch(args) => watch::watch(&api, &args.id, output).await,
        JobsCommand::Cancel(args) => submit::cancel(&api, args, output).await,
        JobsCommand::Retry(args) => submit::retry(&api, args, output).await,
        JobsCommand::Download(args) => download::download(&api, args, output).await,
    }
}

async fn run_uploads(args: &UploadsArgs, output: &Output) -> Result<Outcome, Failure> {
    let api = Api::new(&args.service, output)?;
    match &args.command {
        UploadsCommand::Create(args) => upload::create(&api, args, output).await,
        UploadsCommand::Show(args) => upload::show(&api, &args.id, output).await,
        UploadsCommand::Delete(args) => upload::delete(&api, &args.id, output).await,
    }
}
