//! How pages are fetched: the [`Fetcher`] trait and the error of one attempt.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{BoxError, Code, Fields, Page, Params, Task};

/// Gets the page of a task. One call is one attempt.
///
/// A fetcher never retries, queues or sleeps: the driver does that, outside the slots. Dropping the
/// future abandons the attempt and must release what it holds. The driver drops it when the task's
/// `timeout_ms` has passed, so a fetcher needs no deadline of its own for the whole attempt.
///
/// A panic costs the task ([`Code::PluginPanic`]), not the job.
///
/// Behaviour is added by wrapping another fetcher: a cache, a router, a proxy chooser.
#[async_trait]
pub trait Fetcher: fmt::Debug + Send + Sync {
    /// Fetches the page of `task`, whose [target](Task::target) is valid.
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError>;

    /// Waits until there is room for an attempt at `task`; by default there always is.
    ///
    /// The driver asks before the attempt's deadline begins to run, and holds what it gets until the
    /// attempt has ended. A fetcher of something scarce, like browsers, waits here; a wrapper passes
    /// the question on. `fetch` must do without too.
    async fn admit(&self, _task: &Task) -> Admission {
        Admission::default()
    }
}

/// Room for one attempt, given back when dropped.
#[derive(Debug, Default)]
#[must_use = "the room is given back when this is dropped"]
pub struct Admission(#[expect(dead_code, reason = "held for its drop")] Option<Box<dyn Held>>);

/// Anything that can be held, e.g. a permit of a semaphore.
trait Held: Any + fmt::Debug + Send + Sync {}

impl<T: Any + fmt::Debug + Send + Sync> Held for T {}

impl Admission {
    /// Holds `room` until the attempt has ended.
    pub fn holding(room: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(room)))
    }
}

/// Why one attempt at one URL failed. It ends as a record, never as the end of the job.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct FetchError {
    /// What kind of failure.
    pub code: Code,
    /// What happened, for a person. Must not hold secrets: it is written to the record.
    pub message: String,
    /// Whether another attempt may succeed; by default what the code says.
    pub retryable: bool,
    /// The status that the server answered, if it did.
    pub http_status: Option<u16>,
    /// Where the redirects had led, if a page was answered.
    pub final_url: Option<String>,
    /// How long the server asked to wait, from the moment of its answer.
    pub retry_after: Option<Duration>,
    /// The parameters of all further attempts, if they are to be made by other means: these are what
    /// the fetcher then sees and what is paid for. The record is that of the task itself.
    pub means: Option<Arc<Params>>,
    /// What was found of a page that a strict schema refuses.
    pub partial: Option<Box<Fields>>,
    /// The cause.
    pub source: Option<BoxError>,
}

impl FetchError {
    /// A failure with its code and a message for a person.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.is_retryable(),
            http_status: None,
            final_url: None,
            retry_after: None,
            means: None,
            partial: None,
            source: None,
        }
    }

    /// Says that no further attempt can succeed, whatever the code says.
    pub fn permanent(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Adds the status that the server answered.
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// Adds where the redirects had led.
    pub fn with_final_url(mut self, url: impl Into<String>) -> Self {
        self.final_url = Some(url.into());
        self
    }

    /// Adds how long the server asked to wait.
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Asks for further attempts, and for other means: see [`means`](Self::means).
    pub fn with_means(mut self, params: impl Into<Arc<Params>>) -> Self {
        self.retryable = true;
        self.means = Some(params.into());
        self
    }

    /// Adds what was found of the page all the same.
    pub fn with_partial(mut self, fields: Fields) -> Self {
        self.partial = Some(Box::new(fields));
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}
