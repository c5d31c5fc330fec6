//! The options about proxies and the browser, and the fetcher that they make.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use harvestman::{
    Error, Params, Result,
    address::AddressRule,
    fetchers::{Browser, BrowserBuilder, Http, Proxies, ProxiesConfig, Router},
    params::{ProxyType, RetryParams, Selector},
};
use serde_json::{Value, json};

/// The largest file of proxies, in bytes.
const MAX_PROXIES_BYTES: u64 = 10 * 1024 * 1024;

/// Proxies and the browser.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies and browser")]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) means: MeansArgs,

    /// The class of proxy for lines that name none; by default the weakest that the file has
    #[arg(long, env = "HARVESTMAN_PROXY_TYPE", value_name = "CLASS", requires = "proxies")]
    pub(crate) proxy_type: Option<Class>,

    /// The country of the proxy, two letters
    #[arg(long, env = "HARVESTMAN_COUNTRY", value_name = "CC", requires = "proxies",
          value_parser = country)]
    pub(crate) country: Option<String>,

    /// Try a page that refuses us again by the next stronger class of proxy, last in the browser
    #[arg(long, env = "HARVESTMAN_ESCALATE")]
    pub(crate) escalate: bool,

    /// Render pages in Chromium; a line may say so for itself too: {"url": …, "render": true}
    #[arg(long, env = "HARVESTMAN_RENDER")]
    pub(crate) render: bool,

    /// Rendered: take the page when an element with this CSS selector is there
    #[arg(long, env = "HARVESTMAN_WAIT_FOR", value_name = "SELECTOR", value_parser = selector)]
    pub(crate) wait_for: Option<Selector>,

    /// Rendered: don't load images, fonts and media
    #[arg(long, env = "HARVESTMAN_BLOCK_RESOURCES")]
    pub(crate) block_resources: bool,

    /// Rendered: how many pages are open at a time; by default two for each core
    #[arg(long, env = "HARVESTMAN_PAGES", value_name = "N",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(crate) pages: Option<usize>,
}

/// What there is to fetch with.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies and browser")]
pub(crate) struct MeansArgs {
    /// A TOML or JSON file with pools of proxies: `[[pools]]` with class, country and proxies
    #[arg(long, env = "HARVESTMAN_PROXIES", value_name = "FILE")]
    pub(crate) proxies: Option<PathBuf>,

    /// Where Chromium is; by default it is looked for
    #[arg(long, env = "HARVESTMAN_BROWSER", value_name = "PATH")]
    pub(crate) browser: Option<PathBuf>,

    /// Run Chromium without its sandbox, as root in a container has to
    #[arg(long, env = "HARVESTMAN_NO_SANDBOX")]
    pub(crate) no_sandbox: bool,
}

/// A class of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Class {
    Datacenter,
    Residential,
    Mobile,
}

impl From<Class> for ProxyType {
    fn from(class: Class) -> Self {
        match class {
            Class::Datacenter => Self::Datacenter,
            Class::Residential => Self::Residential,
            Class::Mobile => Self::Mobile,
        }
    }
}

fn country(text: &str) -> Result<String, String> {
    let is_country = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_country.then(|| text.to_ascii_lowercase()).ok_or_else(|| "write two letters".to_owned())
}

fn selector(text: &str) -> Result<Selector, String> {
    Selector::new(text).ok_or_else(|| "a selector has 1 to 1000 bytes".to_owned())
}

impl MeansArgs {
    /// The proxies of the file.
    pub(crate) fn open_proxies(&self) -> Result<Option<Proxies>> {
        self.proxies.as_deref().map(|path| Proxies::new(&read(path)?)).transpose()
    }

    /// The browser that is named, or the one that is found, if any.
    pub(crate) fn open_browser(
        &self,
        change: impl FnOnce(BrowserBuilder) -> BrowserBuilder,
    ) -> Result<Option<Browser>> {
        let mut builder = Browser::builder().sandbox(!self.no_sandbox);
        match &self.browser {
            Some(path) => builder = builder.executable(path),
            None if Browser::find().is_none() => return Ok(None),
            None => {}
        }
        change(builder).build().map(Some)
    }
}

