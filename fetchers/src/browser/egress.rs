//! The only way out for a page: a SOCKS5 server of ours, one for each page, that connects to
//! addresses that were checked after resolution, directly or through a proxy.
//!
//! Whatever a page does (subresources, redirects, web sockets, workers, prefetches) comes along here
//! as a name or an address; the browser itself resolves nothing. See RFC 1928.

mod upstream;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harvestman_engine::{Code, FetchError, address::AddressGuard};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use url::Url;

use self::upstream::Stream;
use crate::resolver::Resolver;

/// The most connections of one page at a time; more wait.
const MAX_CONNECTIONS: usize = 128;
/// How long a connection may take, name resolution included.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long the browser may take to say where it wants to.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// The most bytes that a page loads; beyond, its connections are cut.
const MAX_PAGE_BYTES: u64 = 256 * 1024 * 1024;
/// How many failures are kept for the error's message.
const MAX_FAILURES: usize = 64;
const BUFFER_BYTES: usize = 32 * 1024;

/// A way out for one page. Dropping it cuts all of the page's connections.
#[derive(Debug)]
pub(super) struct Egress {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    guard: AddressGuard,
    names: Arc<dyn Resolver>,
    /// The proxy on the way, with user and password.
    proxy: Option<Url>,
    own_address: SocketAddr,
    received: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

/// A connection that was not made.
#[derive(Clone, Debug)]
struct Failure {
    host: String,
    code: Code,
    message: String,
}

impl Egress {
    pub(super) async fn open(
        guard: AddressGuard,
        names: Arc<dyn Resolver>,
        proxy: Option<Url>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            guard,
            names,
            proxy,
            own_address: address,
            received: AtomicU64::new(0),
            failures: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, server })
    }

    /// What the browser is told as its proxy.
    pub(super) fn url(&self) -> String {
        format!("socks5://{}", self.address)
    }

    /// Why the connection to a host failed; if that one is not known, the last that failed.
    pub(super) fn failure(&self, host: Option<&str>) -> Option<FetchError> {
        let failures = self.shared.failures();
        let is_it = |failure: &&Failure| Some(failure.host.as_str()) == host;
        let failure = failures.iter().rev().find(is_it).or(failures.last())?;
        Some(FetchError::new(failure.code, failure.message.clone()))
    }

    /// The bytes that the page has loaded.
    pub(super) fn is_used_up(&self) -> bool {
        self.shared.received.load(Ordering::Relaxed) > MAX_PAGE_BYTES
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, host: &str, code: Code, message: String) {
        let mut failures = self.failures();
        if failures.len() < MAX_FAILURES {
            failures.push(Failure { host: host.to_owned(), code, message });
        }
    }
}

/// Takes connections until it is dropped; with it go those that stand.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tunnels = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((browser, _)) = listener.accept().await else { continue };
        while tunnels.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        tunnels.spawn(async move {
            // How it ends is the page's affair.
            let _ = tunnel(browser, &shared).await;
            drop(permit);
        });
    }
}

async fn tunnel(mut browser: TcpStream, shared: &Shared) -> io::Result<()> {
    browser.set_nodelay(true)?;
    let target = timeout(HANDSHAKE_TIME, handshake(&mut browser)).await??;
    match timeout(CONNECT_TIME, connect(&target, shared)).await {
        Ok(Ok(stream)) => {
            reply(&mut browser, SUCCEEDED).await?;
            copy_both(browser, stream, &shared.received).await
        }
        Ok(Err((code, message))) => {
            shared.note(&target.host(), code, message);
            reply(&mut browser, HOST_UNREACHABLE).await
        }
        Err(_) => {
            let seconds = CONNECT_TIME.as_secs();
            let message = format!("{}: no connection within {seconds} s", target.host());
            shared.note(&target.host(), Code::ConnectFailed, message);
            reply(&mut browser, HOST_UNREACHABLE).await
        }
    }
}

/// Where the browser wants to.
#[derive(Debug)]
enum Target {
    Address(SocketAddr),
    Name(String, u16),
}

