//! What ends a job. Errors of one URL are data ([`FetchError`](crate::FetchError)), never this.

use std::{io, path::PathBuf};

use crate::excerpt;

/// The most bytes of a store's own words that a message quotes.
const MAX_REASON_BYTES: usize = 500;

/// The result of an operation whose failure ends the job.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An opaque cause, kept for the chain of sources.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the job itself, by what the caller can do about it.
///
/// The checkpoint stays as it was last saved: once the cause is removed, the same job goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting, a schema or a file that can't be used as it is: change it.
    #[error("{what}: {message}")]
    Invalid {
        /// Where the mistake is, e.g. `extract.price` or `--output`.
        what: String,
        /// What is wrong with it and what to do.
        message: String,
    },

    /// The saved state belongs to another input, output or set of options: restore them or start anew.
    #[error("{what} differs from the job that was begun: {message}")]
    Changed {
        /// What has changed.
        what: String,
        /// Then and now.
        message: String,
    },

    /// Somebody else is running this job: wait for it, or end it.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The locked file.
        path: PathBuf,
    },

    /// A storage refuses us: mend its policy, or give other credentials.
    #[error("{message}")]
    Denied {
        /// A stable name, e.g. `s3_access_denied`.
        code: &'static str,
        /// Who refused what, and why.
        message: String,
    },

    /// Somebody else has taken the job over, so that nothing more may be written for it.
    #[error("the lease of {job} was lost to another node")]
    LeaseLost {
        /// The job's id.
        job: String,
    },

    /// The operating system refused a file operation: make room, mend permissions, try again.
    #[error("failed to {operation} {}: {}", path.display(), explain(source))]
    Io {
        /// What was tried, e.g. `write to`.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Saved state or input that can't be read as what it should be.
    #[error("{what} is damaged: {message}")]
    Damaged {
        /// Which file or which part of it.
        what: String,
        /// What was found.
        message: String,
    },

    /// An earlier failure left this writer in an unknown state: open it again from the last checkpoint.
    ///
    /// After a failed `fsync` the kernel may count the lost pages as clean, so a second try proves nothing.
    #[error("the sink failed before and has to be opened again")]
    Poisoned,

    /// A source, sink or store failed in a way of its own.
    #[error("{part} failed: {source}")]
    Part {
        /// `source`, `sink` or `store`.
        part: &'static str,
        /// The cause.
        source: BoxError,
    },

    /// A task of the job's own ended by a panic: a defect of ours or of a source or sink.
    #[error("{part} panicked: {message}")]
    Panicked {
        /// Which part.
        part: &'static str,
        /// The panic's message.
        message: String,
    },
}

impl Error {
    /// A setting or an input that can't be used.
    pub fn invalid(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), message: message.into() }
    }

    /// Saved state or input that can't be read.
    pub fn damaged(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), message: message.into() }
    }

    /// Saved state that belongs to something else.
    pub fn changed(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Changed { what: what.into(), message: message.into() }
    }

    /// Wraps a refused file operation; `operation` reads as in "failed to {operation} {path}".
    pub fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Access to `uri` was refused by its store, which said so: `s3_access_denied`,
    /// `gcs_access_denied` or `azure_access_denied`, by the scheme.
    pub fn denied(uri: &str, said: &str) -> Self {
        let code = match uri.split_once("://") {
            Some(("gs", _)) => "gcs_access_denied",
            Some(("az", _)) => "azure_access_denied",
            _ => "s3_access_denied",
        };
        Self::Denied { code, message: format!("access to {uri} was denied: {}", reason(said)) }
    }

    /// Wraps a failure of a `source`, `sink` or `store`.
    pub fn part(part: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Part { part, source: source.into() }
    }
}

/// The operating system's words, with the remedy where there is one.
fn explain(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull => {
            format!("{source}; the state is saved, make room and run the job again")
        }
        io::ErrorKind::QuotaExceeded => {
            format!("{source}; the state is saved, raise the quota and run the job again")
        }
        _ => source.to_string(),
    }
}

/// The message of a panic's payload.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// Why a store refuses, in short: the code and the message of its XML where it sent some.
///
/// ```
/// let said = "403: <Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
/// assert_eq!(harvestman_engine::reason(said), "AccessDenied: not you");
/// ```
pub fn reason(said: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = said.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
    };
    let words = match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => said.to_owned(),
    };
    excerpt(words.as_bytes(), MAX_REASON_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_has_a_code_by_scheme_and_the_stores_own_reason() {
        let said = "403: <Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
        for (uri, expected) in [
            ("s3://b/k", "s3_access_denied"),
            ("gs://b/k", "gcs_access_denied"),
            ("az://b/k", "azure_access_denied"),
        ] {
            let Error::Denied { code, message } = Error::denied(uri, said) else { panic!() };
            assert_eq!(code, expected);
            assert_eq!(message, format!("access to {uri} was denied: AccessDenied: not you"));
        }
    }

    #[test]
    fn a_reason_is_short_whatever_was_said() {
        assert!(reason(&"x".repeat(100_000)).len() <= 2 * MAX_REASON_BYTES);
    }
}
