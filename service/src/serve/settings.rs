//! The settings of the service: from the command line, from the environment, from a file, in this
//! order. What none of them says is as the engine has it by default.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use harvestman::{
    Error, HostLimits, RateCard, Result,
    engine::EngineSettings,
    extractors::LlmConfig,
    spec::{Limits, MAX_INLINE_URLS},
};
use serde::{Deserialize, Serialize};
use toml::Table;
use url::Url;

use super::{declared::DeclaredKeys, results::StoragePlace};
use crate::{llm::LlmArgs, storage::StorageArgs};

/// The largest file of settings, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The longest time that something is kept, in days: a hundred years.
const MAX_DAYS: u64 = 36_500;
/// The longest time that a job may run, in seconds: a year.
const MAX_SECONDS: u64 = 365 * 86_400;
/// Where the service listens when nothing else is said.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Each setting once: an option of the command line, a variable of the environment, a key of the
/// file.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The address to listen at; with port 0 a free one, which is printed [default: 127.0.0.1:8080]
    #[arg(long, env = "HARVESTMAN_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// The directory of the store, the uploads and, unless said otherwise, the results [default: ./data]
    #[arg(long, env = "HARVESTMAN_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Where results are kept: a directory, `s3://bucket/prefix`, gs:// or az:// [default: results/ in
    /// the directory of the store]
    #[arg(long, env = "HARVESTMAN_STORAGE", value_name = "PLACE")]
    pub(crate) storage: Option<StoragePlace>,

    /// Answer downloads with a redirect to a link of the bucket's own that is valid for minutes,
    /// instead of passing the bytes on
    #[arg(long, env = "HARVESTMAN_REDIRECT_DOWNLOADS", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true")]
    pub(crate) redirect_downloads: Option<bool>,

    /// A place in a bucket, e.g. `s3://lists/public`, that jobs of all workspaces read and write with
    /// the service's own credentials; may be repeated
    #[arg(
        long = "own-bucket",
        env = "HARVESTMAN_OWN_BUCKETS",
        value_delimiter = ',',
        value_name = "PLACE"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) own_buckets: Vec<String>,

    /// The address that users reach the service at, for the links to results [default: that of --listen]
    #[arg(long, env = "HARVESTMAN_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<Url>,

    /// Keys that are not made by `harvestman keys create`: WORKSPACE=KEY, several separated by `;`
    #[arg(long, env = "HARVESTMAN_API_KEYS", hide_env_values = true, value_name = "KEYS")]
    pub(crate) api_keys: Option<DeclaredKeys>,

    /// The secret that webhooks of all workspaces are signed with: whsec_ and base64 [default: one
    /// for each workspace, drawn at random]
    #[arg(long, env = "HARVESTMAN_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub(crate) webhook_secret: Option<Hidden>,

    /// What the vendor's webhook headers begin with [default: X-Hypedata]
    #[arg(long, env = "HARVESTMAN_VENDOR_HEADER", value_name = "NAME")]
    pub(crate) vendor_header: Option<String>,

    /// The bearer token that /metrics asks for [default: none, /metrics is open]
    #[arg(long, env = "HARVESTMAN_METRICS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) metrics_token: Option<Hidden>,

    /// The `User-Agent` of jobs that don't name one
    #[arg(long, env = "HARVESTMAN_USER_AGENT", value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,

    /// How many jobs run side by side [default: 64]
    #[arg(long, env = "HARVESTMAN_MAX_RUNNING", value_name = "N")]
    pub(crate) max_running: Option<usize>,

    /// How many pages of all jobs are fetched at a time [default: 512]
    #[arg(long, env = "HARVESTMAN_SLOTS", value_name = "N")]
    pub(crate) slots: Option<usize>,

    /// How many of them at one host [default: any number, and less for hosts that refuse or slow down]
    #[arg(long, env = "HARVESTMAN_PER_HOST", value_name = "N")]
    pub(crate) per_host: Option<usize>,

    /// How many pages of one job may be fetched at a time [default: 256]
    #[arg(long, env = "HARVESTMAN_MAX_CONCURRENCY", value_name = "N")]
    pub(crate) max_concurrency: Option<usize>,

    /// How many URLs a job may have [default: 1000000]
    #[arg(long, env = "HARVESTMAN_MAX_URLS", value_name = "N")]
    pub(crate) max_urls: Option<u64>,

    /// How many URLs a job may have inline [default: 1000]
    #[arg(long, env = "HARVESTMAN_MAX_INLINE_URLS", value_name = "N")]
    pub(crate) max_inline_urls: Option<usize>,

    /// How many bytes an upload may have, sent and decoded [default: 1000000000]
    #[arg(long, env = "HARVESTMAN_MAX_UPLOAD_BYTES", value_name = "BYTES")]
    pub(crate) max_upload_bytes: Option<u64>,

    /// How many bytes a JSON body may have [default: 25000000]
    #[arg(long, env = "HARVESTMAN_MAX_BODY_BYTES", value_name = "BYTES")]
    pub(crate) max_body_bytes: Option<usize>,

    /// How many jobs may wait or run [default: 100000]
    #[arg(long, env = "HARVESTMAN_MAX_OPEN_JOBS", value_name = "N")]
    pub(crate) max_open_jobs: Option<u64>,

    /// How long a job may run, in seconds [default: 86400]
    #[arg(long, env = "HARVESTMAN_MAX_LIFETIME", value_name = "S")]
    pub(crate) max_lifetime: Option<u64>,

    /// How many days results are kept [default: 30]
    #[arg(long, env = "HARVESTMAN_KEEP_RESULTS", value_name = "DAYS")]
    pub(crate) keep_results: Option<u64>,

    /// How many days uploads are kept, or as long as a job needs them [default: 7]
    #[arg(long, env = "HARVESTMAN_KEEP_UPLOADS", value_name = "DAYS")]
    pub(crate) keep_uploads: Option<u64>,

    /// How many days a job is kept without its results [default: 90]
    #[arg(long, env = "HARVESTMAN_KEEP_JOBS", value_name = "DAYS")]
    pub(crate) keep_jobs: Option<u64>,

    /// The credits of every page [default: 1]
    #[arg(long, env = "HARVESTMAN_CREDITS_BASE", value_name = "N")]
    pub(crate) credits_base: Option<u64>,

    /// The credits on top for a rendered page [default: 2]
    #[arg(long, env = "HARVESTMAN_CREDITS_RENDER", value_name = "N")]
    pub(crate) credits_render: Option<u64>,

    /// The credits on top for a page through a residential proxy [default: 2]
    #[arg(long, env = "HARVESTMAN_CREDITS_RESIDENTIAL", value_name = "N")]
    pub(crate) credits_residential: Option<u64>,

    /// The credits on top for a page through a mobile proxy [default: 4]
    #[arg(long, env = "HARVESTMAN_CREDITS_MOBILE", value_name = "N")]
    pub(crate) credits_mobile: Option<u64>,

    /// The credits on top for a page with fields [default: 1]
    #[arg(long, env = "HARVESTMAN_CREDITS_EXTRACT", value_name = "N")]
    pub(crate) credits_extract: Option<u64>,

    /// How many requests a second a workspace may make; it can save up two seconds' worth [default: 500]
    #[arg(long, env = "HARVESTMAN_RATE_LIMIT", value_name = "N")]
    pub(crate) rate_limit: Option<u32>,

    /// How many connections are open at a time; more wait [default: 4096]
    #[arg(long, env = "HARVESTMAN_MAX_CONNECTIONS", value_name = "N")]
    pub(crate) max_connections: Option<usize>,

    /// How long a client may keep the service waiting, sending or receiving, in seconds [default: 30]
    #[arg(long, env = "HARVESTMAN_CLIENT_TIMEOUT", value_name = "S")]
    pub(crate) client_timeout: Option<u64>,

    /// How long stopping waits for the pages and requests under way, in seconds [default: 30]
    #[arg(long, env = "HARVESTMAN_SHUTDOWN_GRACE", value_name = "S")]
    pub(crate) shutdown_grace: Option<u64>,

    /// The base of an endpoint that speaks as `OpenAI`'s does, for jobs that ask a language model for
    /// fields still missing (`extract_options.llm`). Its key goes into the variable `HARVESTMAN_LLM_KEY`
    /// or into a file [default: none, such jobs are refused]
    #[arg(long, env = "HARVESTMAN_LLM_URL", value_name = "URL")]
    pub(crate) llm_url: Option<Url>,

    /// The model's name, as its endpoint knows it
    #[arg(long, env = "HARVESTMAN_LLM_MODEL", value_name = "NAME")]
    pub(crate) llm_model: Option<String>,

    /// A file with the endpoint's key
    #[arg(long, env = "HARVESTMAN_LLM_KEY_FILE", value_name = "FILE")]
    pub(crate) llm_key_file: Option<PathBuf>,

    /// How many tokens one run of a job, or one preview, may use [default: 10000000]
    #[arg(long, env = "HARVESTMAN_LLM_MAX_TOKENS", value_name = "N")]
    pub(crate) llm_max_tokens: Option<u64>,

    #[command(flatten)]
    pub(crate) buckets: StorageArgs,
}

