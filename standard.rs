//! An engine out of the standard parts: jobs from files and uploads, pages over plain HTTP, results
//! as files. With the feature `object`, lists from buckets and results to them.

mod assembler;
#[cfg(feature = "object")]
mod buckets;
#[cfg(not(feature = "object"))]
#[path = "standard/no_buckets.rs"]
mod buckets;
mod config;
mod files;
mod layout;

pub use self::config::EngineConfig;
