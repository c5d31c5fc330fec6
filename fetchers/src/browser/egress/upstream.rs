//! Connections through a proxy.

use std::{error::Error as StdError, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        proxy::{SocksV5, Tunnel},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use crate::{failure::root, proxies};

/// Makes connections over TLS, trusting whom the system trusts; reads that from files, once.
static TLS: LazyLock<Result<HttpsConnector<HttpConnector>, String>> = LazyLock::new(|| {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = HttpsConnectorBuilder::new().with_provider_and_platform_verifier(provider);
    let builder = builder.map_err(|error| error.to_string())?;
    let mut connector = plain();
    connector.enforce_http(false);
    Ok(builder.https_only().enable_http1().wrap_connector(connector))
});

/// A connection as it leaves this machine.
pub(super) enum Stream {
    Plain(TcpStream),
    /// To a proxy that is spoken to over TLS.
    Tls(Box<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>),
}

type Cause = Box<dyn StdError + Send + Sync>;

/// Makes a connection to a host through a proxy; the error says what failed.
pub(super) async fn through(proxy: &Url, host: &str, port: u16) -> Result<Stream, String> {
    let stream = match proxy.scheme() {
        "http" => over_http(proxy, host, port).await,
        "https" => over_tls(proxy, host, port).await,
        _ => over_socks(proxy, host, port).await,
    };
    stream.map_err(|error| {
        let cause = root(&*error);
        format!("{host}: the proxy {} failed: {cause}", proxies::address(proxy))
    })
}

async fn over_http(proxy: &Url, host: &str, port: u16) -> Result<Stream, Cause> {
    let stream = tunnel(proxy, host, port, plain()).await?;
    Ok(Stream::Plain(stream.into_inner()))
}

async fn over_tls(proxy: &Url, host: &str, port: u16) -> Result<Stream, Cause> {
    let stream = tunnel(proxy, host, port, TLS.clone()?).await?;
    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
}

async fn over_socks(proxy: &Url, host: &str, port: u16) -> Result<Stream, Cause> {
    let mut socks = SocksV5::new(address(proxy, "http")?, plain());
    if let Some((user, password)) = credentials(proxy) {
        socks = socks.with_auth(user, password);
    }
    let stream = socks.call(target(host, port)?).await?;
    Ok(Stream::Plain(stream.into_inner()))
}

/// Asks an HTTP proxy for a tunnel to the host, on a connection that `connector` makes.
async fn tunnel<C, S>(proxy: &Url, host: &str, port: u16, connector: C) -> Result<S, Cause>
where
    C: Send,
    S: Send,
    Tunnel<C>: Service<Uri, Response = S, Error: Into<Cause>, Future: Send> + Send,
{
    let mut tunnel = Tunnel::new(address(proxy, proxy.scheme())?, connector);
    if let Some((user, password)) = credentials(proxy) {
        tunnel = tunnel.with_auth(basic(&user, &password)?);
    }
    tunnel.call(target(host, port)?).await.map_err(Into::into)
}

fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

/// The proxy without user and password, under a scheme that the connector knows.
fn address(proxy: &Url, scheme: &str) -> Result<Uri, http::uri::InvalidUri> {
    let port = proxy.port_or_known_default().unwrap_or_default();
    format!("{scheme}://{}:{port}", proxy.host_str().unwrap_or_default()).parse()
}

fn target(host: &str, port: u16) -> Result<Uri, http::uri::InvalidUri> {
    format!("http://{host}:{port}").parse()
}

fn credentials(proxy: &Url) -> Option<(String, String)> {
    let user = decoded(proxy.username());
    let password = decoded(proxy.password().unwrap_or_default());
    Some((user, password)).filter(|(user, _)| !user.is_empty())
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))).parse()
}

/// What a URL writes with percent signs.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
