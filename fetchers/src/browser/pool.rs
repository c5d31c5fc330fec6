//! Browsers that are kept running, and room for pages in them.

use std::{
    sync::{Arc, Mutex as SyncMutex, PoisonError},
    time::Duration,
};

use harvestman_engine::{Code, FetchError, Result};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
};

use super::{BrowserVersion, Settings, egress::Egress, instance::Instance};

/// How often a closing pool looks whether its browsers are gone.
const CLOSE_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: Settings,
    /// Attempts that a driver has let in.
    entrance: Arc<Semaphore>,
    /// Pages that are open; the same number, for whoever comes without a driver.
    pages: Arc<Semaphore>,
    browsers: Mutex<Vec<Arc<Instance>>>,
    version: SyncMutex<Option<BrowserVersion>>,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Self {
        let semaphore = || Arc::new(Semaphore::new(settings.pages));
        let (entrance, pages) = (semaphore(), semaphore());
        Self {
            settings,
            entrance,
            pages,
            browsers: Mutex::default(),
            version: SyncMutex::default(),
        }
    }

    /// Waits until one more attempt may begin.
    pub(super) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.entrance).acquire_owned().await.ok()
    }

    /// Room for a page in a browser that takes one; starts one if there is none.
    pub(super) async fn enter(&self) -> Result<Room, FetchError> {
        let permit = Arc::clone(&self.pages).acquire_owned().await;
        let permit =
            permit.map_err(|_| FetchError::new(Code::Cancelled, "the browser is closed"))?;
        let instance = self.instance(true).await.map_err(|error| {
            let message = error.to_string();
            FetchError::new(Code::RenderFailed, message).with_source(error)
        })?;
        Ok(Room { instance, permit: Some(permit), context: None, session: None, egress: None })
    }

    pub(super) async fn version(&self) -> Result<BrowserVersion> {
        let _running = self.instance(false).await?;
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(version.clone().expect("a browser that runs has said its version"))
    }

    /// A browser that takes pages, with one more counted in if it is `entered`; started if there is
    /// none, one at a time.
    async fn instance(&self, entered: bool) -> Result<Arc<Instance>> {
        let mut browsers = self.browsers.lock().await;
        let browser = self.running(&mut browsers).await?;
        // While the list is locked: nobody may find the browser empty and end it.
        if entered {
            browser.enter();
        }
        Ok(browser)
    }

    async fn running(&self, browsers: &mut Vec<Arc<Instance>>) -> Result<Arc<Instance>> {
        let recycle_after = self.settings.recycle_after;
        for done in browsers.extract_if(.., |browser| browser.is_done(recycle_after)) {
            done.connection.close();
        }
        if let Some(browser) = browsers.iter().find(|browser| browser.is_open(recycle_after)) {
            return Ok(Arc::clone(browser));
        }
        let Settings { executable, sandbox, max_memory, .. } = &self.settings;
        let (browser, version) = Instance::start(executable, *sandbox, *max_memory).await?;
        tracing::debug!(product = version.product, "a browser has started");
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        browsers.push(Arc::clone(&browser));
        Ok(browser)
    }

    /// Ends all browsers.
    pub(super) async fn close(&self) {
        let browsers = std::mem::take(&mut *self.browsers.lock().await);
        for browser in &browsers {
            browser.connection.close();
        }
        while browsers.iter().any(|browser| !browser.is_gone()) {
            tokio::time::sleep(CLOSE_INTERVAL).await;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for browser in self.browsers.get_mut() {
            browser.connection.close();
        }
    }
}

/// Room for one page. When it is dropped the page's profile is closed, behind the caller's back, and
/// the room is given to the next one after that.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) instance: Arc<Instance>,
    permit: Option<OwnedSemaphorePermit>,
    context: Option<String>,
    /// The session of a page that may not listen any more.
    session: Option<String>,
    egress: Option<Egress>,
}

impl Room {
    /// Opens a profile that goes out by `egress`, and gives its name.
    pub(super) async fn open_context(&mut self, egress: Egress) -> Result<&str, FetchError> {
        let context = self.instance.open_context(&egress.url()).await.map_err(|error| {
            FetchError::new(Code::RenderFailed, error.to_string()).with_source(error)
        })?;
        self.egress = Some(egress);
        Ok(self.context.insert(context))
    }

    /// From now on the page counts as one that has to be ended by force.
    pub(super) fn distrust(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// The page has done what was asked and can be closed like any other.
    pub(super) fn trust(&mut self) {
        self.session = None;
    }

    pub(super) fn egress(&self) -> Option<&Egress> {
        self.egress.as_ref()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (instance, context) = (Arc::clone(&self.instance), self.context.take());
        let permit = self.permit.take();
        // Cuts the page's connections at once.
        drop(self.egress.take());
        // A page whose script does not rest would hold up the closing for seconds.
        if let Some(session) = &self.session {
            instance.connection.tell(session, "Page.crash", &serde_json::json!({}));
        }
        // Without a runtime everything ends with it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                instance.leave(context).await;
                drop(permit);
            });
        }
    }
}
