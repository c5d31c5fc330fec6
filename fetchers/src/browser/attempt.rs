//! One attempt at one page.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use cookie_store::{Cookie, CookieExpiration, RawCookie};
use harvestman_engine::{
    Code, FetchError, Page, Params, Task,
    params::{Action, MAX_ACTION_TIME, Screenshot},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use url::Url;

use super::{
    Settings, actions,
    cdp::CallError,
    egress::Egress,
    events::{Answer, MAX_DIALOGS},
    page::{Captured, Failed, Navigated, Setup, Tab},
    pool::{Pool, Room},
};
use crate::{failure, proxies::Jar, way::Way};

/// How long a page whose network is never idle is waited for after it has loaded, and one that is
/// empty then.
const MAX_IDLE_WAIT: Duration = Duration::from_secs(5);
/// The largest image that is kept, in bytes.
const MAX_IMAGE_BYTES: usize = 32 * 1024 * 1024;

/// What an attempt is waiting for, for its last words.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Stage {
    Browser,
    Answer,
    Load,
    Actions,
    Element,
    Capture,
}

const STAGES: [Stage; 6] =
    [Stage::Browser, Stage::Answer, Stage::Load, Stage::Actions, Stage::Element, Stage::Capture];

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pool: &'a Pool,
    task: &'a Task,
    url: &'a Url,
    way: &'a Way<'a>,
    screenshots: Option<&'a Path>,
    stage: AtomicU8,
    /// Which action it is at, from 1.
    action: AtomicU8,
    /// Why a connection of the page failed, kept for the last words.
    refusal: Mutex<Option<FetchError>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        pool: &'a Pool,
        task: &'a Task,
        url: &'a Url,
        way: &'a Way<'a>,
        screenshots: Option<&'a Path>,
    ) -> Self {
        Self {
            pool,
            task,
            url,
            way,
            screenshots,
            stage: AtomicU8::new(Stage::Browser as u8),
            action: AtomicU8::new(0),
            refusal: Mutex::default(),
        }
    }

    fn params(&self) -> &Params {
        self.task.params()
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// The error of an attempt whose time is up.
    pub(super) fn too_late(&self, limit: Duration) -> FetchError {
        let waited_for = match STAGES[usize::from(self.stage.load(Ordering::Relaxed))] {
            Stage::Browser => "no browser had room".to_owned(),
            Stage::Answer => "no answer came".to_owned(),
            Stage::Load => "the page did not finish loading".to_owned(),
            Stage::Actions => {
                format!("action {} was not done", self.action.load(Ordering::Relaxed))
            }
            Stage::Element => {
                let selector = self.params().wait_for.as_ref();
                format!("no `{}` appeared", selector.map_or("", |selector| selector.as_str()))
            }
            Stage::Capture => "the page could not be taken: its script does not rest".to_owned(),
        };
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        let seconds = limit.as_secs_f64();
        let message = format!("{}: {waited_for} within {seconds:.1} s", failure::shown(self.url));
        refusal.unwrap_or_else(|| FetchError::new(Code::Timeout, message))
    }

    pub(super) async fn run(&self) -> Result<Page, FetchError> {
        let mut room = self.pool.enter().await?;
        self.enter(Stage::Answer);
        let proxy = self.way.proxy().map(|proxy| proxy.url().clone());
        let Settings { guard, names, .. } = &self.pool.settings;
        let egress = Egress::open(guard.clone(), Arc::clone(names), proxy).await;
        let egress = egress.map_err(|error| {
            FetchError::new(Code::Internal, format!("no port for the page: {error}"))
        })?;
        let context = room.open_context(egress).await?.to_owned();
        let agent = self.pool.settings.user_agent.as_deref();
        let mut setup = Setup::new(self.url, self.params(), agent);
        if let Some(jar) = self.way.jar() {
            setup.cookies.extend(jar.all().iter().map(cookie_to_browser));
        }
        let connection = &room.instance.connection;
        let connection = connection.clone();
        let tab = Tab::open(&connection, &context, &setup).await.map_err(failed)?;
        room.distrust(tab.session());
        let result = tokio::select! {
            result = self.visit(&tab, &room) => result,
            () = tab.events.broken() => Err(broken(&tab)),
            () = connection.ended() => Err(failed(CallError::Ended)),
        };
        if let (Some(jar), false) = (self.way.jar(), connection.has_ended()) {
            keep_cookies(&tab, jar).await;
        }
        if result.is_ok() {
            room.trust();
        }
        result
    }

    async fn visit(&self, tab: &Tab, room: &Room) -> Result<Page, FetchError> {
        let navigated = tab.navigate(self.url).await.map_err(failed)?;
        if let Some(error) = self.navigation_error(&navigated, tab, room) {
            return Err(error);
        }
        self.settle(tab).await?;
        self.enter(Stage::Capture);
        let captured =
            tab.capture(self.params().max_bytes()).await.map_err(|error| self.failed(error))?;
        let answer = tab.events.look(|state| state.answer.clone());
        if room.egress().is_some_and(Egress::is_used_up) {
            return Err(FetchError::new(Code::BodyTooLarge, "the page loads more than 256 MiB"));
        }
        let page = self.page(captured, answer)?;
        self.with_image(tab, page).await
    }

    /// Waits until the page is as it should be taken.
    async fn settle(&self, tab: &Tab) -> Result<(), FetchError> {
        let params = self.params();
        let actions = params.actions.as_deref().unwrap_or_default();
        if params.wait_for.is_none() || !actions.is_empty() {
            self.enter(Stage::Load);
            tab.events.loaded().await;
        }
        if !actions.is_empty() {
            self.act(tab, actions).await?;
        }
        if let Some(selector) = &params.wait_for {
            self.enter(Stage::Element);
            tab.wait_for(selector).await.map_err(|error| self.failed(error))?;
        } else {
            // A page that goes on asking, or that stays empty, is taken as it is.
            let _ = timeout(MAX_IDLE_WAIT, tab.events.idle()).await;
            let _ = timeout(MAX_IDLE_WAIT, tab.wait_for_content()).await;
        }
        sleep(params.wait.unwrap_or_default()).await;
        Ok(())
    }

    async fn act(&self, tab: &Tab, actions: &[Action]) -> Result<(), FetchError> {
        self.enter(Stage::Actions);
        let all = async {
            for (number, action) in (1..).zip(actions) {
                self.action.store(number, Ordering::Relaxed);
                actions::carry_out(tab, action).await.map_err(|error| self.failed(error))?;
            }
            Ok(())
        };
        timeout(MAX_ACTION_TIME, all).await.unwrap_or_else(|_| Err(self.too_late(MAX_ACTION_TIME)))
    }

    fn failed(&self, error: Failed) -> FetchError {
        let message = format!("{}: {error}", failure::shown(self.url));
        let is_final = matches!(error, Failed::NoSelector(_));
        let error = FetchError::new(Code::RenderFailed, message).with_source(error);
        if is_final { error.permanent() } else { error }
    }

    /// What a navigation that came to nothing came to.
    fn navigation_error(&self, done: &Navigated, tab: &Tab, room: &Room) -> Option<FetchError> {
        let text = done.error_text.as_deref().filter(|text| !text.is_empty())?;
        let answer = tab.events.look(|state| state.answer.clone());
        let shown = failure::shown(self.url);
        let (code, what) = match text {
            _ if done.is_download => (Code::DecodeError, "the answer is a download".to_owned()),
            "net::ERR_ABORTED" if answer.is_some() => {
                (Code::DecodeError, "the answer is no page".to_owned())
            }
            // It has a status and nothing to show.
            "net::ERR_HTTP_RESPONSE_CODE_FAILURE" => {
                let answer = answer?;
                return failure::of_answer(status(&answer), &answer.headers, self.params());
            }
            text if text.starts_with("net::ERR_SOCKS") || text.starts_with("net::ERR_PROXY") => {
                let host = self.url.host_str();
                if let Some(error) = room.egress().and_then(|egress| egress.failure(host)) {
                    return Some(error);
                }
                (Code::ConnectFailed, "no connection".to_owned())
            }
            text => told_apart(text),
        };
        Some(FetchError::new(code, format!("{shown}: {what}")))
    }

    /// Judges what was taken.
    fn page(&self, captured: Captured, answer: Option<Answer>) -> Result<Page, FetchError> {
        let max = self.params().max_bytes();
        let url = Url::parse(&captured.url).ok().filter(|url| url.scheme().starts_with("http"));
        let Some(url) = url else {
            let scheme: String = captured.url.chars().take_while(|c| *c != ':').take(20).collect();
            let message = format!("{} went to a page of {scheme}:", failure::shown(self.url));
            return Err(FetchError::new(Code::RenderFailed, message));
        };
        let answer =
            answer.unwrap_or_else(|| Answer { status: 200, headers: http::HeaderMap::new() });
        let fail =
            |error: FetchError| error.with_http_status(answer.status).with_final_url(url.as_str());
        let Some(text) = captured.text.filter(|text| text.len() as u64 <= max) else {
            return Err(fail(failure::too_large(max)));
        };
        if ["image/", "video/", "audio/"].iter().any(|kind| captured.content_type.starts_with(kind))
        {
            return Err(fail(failure::binary("an image, a film or a sound")));
        }
        let refused = failure::of_answer(status(&answer), &answer.headers, self.params());
        let blocks = self.pool.settings.blocks.as_ref();
        let blocked =
            blocks.and_then(|blocks| blocks.judge(answer.status, &answer.headers, &text, true));
        // An error page may well be empty.
        let blocked = blocked.filter(|error| refused.is_none() || error.code != Code::RenderFailed);
        if let Some(error) = blocked.or(refused) {
            return Err(fail(error));
        }
        Ok(Page::new(url, text).with_status(answer.status).with_headers(answer.headers))
    }

    async fn with_image(&self, tab: &Tab, page: Page) -> Result<Page, FetchError> {
        let (Some(directory), part @ (Screenshot::Viewport | Screenshot::Full)) =
            (self.screenshots, self.params().screenshot())
        else {
            return Ok(page);
        };
        let image = tab.image(part).await.map_err(|error| self.failed(error))?;
        if image.len() > MAX_IMAGE_BYTES {
            let message = format!("the image is larger than {MAX_IMAGE_BYTES} bytes");
            return Err(FetchError::new(Code::RenderFailed, message).permanent());
        }
        let file = format!("{:09}.png", self.task.index());
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (directory, path) = (directory.to_owned(), directory.join(&file));
        let written = tokio::task::spawn_blocking(move || write(&directory, &path, &image)).await;
        let written = written.map_err(std::io::Error::other).flatten();
        written.map_err(|error| {
            FetchError::new(Code::Internal, format!("the image can't be written: {error}"))
        })?;
        Ok(page.with_screenshot(format!("{name}/{file}")))
    }
}

