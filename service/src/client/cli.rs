//! What the command line of the client looks like.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::key::ApiKey;
use crate::cli::field;

/// Submit jobs to a service, watch them, fetch their results.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = JOBS_HELP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    pub(crate) command: JobsCommand,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Send lists to a service, to be used by jobs.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = UPLOADS_HELP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct UploadsArgs {
    #[command(subcommand)]
    pub(crate) command: UploadsCommand,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Which service, and what is said of what it answers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceArgs {
    /// The address of the service
    #[arg(
        long,
        global = true,
        env = "HARVESTMAN_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        value_parser = service_url
    )]
    pub(crate) url: Url,

    /// The key; better given in the environment, where other users of the machine can't read it
    #[arg(long, global = true, env = "HARVESTMAN_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<ApiKey>,

    /// Write what the service answers to standard output, as JSON
    #[arg(long, global = true, env = "HARVESTMAN_JSON")]
    pub(crate) json: bool,

    /// Write errors and results only
    #[arg(short, long, global = true, env = "HARVESTMAN_QUIET")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Make a job, of a file that says it all, of options, or of both
    Submit(Box<SubmitArgs>),
    /// List the jobs, newest first
    List(ListArgs),
    /// Show how far a job is
    Show(JobArgs),
    /// Follow a job until its end
    Watch(JobArgs),
    /// Stop a job: pages under way finish, what is done can be downloaded
    Cancel(CancelArgs),
    /// Make a job of the URLs that have failed in another one
    Retry(RetryArgs),
    /// Fetch the result of a job that has ended
    Download(DownloadArgs),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum UploadsCommand {
    /// Send a list
    Create(CreateArgs),
    /// Show an upload
    Show(UploadArgs),
    /// Erase an upload that no job needs
    Delete(UploadArgs),
}

/// Make a job, of a file that says it all, of options, or of both.
///
/// Options win over the file. A list is uploaded first. The request can be sent again without making
/// another job, which happens by itself when the connection breaks or the service is overloaded.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = SUBMIT_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line are independent")]
pub(crate) struct SubmitArgs {
    /// A JSON file with the request as the API takes it; `-` is standard input
    #[arg(value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,

    /// The list, uploaded first: text (an URL a line), .ndjson, .jsonl or .csv, also .gz or .zst; `-` is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["upload_id", "input_uri"])]
    pub(crate) url_list: Option<PathBuf>,

    /// A list that was uploaded before
    #[arg(long, value_name = "ID", conflicts_with = "input_uri")]
    pub(crate) upload_id: Option<String>,

    /// A list in an object store: `s3://bucket/key` or `gs://bucket/key`
    #[arg(long, value_name = "URI")]
    pub(crate) input_uri: Option<String>,

    /// A field to find on each page, e.g. `price:number`; may be repeated
    #[arg(short, long = "extract", value_name = "NAME:TYPE", value_parser = field)]
    pub(crate) fields: Vec<(String, String)>,

    /// A JSON file with the fields to find, for selectors and nested fields
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    pub(crate) schema: Option<PathBuf>,

    /// A name for the job
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// How many pages are fetched at a time
    #[arg(short, long, value_name = "N")]
    pub(crate) concurrency: Option<u64>,

    /// How the result is written
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<OutputFormat>,

    /// How its files are packed
    #[arg(long, value_name = "HOW")]
    pub(crate) compression: Option<Packing>,

    /// Render the pages in a browser
    #[arg(long)]
    pub(crate) render: bool,

    /// Where to tell the end of the job
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,

    /// The most credits that the job may use
    #[arg(long, value_name = "N")]
    pub(crate) max_credits: Option<u64>,

    /// Leave out URLs that came before in the list
    #[arg(long)]
    pub(crate) dedupe: bool,

    /// Any other value of the request, e.g. `defaults.timeout_ms=5000`; what is no JSON is text; may be
    /// repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,

    /// Say what the job would be, and make none
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Follow the job until its end
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,

    /// What the request is known by, so that it makes one job however often it is sent; by default drawn
    /// at random each time
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// Those in this state: queued, running, completed, cancelled, failed
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,

    /// Those with this name
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// Those made at or after this time, e.g. 2026-05-11T22:20:14Z
    #[arg(long, value_name = "TIME")]
    pub(crate) created_after: Option<String>,

    /// Those made before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) created_before: Option<String>,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,

