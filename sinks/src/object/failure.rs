//! What a store's refusals mean for an output.

use harvestman_engine::{Error, excerpt};
use object_store::Error as StoreError;

/// The most bytes of a store's own words that a message quotes.
const MAX_WORDS: usize = 500;

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
    let words = words(error);
    if !matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) {
        return Error::part("sink", format!("{uri} can't be written: {words}"));
    }
    let code = match uri.split_once("://") {
        Some(("gs", _)) => "gcs_access_denied",
        Some(("az", _)) => "azure_access_denied",
        _ => "s3_access_denied",
    };
    Error::Denied { code, message: format!("access to {uri} was denied: {words}") }
}

/// What a store said, in short: the code and the message of its XML where it sent some.
fn words(error: &StoreError) -> String {
    let text = error.to_string();
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(content, _)| content.to_owned())
    };
    let words = match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => text,
    };
    excerpt(words.as_bytes(), MAX_WORDS)
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
