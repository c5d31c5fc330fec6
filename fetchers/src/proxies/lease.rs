//! A proxy for one attempt.

use std::{fmt, sync::Arc};

use harvestman_engine::{Code, FetchError};
use tokio::time::Instant;
use url::Url;

use super::{Jar, Shared, State, session::Seat, template};

/// What an attempt says about the proxy that it went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The page came, or an error that is the page's own.
    Good,
    /// The page refuses this visitor.
    Blocked,
    /// The proxy does not do its work.
    Failed,
    /// Nothing came in time: page or proxy may be slow.
    Unknown,
}

/// The right to go through a proxy once. An attempt that is given up counts against it, but less
/// than a failure.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    member: usize,
    /// With user and password.
    url: Url,
    seat: Option<Seat>,
    jar: Option<Arc<Jar>>,
    is_persistent: bool,
    outcome: Outcome,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&template::address(&self.url)).finish()
    }
}

impl Lease {
    pub(super) fn new(
        shared: Arc<Shared>,
        member: usize,
        url: Url,
        seat: Option<Seat>,
        jar: Option<Arc<Jar>>,
    ) -> Self {
        let is_persistent = shared.state().pool.is_persistent(member);
        Self { shared, member, url, seat, jar, is_persistent, outcome: Outcome::Unknown }
    }

    /// The proxy, with user and password.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The proxy as messages name it.
    pub(crate) fn address(&self) -> String {
        template::address(&self.url)
    }

    /// Whether the proxy has said that it keeps connections open between requests.
    pub(crate) fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// The proxy says that it keeps connections open.
    pub(crate) fn set_persistent(&self) {
        if !self.is_persistent {
            self.shared.state().pool.set_persistent(self.member);
        }
    }

    /// The session's cookies.
    pub(crate) fn jar(&self) -> Option<&Arc<Jar>> {
        self.jar.as_ref()
    }

    /// Ends the lease with what came of the attempt.
    pub(crate) fn settle<T>(mut self, result: &Result<T, FetchError>) {
        self.outcome = match result {
            Ok(_) => Outcome::Good,
            Err(error) => match error.code {
                Code::ProxyError => Outcome::Failed,
                Code::Blocked | Code::Captcha | Code::Target429 => Outcome::Blocked,
                Code::Timeout => Outcome::Unknown,
                _ => Outcome::Good,
            },
        };
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (now, mut state) = (Instant::now(), self.shared.state());
        let State { pool, sessions } = &mut *state;
        pool.settle(self.member, self.outcome, now);
        if let Some(seat) = &self.seat {
            sessions.settle(seat, self.outcome);
        }
    }
}
