//! What ends a job. Errors of one URL are data ([`FetchError`](crate::FetchError)), never this.

use std::{io, path::PathBuf};

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
