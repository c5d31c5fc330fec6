//! Where an object is, or a directory of objects.

use std::{fmt, str::FromStr};

use object_store::path::Path;

/// The longest name of a bucket, in characters.
const MAX_BUCKET_CHARS: usize = 255;
/// The longest key, in bytes: what S3 and Google allow.
const MAX_KEY_BYTES: usize = 1_024;

/// An object, or a directory of objects: `s3://bucket/key`, `gs://bucket/key`, `az://container/key`.
///
/// The key is taken as it is written; nothing in it is decoded. It has no empty segments, none that
/// is `.` or `..`, and no control characters. The name of the bucket can't change the host that is
/// connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    provider: Provider,
    bucket: String,
    path: Path,
    region: Option<String>,
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// S3, or a store that speaks it: `s3://`.
    S3,
    /// Google Cloud Storage: `gs://`.
    Gcs,
    /// Azure Blob Storage: `az://`.
    Azure,
}

impl Provider {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

/// The text is no [`Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write s3://bucket/key, gs://bucket/key or az://container/key")]
pub struct InvalidLocation(String);

impl Location {
    /// Whose bucket it is in.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key; empty for the bucket as a whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The region of the bucket, if one was said.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Says in which region the bucket is, if it is another one than the settings'. S3 only.
    pub fn in_region(mut self, region: &str) -> Result<Self, InvalidLocation> {
        let is_fit = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        if !(2..=32).contains(&region.len()) || !region.chars().all(is_fit) {
            return Err(InvalidLocation("the region is none like eu-central-1".to_owned()));
        }
        self.region = Some(region.to_owned());
        Ok(self)
    }

    /// Whether the other place is this one or lies under it.
    pub fn contains(&self, other: &Self) -> bool {
        (self.provider, &self.bucket) == (other.provider, &other.bucket)
            && other.path.prefix_matches(&self.path)
    }

    /// What is called `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self { path: self.path.clone().join(name), ..self.clone() }
    }
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = |what: &str| InvalidLocation(what.to_owned());
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| invalid("the address has no scheme"))?;
        let provider = [Provider::S3, Provider::Gcs, Provider::Azure]
            .into_iter()
            .find(|provider| provider.scheme() == scheme)
            .ok_or_else(|| invalid("the scheme is none of s3, gs and az"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) {
            return Err(invalid("the name of the bucket can't be one"));
        }
        if key.starts_with('/') {
            return Err(invalid("the key has an empty segment"));
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        if key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
            return Err(invalid("the key is too long or holds control characters"));
        }
        let path = Path::parse(key)
            .map_err(|_| invalid("the key has an empty segment, or one that is `.` or `..`"))?;
        Ok(Self { provider, bucket: bucket.to_owned(), path, region: None })
    }
}

fn is_bucket(name: &str) -> bool {
    let is_fit = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    (1..=MAX_BUCKET_CHARS).contains(&name.len())
        && name.chars().all(is_fit)
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && !name.contains("..")
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, bucket, path, .. } = self;
        write!(f, "{}://{bucket}/{path}", provider.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in ["s3://a/b", "gs://a-b_c.d/e f/%2e%2e/ü", "az://c/", "s3://Old.Name/x+y=z"] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
            assert_eq!(location.to_string().parse(), Ok(location));
        }
        assert_eq!("s3://a".parse::<Location>(), "s3://a/".parse());
        assert_eq!("s3://a/b/".parse::<Location>(), "s3://a/b".parse());
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "a/b",
            "http://a/b",
            "s3:///b",
            "s3://a@evil.test/b",
            "s3://evil.test:80/b",
            "s3://a?x/b",
            "s3://a#x/b",
            "s3://a%2f/b",
            "s3://..",
            "s3://a..b/c",
            "s3://a/../c",
            "s3://a/b//c",
            "s3://a//",
            "s3://a//b",
            "s3://a/b/./c",
            "s3://a/b\nc",
            &format!("s3://{}/b", "a".repeat(256)),
            &format!("s3://a/{}", "b".repeat(1_025)),
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_is_one_label_of_a_host() {
        let location: Location = "s3://a/b".parse().unwrap();
        assert_eq!(location.clone().in_region("eu-west-1").unwrap().region(), Some("eu-west-1"));
        for region in ["", "x.evil.test", "evil.test/#", "EU", "a@b"] {
            assert!(location.clone().in_region(region).is_err(), "{region}");
        }
    }

    #[test]
    fn a_place_contains_itself_and_what_lies_under_it() {
        let own: Location = "s3://a/b".parse().unwrap();
        for (text, is_under) in [
            ("s3://a/b", true),
            ("s3://a/b/c", true),
            ("s3://a/bc", false),
            ("s3://a", false),
            ("s3://ab/b", false),
            ("gs://a/b", false),
        ] {
            assert_eq!(own.contains(&text.parse().unwrap()), is_under, "{text}");
        }
    }

    #[test]
    fn a_name_is_joined_as_one_segment() {
        let directory: Location = "s3://a/b".parse().unwrap();
        assert_eq!(directory.join("c").to_string(), "s3://a/b/c");
        assert_eq!("s3://a".parse::<Location>().unwrap().join("c").to_string(), "s3://a/c");
    }
}
