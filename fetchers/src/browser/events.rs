//! What is known of a page by its events.

use std::{collections::HashMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::cdp::{Connection, Listener};

/// After so many dialogs an attempt is given up.
pub(super) const MAX_DIALOGS: u32 = 50;
/// How long there has to be no request under way for the network to be idle.
const IDLE_TIME: Duration = Duration::from_millis(500);
/// The most requests under way that are told apart; a page with more is never idle.
const MAX_REQUESTS: usize = 10_000;

/// The state of a page, brought up to date by its events.
#[derive(Debug)]
pub(super) struct Events {
    /// The name of its session.
    session: String,
    /// Its main frame.
    frame: String,
    credentials: Option<Credentials>,
    state: watch::Sender<State>,
}

/// Headers of requests to the task's own origin.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) origin: String,
    /// The authorization, and what else the task sets: a request that is changed is sent with what is
    /// in the change only.
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The empty page that we have opened is being left.
    has_begun: bool,
    /// The document of the main frame.
    document: String,
    /// It has loaded, with its images and scripts.
    is_loaded: bool,
    /// The answer that the last document came from.
    pub(super) answer: Option<Answer>,
    pub(super) has_crashed: bool,
    pub(super) dialogs: u32,
    /// Those under way, each with the document that it belongs to.
    requests: HashMap<String, String>,
    /// When the last request began or ended.
    busy_at: Instant,
}

/// The answer that a document came from.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    frame_id: String,
    loader_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    #[serde(rename = "type")]
    kind: String,
    frame_id: Option<String>,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Navigating {
    frame_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    request_id: String,
    #[serde(default)]
    loader_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    request_id: String,
    resource_type: String,
    request: PausedRequest,
}

#[derive(Deserialize)]
struct PausedRequest {
    url: String,
    headers: Map<String, Value>,
}

impl Events {
    pub(super) fn new(session: String, frame: String, credentials: Option<Credentials>) -> Self {
        let state = State {
            has_begun: false,
            document: String::new(),
            is_loaded: false,
            answer: None,
            has_crashed: false,
            dialogs: 0,
            requests: HashMap::new(),
            busy_at: Instant::now(),
        };
        Self { session, frame, credentials, state: watch::channel(state).0 }
    }

