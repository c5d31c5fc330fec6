//! The `harvestman` program: a list of URLs to a file of records, from the command line.

mod cli;
mod client;
mod demo;
mod doctor;
mod extract;
mod fetching;
mod llm;
mod run;
mod say;
mod serve;
mod storage;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Pages, records and schemas are many small allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn start_log(cli: &Cli) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(cli.log.as_str())
        .with_writer(std::io::stderr)
        .with_target(false);
    match &cli.command {
        Command::Serve(args) if args.log_json => log.json().flatten_event(true).init(),
        _ => log.init(),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli);
    // Each page under way needs a descriptor; the hard limit is the operator's word.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives us threads");
    let code = match cli.command {
        Command::Run(args) => runtime.block_on(run::main(&args)),
        Command::Extract(args) => runtime.block_on(extract::main(&args)),
        Command::Jobs(args) => runtime.block_on(client::jobs(&args)),
        Command::Uploads(args) => runtime.block_on(client::uploads(&args)),
        Command::Serve(args) => runtime.block_on(serve::main(&args)),
        Command::Keys(args) => runtime.block_on(serve::keys::main(&args)),
        Command::Demo(args) => runtime.block_on(demo::main(&args)),
        Command::Doctor(args) => runtime.block_on(doctor::main(&args)),
    };
    // A thread may still wait for standard input, which can't be interrupted.
    runtime.shutdown_background();
    code
}