impl FetchArgs {
    /// What lines are fetched by when they say nothing else.
    pub(crate) fn set_defaults(
        &self,
        params: &mut Params,
        retries: u32,
        proxies: Option<&Proxies>,
    ) {
        params.render = self.render.then_some(true);
        params.wait_for.clone_from(&self.wait_for);
        params.block_resources = self.block_resources.then_some(true);
        params.country.clone_from(&self.country);
        let weakest = || proxies.and_then(|proxies| proxies.classes().first().copied());
        params.proxy_type = self.proxy_type.map(Into::into);
        if params.proxy_type.is_none() && params.country.is_none() {
            params.proxy_type = weakest();
        }
        if self.escalate {
            let mut retry = RetryParams::up_to(retries);
            retry.escalate = true;
            params.retry = Some(Arc::new(retry));
        }
    }

    /// What makes other records: it can't be changed between two runs of a job.
    pub(crate) fn identity(&self) -> Value {
        json!({
            "render": self.render,
            "wait_for": self.wait_for.as_ref().map(Selector::as_str),
            "block_resources": self.block_resources,
            "proxy_type": self.proxy_type.map(|class| format!("{class:?}")),
            "country": self.country,
        })
    }

    /// The fetcher, and its browser, which is to be closed. With `--render` the browser is started,
    /// so that a job that can't have one is refused at once.
    pub(crate) async fn open(
        &self,
        allowed: &[AddressRule],
        user_agent: Option<&str>,
        proxies: Option<Proxies>,
        screenshots: &Path,
        defaults: &Params,
    ) -> Result<(Router, Option<Browser>)> {
        let mut http = Http::builder();
        for rule in allowed {
            http = http.allow(*rule);
        }
        if let Some(user_agent) = user_agent {
            http = http.user_agent(user_agent);
        }
        let mut router = Router::new(http.build()?);
        if let Some(proxies) = proxies {
            router = router.with_proxies(proxies);
        }
        let browser = self.means.open_browser(|mut builder| {
            for rule in allowed {
                builder = builder.allow(*rule);
            }
            if let Some(pages) = self.pages {
                builder = builder.pages(pages);
            }
            match user_agent {
                Some(user_agent) => builder.user_agent(user_agent),
                None => builder,
            }
        })?;
        if let Some(browser) = &browser {
            if defaults.needs_browser() {
                browser.version().await?;
            }
            router = router.with_browser(browser.clone().with_screenshots(screenshots));
        }
        router.check(defaults).map_err(|error| Error::invalid("the job", error.message))?;
        Ok((router, browser))
    }
}

/// Reads a file of proxies. Its errors show no line: there are passwords in them.
fn read(path: &Path) -> Result<ProxiesConfig> {
    let size = fs::metadata(path).map_err(Error::io("read", path))?.len();
    let invalid = |message: String| Error::invalid(path.display().to_string(), message);
    if size > MAX_PROXIES_BYTES {
        return Err(invalid(format!("is larger than {MAX_PROXIES_BYTES} bytes")));
    }
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| {
            invalid(format!("is no list of proxies: line {}: {error}", error.line()))
        });
    }
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at.min(text.len())].lines().count().max(1);
        invalid(format!("is no list of proxies: line {line}: {}", error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<ProxiesConfig> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn proxies_are_read_from_toml_and_json() {
        let toml = "[[pools]]\nclass = \"mobile\"\ncountry = \"de\"\nproxies = [\"http://a:1\"]\n";
        let json =
            r#"{"pools": [{"class": "mobile", "country": "de", "proxies": ["http://a:1"]}]}"#;
        for text in [toml, json] {
            let proxies = Proxies::new(&read_text(text).unwrap()).unwrap();
            assert_eq!(proxies.classes(), [ProxyType::Mobile]);
        }
    }

    #[test]
    fn a_mistake_is_named_by_its_line_and_shows_no_password() {
        let toml = "[[pools]]\nclass = \"mobile\"\nproxies = [\"http://u:secret@a:1\"\n";
        let unknown = "[[pools]]\nclass = \"fast\"\nproxies = [\"http://u:secret@a:1\"]\n";
        for (text, word) in [(toml, "line"), (unknown, "fast"), ("{\"pool\": 1}", "pool")] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
    }
}
