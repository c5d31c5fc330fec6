//! One page in a browser: opened, told what to do, looked at.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use harvestman_engine::{
    Params,
    params::{Screenshot, Selector},
};
use http::{HeaderValue, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    cdp::{CallError, Connection, Listener},
    events::{Credentials, Events},
};

/// The window's size, in CSS pixels.
const VIEWPORT: (u32, u32) = (1_280, 800);
/// The most pixels that an image of a whole page is high.
const MAX_IMAGE_HEIGHT: f64 = 16_384.0;
/// Time between two tries when a page replaces its document under us.
const AGAIN_TIME: Duration = Duration::from_millis(20);

/// Waits for an element; gives `false` at once if the selector is none.
const WAIT_FOR: &str = r"(selector => new Promise((resolve, reject) => {
    const found = () => document.querySelector(selector) !== null;
    try { if (found()) return resolve(true); } catch (error) { return resolve(false); }
    const observer = new MutationObserver(() => {
        if (found()) { observer.disconnect(); resolve(true); }
    });
    observer.observe(document, {
        subtree: true, childList: true, attributes: true, characterData: true,
    });
}))";

/// Waits until there is something to see, if a script may put it there.
const WAIT_FOR_CONTENT: &str = r"(() => new Promise(resolve => {
    const has = () => document.scripts.length === 0 || document.body?.innerText.trim()
        || document.querySelector('img, svg, canvas, video, iframe, object, input') !== null;
    if (has()) return resolve(true);
    const observer = new MutationObserver(() => {
        if (has()) { observer.disconnect(); resolve(true); }
    });
    observer.observe(document, { subtree: true, childList: true, characterData: true });
}))()";

/// The page as it is now.
const CAPTURE: &str = r"(max => {
    const root = document.documentElement;
    const isMarkup = /html|xml/.test(document.contentType);
    const type = document.doctype ? '<!DOCTYPE ' + document.doctype.name + '>' : '';
    const text = !root ? '' : isMarkup ? type + root.outerHTML : root.textContent;
    const head = { url: document.URL, type: document.contentType };
    return text.length > max ? { ...head, size: text.length } : { ...head, text: text.toWellFormed() };
})";

/// A page of ours.
pub(super) struct Tab {
    connection: Connection,
    session: String,
    frame: String,
    pub(super) events: Arc<Events>,
}

impl fmt::Debug for Tab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tab").field(&self.session).finish()
    }
}

/// Why a page could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("`{0}` is no CSS selector")]
    NoSelector(Selector),
    #[error("the page's script failed: {0}")]
    Script(String),
}

/// What came of a navigation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Navigated {
    pub(super) error_text: Option<String>,
    #[serde(default)]
    pub(super) is_download: bool,
}

