//! A shop that is open.

use std::{
    fmt::{self, Write as _},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use futures::{StreamExt, stream};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, time};

use crate::{
    Fault, LoggedRequest, Product, Shop,
    log::Log,
    page::{Page, Pages, canonical_path},
};

/// How long a truncated answer stays open after its last byte, so that the byte gets out.
const TRUNCATION_DELAY: Duration = Duration::from_millis(20);
/// How long a request of the tar pit is kept.
const TAR_PIT_TIME: Duration = Duration::from_hours(1);
/// The most hosts that a shop can be reached as: `127.0.1.1` to `127.0.255.250`.
const MAX_HOSTS: u16 = 255 * HOSTS_PER_NET;
const HOSTS_PER_NET: u16 = 250;

/// A shop that is being served, until it is stopped or dropped.
pub struct RunningShop {
    address: SocketAddr,
    state: Arc<Serving>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a request needs.
struct Serving {
    shop: Shop,
    pages: Pages,
    /// Which products have had their once-only fault.
    had_fault: Bits,
    requests: AtomicU64,
    log: Log,
}

impl RunningShop {
    pub(crate) fn start(shop: Shop, address: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(shop.threads)
            .thread_name("shop")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(Serving {
            had_fault: Bits::new(shop.products),
            pages: Pages::new(shop.clone()),
            shop,
            requests: AtomicU64::new(0),
            log: Log::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("shop-accept".to_owned())
            .spawn(move || serve(&runtime, listener, serving, stopped))?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the shop can be reached: the address that it was started on, with the port that it
    /// got; in place of the unspecified address, the loopback one.
    pub fn address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }

    /// The URL of the shop's front page, e.g. `http://127.0.0.1:8000/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// The URL of a product.
    pub fn product_url(&self, number: u32) -> String {
        format!("http://{}/products/{number}", self.address())
    }

    /// The URL of a product on one of many loopback addresses, numbered from 0 to 63,749, which
    /// start again after the last. The shop has to be started on `0.0.0.0`, and the system to
    /// answer on all of `127.0.0.0/8`, as Linux does.
    pub fn host_product_url(&self, host: u16, number: u32) -> String {
        format!("http://{}/products/{number}", self.host(host))
    }

    /// A URL on one of many loopback addresses that takes the request and never answers.
    pub fn tar_pit_url(&self, host: u16, number: u32) -> String {
        format!("http://{}/tar-pit/{number}", self.host(host))
    }

    /// What the shop is like.
    pub fn shop(&self) -> &Shop {
        &self.state.shop
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// The latest answered requests, at most [`MAX_LOGGED_REQUESTS`](crate::MAX_LOGGED_REQUESTS),
    /// in the order of their answers; none without [`Shop::with_log`].
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.state.log.all()
    }

    /// Closes the port and all connections, and waits until they are closed.
    pub fn stop(self) {
        drop(self);
    }

    fn host(&self, host: u16) -> SocketAddr {
        let host = host % MAX_HOSTS;
        let net = 1 + host / HOSTS_PER_NET;
        let last = 1 + host % HOSTS_PER_NET;
        SocketAddr::new(Ipv4Addr::new(127, 0, net as u8, last as u8).into(), self.address.port())
    }
}

impl Drop for RunningShop {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only if the server has ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; a drop is no place for a second one.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for RunningShop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningShop")
            .field("address", &self.address)
            .field("shop", &self.state.shop)
            .finish_non_exhaustive()
    }
}

/// Serves until it is told to stop. The connections end with the runtime, which is the caller's
/// last.
fn serve(
    runtime: &Runtime,
    listener: std::net::TcpListener,
    state: Arc<Serving>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("the listener is a non-blocking one");
        // Fails only on a socket that is closed already.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let router = Router::new().fallback(answer).with_state(state);
        tokio::select! {
            _ = stopped => {}
            result = axum::serve(listener, router) => result.expect("serving never ends by itself"),
        }
    });
}

async fn answer(State(state): State<Arc<Serving>>, request: Request) -> Response {
    let came = Instant::now();
    state.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path();
    if !state.shop.latency.is_zero() {
        time::sleep(state.shop.latency).await;
    }
    let response = state.route(path).await;
    if state.shop.is_logging {
        state.log.add(LoggedRequest {
            came,
            answered: Instant::now(),
            host: host(request.headers()),
            path: path.to_owned(),
            status: response.status().as_u16(),
        });
    }
    response
}

fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or_default().to_owned()
}

impl Serving {
    async fn route(&self, path: &str) -> Response {
        if path == "/" {
            return html(self.index());
        }
        if path.starts_with("/tar-pit/") {
            time::sleep(TAR_PIT_TIME).await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let Some(product) = path.strip_prefix("/products/") else { return not_found() };
        let (number, is_canonical) = match product.split_once('/') {
            Some((number, _)) => (number, true),
            None => (product, false),
        };
        match number.parse() {
            Ok(number) if number < self.shop.products && is_canonical => self.page(number),
            Ok(number) if number < self.shop.products => self.product(number).await,
            _ => not_found(),
        }
    }

    async fn product(&self, number: u32) -> Response {
        match self.shop.fault(number) {
            Fault::Slow(wait) => time::sleep(wait).await,
            Fault::NotFound => return not_found(),
            Fault::ServerError => {
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "the till is on fire");
            }
            Fault::UnavailableOnce if self.had_fault.set(number) => {
                return failure(StatusCode::SERVICE_UNAVAILABLE, "back in a moment");
            }
            Fault::RateLimitedOnce(wait) if self.had_fault.set(number) => {
                return rate_limited(wait);
            }
            Fault::Redirect => return redirect(&canonical_path(&Product::new(number))),
            Fault::Truncated => return truncated(self.pages.page(number), number),
            Fault::NotHtml => return document(number),
            Fault::None | Fault::UnavailableOnce | Fault::RateLimitedOnce(_) => {}
        }
        self.page(number)
    }

    fn page(&self, number: u32) -> Response {
        html(self.pages.page(number))
    }

    fn index(&self) -> Page {
        let mut text = format!(
            "<!DOCTYPE html>\n<title>The Demo Shop</title>\n<h1>The Demo Shop</h1>\n<p>{} products, at \
             /products/0 and so on, among them:</p>\n<ul>\n",
            self.shop.products
        );
        for number in 0..self.shop.products.min(20) {
            let name = Product::new(number).name;
            let name = crate::escape::Html(&name);
            writeln!(text, "<li><a href=\"/products/{number}\">{name}</a></li>")
                .expect("a string takes all that is written to it");
        }
        text.push_str("</ul>\n");
        Page { content_type: "text/html; charset=utf-8", body: text.into_bytes() }
    }
}

fn html(page: Page) -> Response {
    ([(header::CONTENT_TYPE, page.content_type)], page.body).into_response()
}

fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "no such page")
}

fn failure(status: StatusCode, message: &str) -> Response {
    let body =
        format!("<!DOCTYPE html>\n<title>{status}</title>\n<h1>Sorry</h1>\n<p>{message}</p>\n");
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
}

fn rate_limited(wait: Duration) -> Response {
    let mut response = failure(StatusCode::TOO_MANY_REQUESTS, "one at a time, please");
    response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
    response
}

fn redirect(path: &str) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, path)]).into_response()
}

/// A document that no fields can be read from.
fn document(number: u32) -> Response {
    let body = format!(
        "%PDF-1.7\n%\u{e2}\u{e3}\n1 0 obj << /Title (Data sheet {number}) >> endobj\n%%EOF\n"
    );
    ([(header::CONTENT_TYPE, "application/pdf")], body).into_response()
}

/// Half of a page, after which the connection closes; every other one has told its full length.
fn truncated(page: Page, number: u32) -> Response {
    let length = page.body.len();
    let half = Bytes::from(page.body).slice(..length / 2);
    let end = async {
        time::sleep(TRUNCATION_DELAY).await;
        Err(io::Error::other("cut on purpose"))
    };
    let body = Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(end)));
    let mut response = ([(header::CONTENT_TYPE, page.content_type)], body).into_response();
    if number.is_multiple_of(2) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// One bit for each product.
struct Bits(Box<[AtomicU64]>);

impl Bits {
    fn new(count: u32) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Sets a bit and tells whether it was unset.
    fn set(&self, number: u32) -> bool {
        let mask = 1 << (number % 64);
        self.0[number as usize / 64].fetch_or(mask, Ordering::Relaxed) & mask == 0
    }
}
