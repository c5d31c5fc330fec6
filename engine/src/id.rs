//! The names of jobs, uploads, events, deliveries and keys: opaque, unguessable, safe in paths.

use std::{fmt, str::FromStr, sync::Arc};

use rand::RngExt;
use serde::{Deserialize, Serialize};

/// The longest id that is accepted from outside.
const MAX_ID_BYTES: usize = 64;

/// A text that is no id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id begins with `{0}`, followed by letters and digits")]
pub struct InvalidId(&'static str);

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $prefix:literal, $digits:literal;)+) => { $(
        $(#[doc = $doc])+
        ///
        /// Reading one from text accepts letters and digits behind the prefix and nothing else, so
        /// an id never leaves its place in a path.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, drawn at random.
            pub fn random() -> Self {
                Self(random($prefix, $digits).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text, $prefix).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    )+ };
}

ids! {
    /// Names a job: `job_` and 12 hexadecimal digits.
    JobId = "job_", 12;
    /// Names an upload: `upl_` and 16 hexadecimal digits.
    UploadId = "upl_", 16;
    /// Names an event: `evt_` and 16 hexadecimal digits. A receiver tells repeated deliveries by it.
    EventId = "evt_", 16;
    /// Names the delivery of an event to one endpoint: `dlv_` and 16 hexadecimal digits.
    DeliveryId = "dlv_", 16;
    /// Names an API key without being it: `key_` and 12 hexadecimal digits.
    KeyId = "key_", 12;
}

fn random(prefix: &str, digits: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rng = rand::rng();
    let mut digit = || char::from(DIGITS[rng.random_range(0..DIGITS.len())]);
    prefix.chars().chain(std::iter::repeat_with(&mut digit).take(digits)).collect()
}

fn check(text: &str, prefix: &'static str) -> Result<(), InvalidId> {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if rest.is_empty() || !is_plain || text.len() > MAX_ID_BYTES {
        return Err(InvalidId(prefix));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_no_two_are_alike() {
        let id = JobId::random();
        assert_eq!(id.as_str().len(), "job_3F2D1A77B0E1".len());
        assert_eq!(id.as_str().parse::<JobId>().unwrap(), id);
        assert_ne!(id, JobId::random());
    }

    #[test]
    fn what_could_leave_its_place_is_refused() {
        for text in ["", "job_", "upl_12", "job_../x", "job_a/b", "job_a.b", "job_é", "JOB_12"] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
        assert!(format!("job_{}", "A".repeat(80)).parse::<JobId>().is_err());
        assert!(serde_json::from_str::<JobId>("\"job_a b\"").is_err());
    }
}
