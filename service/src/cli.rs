//! What the command line looks like.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use harvestman::address::AddressRule;

use crate::{
    client::cli::{JobsArgs, UploadsArgs},
    doctor::DoctorArgs,
    fetching::FetchArgs,
    llm::LlmArgs,
    serve::{ServeArgs, keys::KeysArgs},
    storage::StorageArgs,
};

/// Batch web scraping: a list of URLs in, one file of records out.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What is logged to standard error: error, warn, info, debug, or a filter such as `harvestman=debug`
    #[arg(
        long,
        global = true,
        env = "HARVESTMAN_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a list of URLs and write a record for each to a file
    Run(Box<RunArgs>),
    /// Show what is found on one page, where, and how sure that is
    Extract(ExtractArgs),
    /// Serve the HTTP API: jobs from many users, queued, watched, downloaded
    Serve(Box<ServeArgs>),
    /// Make, list and revoke the keys of the service
    Keys(KeysArgs),
    /// Submit jobs to a service, watch them, fetch their results
    Jobs(Box<JobsArgs>),
    /// Send lists to a service, to be used by jobs
    Uploads(Box<UploadsArgs>),
    /// Scrape a small shop that this command serves on this machine
    Demo(DemoArgs),
    /// Say what there is to work with: browser, proxies, store, disk, clock
    Doctor(DoctorArgs),
}

/// Fetch a list of URLs and write a record for each to a file.
///
/// Every URL ends in exactly one record, with its data or with its error. The job can be killed at
/// any moment: the same command goes on where it was.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = RUN_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line are independent")]
pub(crate) struct RunArgs {
    /// The list: text (an URL a line), .ndjson, .jsonl or .csv, also .gz or .zst; a file, s3://, gs://
    /// or az://, or `-` for standard input
    #[arg(env = "HARVESTMAN_INPUT")]
    pub(crate) input: PathBuf,

    /// The result: .ndjson, .jsonl, .csv or .parquet, the first three also .gz or .zst; a file, a
    /// directory in a bucket (`s3://bucket/nightly.parquet`), or `-` for standard output, as NDJSON
    #[arg(short, long, env = "HARVESTMAN_OUTPUT", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// A field to find on each page, e.g. `price:number`; may be repeated
    #[arg(short, long = "extract", value_name = "NAME:TYPE", value_parser = field)]
    pub(crate) fields: Vec<(String, String)>,

    /// A JSON file with the fields to find, for selectors and nested fields
    #[arg(long, env = "HARVESTMAN_SCHEMA", value_name = "FILE", conflicts_with = "fields")]
    pub(crate) schema: Option<PathBuf>,

    /// How many pages are fetched at a time
    #[arg(short, long, env = "HARVESTMAN_CONCURRENCY", default_value_t = 32, value_name = "N",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(crate) concurrency: usize,

    /// How many of them at one host; by default any number, and less for hosts that refuse or slow down
    #[arg(long, env = "HARVESTMAN_PER_HOST", value_name = "N",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) per_host: Option<usize>,

    /// How many requests a second at one host
    #[arg(long, env = "HARVESTMAN_RATE", value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// How often a page is tried again after a failure that may pass
    #[arg(long, env = "HARVESTMAN_RETRIES", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=i64::from(harvestman::params::MAX_RETRIES)))]
    pub(crate) retries: u32,

    /// How long one try may take, in seconds
    #[arg(long, env = "HARVESTMAN_TIMEOUT", default_value_t = 30, value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) timeout: u64,

    /// The `User-Agent` header
    #[arg(long, env = "HARVESTMAN_USER_AGENT", value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,

    /// The largest file of the result in bytes; then another one is begun
    #[arg(long, env = "HARVESTMAN_MAX_PART_BYTES", value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) max_part_bytes: Option<u64>,

    /// Put `'` before CSV cells that a spreadsheet would run as a formula
    #[arg(long, env = "HARVESTMAN_ESCAPE_FORMULAS")]
    pub(crate) escape_formulas: bool,