impl Settings {
    /// These settings, and behind them those of a file.
    pub(crate) fn over_file(&self, path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(self.clone()) };
        let invalid = |message: String| Error::invalid(path.display().to_string(), message);
        let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
        if size > MAX_FILE_BYTES {
            return Err(invalid(format!("is larger than {MAX_FILE_BYTES} bytes")));
        }
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        // The message of a value of the wrong type shows no line, since it may hold a secret.
        let said: Self = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text[..at.min(text.len())].lines().count().max(1);
            invalid(format!("line {line}: {}", error.message()))
        })?;
        let table = |settings: &Self| Table::try_from(settings);
        let mut merged = table(&said).map_err(|error| invalid(error.to_string()))?;
        lay_over(&mut merged, table(self).map_err(|error| invalid(error.to_string()))?);
        merged.try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))
    }

    /// Refuses what can't be meant, wherever it was said.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = [
            ("max_running", self.max_running.map(|count| count as u64), u64::MAX),
            ("slots", self.slots.map(|count| count as u64), u64::MAX),
            ("per_host", self.per_host.map(|count| count as u64), u64::MAX),
            ("max_concurrency", self.max_concurrency.map(|count| count as u64), 10_000),
            ("max_urls", self.max_urls, u64::from(u32::MAX)),
            (
                "max_inline_urls",
                self.max_inline_urls.map(|count| count as u64),
                MAX_INLINE_URLS as u64,
            ),
            ("max_upload_bytes", self.max_upload_bytes, u64::MAX),
            ("max_body_bytes", self.max_body_bytes.map(|count| count as u64), u64::MAX),
            ("max_open_jobs", self.max_open_jobs, u64::MAX),
            ("max_lifetime", self.max_lifetime, MAX_SECONDS),
            ("keep_results", self.keep_results, MAX_DAYS),
            ("keep_uploads", self.keep_uploads, MAX_DAYS),
            ("keep_jobs", self.keep_jobs, MAX_DAYS),
            ("rate_limit", self.rate_limit.map(u64::from), 1_000_000),
            ("max_connections", self.max_connections.map(|count| count as u64), 1_000_000),
            ("client_timeout", self.client_timeout, 3_600),
            ("llm_max_tokens", self.llm_max_tokens, u64::MAX),
        ];
        for (name, value, most) in counts {
            if value.is_some_and(|value| value == 0 || value > most) {
                return Err(Error::invalid(name, format!("must be 1 to {most}")));
            }
        }
        if let Some(url) = &self.public_url {
            let is_base = matches!(url.scheme(), "http" | "https") && url.query().is_none();
            if !is_base || url.fragment().is_some() {
                return Err(Error::invalid("public_url", "must be http or https, without a query"));
            }
        }
        if let Some(name) = &self.vendor_header
            && http::HeaderName::try_from(name).is_err()
        {
            return Err(Error::invalid(
                "vendor_header",
                "must be the beginning of a header's name",
            ));
        }
        Ok(())
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(DEFAULT_LISTEN)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("./data"))
    }

    pub(crate) fn client_timeout(&self) -> Duration {
        Duration::from_secs(self.client_timeout.unwrap_or(30))
    }

    pub(crate) fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace.unwrap_or(30))
    }

    /// The language model, if there is one.
    pub(crate) fn llm(&self) -> Result<Option<LlmConfig>> {
        let Self { llm_url, llm_model, llm_key_file, llm_max_tokens, .. } = self.clone();
        LlmArgs { llm_url, llm_model, llm_key_file, llm_max_tokens }.open()
    }

    /// The engine's settings.
    pub(crate) fn engine(&self) -> EngineSettings {
        let mut engine = EngineSettings::default();
        set(&mut engine.max_running, self.max_running);
        set(&mut engine.shared.slots, self.slots);
        if let Some(at_once) = self.per_host {
            engine.shared.hosts = HostLimits::default().with_concurrency(at_once);
        }
        set(&mut engine.vendor_header, self.vendor_header.clone());
        engine.shutdown_grace = self.shutdown_grace();
        engine.meter = std::sync::Arc::new(self.rate_card());
        self.set_limits(&mut engine.limits);
        let days = |days: u64| Duration::from_hours(24 * days);
        set(&mut engine.retention.outputs, self.keep_results.map(days));
        set(&mut engine.retention.uploads, self.keep_uploads.map(days));
        set(&mut engine.retention.jobs, self.keep_jobs.map(days));
        engine
    }

    fn set_limits(&self, limits: &mut Limits) {
        set(&mut limits.concurrency, self.max_concurrency);
        set(&mut limits.urls, self.max_urls);
        set(&mut limits.inline_urls, self.max_inline_urls);
        set(&mut limits.upload_bytes, self.max_upload_bytes);
        set(&mut limits.body_bytes, self.max_body_bytes);
        set(&mut limits.open_jobs, self.max_open_jobs);
        set(&mut limits.lifetime, self.max_lifetime.map(Duration::from_secs));
    }

    fn rate_card(&self) -> RateCard {
        let mut card = RateCard::default();
        set(&mut card.base, self.credits_base);
        set(&mut card.render, self.credits_render);
        set(&mut card.residential, self.credits_residential);
        set(&mut card.mobile, self.credits_mobile);
        set(&mut card.extract, self.credits_extract);
        card
    }
}

