//! Connections to the stores, through the address guard.

use std::{error::Error as StdError, io, net::IpAddr, time::Duration};

use async_trait::async_trait;
use harvestman_engine::{
    Error, Result,
    address::{AddressGuard, ForbiddenAddress},
};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};
use reqwest::{
    Certificate, Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::{Host, Url};

/// How long a connection may take, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a store may say nothing, the time of sending a chunk to it included.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an idle connection is kept: less than stores do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for one endpoint, which connects to nothing but that, and to no address that the guard
/// forbids. It follows no redirects and takes no proxy from the environment.
#[derive(Clone, Debug)]
pub(crate) struct GuardedClient {
    client: Client,
    guard: AddressGuard,
    scheme: String,
    port: u16,
}

impl GuardedClient {
    /// A client for the endpoint of this address: its scheme and its port.
    pub(crate) fn new(
        guard: &AddressGuard,
        trusted: &[Certificate],
        endpoint: &Url,
    ) -> Result<Self> {
        let port = endpoint.port_or_known_default().unwrap_or_default();
        let resolver = GuardedResolver { guard: guard.clone(), port };
        let client = Client::builder()
            .user_agent(concat!("harvestman/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(resolver)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_only()
            .tls_certs_merge(trusted.iter().cloned())
            .build()
            .map_err(|error| Error::part("store", error))?;
        let (guard, scheme) = (guard.clone(), endpoint.scheme().to_owned());
        Ok(Self { client, guard, scheme, port })
    }

    /// Refuses what no resolver sees: another scheme or port, and addresses written as such.
    fn check(&self, request: &HttpRequest) -> Result<(), Refused> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| Refused::Elsewhere)?;
        if url.scheme() != self.scheme || url.port_or_known_default() != Some(self.port) {
            return Err(Refused::Elsewhere);
        }
        let ip: IpAddr = match url.host() {
            Some(Host::Ipv4(ip)) => ip.into(),
            Some(Host::Ipv6(ip)) => ip.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Refused::Elsewhere),
        };
        Ok(self.guard.check(ip, self.port)?)
    }
}

#[async_trait]
impl HttpService for GuardedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.check(&request).map_err(lasting)?;
        self.client.call(request).await.map_err(|error| match refusal(&error) {
            Some(refused) => lasting(refused),
            None => error,
        })
    }
}

impl HttpConnector for GuardedClient {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// Why nothing was connected to.
#[derive(Debug, Clone, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Address(#[from] ForbiddenAddress),
    #[error("the request leads away from the endpoint")]
    Elsewhere,
}

/// An error that is not tried again: the address won't be another one.
fn lasting(refused: Refused) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, refused)
}

fn refusal(error: &(dyn StdError + 'static)) -> Option<Refused> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        cause = error.source();
    }
    None
}

/// Asks the system's resolver and checks every answer; one that is forbidden refuses the name.
#[derive(Debug)]
struct GuardedResolver {
    guard: AddressGuard,
    port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, port) = (self.guard.clone(), self.port);
        Box::pin(async move {
            // Port 0 makes the connector fill in that of the URL.
            let answers = tokio::net::lookup_host((name.as_str(), 0)).await?.collect::<Vec<_>>();
            if answers.is_empty() {
                return Err(io::Error::other("the name has no address").into());
            }
            for answer in &answers {
                guard.check(answer.ip(), port).map_err(Refused::from)?;
            }
            Ok(Box::new(answers.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;

    async fn ask(client: &GuardedClient, uri: &str) -> String {
        let request = http::Request::get(uri).body(HttpRequestBody::empty()).unwrap();
        let error = client.call(request).await.unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Unknown, "{error}");
        error.to_string()
    }

    #[tokio::test]
    async fn forbidden_addresses_are_refused_by_literal_and_by_name() {
        let endpoint = "http://localhost:9".parse().unwrap();
        let client = GuardedClient::new(&AddressGuard::new(), &[], &endpoint).unwrap();
        for uri in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"] {
            let refused = ask(&client, uri).await;
            assert!(refused.contains("loopback"), "{uri}: {refused}");
        }
    }

    #[tokio::test]
    async fn nothing_but_the_endpoint_is_asked() {
        let guard = AddressGuard::new().with_allowed("127.0.0.1".parse().unwrap());
        let endpoint = "http://127.0.0.1:9".parse().unwrap();
        let client = GuardedClient::new(&guard, &[], &endpoint).unwrap();
        for uri in ["http://127.0.0.1:10/", "https://127.0.0.1:9/"] {
            assert!(ask(&client, uri).await.contains("away from the endpoint"), "{uri}");
        }
    }
}
