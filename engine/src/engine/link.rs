//! Where a result is to be had.

use std::fmt;

use jiff::Timestamp;

use crate::store::JobEntry;

/// Where a result is to be had, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// A path, or a URL that needs no key.
    pub url: String,
    /// Until when it leads there.
    pub expires_at: Timestamp,
}

/// Tells where the result of a job is to be had.
pub trait Links: fmt::Debug + Send + Sync {
    /// A link to the parts of `job`, valid until `until`; `None` if there are none.
    fn link(&self, job: &JobEntry, until: Timestamp) -> Option<Link>;
}

/// Links to the file itself; of several parts, to the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileLinks;

impl Links for FileLinks {
    fn link(&self, job: &JobEntry, until: Timestamp) -> Option<Link> {
        let part = job.parts.first()?;
        Some(Link { url: part.location.clone(), expires_at: until })
    }
}
