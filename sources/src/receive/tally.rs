//! What is found out about lines.

use harvestman_engine::{FetchError, excerpt};

use super::{LineError, MAX_LINE_ERRORS};

/// The longest message of a bad line, in bytes.
const MAX_MESSAGE_BYTES: usize = 1000;

/// The bad lines among those that were checked, each thread's for itself.
#[derive(Debug, Default)]
pub(super) struct Tally {
    invalid: u64,
    errors: Vec<LineError>,
}

impl Tally {
    /// Adds a bad line, which comes after those before it.
    pub(super) fn add(&mut self, line: u64, error: &FetchError) {
        self.invalid += 1;
        if self.errors.len() < MAX_LINE_ERRORS {
            let message = excerpt(error.message.as_bytes(), MAX_MESSAGE_BYTES);
            self.errors.push(LineError { line, code: error.code, message });
        }
    }

    /// Adds those of another thread, from between these.
    pub(super) fn merge(&mut self, other: Self) {
        self.invalid += other.invalid;
        self.errors.extend(other.errors);
        self.errors.sort_by_key(|error| error.line);
        self.errors.truncate(MAX_LINE_ERRORS);
    }

    /// How many there are, and the first of them.
    pub(super) fn into_parts(self) -> (u64, Vec<LineError>) {
        (self.invalid, self.errors)
    }
}
