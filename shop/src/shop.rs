//! A shop before it opens.

use std::{io, net::SocketAddr, time::Duration};

use crate::{Fault, Faults, Product, RunningShop, Template};

/// The most bytes that a page can be made of.
pub const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

const DEFAULT_PRODUCTS: u32 = 3000;
const DEFAULT_PAGE_BYTES: usize = 30_000;

/// A shop: how much it sells, what its pages are like, what goes wrong.
///
/// By default it has 3,000 products, pages of about 30 KB, no faults, no latency and no log.
#[derive(Clone, Debug)]
pub struct Shop {
    pub(crate) products: u32,
    pub(crate) page_bytes: usize,
    pub(crate) faults: Faults,
    pub(crate) latency: Duration,
    pub(crate) is_logging: bool,
    pub(crate) template: Option<Template>,
    pub(crate) threads: usize,
}

impl Shop {
    /// A shop with the defaults.
    pub fn new() -> Self {
        Self {
            products: DEFAULT_PRODUCTS,
            page_bytes: DEFAULT_PAGE_BYTES,
            faults: Faults::none(),
            latency: Duration::ZERO,
            is_logging: false,
            template: None,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
        }
    }

    /// Sets the number of products, which have the numbers from 0 to it.
    pub fn with_products(mut self, products: u32) -> Self {
        self.products = products;
        self
    }

    /// Sets the size that pages are padded to, within about a tenth. Under about 1.5 KB nothing is
    /// left to leave out; more than [`MAX_PAGE_BYTES`] is taken as that.
    pub fn with_page_bytes(mut self, bytes: usize) -> Self {
        self.page_bytes = bytes.min(MAX_PAGE_BYTES);
        self
    }

    /// Sets what goes wrong.
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Sets how long each answer is held back, whatever it is.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets whether requests are kept for [`RunningShop::log`].
    pub fn with_log(mut self, is_logging: bool) -> Self {
        self.is_logging = is_logging;
        self
    }

    /// Makes all pages of one template instead of each product's own.
    pub fn with_template(mut self, template: Template) -> Self {
        self.template = Some(template);
        self
    }

    /// Sets the number of threads that serve, by default one for each processor.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// What is true of a product.
    pub fn product(number: u32) -> Product {
        Product::new(number)
    }

    /// What goes wrong with a product.
    pub fn fault(&self, number: u32) -> Fault {
        self.faults.of(number)
    }

    /// How the page of a product is written.
    pub fn template(&self, number: u32) -> Template {
        self.template.unwrap_or_else(|| Template::of(number))
    }

    /// Opens the shop on an address; port 0 takes a free one. On `0.0.0.0` it answers on every
    /// loopback address, which serves as many [hosts](RunningShop::host_product_url).
    ///
    /// It runs on threads of its own, so it can be started with and without an async runtime.
    pub fn start(self, address: SocketAddr) -> io::Result<RunningShop> {
        RunningShop::start(self, address)
    }
}

impl Default for Shop {
    fn default() -> Self {
        Self::new()
    }
}
