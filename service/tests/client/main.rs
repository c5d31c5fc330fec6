//! The promises of `harvestman jobs` and `harvestman uploads`, kept by the real program against a
//! service that does what a test says.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod downloads;
mod lists;
mod requests;
mod scripted;
mod watching;
