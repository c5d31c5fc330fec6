//! The promises of `harvestman run`, kept by the real program against a real server.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod buckets;
mod crash;
mod models;
#[path = "../../../tests/storage/moto.rs"]
#[expect(dead_code, reason = "the engine's own tests need more of it")]
mod moto;
mod program;
mod readers;
mod refusals;
mod rendering;
mod results;
#[path = "../../../extractors/tests/llm/script.rs"]
mod script;
mod stops;
mod streams;
