//! All proxies, and which one is next.

use harvestman_engine::{Code, Error, FetchError, Result, params::ProxyType};
use tokio::time::Instant;
use url::Url;

use super::{
    MAX_PROXIES, Outcome, PoolConfig, ProxiesConfig, ProxyStatus, health::Health, session::token,
    template::Template,
};

/// From the weakest to the strongest.
const LADDER: [ProxyType; 3] = [ProxyType::Datacenter, ProxyType::Residential, ProxyType::Mobile];

/// What a task wants of a proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) class: Option<ProxyType>,
    pub(super) country: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Pool {
    members: Vec<Member>,
    /// Counts the choices made: what is used last has the highest number.
    choices: u64,
}

#[derive(Debug)]
struct Member {
    class: ProxyType,
    country: Option<String>,
    template: Template,
    /// The URL, if it is one for all countries and sessions.
    fixed: Option<Url>,
    /// The session's name for tasks without one; another one after a block.
    token: String,
    health: Health,
    last_used: u64,
    /// It has said that it keeps connections open between requests.
    is_persistent: bool,
}

impl Pool {
    pub(super) fn new(config: &ProxiesConfig) -> Result<Self> {
        let mut members = Vec::new();
        for (number, pool) in config.pools.iter().enumerate() {
            check_country(number, pool)?;
            for (place, template) in pool.proxies.iter().enumerate() {
                check_template(template, pool).map_err(|message| {
                    Error::invalid(format!("pools[{number}].proxies[{place}]"), message)
                })?;
                members.push(Member::new(pool, template));
            }
        }
        if members.len() > MAX_PROXIES {
            return Err(Error::invalid("pools", format!("hold more than {MAX_PROXIES} proxies")));
        }
        Ok(Self { members, choices: 0 })
    }

    pub(super) fn classes(&self) -> Vec<ProxyType> {
        let has = |class: &ProxyType| self.members.iter().any(|member| member.class == *class);
        LADDER.into_iter().filter(has).collect()
    }

    pub(super) fn status(&self, now: Instant) -> Vec<ProxyStatus> {
        let status = |member: &Member| ProxyStatus {
            address: member.template.address(),
            class: member.class,
            country: member.country.clone(),
            is_healthy: member.health.is_ready(now),
        };
        self.members.iter().map(status).collect()
    }

    pub(super) fn check(&self, wanted: Wanted<'_>) -> Result<(), FetchError> {
        if self.members.iter().any(|member| member.fits(wanted)) {
            return Ok(());
        }
        let class = wanted.class.map(|class| format!(" {}", name(class))).unwrap_or_default();
        let country = wanted.country.map(|country| format!(" in `{country}`")).unwrap_or_default();
        let there_is: Vec<_> = self.classes().into_iter().map(name).collect();
        let message = format!(
            "there is no{class} proxy{country}; configure a pool of them (there is: {})",
            if there_is.is_empty() { "none".to_owned() } else { there_is.join(", ") }
        );
        Err(FetchError::new(Code::ProxyError, message).permanent())
    }

    /// The least recently used of the ready ones; if all rest, the one that is back first.
    ///
    /// # Panics
    /// If nothing fits, which [`check`](Self::check) finds out.
    pub(super) fn choose(&mut self, wanted: Wanted<'_>, now: Instant) -> usize {
        let class = wanted.class.or_else(|| self.weakest(wanted));
        let wanted = Wanted { class, ..wanted };
        let order = |member: &Member| {
            let is_ready = member.health.is_ready(now);
            let back = if is_ready { now } else { member.health.ready_at(now) };
            (!is_ready, back, member.last_used)
        };
        let fitting = self.members.iter().enumerate().filter(|(_, member)| member.fits(wanted));
        let chosen = fitting.min_by_key(|(_, member)| order(member)).expect("checked before").0;
        self.use_again(chosen);
        chosen
    }

    fn weakest(&self, wanted: Wanted<'_>) -> Option<ProxyType> {
        let has = |class: &ProxyType| {
            let wanted = Wanted { class: Some(*class), ..wanted };
            self.members.iter().any(|member| member.fits(wanted))
        };
        LADDER.into_iter().find(has)
    }

    /// Counts a use of a proxy that a session has chosen before.
    pub(super) fn use_again(&mut self, member: usize) {
        self.choices += 1;
        self.members[member].last_used = self.choices;
        self.members[member].health.begin();
    }

    /// Whether the proxy keeps connections open between requests, as far as it has said.
    pub(super) fn is_persistent(&self, member: usize) -> bool {
        self.members[member].is_persistent
    }

    pub(super) fn set_persistent(&mut self, member: usize) {
        self.members[member].is_persistent = true;
    }

    pub(super) fn settle(&mut self, member: usize, outcome: Outcome, now: Instant) {
        let member = &mut self.members[member];
        member.health.settle(outcome, now);
        if matches!(outcome, Outcome::Blocked | Outcome::Failed) {
            member.token = token();
        }
    }

    pub(super) fn url(
        &self,
        member: usize,
        country: Option<&str>,
        session: &str,
    ) -> Result<Url, &'static str> {
        let member = &self.members[member];
        if let Some(url) = &member.fixed {
            return Ok(url.clone());
        }
        let country = country.or(member.country.as_deref()).unwrap_or_default();
        member.template.fill(country, session)
    }

    /// The URL for a task that belongs to no session.
    pub(super) fn url_of_nobody(
        &self,
        member: usize,
        country: Option<&str>,
    ) -> Result<Url, &'static str> {
        self.url(member, country, &self.members[member].token)
    }
}

