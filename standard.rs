//! An engine out of the standard parts: jobs from files and uploads, pages over plain HTTP, results
//! as files.

mod assembler;
mod config;
mod files;
mod layout;

pub use self::config::EngineConfig;
