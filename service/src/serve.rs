//! `harvestman serve`: the hosted service, the HTTP API over an engine.

mod app;
mod auth;
mod body;
mod dashboard;
mod declared;
mod error;
mod etag;
mod form;
mod idempotency;
mod key;
pub(crate) mod keys;
mod links;
mod openapi;
mod places;
mod rate;
mod request;
mod results;
mod routes;
mod server;
mod settings;
mod trace;
mod wire;

use std::{
    fs::DirBuilder,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use harvestman::{
    Engine, EngineConfig,
    address::AddressRule,
    fetchers::{self, Browser, Http},
    storage::{Access, Location, Storage},
    webhook::Secret,
};
use jiff::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{
    app::{App, Metrics},
    auth::Keys,
    links::LinkKeys,
    places::Places,
    rate::RateLimits,
    results::{Results, StoragePlace},
    server::ServerLimits,
    settings::Settings,
};
use crate::{fetching::MeansArgs, say::output_line};

/// How many requests a second a workspace may make when nothing else is said.
const DEFAULT_RATE: u32 = 500;
/// How many connections are open at a time when nothing else is said.
const DEFAULT_CONNECTIONS: usize = 4_096;
/// How many event streams are open at a time, and of one workspace.
const EVENT_STREAMS: (usize, usize) = (2_048, 1_024);
/// How many uploads come in at a time, and of one workspace: each holds some threads.
const UPLOADS: (usize, usize) = (64, 16);
/// How many dry runs are under way at a time, and of one workspace.
const DRY_RUNS: (usize, usize) = (8, 4);
/// How many large bodies are read at a time: they take many times their size while they are.
const LARGE_BODIES: usize = 4;
/// How many previews are fetched at a time, and for one workspace.
const PREVIEWS: (usize, usize) = (32, 8);
/// The bounds of the histograms, in seconds.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Serve the HTTP API: jobs from many users, queued, watched, downloaded.
///
/// Everything is kept in one directory, and what a crash interrupts goes on at the next start.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct ServeArgs {
    /// A TOML file with settings, by the names of the options with `_`; options and variables
    /// win over it
    #[arg(long, env = "HARVESTMAN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// An address or network, optionally with a port, that jobs and webhooks may reach although it
    /// isn't public, e.g. 127.0.0.1:8000 or 10.0.0.0/8; may be repeated
    #[arg(
        long = "allow-address",
        env = "HARVESTMAN_ALLOW_ADDRESS",
        value_delimiter = ',',
        value_name = "ADDR"
    )]
    allowed: Vec<AddressRule>,

    /// Write the log as JSON, an object a line
    #[arg(long, env = "HARVESTMAN_LOG_JSON")]
    pub(crate) log_json: bool,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    means: MeansArgs,
}

const HELP: &str = "\
Examples:
  harvestman serve                                  on this machine, without keys
  harvestman keys create acme && harvestman serve --listen 0.0.0.0:8080 --public-url https://scrape.example.com
  curl localhost:8080/v1/jobs -H 'Content-Type: application/json' -d '{\"urls\": [\"https://example.com/\"]}'

Without any key the service listens on this machine only, and lets everybody on it in. The dashboard is
at /, the reference at /docs/, figures for Prometheus at /metrics.

SIGTERM or Ctrl-C: pages and requests under way finish, everything is saved; a second one ends at once.

Exit codes: 0 stopped as asked; 2 the command or a setting can't be used; 3 the service has failed.";

/// Runs the command until it is told to stop.
pub(crate) async fn main(args: &ServeArgs) -> ExitCode {
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say::error_line(format_args!("harvestman: {error:#}"));
            let is_usage = error.downcast_ref::<Unusable>().is_some()
                || matches!(error.downcast_ref(), Some(harvestman::Error::Invalid { .. }));
            ExitCode::from(if is_usage { 2 } else { 3 })
        }
    }
}

/// A setting that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unusable(String);

async fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let settings = args.settings.over_file(args.config.as_deref())?;
    settings.check()?;
    let listener = TcpListener::bind(settings.listen()).await;
    let listener = listener.with_context(|| format!("cannot listen at {}", settings.listen()))?;
    let address = listener.local_addr()?;
    let metrics = record_metrics()?;
    let mut stop = Stop::listen()?;
    let (app, browser) = open(args, &settings, address, metrics).await?;
    if let Err(error) = greet(&app, args, &settings, address).await {
        app.engine.shutdown().await;
        return Err(error);
    }
    let limits = ServerLimits {
        connections: settings.max_connections.unwrap_or(DEFAULT_CONNECTIONS),
        client_timeout: settings.client_timeout(),
        grace: settings.shutdown_grace(),
    };
    let router = app::router(Arc::clone(&app));
    let server = tokio::spawn(server::serve(listener, router, limits, app.closing.clone()));
    stop.asked().await;
    tracing::info!("stopping");
    app.closing.cancel();
    let orderly = async {
        // The store answers requests under way until the last handle is gone.
        let (_, ()) = tokio::join!(server, app.engine.shutdown());
        if let Some(browser) = browser {
            browser.close().await;
        }
    };
    tokio::select! {
        () = orderly => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// Sets up what the handlers share.
async fn open(
    args: &ServeArgs,
    settings: &Settings,
    address: SocketAddr,
    metrics: PrometheusHandle,
) -> anyhow::Result<(Arc<App>, Option<Browser>)> {
    let data = settings.data();
    make_private(&data)?;
    let public_url = match &settings.public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{address}"))?,
    };
    let secret = settings.webhook_secret.as_ref().map(|secret| Secret::parse(secret.reveal()));
    let secret =
        secret.transpose().map_err(|error| Unusable(format!("webhook_secret: {error}")))?;
    let (router, browser) = router(args, settings)?;
    let router = Arc::new(router);
    let links = Arc::new(LinkKeys::open(&data, public_url.clone(), Timestamp::now())?);
    let storage = settings.buckets.open()?;
    let results = results(settings, &data, &storage)?;
    let mut config = EngineConfig::at(&data)
        .with_router(Arc::clone(&router))
        .with_links(Arc::clone(&links) as _)
        .with_results(&results.directory)
        .with_storage(storage)
        .with_settings(settings.engine());
    if let Some(bucket) = &results.bucket {
        config = config.with_results_in(bucket.location().clone());
    }
    for place in &settings.own_buckets {
        config = config.with_own_bucket(own_bucket(place)?);
    }
    let llm = settings.llm()?;
    if let Some(llm) = &llm {
        config = config.with_llm(llm.clone());
    }
    for rule in &args.allowed {
        config = config.with_allowed(*rule);
    }
    let engine = Engine::open(config).await?;
    let keys = Keys::new(settings.api_keys.clone().unwrap_or_default(), Arc::clone(engine.store()));
    let app = App {
        keys,
        router,
        llm,
        rates: RateLimits::new(settings.rate_limit.unwrap_or(DEFAULT_RATE)),
        links,
        metrics: Metrics(metrics),
        metrics_token: settings.metrics_token.clone(),
        webhook_secret: secret,
        public_url,
        client_timeout: settings.client_timeout(),
        closing: CancellationToken::new(),
        previews: Places::new("previews", PREVIEWS.0, PREVIEWS.1),
        event_streams: Places::new("event streams", EVENT_STREAMS.0, EVENT_STREAMS.1),
        uploads: Places::new("uploads", UPLOADS.0, UPLOADS.1),
        dry_runs: Places::new("dry runs", DRY_RUNS.0, DRY_RUNS.1),
        large_bodies: Semaphore::new(LARGE_BODIES),
        results,
        engine,
    };
    Ok((Arc::new(app), browser))
}

/// Where results are kept, as `--storage` says.
fn results(settings: &Settings, data: &Path, storage: &Storage) -> anyhow::Result<Results> {
    let (directory, bucket) = match &settings.storage {
        Some(StoragePlace::Directory(path)) => (path.clone(), None),
        Some(StoragePlace::Bucket(location)) => {
            (data.join("results"), Some(storage.open(location, &Access::Own)?))
        }
        None => (data.join("results"), None),
    };
    let redirects = settings.redirect_downloads.unwrap_or_default();
    if redirects && bucket.is_none() {
        let message = "redirect_downloads goes with a --storage in a bucket only";
        return Err(Unusable(message.to_owned()).into());
    }
    Ok(Results { directory, bucket, redirects })
}

fn own_bucket(place: &str) -> Result<Location, Unusable> {
    place.parse().map_err(|error| Unusable(format!("own_buckets: {place}: {error}")))
}

/// Makes a directory that nobody else on this machine may look into, unless it is there.
fn make_private(directory: &Path) -> harvestman::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(harvestman::Error::io("make", directory))
}

/// What gets the pages: plain HTTP, and the proxies and the browser that there are.
fn router(
    args: &ServeArgs,
    settings: &Settings,
) -> anyhow::Result<(fetchers::Router, Option<Browser>)> {
    let user_agent = settings.user_agent.as_deref();
    let mut http = Http::builder();
    for rule in &args.allowed {
        http = http.allow(*rule);
    }
    if let Some(user_agent) = user_agent {
        http = http.user_agent(user_agent);
    }
    let mut router = fetchers::Router::new(http.build()?);
    if let Some(proxies) = args.means.open_proxies()? {
        router = router.with_proxies(proxies);
    }
    let browser = args.means.open_browser(|builder| {
        let builder = args.allowed.iter().fold(builder, |builder, rule| builder.allow(*rule));
        match user_agent {
            Some(user_agent) => builder.user_agent(user_agent),
            None => builder,
        }
    })?;
    if let Some(browser) = &browser {
        router = router.with_browser(browser.clone());
    }
    Ok((router, browser))
}

/// Says where the service is and who may use it. Without keys it must be this machine alone.
async fn greet(
    app: &App,
    args: &ServeArgs,
    settings: &Settings,
    address: SocketAddr,
) -> anyhow::Result<()> {
    if app.keys.is_empty().await? {
        if !address.ip().is_loopback() {
            let message = format!(
                "there is no key, so {address} would let everybody in: make one with \
                 `harvestman keys create WORKSPACE`, or listen at 127.0.0.1"
            );
            return Err(Unusable(message).into());
        }
        tracing::warn!("there is no key: everybody on this machine is let in");
    }
    app.results.probe().await?;
    if address.ip().is_unspecified() && settings.public_url.is_none() {
        let message =
            "say with --public-url where users reach the service: links to results lead there";
        return Err(Unusable(message.to_owned()).into());
    }
    for rule in &args.allowed {
        tracing::warn!(%rule, "jobs and webhooks may reach this address");
    }
    for place in &settings.own_buckets {
        tracing::warn!(%place, "every job may read and write this place");
    }
    output_line(format_args!("listening on http://{address}"));
    Ok(())
}

fn record_metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    let handle = builder.install_recorder()?;
    let upkept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            upkept.run_upkeep();
        }
    });
    Ok(handle)
}

/// Hears SIGTERM and Ctrl-C from when it is made.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