impl Member {
    fn new(pool: &PoolConfig, template: &Template) -> Self {
        Self {
            class: pool.class,
            country: pool.country.as_deref().map(str::to_ascii_lowercase),
            template: template.clone(),
            fixed: template.fixed(),
            token: token(),
            health: Health::new(),
            last_used: 0,
            is_persistent: false,
        }
    }

    fn fits(&self, wanted: Wanted<'_>) -> bool {
        let is_of_country = |country: &str| {
            let own = self.country.as_deref();
            self.template.has_country() || own.is_some_and(|own| own.eq_ignore_ascii_case(country))
        };
        wanted.class.is_none_or(|class| class == self.class)
            && wanted.country.is_none_or(is_of_country)
    }
}

/// The word for a class in parameters and configuration.
pub(super) fn name(class: ProxyType) -> &'static str {
    match class {
        ProxyType::Residential => "residential",
        ProxyType::Mobile => "mobile",
        _ => "datacenter",
    }
}

fn check_country(number: usize, pool: &PoolConfig) -> Result<()> {
    let is_country =
        |text: &String| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
    if pool.country.as_ref().is_none_or(is_country) {
        return Ok(());
    }
    let message = "must be two letters, e.g. \"de\"";
    Err(Error::invalid(format!("pools[{number}].country"), message))
}

fn check_template(template: &Template, pool: &PoolConfig) -> Result<(), &'static str> {
    if template.has_country() && pool.country.is_none() {
        return Err("has {country}, so its pool needs a `country` for tasks that name none");
    }
    template.fill("de", "sample").map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOBODY: Wanted<'_> = Wanted { class: None, country: None };

    fn pool(pools: &[(ProxyType, Option<&str>, &[&str])]) -> Result<Pool> {
        let pools = pools.iter().map(|(class, country, urls)| {
            let pool = PoolConfig::new(*class, urls.iter().copied());
            PoolConfig { country: country.map(str::to_owned), ..pool }
        });
        Pool::new(&ProxiesConfig { pools: pools.collect() })
    }

    #[tokio::test(start_paused = true)]
    async fn healthy_proxies_take_turns() {
        let urls = ["http://a:1", "http://b:1", "http://c:1"];
        let mut pool = pool(&[(ProxyType::Datacenter, None, &urls)]).unwrap();
        let now = Instant::now();
        let turns: Vec<_> = (0..6).map(|_| pool.choose(NOBODY, now)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        pool.settle(1, Outcome::Failed, now);
        let turns: Vec<_> = (0..4).map(|_| pool.choose(NOBODY, now)).collect();
        assert_eq!(turns, [0, 2, 0, 2]);
        let later = now + Duration::from_secs(2);
        let turns: Vec<_> = (0..3).map(|_| pool.choose(NOBODY, later)).collect();
        assert_eq!(turns, [1, 0, 2], "one request finds out");
        pool.settle(1, Outcome::Good, later);
        assert_eq!(pool.choose(NOBODY, later), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn if_all_rest_the_first_to_be_back_is_taken() {
        let mut pool =
            pool(&[(ProxyType::Datacenter, None, &["http://a:1", "http://b:1"])]).unwrap();
        let now = Instant::now();
        pool.settle(0, Outcome::Failed, now + Duration::from_secs(1));
        pool.settle(1, Outcome::Failed, now);
        assert_eq!(pool.choose(NOBODY, now + Duration::from_secs(1)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn class_and_country_are_kept() {
        let mut pool = pool(&[
            (ProxyType::Residential, Some("us"), &["http://u-{country}-{session}:p@r:1"]),
            (ProxyType::Datacenter, Some("DE"), &["http://d:1"]),
            (ProxyType::Datacenter, None, &["http://x:1"]),
        ])
        .unwrap();
        let now = Instant::now();
        let mut choose = |class, country| pool.choose(Wanted { class, country }, now);
        assert_eq!(choose(None, Some("de")), 1, "the weakest class that has it");
        assert_eq!(choose(None, Some("fr")), 0);
        assert_eq!(choose(Some(ProxyType::Residential), Some("de")), 0);
        let url = pool.url(0, Some("fr"), "s1").unwrap();
        assert_eq!(url.username(), "u-fr-s1");
        assert_eq!(pool.url(0, None, "s1").unwrap().username(), "u-us-s1");
        let mobile = Wanted { class: Some(ProxyType::Mobile), country: Some("fr") };
        let error = pool.check(mobile).unwrap_err();
        assert!(!error.retryable, "{error}");
        assert_eq!(
            error.message,
            "there is no mobile proxy in `fr`; configure a pool of them (there is: datacenter, residential)"
        );
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_by_place_and_without_its_password() {
        let bad = ["http://a:1", "ftp://u:secret@b:1"];
        let error = pool(&[(ProxyType::Mobile, None, &bad)]).unwrap_err().to_string();
        assert!(error.starts_with("pools[0].proxies[1]: "), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let error = pool(&[(ProxyType::Mobile, None, &["http://{country}:p@a:1"])]).unwrap_err();
        assert!(error.to_string().contains("needs a `country`"), "{error}");
        let error = pool(&[(ProxyType::Mobile, Some("deu"), &["http://a:1"])]).unwrap_err();
        assert!(error.to_string().starts_with("pools[0].country: "), "{error}");
        let many = vec!["http://a:1"; MAX_PROXIES + 1];
        assert!(pool(&[(ProxyType::Mobile, None, &many)]).is_err());
    }
}