    /// The `next_cursor` of a list before
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct JobArgs {
    /// The job, e.g. `job_3F2D1A77B0E1`
    #[arg(value_parser = id)]
    pub(crate) id: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CancelArgs {
    /// The job, e.g. `job_3F2D1A77B0E1`
    #[arg(value_parser = id)]
    pub(crate) id: String,

    /// Follow it until its end
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Make a job of the URLs that have failed in another one.
///
/// They keep their index, id, metadata and settings. What is not said is as in the first job.
#[derive(Args, Clone, Debug)]
pub(crate) struct RetryArgs {
    /// The job that has ended
    #[arg(value_parser = id)]
    pub(crate) id: String,

    /// Those with this code, e.g. `timeout`; may be repeated, or several separated by commas
    #[arg(long = "code", value_name = "CODE", value_delimiter = ',')]
    pub(crate) codes: Vec<String>,

    /// Those of which another try may come out differently
    #[arg(long)]
    pub(crate) retryable: bool,

    /// Also those that were skipped when the job was stopped
    #[arg(long)]
    pub(crate) include_skipped: bool,

    /// A name for the new job
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,

    /// How many pages are fetched at a time
    #[arg(short, long, value_name = "N")]
    pub(crate) concurrency: Option<u64>,

    /// Where to tell the end of the job
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,

    /// Any other value of the request, e.g. `defaults.timeout_ms=60000`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,

    /// Follow the new job until its end
    #[arg(long)]
    pub(crate) watch: bool,

    /// What the request is known by, so that it makes one job however often it is sent
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_key: Option<String>,
}

/// Fetch the result of a job that has ended.
///
/// An interrupted download goes on where it was when the command is run again. What came in is checked
/// against its SHA-256, and gets its name when it is complete.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = DOWNLOAD_HELP)]
pub(crate) struct DownloadArgs {
    /// The job that has ended
    #[arg(value_parser = id)]
    pub(crate) id: String,

    /// The file; of a result in several parts the directory; `-` is standard output; by default the id
    /// of the job
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Wait for the end of the job first
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CreateArgs {
    /// The list: text (an URL a line), .ndjson, .jsonl or .csv, also .gz or .zst; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// What the request is known by, so that it makes one upload however often it is sent
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct UploadArgs {
    /// The upload, e.g. `upl_8K2nB7`
    #[arg(value_parser = id)]
    pub(crate) id: String,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A JSON object a line
    Ndjson,
    /// A table of text
    Csv,
    /// A typed table
    Parquet,
}

/// How files are packed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Packing {
    /// Not at all
    None,
    /// By gzip
    Gzip,
    /// By Zstandard
    Zstd,
}

fn service_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}; write http://HOST:PORT"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https are spoken; write http://HOST:PORT".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a password; pass the key with --key".to_owned());
    }
    Ok(url)
}

/// An id is a part of paths and names of files.
fn id(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > 100 || !text.bytes().all(is_plain) {
        return Err("is no id; pass it as the service gave it, e.g. job_3F2D1A77B0E1".to_owned());
    }
    Ok(text.to_owned())
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.split('.').any(str::is_empty) => {
            Ok((path.to_owned(), value.to_owned()))
        }
        _ => Err("write it as PATH=VALUE, e.g. defaults.timeout_ms=5000".to_owned()),
    }
}

macro_rules! exit_codes {
    () => {
        "\
Service and key are best said once:
  export HARVESTMAN_URL=https://scrape.example.com HARVESTMAN_KEY=hd_live_…

Exit codes: 0 done, and a job that was followed is completed; 2 the command or a file of this machine
can't be used; 3 the job that was followed has failed; 4 it was cancelled; 5 the service refuses, and
says why; 6 the service can't be reached or has failed, also after several tries; 7 what came is damaged."
    };
}

const JOBS_HELP: &str = concat!(
    "\
Examples:
  harvestman jobs submit --url-list urls.csv -e name:string -e price:number --format parquet --watch
  harvestman jobs submit nightly.json --set defaults.timeout_ms=5000
  harvestman jobs list --status running
  harvestman jobs watch job_3F2D1A77B0E1
  harvestman jobs download job_3F2D1A77B0E1 -o products.parquet

",
    exit_codes!()
);

const SUBMIT_HELP: &str = concat!(
    "\
Examples:
  harvestman jobs submit --url-list urls.csv -e name:string -e price:number -c 32 --format csv
  cat urls.txt | harvestman jobs submit --url-list - --name pages --watch
  echo '{\"urls\": [\"https://example.com/\"]}' | harvestman jobs submit -
  harvestman jobs submit nightly.json --url-list today.ndjson --webhook https://example.com/hooks
  id=$(harvestman jobs submit nightly.json)

Types of fields: string, integer, number, boolean, \"array of T\", \"enum · a | b\", \"nullable T\".

",
    exit_codes!()
);

const DOWNLOAD_HELP: &str = concat!(
    "\
Examples:
  harvestman jobs download job_3F2D1A77B0E1 --wait
  harvestman jobs download job_3F2D1A77B0E1 -o products.parquet
  harvestman jobs download job_3F2D1A77B0E1 -o - | jq .data

",
    exit_codes!()
);

const UPLOADS_HELP: &str = concat!(
    "\
Examples:
  harvestman uploads create urls.ndjson.gz
  harvestman uploads show upl_8K2nB7
  harvestman uploads delete upl_8K2nB7

",
    exit_codes!()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_ids_and_assignments_are_checked() {
        assert!(service_url("https://scrape.example.com/base").is_ok());
        for bad in ["localhost", "ftp://a.test", "https://user:password@a.test", ""] {
            assert!(service_url(bad).is_err(), "{bad}");
        }
        assert!(id("job_3F2D1A77B0E1").is_ok());
        for bad in ["", "..", "a/b", "a b", "é"] {
            assert!(id(bad).is_err(), "{bad}");
        }
        let pair = ("defaults.user_agent".to_owned(), "a=b".to_owned());
        assert_eq!(assignment("defaults.user_agent=a=b"), Ok(pair));
        for bad in ["x", "=1", "a..b=1", ".a=1"] {
            assert!(assignment(bad).is_err(), "{bad}");
        }
    }
}
