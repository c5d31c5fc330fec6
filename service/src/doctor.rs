//! `harvestman doctor`: what is there to work with.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Args;
use futures::{StreamExt, stream};
use harvestman::fetchers::ProxyStatus;
use serde::Serialize;
use tokio::{net::TcpStream, time::timeout};

use crate::{fetching::MeansArgs, say::output_line};

/// How long a proxy may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How many proxies are asked at a time.
const AT_A_TIME: usize = 64;
/// How many proxies that fail are named.
const MAX_NAMED: usize = 20;
/// Less free space than this is worth a word: 1 GiB.
const LITTLE_SPACE: u64 = 1024 * 1024 * 1024;
/// How far the clocks of the machine and of its disk may be apart.
const MAX_SKEW: Duration = Duration::from_secs(5);
/// No machine is older than this program: 2026-01-01, in seconds.
const EARLIEST: u64 = 1_767_225_600;

/// Say what there is to work with: browser, proxies, store, disk, clock.
///
/// Ends with 0 if all that is configured works, else with 3.
#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorArgs {
    /// Where jobs keep their state and their results
    #[arg(long, env = "HARVESTMAN_STATE", default_value = ".", value_name = "DIR")]
    pub(crate) state: PathBuf,

    /// Write one JSON object
    #[arg(long, env = "HARVESTMAN_JSON")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) means: MeansArgs,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    status: Status,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    /// Nothing is wrong, but something can't be done.
    Missing,
    Warning,
    Failed,
}

impl Finding {
    fn new(what: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self { what, status, message: message.into() }
    }
}

/// Looks at everything and says what was found.
pub(crate) async fn main(args: &DoctorArgs) -> ExitCode {
    let findings = [
        Finding::new("program", Status::Ok, concat!("harvestman ", env!("CARGO_PKG_VERSION"))),
        browser(args).await,
        proxies(args).await,
        store(&args.state),
        disk(&args.state),
        clock(&args.state),
    ];
    if args.json {
        output_line(serde_json::json!({ "findings": findings }));
    } else {
        for Finding { what, status, message } in &findings {
            let status = format!("{status:?}").to_lowercase();
            output_line(format_args!("{what:<8} {status:<8} {message}"));
        }
    }
    let has_failed = findings.iter().any(|finding| finding.status == Status::Failed);
    if has_failed { ExitCode::from(3) } else { ExitCode::SUCCESS }
}

async fn browser(args: &DoctorArgs) -> Finding {
    let finding = |status, message: String| Finding::new("browser", status, message);
    let browser = match args.means.open_browser(|builder| builder) {
        Err(error) => return finding(Status::Failed, error.to_string()),
        Ok(None) => {
            let message = "none, so `render` is refused; install Chromium (Debian: apt-get install \
                           chromium) or say where it is (--browser PATH)";
            return finding(Status::Missing, message.to_owned());
        }
        Ok(Some(browser)) => browser,
    };
    let path = browser.executable().display().to_string();
    let found = match browser.version().await {
        Ok(version) if args.means.no_sandbox => {
            let message = format!("{path}: {}, without its sandbox", version.product);
            finding(Status::Warning, message)
        }
        Ok(version) => finding(Status::Ok, format!("{path}: {}, in its sandbox", version.product)),
        Err(error) => finding(Status::Failed, error.to_string()),
    };
    browser.close().await;
    found
}

async fn proxies(args: &DoctorArgs) -> Finding {
    let finding = |status, message: String| Finding::new("proxies", status, message);
    let proxies = match args.means.open_proxies() {
        Err(error) => return finding(Status::Failed, error.to_string()),
        Ok(None) => {
            let message = "none, so `proxy_type` is refused; name a file of them (--proxies FILE)";
            return finding(Status::Missing, message.to_owned());
        }
        Ok(Some(proxies)) => proxies.status(),
    };
    let number = proxies.len();
    let asked = stream::iter(proxies).map(async |proxy| (answers(&proxy).await, proxy));
    let asked: Vec<_> = asked.buffer_unordered(AT_A_TIME).collect().await;
    let silent: Vec<_> =
        asked.iter().filter(|(answers, _)| !answers).map(|(_, proxy)| &*proxy.address).collect();
    if silent.is_empty() {
        return finding(Status::Ok, format!("{number}, all answer"));
    }
    let shown = silent[..silent.len().min(MAX_NAMED)].join(", ");
    let message = format!("{} of {number} don't answer: {shown}", silent.len());
    let status = if silent.len() == number { Status::Failed } else { Status::Warning };
    finding(status, message)
}

/// Whether something listens there.
async fn answers(proxy: &ProxyStatus) -> bool {
    let (_, authority) = proxy.address.split_once("://").unwrap_or_default();
    matches!(timeout(CONNECT_TIME, TcpStream::connect(authority)).await, Ok(Ok(_)))
}

/// Writes a file as a store does, and makes it durable.
fn store(directory: &Path) -> Finding {
    let shown = directory.display();
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(b"harvestman")?;
        file.as_file().sync_all()?;
        File::open(directory)?.sync_all()
    };
    match write() {
        Ok(()) => Finding::new("store", Status::Ok, format!("{shown} can be written")),
        Err(error) => {
            let message = format!("{shown} can't be written: {error}; name another --state");
            Finding::new("store", Status::Failed, message)
        }
    }
}

fn disk(directory: &Path) -> Finding {
    let shown = directory.display();
    match rustix::fs::statvfs(directory) {
        Ok(space) => {
            let free = space.f_bavail * space.f_frsize;
            let status = if free < LITTLE_SPACE { Status::Warning } else { Status::Ok };
            let gigabytes = free as f64 / 1e9;
            Finding::new("disk", status, format!("{gigabytes:.1} GB free at {shown}"))
        }
        Err(error) => {
            Finding::new("disk", Status::Failed, format!("{shown} can't be asked: {error}"))
        }
    }
}

/// The machine's clock against that of the disk, and against this program's own age.
fn clock(directory: &Path) -> Finding {
    let finding = |status, message: String| Finding::new("clock", status, message);
    let now = SystemTime::now();
    let shown = humantime(now);
    let age = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if age.as_secs() < EARLIEST {
        let message = format!("{shown} is in the past; links and certificates will be refused");
        return finding(Status::Failed, message);
    }
    let written = tempfile::NamedTempFile::new_in(directory)
        .and_then(|file| file.as_file().metadata()?.modified());
    let skew = written.map(|written| {
        written.duration_since(now).or_else(|_| now.duration_since(written)).unwrap_or_default()
    });
    match skew {
        Ok(skew) if skew > MAX_SKEW => {
            let seconds = skew.as_secs();
            finding(Status::Warning, format!("{shown}, {seconds} s apart from the disk's"))
        }
        _ => finding(Status::Ok, shown),
    }
}

fn humantime(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "an impossible time".to_owned(), |time| format!("{time:.0}"))
}