    /// A directory for the job's state, removed at the end; by default FILE.job, for standard output
    /// harvestman.job, for a bucket NAME.job here
    #[arg(long, env = "HARVESTMAN_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// An address or network, optionally with a port, that may be fetched from although it isn't
    /// public, e.g. 127.0.0.1:8000 or 10.0.0.0/8; may be repeated
    #[arg(
        long = "allow-address",
        env = "HARVESTMAN_ALLOW_ADDRESS",
        value_delimiter = ',',
        value_name = "ADDR"
    )]
    pub(crate) allowed: Vec<AddressRule>,

    /// How long a first Ctrl-C waits for the pages under way, in seconds
    #[arg(long, env = "HARVESTMAN_GRACE", default_value_t = 60, value_name = "S")]
    pub(crate) grace: u64,

    /// Write the summary as one JSON object (to standard error if the result goes to standard output)
    #[arg(long, env = "HARVESTMAN_JSON")]
    pub(crate) json: bool,

    /// Write errors only
    #[arg(short, long, env = "HARVESTMAN_QUIET")]
    pub(crate) quiet: bool,

    /// Begin anew, whatever an earlier run has left
    #[arg(long, env = "HARVESTMAN_RESTART")]
    pub(crate) restart: bool,

    #[command(flatten)]
    pub(crate) fetching: FetchArgs,

    #[command(flatten)]
    pub(crate) llm: LlmArgs,

    #[command(flatten)]
    pub(crate) buckets: StorageArgs,

    /// Read the list from a bucket that is open to everybody, without credentials
    #[arg(long, env = "HARVESTMAN_ANONYMOUS", help_heading = "Buckets")]
    pub(crate) anonymous: bool,
}

/// Show what is found on one page, where, and how sure that is.
///
/// For finding out what a schema yields before it goes into a job.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExtractArgs {
    /// The page: an http or https URL, or an HTML file in UTF-8
    pub(crate) page: String,

    /// A field to find on the page, e.g. `price:number`; may be repeated
    #[arg(short, long = "extract", value_name = "NAME:TYPE", value_parser = field)]
    pub(crate) fields: Vec<(String, String)>,

    /// A JSON file with the fields to find: a sketch or a JSON Schema
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    pub(crate) schema: Option<PathBuf>,

    /// The address that a file's page has, for relative links
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Say what a strict job would refuse
    #[arg(long)]
    pub(crate) strict: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// How long fetching may take, in seconds
    #[arg(long, default_value_t = 30, value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) timeout: u64,

    /// An address or network that may be fetched from although it isn't public; may be repeated
    #[arg(long = "allow-address", value_delimiter = ',', value_name = "ADDR")]
    pub(crate) allowed: Vec<AddressRule>,

    #[command(flatten)]
    pub(crate) llm: LlmArgs,
}

/// Scrape a small shop that this command serves on this machine.
///
/// Some of its pages are slow, some fail, some ask to slow down. The result is a Parquet file.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// How many product pages there are
    #[arg(long, default_value_t = 3_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) products: u32,

    /// Where list and result are put
    #[arg(long, default_value = "demo", value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Where the shop listens; any other port if this one is taken
    #[arg(long, default_value = "127.0.0.1:7979", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,

    /// How many pages are fetched at a time
    #[arg(short, long, default_value_t = 64, value_name = "N",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(crate) concurrency: usize,

    /// Only serve the shop, until Ctrl-C
    #[arg(long)]
    pub(crate) serve_only: bool,
}

const RUN_HELP: &str = "\
Examples:
  harvestman run urls.csv --extract name:string --extract price:number --output products.parquet
  harvestman run urls.ndjson -c 64 --output pages.ndjson.gz
  cat list.txt | harvestman run - --extract title:string --output titles.csv
  harvestman run urls.csv --render --wait-for .price --extract price:number --output prices.csv
  harvestman run urls.csv --proxies proxies.toml --escalate --output pages.ndjson
  harvestman run s3://lists/urls.csv.gz --extract price:number --output s3://results/prices.parquet
  harvestman run urls.csv --extract origin:string --llm-url http://127.0.0.1:11434/v1 --llm-model qwen3:8b --output pages.ndjson

Types: string, integer, number, boolean, date, datetime, url, any, \"array of T\", \"enum · a | b\",
\"nullable T\". A line of the list may override most settings: {\"url\": …, \"timeout_ms\": 5000}.

Ctrl-C finishes the pages under way and saves the rest for later; a second one ends at once.

Exit codes: 0 every URL has a record, errors included; 2 the command can't be used as it is;
3 the job failed; 4 suspended, run the same command to go on; 130 interrupted twice.";

/// A field as `name:type`.
pub(crate) fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, kind)) if !name.trim().is_empty() && !kind.trim().is_empty() => {
            Ok((name.trim().to_owned(), kind.trim().to_owned()))
        }
        _ => Err("write it as NAME:TYPE, e.g. price:number".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be above 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn fields_and_rates_are_checked() {
        let pair = ("price".to_owned(), "number · in EUR: net".to_owned());
        assert_eq!(field("price: number · in EUR: net"), Ok(pair));
        for bad in ["price", "price:", ":number", ""] {
            assert!(field(bad).is_err(), "{bad}");
        }
        for bad in ["0", "-1", "inf", "NaN", "x"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
