//! Connections through a proxy.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::{
    HttpConnector,
    proxy::{SocksV5, Tunnel},
};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use crate::proxies;

/// Makes a connection to a host through a proxy; the error says what failed.
pub(super) async fn through(proxy: &Url, host: &str, port: u16) -> Result<TcpStream, String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("{host}: the proxy {} failed: {error}", proxies::address(proxy))
    };
    let own_port = proxy.port_or_known_default().unwrap_or_default();
    let address = format!("http://{}:{own_port}", proxy.host_str().unwrap_or_default());
    let address: Uri = address.parse().map_err(|error| failed(&error))?;
    let target: Uri = format!("http://{host}:{port}").parse().map_err(|error| failed(&error))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let user = decoded(proxy.username());
    let password = decoded(proxy.password().unwrap_or_default());
    let stream = match proxy.scheme() {
        "http" => {
            let mut tunnel = Tunnel::new(address, connector);
            if !user.is_empty() {
                tunnel = tunnel.with_auth(basic(&user, &password).map_err(|error| failed(&error))?);
            }
            tunnel.call(target).await.map_err(|error| failed(&error))?
        }
        "socks5h" => {
            let mut socks = SocksV5::new(address, connector);
            if !user.is_empty() {
                socks = socks.with_auth(user, password);
            }
            socks.call(target).await.map_err(|error| failed(&error))?
        }
        _ => return Err(failed(&"a browser can go through http:// and socks5:// proxies only")),
    };
    Ok(stream.into_inner())
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))).parse()
}

/// What a URL writes with percent signs.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
