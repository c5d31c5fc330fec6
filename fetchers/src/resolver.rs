//! Name resolution that gives only checked addresses to the connector.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use harvestman_engine::address::{AddressGuard, ForbiddenAddress};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of a name, for the fetchers that connect to them.
///
/// It need not be trusted: a name is asked for once a connection, each address of the answer is
/// checked, and one of these is connected to, whatever the name means a moment later. An answer has
/// the time of a connection, 10 s.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of `name`, in the order in which they are tried.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver: what `/etc/hosts` and the like say, then DNS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let answers = tokio::net::lookup_host((name, 0)).await?;
        Ok(answers.map(|answer| answer.ip()).collect())
    }
}

/// Asks a resolver and checks every answer; the addresses that it returns are the ones that are
/// connected to.
///
/// One forbidden address refuses the name as a whole: a name that points inside and outside is an
/// attack or a mistake.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    guard: AddressGuard,
    names: Arc<dyn Resolver>,
    port: u16,
}

/// Why a name gave no address. It travels as a source inside of reqwest's error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error(transparent)]
    Forbidden(ForbiddenAddress),
    #[error("the name could not be resolved: {0}")]
    Failed(io::Error),
    #[error("the name has no address")]
    Empty,
}

impl GuardedResolver {
    /// Judges addresses as for connections to `port`.
    pub(crate) fn new(guard: AddressGuard, names: Arc<dyn Resolver>, port: u16) -> Self {
        Self { guard, names, port }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, names, port) = (self.guard.clone(), Arc::clone(&self.names), self.port);
        Box::pin(async move {
            let answers = names.resolve(name.as_str()).await.map_err(ResolveError::Failed)?;
            let checked = check(&guard, port, answers)?;
            // Port 0 makes the connector fill in that of the URL.
            Ok(Box::new(checked.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// Checks the addresses that a proxy will most likely find for a name. A name that is not known
/// here may be known to the proxy, and passes.
#[cfg(feature = "proxies")]
pub(crate) async fn check_known(
    guard: &AddressGuard,
    names: &dyn Resolver,
    url: &url::Url,
    port: u16,
) -> Result<(), harvestman_engine::FetchError> {
    let Some(url::Host::Domain(host)) = url.host() else { return Ok(()) };
    let lookup = tokio::time::timeout(LOOKUP_TIME, names.resolve(host));
    let Ok(Ok(answers)) = lookup.await else { return Ok(()) };
    match check(guard, port, answers) {
        Err(ResolveError::Forbidden(error)) => Err(crate::failure::forbidden(error, url)),
        _ => Ok(()),
    }
}

/// How long a name is looked up that a proxy will look up again.
#[cfg(feature = "proxies")]
const LOOKUP_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// Checks an address that is written in the URL: no resolver sees it.
pub(crate) fn check_literal(
    guard: &AddressGuard,
    url: &url::Url,
    port: u16,
) -> Result<(), harvestman_engine::FetchError> {
    let ip = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.into(),
        Some(url::Host::Ipv6(ip)) => ip.into(),
        Some(url::Host::Domain(_)) | None => return Ok(()),
    };
    guard.check(ip, port).map_err(|error| crate::failure::forbidden(error, url))
}

fn check(
    guard: &AddressGuard,
    port: u16,
    answers: Vec<IpAddr>,
) -> Result<Vec<IpAddr>, ResolveError> {
    let checked = answers.into_iter().map(|ip| guard.check(ip, port).map(|()| ip));
    let checked: Result<Vec<_>, _> = checked.collect();
    match checked {
        Ok(checked) if checked.is_empty() => Err(ResolveError::Empty),
        Ok(checked) => Ok(checked),
        Err(error) => Err(ResolveError::Forbidden(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(ips: &[&str]) -> Vec<IpAddr> {
        ips.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn one_forbidden_answer_refuses_the_name() {
        let guard = AddressGuard::new();
        for (ips, passes) in [
            (&["8.8.8.8", "2606:4700::1111"][..], true),
            (&["8.8.8.8", "10.0.0.1"], false),
            (&["::ffff:127.0.0.1", "8.8.8.8"], false),
            (&[], false),
        ] {
            assert_eq!(check(&guard, 0, answers(ips)).is_ok(), passes, "{ips:?}");
        }
    }

    #[test]
    fn a_rule_for_one_port_opens_no_other() {
        let guard = AddressGuard::new().with_allowed("127.0.0.1:80".parse().unwrap());
        assert!(check(&guard, 80, answers(&["127.0.0.1"])).is_ok());
        for port in [0, 81] {
            assert!(matches!(
                check(&guard, port, answers(&["127.0.0.1"])),
                Err(ResolveError::Forbidden(_))
            ));
        }
    }
}