impl Target {
    /// As a URL writes it.
    fn host(&self) -> String {
        match self {
            Self::Address(SocketAddr::V6(address)) => format!("[{}]", address.ip()),
            Self::Address(address) => address.ip().to_string(),
            Self::Name(name, _) => name.clone(),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }
}

const VERSION: u8 = 5;
const SUCCEEDED: u8 = 0;
const HOST_UNREACHABLE: u8 = 4;

/// Reads what the client greets with and asks for; only connections are served, without a password.
async fn handshake(browser: &mut TcpStream) -> io::Result<Target> {
    let [version, methods] = read_array(browser).await?;
    let mut offered = vec![0; methods.into()];
    browser.read_exact(&mut offered).await?;
    if version != VERSION || !offered.contains(&0) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    browser.write_all(&[VERSION, 0]).await?;
    let [version, command, _, kind] = read_array(browser).await?;
    if (version, command) != (VERSION, 1) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let host = match kind {
        1 => Host::Ip(Ipv4Addr::from(read_array(browser).await?).into()),
        4 => Host::Ip(Ipv6Addr::from(read_array::<16>(browser).await?).into()),
        3 => Host::Name(read_name(browser).await?),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let port = u16::from_be_bytes(read_array(browser).await?);
    Ok(match host {
        Host::Ip(ip) => Target::Address((ip, port).into()),
        Host::Name(name) => match name.parse::<IpAddr>() {
            Ok(ip) => Target::Address((ip, port).into()),
            Err(_) => Target::Name(name, port),
        },
    })
}

enum Host {
    Ip(IpAddr),
    Name(String),
}

async fn read_array<const N: usize>(browser: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    browser.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_name(browser: &mut TcpStream) -> io::Result<String> {
    let [length] = read_array(browser).await?;
    let mut name = vec![0; length.into()];
    browser.read_exact(&mut name).await?;
    String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData.into())
}

async fn reply(browser: &mut TcpStream, code: u8) -> io::Result<()> {
    browser.write_all(&[VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// Connects to where the browser wants to, if that may be.
async fn connect(target: &Target, shared: &Shared) -> Result<Stream, (Code, String)> {
    let host = target.host();
    let addresses = addresses(target, shared).await?;
    for address in &addresses {
        let checked = shared.guard.check(address.ip(), address.port());
        checked.map_err(|error| (Code::ForbiddenAddress, format!("{host}: {error}")))?;
        if *address == shared.own_address {
            let message = format!("{host}: a page can't ask for its own way out");
            return Err((Code::ForbiddenAddress, message));
        }
    }
    if let Some(proxy) = &shared.proxy {
        let stream = upstream::through(proxy, &host, target.port()).await;
        return stream.map_err(|message| (Code::ProxyError, message));
    }
    let stream = TcpStream::connect(&*addresses).await.map_err(|error| {
        (Code::ConnectFailed, format!("{host}:{}: no connection: {error}", target.port()))
    })?;
    let _ = stream.set_nodelay(true);
    Ok(Stream::Plain(stream))
}

/// The addresses of a target, asked for once: those that are checked are those that are connected to.
/// None of a name that only the proxy may know.
async fn addresses(target: &Target, shared: &Shared) -> Result<Vec<SocketAddr>, (Code, String)> {
    let (name, port) = match target {
        Target::Address(address) => return Ok(vec![*address]),
        Target::Name(name, port) => (name, *port),
    };
    let why = match shared.names.resolve(name).await {
        Ok(ips) if !ips.is_empty() => {
            return Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        _ if shared.proxy.is_some() => return Ok(Vec::new()),
        Ok(_) => "the name has no address".to_owned(),
        Err(error) => format!("the name could not be resolved: {error}"),
    };
    Err((Code::DnsFailure, format!("{name}: {why}")))
}

/// Carries bytes both ways until both sides have ended or the page has had enough.
async fn copy_both(browser: TcpStream, stream: Stream, received: &AtomicU64) -> io::Result<()> {
    match stream {
        Stream::Plain(stream) => carry(browser, stream.into_split(), received).await,
        Stream::Tls(stream) => carry(browser, tokio::io::split(stream), received).await,
    }
}

async fn carry(
    browser: TcpStream,
    (from_host, to_host): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    received: &AtomicU64,
) -> io::Result<()> {
    let (from_browser, to_browser) = browser.into_split();
    let unlimited = AtomicU64::new(0);
    let up = copy(from_browser, to_host, &unlimited, u64::MAX);
    let down = copy(from_host, to_browser, received, MAX_PAGE_BYTES);
    tokio::try_join!(up, down).map(|_| ())
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
    limit: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        if count.fetch_add(read as u64, Ordering::Relaxed) > limit {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        to.write_all(&buffer[..read]).await?;
        // TLS keeps back what it could not send at once.
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::resolver::SystemResolver;

    async fn direct(guard: AddressGuard) -> Egress {
        Egress::open(guard, Arc::new(SystemResolver), None).await.unwrap()
    }

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    /// Asks for a target and gives the reply's code and the connection.
    async fn ask(egress: &Egress, kind: u8, host: &[u8], port: u16) -> (u8, TcpStream) {
        let mut client = TcpStream::connect(egress.address).await.unwrap();
        client.write_all(&[5, 1, 0]).await.unwrap();
        let _: [u8; 2] = read_array(&mut client).await.unwrap();
        let request = [&[5, 1, 0, kind], host, &port.to_be_bytes()].concat();
        client.write_all(&request).await.unwrap();
        let reply: [u8; 10] = read_array(&mut client).await.unwrap();
        (reply[1], client)
    }

    #[tokio::test]
    async fn only_checked_addresses_are_reached_however_they_are_named() {
        let address = echo().await;
        let rule = format!("127.0.0.1:{}", address.port()).parse().unwrap();
        let guard = AddressGuard::new().with_allowed(rule);
        let egress = direct(guard).await;
        let (code, mut client) = ask(&egress, 1, &[127, 0, 0, 1], address.port()).await;
        assert_eq!(code, SUCCEEDED);
        client.write_all(b"hello").await.unwrap();
        assert_eq!(&read_array::<5>(&mut client).await.unwrap(), b"hello");
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        for (kind, host, port) in [
            (1, &[127, 0, 0, 1][..], address.port() ^ 1),
            (1, &[127, 0, 0, 1], egress.address.port()),
            (1, &[169, 254, 169, 254], 80),
            (4, &mapped, 80),
            (4, &Ipv6Addr::LOCALHOST.octets(), address.port()),
            (3, b"\x0910.0.0.1 "[..9].as_ref(), 80),
            (3, b"\x0b127.0.0.2  "[..10].as_ref(), 80),
            (3, b"\x09localhost", 9),
        ] {
            let host = if kind == 3 {
                [&[host.len() as u8 - 1], &host[1..]].concat()
            } else {
                host.to_vec()
            };
            let (code, _) = ask(&egress, kind, &host, port).await;
            assert_eq!(code, HOST_UNREACHABLE, "{kind} {host:?}");
            let failure = egress.failure(Some("none")).unwrap();
            assert_eq!(failure.code, Code::ForbiddenAddress, "{failure}");
        }
    }

    /// Each answer is another one: what is allowed, then what isn't, in turn.
    #[derive(Debug, Default)]
    struct Alternating(AtomicU64);

    #[async_trait]
    impl Resolver for Alternating {
        async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            let last = match (name, self.0.fetch_add(1, Ordering::Relaxed) % 2) {
                ("nowhere.test", _) => return Ok(Vec::new()),
                (_, turn) => 1 + turn as u8,
            };
            Ok(vec![Ipv4Addr::new(127, 0, 0, last).into()])
        }
    }

    #[tokio::test]
    async fn the_address_that_was_checked_is_connected_to_whatever_the_name_means_then() {
        let address = echo().await;
        let inside =
            TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), address.port())).await.unwrap();
        let rule = format!("127.0.0.1:{}", address.port()).parse().unwrap();
        let guard = AddressGuard::new().with_allowed(rule);
        let egress = Egress::open(guard, Arc::new(Alternating::default()), None).await.unwrap();
        for expected in [SUCCEEDED, HOST_UNREACHABLE, SUCCEEDED, HOST_UNREACHABLE] {
            let (code, _) = ask(&egress, 3, b"\x0bfickle.test", address.port()).await;
            assert_eq!(code, expected);
        }
        assert_eq!(egress.failure(Some("fickle.test")).unwrap().code, Code::ForbiddenAddress);
        let (code, _) = ask(&egress, 3, b"\x0cnowhere.test", address.port()).await;
        assert_eq!(code, HOST_UNREACHABLE);
        assert_eq!(egress.failure(Some("nowhere.test")).unwrap().code, Code::DnsFailure);
        let nobody = timeout(Duration::ZERO, inside.accept()).await;
        assert!(nobody.is_err(), "the address inside was connected to");
    }

    #[tokio::test]
    async fn what_is_no_socks_is_cut() {
        let egress = direct(AddressGuard::new()).await;
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], &[4, 1, 0], &[5, 1, 2], &[5, 1, 0, 5, 2, 0, 1]]
        {
            let mut client = TcpStream::connect(egress.address).await.unwrap();
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer).await;
            assert!(answer.len() <= 2, "{bytes:?}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn dropping_it_cuts_the_connections() {
        let address = echo().await;
        let guard = AddressGuard::new().with_allowed("127.0.0.1".parse().unwrap());
        let egress = direct(guard).await;
        let (_, mut client) = ask(&egress, 1, &[127, 0, 0, 1], address.port()).await;
        drop(egress);
        let ended = client.read(&mut [0; 1]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
