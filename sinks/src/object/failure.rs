//! What a store's refusals mean for an output.

use harvestman_engine::{Error, reason};
use object_store::Error as StoreError;

/// Whether the same request may succeed later.
pub(super) fn is_passing(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::InvalidPath { .. }
    )
}

/// The job's error for an output at `uri` that can't be written.
pub(super) fn unwritable(error: &StoreError, uri: &str) -> Error {
    let said = error.to_string();
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            Error::denied(uri, &said)
        }
        _ => Error::part("sink", format!("{uri} can't be written: {}", reason(&said))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_told_from_an_outage() {
        let denied = StoreError::PermissionDenied {
            path: "k".to_owned(),
            source: "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".into(),
        };
        let outage = StoreError::Generic { store: "S3", source: "503".into() };
        assert!(is_passing(&outage) && !is_passing(&denied));
        let Error::Denied { code, message } = unwritable(&denied, "gs://b/k") else { panic!() };
        assert_eq!(code, "gcs_access_denied");
        assert_eq!(message, "access to gs://b/k was denied: AccessDenied: no");
        assert!(matches!(unwritable(&outage, "s3://b/k"), Error::Part { part: "sink", .. }));
    }
}
