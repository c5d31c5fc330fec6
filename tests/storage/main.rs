//! Lists from buckets and results to them, against a server that speaks S3, IAM and STS.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod faults;
mod gcs;
mod jobs;
mod kill;
mod moto;
mod place;
mod proxy;
mod random;
mod results;
mod sessions;
