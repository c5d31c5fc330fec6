//! Pages in a real browser.

mod actions;
mod attempt;
mod cdp;
mod egress;
mod events;
mod instance;
mod locate;
mod page;
mod pool;
mod process;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use harvestman_engine::{
    Admission, Code, Error, FetchError, Fetcher, Page, Params, Result, Task,
    address::{AddressGuard, AddressRule},
    params::Screenshot,
};
use tokio::time::timeout;

pub use self::instance::BrowserVersion;
use self::{attempt::Attempt, pool::Pool};
use crate::{
    blocks::BlockDetector,
    request::refuse_unrenderable,
    resolver::{Resolver, SystemResolver},
    way::Way,
};

/// The most pages at a time that can be asked for.
const MAX_PAGES: usize = 256;
/// How many pages a browser has before it is replaced, unless told otherwise.
const DEFAULT_RECYCLE_AFTER: usize = 500;
/// The memory that a browser may have, unless told otherwise: 3 GiB.
const DEFAULT_MAX_MEMORY: u64 = 3 * 1024 * 1024 * 1024;
/// How much before the task's deadline an attempt ends by itself, so that it can say what it waited
/// for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Renders pages in Chromium: scripts run, and the page is taken as a person would see it.
///
/// - Each task has a profile of its own, which is gone after it. A page is taken when its `wait_for`
///   element is there; without one, when it has loaded, its network has been idle for half a second
///   and there is something to see (waiting 5 s at most for each of these). `actions` come before
///   that, `wait_ms` after it.
/// - The whole attempt has the task's deadline. Whatever a page does (endless scripts, crashes,
///   dialogs, windows, downloads) costs its attempt and no other. A browser that dies is replaced
///   at the next attempt; one that has had 500 pages or too much memory is, too.
/// - All traffic of a page goes through a proxy of ours that connects to checked addresses only, as
///   [`Http`](crate::Http) does, after resolution and for whatever the page asks for. The browser
///   itself resolves no names and connects to nothing else.
/// - Chromium's sandbox is on unless it is switched [off](BrowserBuilder::sandbox).
/// - The browser's processes end with this process, even if that is killed.
///
/// Only GET requests are rendered. Redirects are the browser's affair: `follow_redirects` does not
/// count them (Chromium follows 20).
///
/// Clones share the browsers.
#[derive(Clone, Debug)]
pub struct Browser {
    pool: Arc<Pool>,
    screenshots: Option<Arc<Path>>,
}

impl Browser {
    /// Browsers with the default settings.
    ///
    /// Fails if no Chromium is found, with what to install. None is started before it is needed.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Browsers with settings.
    pub fn builder() -> BrowserBuilder {
        BrowserBuilder::default()
    }

    /// The Chromium of this machine, if there is one.
    pub fn find() -> Option<PathBuf> {
        locate::find()
    }

    /// The same browsers, with a directory for the images that tasks ask for. A record names its image
    /// by the directory's name and its own, e.g. `out.screenshots/000000012.png`.
    pub fn with_screenshots(mut self, directory: impl Into<PathBuf>) -> Self {
        self.screenshots = Some(directory.into().into());
        self
    }

    /// Starts a browser, if none runs, and asks it what it is.
    pub async fn version(&self) -> Result<BrowserVersion> {
        self.pool.version().await
    }

    /// The program that is run.
    pub fn executable(&self) -> &Path {
        &self.pool.settings.executable
    }

    /// How many pages are open at a time at most.
    pub fn pages(&self) -> usize {
        self.pool.settings.pages
    }

    /// Ends all browsers and waits until their processes are gone. Pages that are open fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Makes one attempt on a way that somebody has chosen.
    pub(crate) async fn fetch_by(&self, task: &Task, way: &Way<'_>) -> Result<Page, FetchError> {
        let params = task.params();
        check(params)?;
        if params.screenshot() != Screenshot::Off && self.screenshots.is_none() {
            let message =
                "`screenshot` needs a directory for images; configure one, or leave it out";
            return Err(FetchError::new(Code::RenderFailed, message).permanent());
        }
        let url = task.target().map_err(|error| FetchError::new(error.code, &*error.message))?;
        let attempt = Attempt::new(&self.pool, task, url, way, self.screenshots.as_deref());
        let limit = params.timeout().saturating_sub(LAST_WORDS);
        match timeout(limit, attempt.run()).await {
            Ok(result) => result,
            Err(_) => Err(attempt.too_late(limit)),
        }
    }
}

