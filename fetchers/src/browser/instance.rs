//! One browser and the pages in it.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use harvestman_engine::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    cdp::{CallError, Connection, Listener},
    process::Process,
};

/// How long a browser may take to start.
const START_TIME: Duration = Duration::from_secs(20);
/// How long the closing of a page may take; a browser that needs longer is replaced.
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// How often the memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// A browser with so many times the memory that it may have is ended at once.
const KILL_FACTOR: u64 = 2;

/// A browser that takes pages. It runs until its connection is closed.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) connection: Connection,
    process: Arc<Process>,
    popups: Arc<Popups>,
    /// Pages that are open.
    pub(super) open: AtomicUsize,
    /// Pages that were ever opened.
    served: AtomicUsize,
    is_retired: AtomicBool,
    /// Its processes have ended and are reaped.
    is_gone: AtomicBool,
}

/// What a browser says that it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct BrowserVersion {
    /// Name and version, e.g. `Chrome/148.0.7778.167`.
    pub product: String,
    /// How it names itself to pages.
    #[serde(rename = "userAgent")]
    pub user_agent: String,
}

impl Instance {
    /// Starts a browser.
    pub(super) async fn start(
        executable: &Path,
        sandbox: bool,
        max_memory: u64,
    ) -> Result<(Arc<Self>, BrowserVersion)> {
        let (process, pipes) = Process::start(executable, sandbox)?;
        let process = Arc::new(process);
        let connection = Connection::new(pipes);
        let version = connection.call("", "Browser.getVersion", json!({}));
        let version = match timeout(START_TIME, version).await {
            Ok(Ok(version)) => version,
            failed => {
                process.end().await;
                return Err(did_not_start(executable, &process, failed.ok()));
            }
        };
        let running = Arc::clone(&process);
        let _ = tokio::task::spawn_blocking(move || running.find_strays()).await;
        let popups = Arc::new(Popups::default());
        connection.listen("", Arc::clone(&popups) as Arc<dyn Listener>);
        connection.tell("", "Target.setDiscoverTargets", &json!({ "discover": true }));
        let instance = Arc::new(Self {
            connection,
            process,
            popups,
            open: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        });
        tokio::spawn(Arc::clone(&instance).watch(max_memory));
        Ok((instance, version))
    }

    /// Whether it takes another page.
    pub(super) fn is_open(&self, recycle_after: usize) -> bool {
        let is_worn = self.served.load(Ordering::Relaxed) >= recycle_after;
        !is_worn && !self.is_retired.load(Ordering::Relaxed) && !self.connection.has_ended()
    }

    /// Whether it can go: it takes no page and has none.
    pub(super) fn is_done(&self, recycle_after: usize) -> bool {
        !self.is_open(recycle_after)
            && (self.open.load(Ordering::Relaxed) == 0 || self.connection.has_ended())
    }

    /// Whether nothing is left of it.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Counts a page in.
    pub(super) fn enter(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes an empty profile whose traffic goes to this proxy.
    pub(super) async fn open_context(&self, proxy: &str) -> Result<String, CallError> {
        let params = json!({
            "disposeOnDetach": true,
            "proxyServer": proxy,
            "proxyBypassList": "<-loopback>",
        });
        let context: Context =
            self.connection.call("", "Target.createBrowserContext", params).await?;
        self.popups.expect(&context.id);
        Ok(context.id)
    }

    /// Closes a profile and its pages, and counts the page out. A browser that can't close it in time
    /// gets no more pages, and is ended after its last one.
    pub(super) async fn leave(&self, context: Option<String>) {
        if let Some(context) = context {
            self.popups.forget(&context);
            let params = json!({ "browserContextId": context });
            let closing = self.connection.call::<Value>("", "Target.disposeBrowserContext", params);
            if !matches!(timeout(CLOSE_TIME, closing).await, Ok(Ok(_))) {
                tracing::debug!("a page could not be closed: its browser is replaced");
                self.is_retired.store(true, Ordering::Relaxed);
            }
        }
        let was_last = self.open.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last && self.is_retired.load(Ordering::Relaxed) {
            self.kill();
        }
    }

    /// Ends the browser at once; its pages fail.
    pub(super) fn kill(&self) {
        self.process.kill();
        self.connection.close();
    }

    /// Looks at the memory while the browser lives, and sees to its end.
    async fn watch(self: Arc<Self>, max_memory: u64) {
        let mut ticks = interval(MEMORY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.connection.ended() => break,
                _ = ticks.tick() => {}
            }
            let process = Arc::clone(&self.process);
            let memory = tokio::task::spawn_blocking(move || process.memory()).await;
            let memory = memory.unwrap_or_default();
            if memory > max_memory.saturating_mul(KILL_FACTOR) {
                tracing::warn!(memory, "a browser has far too much memory and is ended");
                self.kill();
            } else if memory > max_memory && !self.is_retired.swap(true, Ordering::Relaxed) {
                tracing::info!(memory, "a browser has too much memory and is replaced");
            }
        }
        self.process.end().await;
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

fn did_not_start(
    executable: &Path,
    process: &Process,
    answer: Option<Result<BrowserVersion, CallError>>,
) -> Error {
    let why = match (process.complaint(), answer) {
        (complaint, _) if !complaint.is_empty() => complaint,
        (_, Some(Err(error))) => error.to_string(),
        _ => format!("it did not answer within {} s", START_TIME.as_secs()),
    };
    Error::invalid(executable.display().to_string(), format!("the browser did not start: {why}"))
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "browserContextId")]
    id: String,
}

/// Closes the windows that pages open. Each profile has one page of ours, the first.
#[derive(Debug, Default)]
struct Popups {
    /// By profile; whether its own page is there.
    contexts: Mutex<HashMap<String, bool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetInfo {
    target_id: String,
    #[serde(rename = "type")]
    kind: String,
    browser_context_id: Option<String>,
}

impl Popups {
    fn expect(&self, context: &str) {
        self.contexts().insert(context.to_owned(), false);
    }

    fn forget(&self, context: &str) {
        self.contexts().remove(context);
    }

    fn contexts(&self) -> std::sync::MutexGuard<'_, HashMap<String, bool>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is a page that nobody has asked for.
    fn is_popup(&self, target: &TargetInfo) -> bool {
        let mut contexts = self.contexts();
        let context = target.browser_context_id.as_deref().and_then(|id| contexts.get_mut(id));
        context.is_some_and(|has_page| target.kind == "page" && std::mem::replace(has_page, true))
    }
}

impl Listener for Popups {
    fn on_event(&self, method: &str, params: &RawValue, connection: &Connection) {
        if method != "Target.targetCreated" {
            return;
        }
        let Ok(created) = serde_json::from_str::<Created>(params.get()) else { return };
        let target = created.target_info;
        if self.is_popup(&target) {
            connection.tell("", "Target.closeTarget", &json!({ "targetId": target.target_id }));
        }
    }
}
