//! The limits of what may be asked of an engine.

use std::{ops::RangeInclusive, time::Duration};

/// The limits of the contract's section 2, by name. An operator may set others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most URLs given inline, [`MAX_INLINE_URLS`] at most; 1,000.
    pub inline_urls: usize,
    /// The most URLs of one job; 1,000,000.
    pub urls: u64,
    /// The largest upload in bytes, as sent and as decoded; 1,000,000,000.
    pub upload_bytes: u64,
    /// The most attempts of one job under way at a time; 256.
    pub concurrency: usize,
    /// How long a job may run in all its lives; 24 hours.
    pub lifetime: Duration,
    /// The largest part of a result in bytes, as stored; 50 GB.
    pub part_bytes: u64,
    /// How long a link to a result may be valid, in seconds; an hour to 30 days.
    pub link_s: RangeInclusive<u64>,
    /// How long a link to a result is valid when the job doesn't say, in seconds; 24 hours.
    pub default_link_s: u64,
    /// The largest request body in bytes; 25 MB.
    pub body_bytes: usize,
    /// The most jobs that wait or run, over all workspaces; 100,000.
    pub open_jobs: u64,
    /// The longest grace of a cancel; 10 minutes.
    pub cancel_grace: Duration,
}

/// The most URLs that may ever be given inline.
pub const MAX_INLINE_URLS: usize = 100_000;
/// The smallest `max_part_bytes` that may be asked for: 1 MiB.
pub const MIN_PART_BYTES: u64 = 1024 * 1024;
/// The longest name of a job, in characters.
pub const MAX_NAME_CHARS: usize = 256;
/// The largest `metadata` of a job, as compact JSON in bytes.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_urls: 1_000,
            urls: 1_000_000,
            upload_bytes: 1_000_000_000,
            concurrency: 256,
            lifetime: Duration::from_hours(24),
            part_bytes: 50_000_000_000,
            link_s: 3_600..=2_592_000,
            default_link_s: 86_400,
            body_bytes: 25_000_000,
            open_jobs: 100_000,
            cancel_grace: Duration::from_mins(10),
        }
    }
}
