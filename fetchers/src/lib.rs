//! How Harvestman gets a page.
//!
//! - [`Http`] fetches over plain HTTP, without a browser and without a proxy.
//! - `Browser` (feature `render`) runs the page in Chromium.
//! - `Router` (feature `proxies`) chooses by a task's parameters, and adds proxies, sessions and
//!   escalation; what it has no means for it refuses by name.
//! - [`BlockDetector`] tells a page from a challenge, a captcha or an empty shell.
//!
//! Only public addresses are connected to; others have to be allowed, as on the command line with
//! `--allow-address`:
//!
//! ```
//! use harvestman_engine::{Code, Fetcher, Params, Task};
//! use harvestman_fetchers::Http;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let task = Task::new(0, "http://127.0.0.1:9/", Params::new());
//! let refused = Http::new()?.fetch(&task).await.unwrap_err();
//! assert_eq!(refused.code, Code::ForbiddenAddress);
//!
//! let open = Http::builder().allow("127.0.0.1:9".parse()?).build()?;
//! let failed = open.fetch(&task).await.unwrap_err();
//! assert_eq!(failed.code, Code::ConnectFailed);
//! # Ok(())
//! # }
//! ```

mod blocks;
mod body;
#[cfg(feature = "render")]
mod browser;
mod charset;
mod client;
mod content;
mod decompress;
mod failure;
mod http;
mod prescan;
#[cfg(feature = "proxies")]
mod proxies;
mod redirect;
mod request;
mod resolver;
#[cfg(feature = "proxies")]
mod router;
mod way;
mod webhooks;

#[cfg(feature = "render")]
pub use crate::browser::{Browser, BrowserBuilder, BrowserVersion};
pub use crate::{
    blocks::{BlockDetector, BlockRule, HeaderRule, Unblocked},
    http::{Http, HttpBuilder},
    resolver::Resolver,
    webhooks::{DEFAULT_WEBHOOK_TIMEOUT, Webhooks, WebhooksBuilder},
};
#[cfg(feature = "proxies")]
pub use crate::{
    proxies::{MAX_PROXIES, PoolConfig, Proxies, ProxiesConfig, ProxyStatus},
    router::Router,
};
