//! A shop to try scraping on: thousands of deterministic product pages over real HTTP, some slow,
//! some failing, some rate-limited.
//!
//! Pages come in five templates that differ in where the facts are; [`Shop::product`] tells what
//! is true, so that what was extracted can be checked, and [`Shop::fault`] what goes wrong.
//!
//! ```
//! use harvestman_shop::{Faults, Shop};
//!
//! # fn main() -> std::io::Result<()> {
//! let shop = Shop::new().with_products(100).with_faults(Faults::demo());
//! let running = shop.start(([127, 0, 0, 1], 0).into())?;
//! assert!(running.product_url(7).ends_with("/products/7"));
//! println!("{} is at {}", Shop::product(7).name, running.product_url(7));
//! running.stop();
//! # Ok(())
//! # }
//! ```

mod escape;
mod fault;
mod filler;
mod log;
mod page;
mod product;
mod random;
mod server;
mod shop;

pub use crate::{
    fault::{Fault, Faults},
    log::{LoggedRequest, MAX_LOGGED_REQUESTS},
    page::Template,
    product::{Availability, Product},
    server::RunningShop,
    shop::{MAX_PAGE_BYTES, Shop},
};
