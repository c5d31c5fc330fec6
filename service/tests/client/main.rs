//! The promises of `harvestman jobs` and `harvestman uploads`, kept by the real program against a
//! service that does what a test says, and against the real one; and the calls that `docs/api.md` shows.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

#[path = "../../../docs/api.rs"]
mod calls;
mod documented;
mod downloads;
mod hosted;
mod lists;
mod requests;
mod scripted;
mod watching;
mod whole;
