//! How Harvestman gets a page: [`Http`] fetches over plain HTTP, without a browser.
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

mod body;
mod charset;
mod client;
mod content;
mod decompress;
mod failure;
mod http;
mod prescan;
mod redirect;
mod request;
mod resolver;

pub use crate::http::{Http, HttpBuilder};