/// Sets what the second table says in the first, and in the tables in it.
fn lay_over(table: &mut Table, over: Table) {
    for (name, value) in over {
        match (table.get_mut(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(value)) => lay_over(below, value),
            (_, value) => drop(table.insert(name, value)),
        }
    }
}

fn set<T>(value: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *value = said;
    }
}

/// A text that is never shown.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Hidden(String);

impl Hidden {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

impl std::str::FromStr for Hidden {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Self(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(text: &str, args: &Settings) -> Result<Settings> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        args.over_file(Some(file.path()))
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let args = Settings { slots: Some(7), ..Settings::default() };
        let merged = over("slots = 9\nmax_urls = 5\nlisten = \"0.0.0.0:1\"", &args).unwrap();
        assert_eq!((merged.slots, merged.max_urls), (Some(7), Some(5)));
        assert_eq!(merged.listen().to_string(), "0.0.0.0:1");
        assert_eq!(merged.engine().limits.urls, 5);
        let file = "[buckets]\ns3_region = \"eu-west-1\"\ns3_endpoint = \"https://a.test\"";
        let said = over("[buckets]\ns3_region = \"us-west-2\"", &Settings::default()).unwrap();
        let merged = Table::try_from(over(file, &said).unwrap()).unwrap();
        assert_eq!(merged["buckets"]["s3_region"].as_str(), Some("us-west-2"));
        assert_eq!(merged["buckets"]["s3_endpoint"].as_str(), Some("https://a.test"));
    }

