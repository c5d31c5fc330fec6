//! Why a run has no result, and with which exit code it ends.

use harvestman::{Error, FetchError};

/// The end of a run that has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command can't be used as it is.
    #[error("{0}")]
    Usage(String),
    /// One page can't be had or read.
    #[error("{0}")]
    Page(String),
    /// The job failed.
    #[error(transparent)]
    Job(#[from] Error),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Why one page can't be had or read, with its code.
    pub(crate) fn page(error: &FetchError) -> Self {
        Self::Page(format!("{}: {error}", error.code))
    }

    /// The process's exit code, by the contract.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Job(Error::Invalid { .. } | Error::Changed { .. }) => 2,
            Self::Job(_) | Self::Page(_) => 3,
        }
    }
}