#[async_trait]
impl Fetcher for Browser {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        refuse_unrenderable(task.params())?;
        self.fetch_by(task, &Way::direct()).await
    }

    async fn admit(&self, _task: &Task) -> Admission {
        Admission::holding(self.pool.admit().await)
    }
}

/// Refuses what a browser can't do.
pub(crate) fn check(params: &Params) -> Result<(), FetchError> {
    let is_get = params.method.as_ref().is_none_or(|method| method == http::Method::GET);
    let name = match (is_get, &params.body) {
        (false, _) => "method",
        (_, Some(_)) => "body",
        _ => return Ok(()),
    };
    let message = format!("`{name}` can't be had with `render`: a browser only gets pages");
    Err(FetchError::new(Code::RenderFailed, message).permanent())
}

/// The settings of a [`Browser`].
#[derive(Clone, Debug)]
pub struct BrowserBuilder {
    executable: Option<PathBuf>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    executable: PathBuf,
    guard: AddressGuard,
    names: Arc<dyn Resolver>,
    sandbox: bool,
    pages: usize,
    recycle_after: usize,
    max_memory: u64,
    user_agent: Option<String>,
    blocks: Option<BlockDetector>,
}

impl Default for BrowserBuilder {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let settings = Settings {
            executable: PathBuf::new(),
            guard: AddressGuard::new(),
            names: Arc::new(SystemResolver),
            sandbox: true,
            pages: (2 * cores).min(MAX_PAGES),
            recycle_after: DEFAULT_RECYCLE_AFTER,
            max_memory: DEFAULT_MAX_MEMORY,
            user_agent: None,
            blocks: Some(BlockDetector::default()),
        };
        Self { executable: None, settings }
    }
}

impl BrowserBuilder {
    /// Sets where Chromium is; by default it is looked for where distributions put it.
    ///
    /// Its headless shell (Debian: `chromium-headless-shell`) comes before the whole browser: it takes
    /// a quarter of the processors' time for a page and half of the memory. A page that shuns browsers
    /// without a window tells it more easily; for such pages, name the whole one here.
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// Lets pages load from addresses that are not public.
    pub fn allow(mut self, rule: AddressRule) -> Self {
        self.settings.guard = self.settings.guard.with_allowed(rule);
        self
    }

    /// Sets what finds the addresses of names; the system's resolver by default.
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.settings.names = resolver;
        self
    }

    /// Switches Chromium's sandbox; on by default. Root can't have it: in a container that has no
    /// other user, switch it off and let the container be the wall.
    pub fn sandbox(mut self, is_on: bool) -> Self {
        self.settings.sandbox = is_on;
        self
    }

    /// Sets how many pages are open at a time, 1 to 256; by default two for each core.
    pub fn pages(mut self, pages: usize) -> Self {
        self.settings.pages = pages.clamp(1, MAX_PAGES);
        self
    }

    /// Sets after how many pages a browser is replaced, at least 1; 500 by default.
    pub fn recycle_after(mut self, pages: usize) -> Self {
        self.settings.recycle_after = pages.max(1);
        self
    }

    /// Sets the memory of all processes of a browser, in bytes, above which it is replaced when its
    /// pages are done, and at twice of which it is ended at once; 3 GiB by default.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.settings.max_memory = bytes;
        self
    }

    /// Sets the user agent of tasks that don't name one; by default Chromium's own.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.settings.user_agent = Some(user_agent.into());
        self
    }

    /// Sets how challenges and captchas are told from pages; see [`BlockDetector`].
    pub fn blocks(mut self, detector: impl Into<Option<BlockDetector>>) -> Self {
        self.settings.blocks = detector.into();
        self
    }

    /// Makes the fetcher; no browser is started yet.
    ///
    /// Fails if there is no Chromium, with what to install, and on a user agent with control
    /// characters.
    pub fn build(mut self) -> Result<Browser> {
        self.settings.executable = locate::locate(self.executable.as_deref())?;
        let user_agent = self.settings.user_agent.as_deref().unwrap_or_default();
        if http::HeaderValue::from_str(user_agent).is_err() {
            let message = "holds a control character; write plain text";
            return Err(Error::invalid("user_agent", message));
        }
        if !self.settings.sandbox {
            tracing::warn!("the browser's sandbox is off: a hostile page may get at this account");
        }
        Ok(Browser { pool: Arc::new(Pool::new(self.settings)), screenshots: None })
    }
}
