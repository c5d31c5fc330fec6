//! The HTTP service as its users meet it: the program is started, and asked over HTTP.

#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod auth;
mod buckets;
mod clients;
mod crash;
mod document;
mod exports;
mod idempotency;
mod jobs;
mod limits;
mod models;
#[path = "../../../tests/storage/moto.rs"]
#[expect(dead_code, reason = "the engine's own tests need more of it")]
mod moto;
mod operations;
#[path = "../../../extractors/tests/llm/script.rs"]
mod script;
mod seed;
mod service;
mod uploads;
mod webhooks;
