//! What was asked of a running shop.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The most requests that a log keeps; the oldest go first.
pub const MAX_LOGGED_REQUESTS: usize = 200_000;

/// One request and its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// When it came.
    pub came: Instant,
    /// When its answer was ready.
    pub answered: Instant,
    /// The `Host` header, e.g. `127.0.0.1:8000`; empty if there was none.
    pub host: String,
    /// The path, without a query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// The latest requests, in the order in which they were answered.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<VecDeque<LoggedRequest>>);

impl Log {
    pub(crate) fn add(&self, request: LoggedRequest) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == MAX_LOGGED_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<LoggedRequest> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_make_room() {
        let log = Log::default();
        let now = Instant::now();
        for number in 0..MAX_LOGGED_REQUESTS + 2 {
            let path = number.to_string();
            let host = String::new();
            log.add(LoggedRequest { came: now, answered: now, host, path, status: 200 });
        }
        let all = log.all();
        assert_eq!((all.len(), all[0].path.as_str()), (MAX_LOGGED_REQUESTS, "2"));
    }
}
