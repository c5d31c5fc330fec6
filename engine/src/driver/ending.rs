//! What a job is told from outside, and how it ends.

use serde::{Deserialize, Serialize};

/// How a job ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// Every task has its record, and the output is complete.
    #[default]
    Completed,
    /// The tasks that were not begun have no record; the output is complete without them.
    Cancelled,
    /// What is done is saved; the same job goes on from there.
    Suspended,
    /// As after a crash: the same job goes on from the last commit.
    Aborted,
}

/// Why a job was stopped for good before its last task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked for it.
    User,
    /// Its time was up.
    Deadline,
    /// Its credits were used up.
    Budget,
    /// Too many of its tasks ended in an error.
    FailIf,
}

/// What a job is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Suspend,
    Cancel(StopReason),
}

impl Command {
    /// Gives way to a later command, if that says more; true if it did. A cancel is final.
    pub(crate) fn replace(&mut self, later: Self) -> bool {
        let counts = match later {
            Self::Run => false,
            Self::Suspend => *self == Self::Run,
            Self::Cancel(_) => !matches!(self, Self::Cancel(_)),
        };
        if counts {
            *self = later;
        }
        counts
    }
}

/// How the driver has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    /// Of a cancelled job.
    pub(crate) reason: Option<StopReason>,
}