    /// The example with every setting uncommented.
    #[test]
    fn the_example_file_has_every_setting_and_can_be_used() {
        let example = include_str!("../../../deploy/harvestman.toml");
        let is_setting =
            |line: &str| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
        let lines = example.lines().filter_map(|line| line.strip_prefix("# "));
        let is_table = |line: &str| line.starts_with('[') && line.ends_with(']');
        let lines = lines.filter(|line| is_setting(line) || is_table(line));
        let text = lines.collect::<Vec<_>>().join("\n");
        let settings = over(&text, &Settings::default()).unwrap();
        settings.check().unwrap();
        let mut named = Table::try_from(&settings).unwrap();
        let buckets = named.remove("buckets").unwrap();
        named.extend(buckets.as_table().unwrap().clone());
        let command = Settings::augment_args(clap::Command::new("settings"));
        let missing =
            command.get_arguments().filter(|arg| !named.contains_key(arg.get_id().as_str()));
        assert_eq!(missing.map(|arg| arg.get_id().to_string()).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_mistake_is_named_by_its_line_and_shows_no_secret() {
        for (text, part) in [
            ("\nslotz = 1", "slotz"),
            ("\nslots = \"x\"", "line 2"),
            ("\nmetrics_token = [\"tell-nobody\"]", "line 2"),
            ("\nwebhook_secret = \"tell-nobody", "line 2"),
        ] {
            let error = over(text, &Settings::default()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("tell-nobody"), "{error}");
        }
    }
}