    /// A look at the state.
    pub(super) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.state.borrow())
    }

    /// Waits until the document has loaded.
    pub(super) async fn loaded(&self) {
        self.until(|state| state.is_loaded).await;
    }

    /// Waits until the page can't go on.
    pub(super) async fn broken(&self) {
        self.until(|state| state.has_crashed || state.dialogs > MAX_DIALOGS).await;
    }

    /// Waits until no request has been under way for half a second.
    pub(super) async fn idle(&self) {
        loop {
            self.until(|state| state.requests.is_empty()).await;
            let quiet_at = self.look(|state| state.busy_at + IDLE_TIME);
            sleep_until(quiet_at).await;
            if self.look(|state| state.requests.is_empty() && state.busy_at + IDLE_TIME == quiet_at)
            {
                return;
            }
        }
    }

    async fn until(&self, condition: impl FnMut(&State) -> bool) {
        // The sender is our own, so it can't have gone.
        let _ = self.state.subscribe().wait_for(condition).await;
    }

    fn take(&self, method: &str, params: &RawValue, connection: &Connection) -> Option<()> {
        let json = params.get();
        match method {
            "Page.lifecycleEvent" => self.advance(serde_json::from_str(json).ok()?),
            "Network.responseReceived" => self.receive(serde_json::from_str(json).ok()?),
            "Page.frameStartedNavigating" => self.begin(&serde_json::from_str(json).ok()?),
            "Network.requestWillBeSent" => self.request(serde_json::from_str(json).ok()?, true),
            "Network.loadingFinished" | "Network.loadingFailed" => {
                self.request(serde_json::from_str(json).ok()?, false);
            }
            "Fetch.requestPaused" => self.decide(serde_json::from_str(json).ok()?, connection),
            "Page.javascriptDialogOpening" => self.dismiss(connection),
            "Inspector.targetCrashed" | "Target.targetCrashed" | "Inspector.detached" => {
                self.state.send_modify(|state| state.has_crashed = true);
            }
            _ => {}
        }
        Some(())
    }

    /// The main frame has got a step further with a document.
    fn advance(&self, event: Lifecycle) {
        self.state.send_if_modified(|state| {
            if event.frame_id != self.frame || !state.has_begun {
                return false;
            }
            if state.document != event.loader_id {
                // The requests of the document before may not be heard of again.
                state.requests.retain(|_, document| *document == event.loader_id);
                state.document = event.loader_id;
                state.is_loaded = false;
            }
            if event.name == "load" {
                // Its own request, whose end is not always told.
                state.requests.remove(&state.document);
                state.is_loaded = true;
                // What the page does by its script begins now.
                state.busy_at = Instant::now();
            }
            true
        });
    }

    /// A frame leaves its document for another one.
    fn begin(&self, event: &Navigating) {
        if event.frame_id == self.frame {
            self.state.send_modify(|state| state.has_begun = true);
        }
    }

    fn receive(&self, event: Received) {
        if event.kind != "Document" || event.frame_id.as_deref() != Some(&*self.frame) {
            return;
        }
        let headers = event.response.headers.into_iter().filter_map(|(name, value)| {
            let name = name.parse::<HeaderName>().ok()?;
            // Values of a header that came several times are joined by line feeds.
            let value = value.as_str()?.replace('\n', ", ");
            Some((name, HeaderValue::from_str(&value).ok()?))
        });
        let answer = Answer { status: event.response.status, headers: headers.collect() };
        self.state.send_modify(|state| state.answer = Some(answer));
    }

    fn request(&self, event: Request, is_begun: bool) {
        self.state.send_modify(|state| {
            if !is_begun {
                state.requests.remove(&event.request_id);
            } else if state.requests.len() < MAX_REQUESTS {
                state.requests.insert(event.request_id, event.loader_id);
            }
            state.busy_at = Instant::now();
        });
    }

    /// Lets a request go on, with credentials if it is for their origin; or doesn't.
    fn decide(&self, paused: Paused, connection: &Connection) {
        let id = paused.request_id;
        if matches!(&*paused.resource_type, "Image" | "Media" | "Font") {
            let params = json!({ "requestId": id, "errorReason": "BlockedByClient" });
            return connection.tell(&self.session, "Fetch.failRequest", &params);
        }
        let mut params = json!({ "requestId": id });
        let is_origin = |origin: &str| {
            let url = url::Url::parse(&paused.request.url);
            url.is_ok_and(|url| url.origin().ascii_serialization() == origin)
        };
        if let Some(Credentials { origin, headers }) = &self.credentials
            && is_origin(origin)
        {
            let is_kept =
                |name: &str| !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
            let kept = paused.request.headers.iter().filter(|(name, _)| is_kept(name));
            let kept = kept.map(|(name, value)| json!({ "name": name, "value": value }));
            let own = headers.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            params["headers"] = kept.chain(own).collect();
        }
        connection.tell(&self.session, "Fetch.continueRequest", &params);
    }

    /// A dialog holds the page until it is answered.
    fn dismiss(&self, connection: &Connection) {
        self.state.send_modify(|state| state.dialogs += 1);
        if self.look(|state| state.dialogs <= MAX_DIALOGS) {
            let params = json!({ "accept": true });
            connection.tell(&self.session, "Page.handleJavaScriptDialog", &params);
        }
    }
}

impl Listener for Events {
    fn on_event(&self, method: &str, params: &RawValue, connection: &Connection) {
        if self.take(method, params, connection).is_none() {
            tracing::debug!(method, "an event of the browser can't be read");
        }
    }
}