/// Whole or not at all.
fn write(directory: &Path, path: &Path, image: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, image)?;
    file.persist(path)?;
    Ok(())
}

fn status(answer: &Answer) -> StatusCode {
    StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK)
}

fn failed(error: CallError) -> FetchError {
    FetchError::new(Code::RenderFailed, error.to_string()).with_source(error)
}

fn broken(tab: &Tab) -> FetchError {
    let what = if tab.events.look(|state| state.has_crashed) {
        "the page has crashed".to_owned()
    } else {
        format!("the page has opened more than {MAX_DIALOGS} dialogs")
    };
    FetchError::new(Code::RenderFailed, what)
}

/// Chromium's name for a network error, as a code of ours.
fn told_apart(text: &str) -> (Code, String) {
    let name = text.trim_start_matches("net::").to_owned();
    let code = match &*name {
        "ERR_TOO_MANY_REDIRECTS"
        | "ERR_UNSAFE_REDIRECT"
        | "ERR_UNKNOWN_URL_SCHEME"
        | "ERR_INVALID_REDIRECT" => Code::TooManyRedirects,
        "ERR_TIMED_OUT" | "ERR_CONNECTION_TIMED_OUT" => Code::Timeout,
        "ERR_CONTENT_LENGTH_MISMATCH" | "ERR_INCOMPLETE_CHUNKED_ENCODING" => Code::Truncated,
        "ERR_CONTENT_DECODING_FAILED" => Code::DecodeError,
        name if name.starts_with("ERR_CERT") || name.starts_with("ERR_SSL") => Code::TlsError,
        name if name.starts_with("ERR_CONNECTION")
            || name.starts_with("ERR_EMPTY")
            || name.starts_with("ERR_INVALID_HTTP")
            || name.starts_with("ERR_HTTP2") =>
        {
            Code::ConnectFailed
        }
        _ => Code::RenderFailed,
    };
    (code, name)
}

