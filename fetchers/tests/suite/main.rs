//! The fetchers against real servers, proxies and browsers on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not known as tests to the lint")]

mod fetch;
#[cfg(feature = "render")]
mod hostile;
mod peer;
#[cfg(feature = "proxies")]
mod proxies;
#[cfg(feature = "proxies")]
mod proxy;
mod rebinding;
#[cfg(feature = "render")]
mod render;
mod webhooks;
