//! The connection pools, set up once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use harvestman_engine::{
    Error, Result,
    address::{AddressGuard, AddressRule},
};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, ClientBuilder, redirect::Policy};

use crate::{
    decompress::ACCEPT_ENCODING,
    resolver::{GuardedResolver, Resolver},
};

/// How long a connection may take, name resolution and TLS included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The idle pool has no bound over all hosts, so idle connections must go soon.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections to one host; enough for a job on a single host to go on with those that it has.
const MAX_IDLE_PER_HOST: usize = 64;
/// The most bytes of headers in an answer over HTTP/2. Over HTTP/1.1 it's 100 headers in 400 KiB.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// The most different ports among the rules: each has a pool.
const MAX_RULE_PORTS: usize = 32;
/// Asks with this port are covered by rules for all ports only.
const UNNAMED_PORT: u16 = 0;

const ACCEPT: HeaderValue =
    HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

/// One client for each port that a rule names, and one for all other ports.
///
/// A resolver isn't told the port. So that a rule for one port opens no other, each of these ports
/// has a client whose resolver knows it.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    others: Client,
    by_port: Arc<[(u16, Client)]>,
}

impl Clients {
    pub(crate) fn new(
        guard: &AddressGuard,
        names: &Arc<dyn Resolver>,
        user_agent: &HeaderValue,
    ) -> Result<Self> {
        let ports: BTreeSet<u16> = guard.allowed().iter().filter_map(AddressRule::port).collect();
        if ports.len() > MAX_RULE_PORTS {
            let message = format!("names more than {MAX_RULE_PORTS} different ports");
            return Err(Error::invalid("the allowed addresses", message));
        }
        let client = |port| {
            let resolver = Arc::new(GuardedResolver::new(guard.clone(), Arc::clone(names), port));
            build(&|| builder(user_agent).dns_resolver(Arc::clone(&resolver)))
        };
        let by_port: Result<Vec<_>> =
            ports.iter().map(|port| Ok((*port, client(*port)?))).collect();
        Ok(Self { others: client(UNNAMED_PORT)?, by_port: by_port?.into() })
    }

    /// The client whose resolver judges addresses for `port`.
    pub(crate) fn for_port(&self, port: u16) -> &Client {
        let found = self.by_port.iter().find(|(named, _)| *named == port);
        found.map_or(&self.others, |(_, client)| client)
    }
}

/// The client of a proxy. The proxy resolves the names, its own address is the operator's word.
///
/// A tunnel is used again, and the connection of a proxy that says that it `keeps` it. Without a
/// word, for plain HTTP, there are proxies (tinyproxy is one) that hand the rest of a connection to
/// the server of its first request, and close it with that server: each request makes a new one.
#[cfg(feature = "proxies")]
pub(crate) fn proxied(proxy: &url::Url, keeps: bool, user_agent: &HeaderValue) -> Result<Client> {
    let proxy =
        reqwest::Proxy::all(proxy.clone()).map_err(|error| Error::part("fetcher", error))?;
    let max_idle = if keeps { MAX_IDLE_PER_HOST } else { 0 };
    build(&|| builder(user_agent).proxy(proxy.clone()).pool_max_idle_per_host(max_idle))
}

fn builder(user_agent: &HeaderValue) -> ClientBuilder {
    let headers = HeaderMap::from_iter([
        (header::ACCEPT, ACCEPT),
        (header::ACCEPT_ENCODING, ACCEPT_ENCODING),
    ]);
    Client::builder()
        // Ours bounds windows, and tells a cut body from a corrupt one.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .default_headers(headers)
        .user_agent(user_agent.clone())
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .http2_max_header_list_size(MAX_HEAD_BYTES)
        .tcp_nodelay(true)
}

/// A machine without root certificates can still fetch over plain HTTP; over TLS it trusts nobody.
fn build(builder: &dyn Fn() -> ClientBuilder) -> Result<Client> {
    builder().build().or_else(|error| {
        let client = builder().tls_certs_only([]).build();
        if client.is_ok() {
            tracing::warn!(%error, "no root certificates: https pages will end in tls_error");
        }
        client.map_err(|error| Error::part("fetcher", error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(rules: &[String]) -> Result<Clients> {
        let guard = rules
            .iter()
            .fold(AddressGuard::new(), |guard, rule| guard.with_allowed(rule.parse().unwrap()));
        let names: Arc<dyn Resolver> = Arc::new(crate::resolver::SystemResolver);
        Clients::new(&guard, &names, &HeaderValue::from_static("test"))
    }

    #[tokio::test]
    async fn each_named_port_has_its_own_client() {
        let rules = ["10.0.0.0/8", "127.0.0.1:80", "10.1.1.1:80", "[::1]:81"].map(str::to_owned);
        let clients = clients(&rules).unwrap();
        assert_eq!(clients.by_port.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [80, 81]);
        assert!(std::ptr::eq(clients.for_port(82), &raw const clients.others));
        assert!(std::ptr::eq(clients.for_port(81), &raw const clients.by_port[1].1));
    }

    #[test]
    fn too_many_ports_are_refused() {
        let rules: Vec<_> = (1..=33).map(|port| format!("127.0.0.1:{port}")).collect();
        let message = clients(&rules).unwrap_err().to_string();
        assert!(message.contains("more than 32 different ports"), "{message}");
    }

    #[test]
    fn a_machine_without_root_certificates_gets_a_client() {
        let attempts = std::cell::Cell::new(0);
        let client = build(&|| {
            attempts.set(attempts.get() + 1);
            let broken = if attempts.get() == 1 { "\n" } else { "fine" };
            Client::builder().user_agent(broken)
        });
        assert!(client.is_ok());
        assert_eq!(attempts.get(), 2);
    }
}
