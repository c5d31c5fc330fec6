//! The promises of an engine over many jobs, with scripted pages, the real store and paused time.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod lifecycle;
mod model;
mod queue;
mod retries;
mod webhooks;
mod world;
