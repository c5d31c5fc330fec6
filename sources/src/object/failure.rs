//! What a store's refusals mean for a job.

use harvestman_engine::{Error, excerpt};
use object_store::Error as StoreError;

/// The most bytes of a store's own words that a message quotes.
const MAX_WORDS: usize = 500;

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
    let code = match name.split_once("://") {
        Some(("gs", _)) => "gcs_access_denied",
        Some(("az", _)) => "azure_access_denied",
        _ => "s3_access_denied",
    };
    Error::Denied { code, message: format!("access to {name} was denied: {}", words(error)) }
}

/// The object can't be read, whatever the reason.
pub(super) fn unreadable(error: &StoreError, name: &str) -> Error {
    Error::part("source", format!("{name} can't be read: {}", words(error)))
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

    fn refused(text: &str) -> StoreError {
        StoreError::PermissionDenied { path: "k".to_owned(), source: text.into() }
    }

    #[test]
    fn a_denial_has_a_code_by_scheme_and_the_stores_own_reason() {
        let body = "403: <Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
        for (name, expected) in [
            ("s3://b/k", "s3_access_denied"),
            ("gs://b/k", "gcs_access_denied"),
            ("az://b/k", "azure_access_denied"),
        ] {
            let Error::Denied { code, message } = denied(&refused(body), name) else { panic!() };
            assert_eq!(code, expected);
            assert_eq!(message, format!("access to {name} was denied: AccessDenied: not you"));
        }
    }

    #[test]
    fn words_are_short_whatever_was_sent() {
        assert!(words(&refused(&"x".repeat(100_000))).len() <= 2 * MAX_WORDS);
    }
}
