//! One fetcher for all tasks: chooses the means by a task's parameters.

mod escalate;

use async_trait::async_trait;
#[cfg(feature = "render")]
use harvestman_engine::Admission;
use harvestman_engine::{Code, FetchError, Fetcher, Page, Params, Task};

use self::escalate::Rung;
#[cfg(feature = "render")]
use crate::Browser;
use crate::{Http, Proxies, request::refuse_robots, way::Way};

/// Fetches each task by the means that its parameters ask for: plain HTTP, a proxy of a class and
/// country, a session, a browser.
///
/// What there are no means for is refused, by name and with what to configure: ask
/// [`check`](Self::check) before a job is accepted; a task that asks for it all the same gets its
/// error and is not tried again.
///
/// With `retry.escalate` a task that was refused (`blocked`, `captcha`, or a bare 403) is tried by
/// the next stronger means: the next class of proxy that there is, and last a browser. An empty shell
/// goes to the browser at once. It is the driver that tries again: the error tells it the
/// [means](FetchError::means), which it pays for.
///
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Router {
    http: Http,
    proxies: Proxies,
    #[cfg(feature = "render")]
    browser: Option<Browser>,
}

impl Router {
    /// A router without proxies and without a browser, which keeps sessions.
    pub fn new(http: Http) -> Self {
        Self {
            http,
            proxies: Proxies::default(),
            #[cfg(feature = "render")]
            browser: None,
        }
    }

    /// Sets the proxies for tasks with a `proxy_type` or a `country`.
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// The proxies that there are.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Sets the browser for tasks with `render` or what only a browser can do.
    #[cfg(feature = "render")]
    pub fn with_browser(mut self, browser: Browser) -> Self {
        self.browser = Some(browser);
        self
    }

    /// Refuses parameters that this router has no means for, and says what to configure.
    pub fn check(&self, params: &Params) -> Result<(), FetchError> {
        refuse_robots(params)?;
        if params.needs_browser() {
            self.check_browser(params)?;
        }
        if params.proxy_type.is_some() || params.country.is_some() {
            self.proxies.check(params.proxy_type, params.country.as_deref())?;
        }
        Ok(())
    }

    #[cfg(feature = "render")]
    fn check_browser(&self, params: &Params) -> Result<(), FetchError> {
        match &self.browser {
            Some(_) => crate::browser::check(params),
            None => Err(no_browser(params)),
        }
    }

    #[cfg(not(feature = "render"))]
    #[expect(clippy::unused_self, reason = "with a browser it is used")]
    fn check_browser(&self, params: &Params) -> Result<(), FetchError> {
        Err(no_browser(params))
    }

    /// What the next attempt at a refused task is made with, if it may be other than this one.
    fn stronger(&self, params: &Params, error: &FetchError) -> Option<Params> {
        if !escalate::is_asked(params) {
            return None;
        }
        let (rung, country) = (Rung::of(params), params.country.as_deref());
        let can_render = self.check_browser(params).is_ok();
        let next = rung.next(error, &self.proxies, country, can_render)?;
        Some(next.apply(params))
    }

    async fn attempt(&self, task: &Task) -> Result<Page, FetchError> {
        let params = task.params();
        let (class, country) = (params.proxy_type, params.country.as_deref());
        let session = params.session_id.as_deref();
        if class.is_none() && country.is_none() {
            let jar = session.map(|session| self.proxies.direct_jar(session));
            return self.fetch_by(task, &Way::in_session(jar)).await;
        }
        let lease = self.proxies.lease(class, country, session)?;
        let result = self.fetch_by(task, &Way::through(&self.proxies, &lease)).await;
        lease.settle(&result);
        result
    }

    async fn fetch_by(&self, task: &Task, way: &Way<'_>) -> Result<Page, FetchError> {
        #[cfg(feature = "render")]
        if let Some(browser) = self.browser.as_ref().filter(|_| task.params().needs_browser()) {
            return browser.fetch_by(task, way).await;
        }
        self.http.fetch_by(task, way).await
    }
}

#[async_trait]
impl Fetcher for Router {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        self.check(task.params())?;
        self.attempt(task).await.map_err(|error| match self.stronger(task.params(), &error) {
            Some(means) => escalate::by_means(error, means),
            None => error,
        })
    }

    #[cfg(feature = "render")]
    async fn admit(&self, task: &Task) -> Admission {
        match &self.browser {
            Some(browser) if task.params().needs_browser() => browser.admit(task).await,
            _ => Admission::default(),
        }
    }
}

fn no_browser(params: &Params) -> FetchError {
    let name = match params {
        _ if params.render == Some(true) => "render",
        Params { wait_for: Some(_), .. } => "wait_for",
        Params { actions: Some(_), .. } => "actions",
        _ => "screenshot",
    };
    let message = format!(
        "`{name}` needs a browser; install Chromium (Debian: apt-get install \
         chromium-headless-shell, or chromium) or configure where one is (--browser PATH), or leave \
         it out"
    );
    FetchError::new(Code::RenderFailed, message).permanent()
}