#[derive(Deserialize)]
struct Cookies {
    cookies: Vec<BrowserCookie>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrowserCookie {
    name: String,
    value: String,
    domain: String,
    path: String,
    expires: f64,
    http_only: bool,
    secure: bool,
}

fn cookie_to_browser(cookie: &Cookie<'static>) -> Value {
    let mut json = json!({
        "name": cookie.name(),
        "value": cookie.value(),
        "path": &*cookie.path,
        "secure": cookie.secure().unwrap_or(false),
        "httpOnly": cookie.http_only().unwrap_or(false),
    });
    let domain = cookie.domain.as_cow().unwrap_or_default();
    json["domain"] = if cookie.domain().is_some() {
        format!(".{}", domain.trim_start_matches('.')).into()
    } else {
        domain.into_owned().into()
    };
    if let CookieExpiration::AtUtc(at) = cookie.expires {
        json["expires"] = at.unix_timestamp().into();
    }
    json
}

/// Gives the session the cookies that the page has now.
async fn keep_cookies(tab: &Tab, jar: &Jar) {
    let asked = tab.call::<Cookies>("Network.getCookies", json!({}));
    // Without them the session goes on with those that it had.
    let Ok(Ok(Cookies { cookies })) = timeout(Duration::from_secs(1), asked).await else { return };
    for cookie in cookies {
        let scheme = if cookie.secure { "https" } else { "http" };
        let host = cookie.domain.trim_start_matches('.');
        let Ok(url) = Url::parse(&format!("{scheme}://{host}{}", cookie.path)) else { continue };
        let mut raw = RawCookie::build((cookie.name, cookie.value))
            .path(cookie.path)
            .secure(cookie.secure)
            .http_only(cookie.http_only);
        if cookie.domain.starts_with('.') {
            raw = raw.domain(host.to_owned());
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let left = cookie.expires - now.unwrap_or_default().as_secs_f64();
        let left =
            std::time::Duration::try_from_secs_f64(left).ok().filter(|_| cookie.expires > 0.0);
        if let Some(left) = left.and_then(|left| left.try_into().ok()) {
            raw = raw.max_age(left);
        }
        jar.insert(&raw.build(), &url);
    }
}
