//! What a store's refusals mean for a job.

use harvestman_engine::{Error, reason};
use object_store::Error as StoreError;

/// A failure to read an object.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same request may succeed later.
    Passing(StoreError),
    /// It won't.
    Lasting(Error),
}

impl Failure {
    /// Whether the same request may succeed later.
    pub(super) fn is_passing(error: &StoreError) -> bool {
        !matches!(
            error,
            StoreError::NotFound { .. }
                | StoreError::Precondition { .. }
                | StoreError::PermissionDenied { .. }
                | StoreError::Unauthenticated { .. }
                | StoreError::NotSupported { .. }
                | StoreError::NotImplemented { .. }
                | StoreError::InvalidPath { .. }
        )
    }

    /// Judges a failure to read an object that was there before.
    pub(super) fn of(error: StoreError, name: &str) -> Self {
        if Self::is_passing(&error) {
            return Self::Passing(error);
        }
        Self::Lasting(match error {
            StoreError::NotFound { .. } => Error::changed(name, "it was removed while the job ran"),
            StoreError::Precondition { .. } => {
                Error::changed(name, "it was written again while the job ran")
            }
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                denied(&error, name)
            }
            error => unreadable(&error, name),
        })
    }
}

/// Access was refused, by the store or by who gives roles.
pub(super) fn denied(error: &StoreError, name: &str) -> Error {
    Error::denied(name, &error.to_string())
}

/// The object can't be read, whatever the reason.
pub(super) fn unreadable(error: &StoreError, name: &str) -> Error {
    let said = error.to_string();
    Error::part("source", format!("{name} can't be read: {}", reason(&said)))
}
