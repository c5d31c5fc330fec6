//! Where an engine keeps its jobs: the [`Store`] and the five traits that it is made of.
//!
//! The contract is the same for a file on this machine and for a database that several nodes share:
//! - What a call has answered with `Ok` is durable. A call that fails has changed nothing.
//! - Each call is one transaction: what it changes becomes visible at once or not at all.
//! - A running job belongs to the holder of its [`Lease`]. Every claim of a job gives out a higher
//!   token, and a call with an older one is refused with [`Error::LeaseLost`](crate::Error::LeaseLost)
//!   and changes nothing: a node that was thought dead can't harm the job's new owner.
//! - Calls may run concurrently. Dropping a call's future leaves it undone or done, never half done.
//!
//! `testing::jobs_conformance` and its siblings check all of it; every implementation runs them.

mod idempotency;
mod job;
mod key;
mod outbox;
#[cfg(feature = "sqlite")]
mod secrets;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod upload;

pub use self::{
    idempotency::{Begun, IdempotencyKey, IdempotencyStore, StoredAnswer},
    job::{
        Claim, Commit, Ended, ErroredQuery, JobEntry, JobQuery, JobStore, Lease, NewJob,
        OutputState, Problem, Status,
    },
    key::{ApiKey, KeyStore, Scope, WorkspaceEntry},
    outbox::{Attempted, Delivery, DeliveryQuery, DeliveryState, NewDelivery, NewEvent, Outbox},
    upload::{UploadEntry, UploadError, UploadStore},
};

/// Everything that an engine keeps.
pub trait Store: JobStore + UploadStore + Outbox + KeyStore + IdempotencyStore {}

impl<S: JobStore + UploadStore + Outbox + KeyStore + IdempotencyStore> Store for S {}
