//! The protocol of Chrome's developer tools over a pipe: commands out, answers and events in.
//!
//! Messages are JSON that ends with a NUL byte. Events are not queued: each goes at once to the page
//! that it belongs to, which takes from it what it needs.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::{Receiver, Sender},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::process::Pipes;

/// The longest message of a browser, in bytes: a page of the largest size as JSON, or an image.
const MAX_MESSAGE_BYTES: u64 = 256 * 1024 * 1024;
/// Commands that wait to be written.
const COMMAND_QUEUE: usize = 1_024;
/// How long any command may take; most have an attempt's deadline above them, which is shorter.
const MAX_COMMAND_TIME: Duration = Duration::from_mins(2);

/// Why a command has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The browser refuses it.
    #[error("{method}: {message}")]
    Refused { method: &'static str, message: String },
    /// The answer is not what it should be.
    #[error("{method}: the answer can't be read: {message}")]
    Unreadable { method: &'static str, message: String },
    /// The browser has ended.
    #[error("the browser has ended")]
    Ended,
    /// Nothing came.
    #[error("{method}: no answer in time")]
    Late { method: &'static str },
}

/// What takes the events of a page.
pub(super) trait Listener: Send + Sync {
    /// Takes an event; may answer with commands, which must not wait.
    fn on_event(&self, method: &str, params: &RawValue, connection: &Connection);
}

/// A connection to one browser. Clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

struct Shared {
    next: AtomicU64,
    commands: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<Waiting>,
    /// By session; the browser itself has the empty one.
    listeners: Mutex<HashMap<Box<str>, Arc<dyn Listener>>>,
    ended: CancellationToken,
}

/// Calls without an answer yet, by their number.
type Waiting = HashMap<u64, oneshot::Sender<Result<Box<RawValue>, String>>>;

/// A message of the browser.
#[derive(Deserialize)]
struct Message<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "sessionId")]
    session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Connection {
    pub(super) fn new(pipes: Pipes) -> Self {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let shared = Arc::new(Shared {
            next: AtomicU64::new(1),
            commands,
            waiting: Mutex::default(),
            listeners: Mutex::default(),
            ended: CancellationToken::new(),
        });
        let connection = Self { shared };
        tokio::spawn(write(pipes.to_browser, queue, connection.shared.ended.clone()));
        tokio::spawn(read(pipes.from_browser, connection.clone()));
        connection
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        session: &str,
        method: &'static str,
        params: Value,
    ) -> Result<T, CallError> {
        let answer = self.ask(session, method, params).await?;
        serde_json::from_str(answer.get())
            .map_err(|error| CallError::Unreadable { method, message: error.to_string() })
    }

    async fn ask(
        &self,
        session: &str,
        method: &'static str,
        params: Value,
    ) -> Result<Box<RawValue>, CallError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(id, sender);
        // A call that is given up must not stay in the list.
        let _forget = Forget { connection: self, id };
        let text = message(id, session, method, &params);
        let work = async {
            self.shared.commands.send(text).await.map_err(|_| CallError::Ended)?;
            tokio::select! {
                answer = answer => answer.map_err(|_| CallError::Ended),
                () = self.shared.ended.cancelled() => Err(CallError::Ended),
            }
        };
        let answer = timeout(MAX_COMMAND_TIME, work).await;
        let answer = answer.map_err(|_| CallError::Late { method })??;
        answer.map_err(|message| CallError::Refused { method, message })
    }

    /// Sends a command whose answer nobody needs; it is dropped if too many wait.
    pub(super) fn tell(&self, session: &str, method: &str, params: &Value) {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let _ = self.shared.commands.try_send(message(id, session, method, params));
    }

    /// Sets what takes the events of a session.
    pub(super) fn listen(&self, session: &str, listener: Arc<dyn Listener>) {
        self.listeners().insert(session.into(), listener);
    }

    /// No more events of this session are taken.
    pub(super) fn forget(&self, session: &str) {
        self.listeners().remove(session);
    }

    /// Whether the browser has ended or can't be talked to.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.ended.is_cancelled()
    }

    /// Waits for the browser's end.
    pub(super) async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Closes the pipe, which ends the browser.
    pub(super) fn close(&self) {
        self.shared.ended.cancel();
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<dyn Listener>>> {
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, text: &[u8]) -> Result<(), serde_json::Error> {
        let message: Message<'_> = serde_json::from_slice(text)?;
        if let Some(id) = message.id {
            let Some(waiting) = self.waiting().remove(&id) else { return Ok(()) };
            let answer = match (message.result, message.error) {
                (Some(result), None) => Ok(result.to_owned()),
                (_, error) => Err(error.map_or_else(String::new, |error| error.message)),
            };
            let _ = waiting.send(answer);
        } else if let (Some(method), Some(params)) = (message.method, message.params) {
            let session = message.session.as_deref().unwrap_or_default();
            let listener = self.listeners().get(session).cloned();
            if let Some(listener) = listener {
                listener.on_event(&method, params, self);
            }
        }
        Ok(())
    }
}

/// Forgets a call at the end of its future, whatever the end.
struct Forget<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.connection.waiting().remove(&self.id);
    }
}

fn message(id: u64, session: &str, method: &str, params: &Value) -> Vec<u8> {
    let mut message = json!({ "id": id, "method": method, "params": params });
    if !session.is_empty() {
        message["sessionId"] = session.into();
    }
    let mut text = message.to_string().into_bytes();
    text.push(0);
    text
}

/// Writes commands until nobody sends any or the browser is gone. Dropping the pipe ends it.
async fn write(mut pipe: Sender, mut queue: mpsc::Receiver<Vec<u8>>, ended: CancellationToken) {
    let write = async {
        while let Some(text) = queue.recv().await {
            if pipe.write_all(&text).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = ended.cancelled() => {}
    }
    ended.cancel();
}

/// Reads messages until the pipe breaks, a message is too long or it is none.
async fn read(pipe: Receiver, connection: Connection) {
    let mut pipe = BufReader::with_capacity(256 * 1024, pipe);
    let ended = connection.shared.ended.clone();
    let mut text = Vec::new();
    let read = async {
        loop {
            text.clear();
            let read = (&mut pipe).take(MAX_MESSAGE_BYTES).read_until(0, &mut text).await;
            if read.is_err() || text.pop() != Some(0) {
                return;
            }
            if let Err(error) = connection.take(&text) {
                tracing::debug!(%error, "a message of the browser can't be read");
            }
            // One large page must not cost its room for ever.
            text.shrink_to(1024 * 1024);
        }
    };
    tokio::select! {
        () = read => {}
        () = ended.cancelled() => {}
    }
    connection.close();
}