/// A page as it was taken.
#[derive(Debug, Deserialize)]
pub(super) struct Captured {
    pub(super) url: String,
    #[serde(rename = "type")]
    pub(super) content_type: String,
    /// Missing if it is too large.
    pub(super) text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    target_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attached {
    session_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct World {
    execution_context_id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluated {
    result: Remote,
    exception_details: Option<Value>,
}

#[derive(Deserialize)]
struct Remote {
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Image {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    css_content_size: Size,
}

#[derive(Deserialize)]
struct Size {
    width: f64,
    height: f64,
}

impl Tab {
    /// Opens an empty page in a profile and prepares it for a task.
    pub(super) async fn open(
        connection: &Connection,
        context: &str,
        task: &Setup<'_>,
    ) -> Result<Self, CallError> {
        let params = json!({ "url": "about:blank", "browserContextId": context });
        let target: Target = connection.call("", "Target.createTarget", params).await?;
        // The target and its main frame have one name.
        let frame = target.target_id;
        let params = json!({ "targetId": frame, "flatten": true });
        let attached: Attached = connection.call("", "Target.attachToTarget", params).await?;
        let session = attached.session_id;
        let events =
            Arc::new(Events::new(session.clone(), frame.clone(), task.credentials.clone()));
        connection.listen(&session, Arc::clone(&events) as Arc<dyn Listener>);
        let tab = Self { connection: connection.clone(), session, frame, events };
        tab.prepare(context, task);
        Ok(tab)
    }

    /// All of it at once: commands are carried out in their order.
    fn prepare(&self, context: &str, task: &Setup<'_>) {
        let (width, height) = VIEWPORT;
        let tell =
            |method: &str, params: Value| self.connection.tell(&self.session, method, &params);
        let deny = json!({ "behavior": "deny", "browserContextId": context });
        self.connection.tell("", "Browser.setDownloadBehavior", &deny);
        tell("Page.enable", json!({}));
        tell("Inspector.enable", json!({}));
        tell("Network.enable", json!({ "maxTotalBufferSize": 0, "maxResourceBufferSize": 0 }));
        tell("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        tell("Network.setBypassServiceWorker", json!({ "bypass": true }));
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tell("Emulation.setDeviceMetricsOverride", screen);
        if let Some(user_agent) = task.user_agent {
            tell("Network.setUserAgentOverride", json!({ "userAgent": user_agent }));
        }
        if !task.headers.is_empty() {
            tell("Network.setExtraHTTPHeaders", json!({ "headers": task.headers }));
        }
        if !task.cookies.is_empty() {
            tell("Network.setCookies", json!({ "cookies": task.cookies }));
        }
        let mut patterns = Vec::new();
        if task.block_resources {
            for kind in ["Image", "Media", "Font"] {
                patterns.push(json!({ "urlPattern": "*", "resourceType": kind }));
            }
        }
        if let Some(Credentials { origin, .. }) = &task.credentials {
            patterns.push(json!({ "urlPattern": format!("{origin}/*") }));
        }
        if !patterns.is_empty() {
            tell("Fetch.enable", json!({ "patterns": patterns }));
        }
    }

    /// The name of its session.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// Goes to a page; gives back when its document begins to come.
    pub(super) async fn navigate(&self, url: &Url) -> Result<Navigated, CallError> {
        self.call("Page.navigate", json!({ "url": url.as_str() })).await
    }

    /// Waits for an element.
    pub(super) async fn wait_for(&self, selector: &Selector) -> Result<(), Failed> {
        let expression = format!("{WAIT_FOR}({})", quoted(selector.as_str()));
        let is_selector = self.evaluate(&expression).await?;
        if is_selector { Ok(()) } else { Err(Failed::NoSelector(selector.clone())) }
    }

    /// Waits until there is something to see, if a script may put it there.
    pub(super) async fn wait_for_content(&self) -> Result<(), Failed> {
        self.evaluate::<Value>(WAIT_FOR_CONTENT).await.map(drop)
    }

    /// Takes the page, if its text has no more than `max` bytes.
    pub(super) async fn capture(&self, max: u64) -> Result<Captured, Failed> {
        self.evaluate(&format!("{CAPTURE}({max})")).await
    }

    /// Takes an image of the page, as PNG.
    pub(super) async fn image(&self, part: Screenshot) -> Result<Vec<u8>, Failed> {
        let mut params = json!({ "format": "png", "optimizeForSpeed": true });
        if part == Screenshot::Full {
            let layout: Layout = self.call("Page.getLayoutMetrics", json!({})).await?;
            let Size { width, height } = layout.css_content_size;
            let (width, height) = (width.min(MAX_IMAGE_HEIGHT), height.min(MAX_IMAGE_HEIGHT));
            let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
            params["captureBeyondViewport"] = true.into();
            params["clip"] = clip;
        }
        let image: Image = self.call("Page.captureScreenshot", params).await?;
        let unreadable = |error: base64::DecodeError| CallError::Unreadable {
            method: "Page.captureScreenshot",
            message: error.to_string(),
        };
        Ok(BASE64_STANDARD.decode(image.data).map_err(unreadable)?)
    }

    /// Runs an expression beside the page's own scripts, which can't change what it sees. If the page
    /// replaces its document meanwhile, it is run again in the new one.
    pub(super) async fn evaluate<T: DeserializeOwned>(
        &self,
        expression: &str,
    ) -> Result<T, Failed> {
        loop {
            match self.evaluate_once(expression).await {
                Err(Failed::Call(CallError::Refused { .. })) => {
                    tokio::time::sleep(AGAIN_TIME).await;
                }
                done => return done,
            }
        }
    }

    async fn evaluate_once<T: DeserializeOwned>(&self, expression: &str) -> Result<T, Failed> {
        const METHOD: &str = "Runtime.evaluate";
        let params = json!({ "frameId": self.frame, "worldName": "harvestman" });
        let world: World = self.call("Page.createIsolatedWorld", params).await?;
        let params = json!({
            "expression": expression,
            "contextId": world.execution_context_id,
            "returnByValue": true,
            "awaitPromise": true,
        });
        let evaluated: Evaluated = self.call(METHOD, params).await?;
        if let Some(exception) = evaluated.exception_details {
            let text = exception["exception"]["description"].as_str().unwrap_or("it threw");
            return Err(Failed::Script(harvestman_engine::excerpt(text.as_bytes(), 200)));
        }
        let unreadable = |error: serde_json::Error| CallError::Unreadable {
            method: METHOD,
            message: error.to_string(),
        };
        Ok(serde_json::from_value(evaluated.result.value).map_err(unreadable)?)
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, CallError> {
        self.connection.call(&self.session, method, params).await
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.connection.forget(&self.session);
    }
}

/// A text as JavaScript writes it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What a task sets before its page is opened.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    user_agent: Option<&'a str>,
    /// Sent with every request of the page.
    headers: Map<String, Value>,
    pub(super) cookies: Vec<Value>,
    /// What is sent to the task's own origin and nowhere else.
    credentials: Option<Credentials>,
    block_resources: bool,
}

impl<'a> Setup<'a> {
    pub(super) fn new(url: &Url, params: &'a Params, user_agent: Option<&'a str>) -> Self {
        let mut headers = Map::new();
        let (mut authorization, mut own_agent, mut cookies) = (None, None, Vec::new());
        for (name, value) in params.headers.as_deref().into_iter().flatten() {
            let text = || String::from_utf8_lossy(value.as_bytes()).into_owned();
            if *name == header::AUTHORIZATION {
                authorization = Some(text());
            } else if *name == header::COOKIE {
                cookies.extend(header_cookies(value, url));
            } else if *name == header::USER_AGENT {
                own_agent = value.to_str().ok();
            } else {
                headers.insert(name.as_str().to_owned(), text().into());
            }
        }
        let named = params.cookies.iter().flatten();
        cookies.extend(named.map(|(name, value)| cookie(name, value, url)));
        let user_agent = params.user_agent.as_deref().or(own_agent).or(user_agent);
        let credentials = authorization.map(|value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut own: Vec<_> =
                headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            own.push((header::AUTHORIZATION.to_string(), value));
            own.extend(user_agent.map(|agent| (header::USER_AGENT.to_string(), agent.to_owned())));
            Credentials { origin: url.origin().ascii_serialization(), headers: own }
        });
        Self {
            user_agent,
            headers,
            cookies,
            credentials,
            block_resources: params.block_resources == Some(true),
        }
    }
}

fn header_cookies(value: &HeaderValue, url: &Url) -> Vec<Value> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| cookie(name, value, url)).collect()
}

fn cookie(name: &str, value: &str, url: &Url) -> Value {
    json!({ "name": name, "value": value, "url": url.as_str() })
}
