//! Pages that are no pages: challenges, captchas, refusals and empty shells.

mod visible;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use harvestman_engine::{Admission, Code, FetchError, Fetcher, Page, Result, Task};
use http::HeaderMap;
use serde::Deserialize;

/// The rules that are used when none are given.
const RULES: &str = include_str!("blocks/rules.json");
/// A page with more letters to read is no challenge and no shell.
const MAX_LETTERS: usize = 2_000;
/// A page with a captcha among so few letters is there for the captcha.
const MAX_CAPTCHA_LETTERS: usize = 600;
/// A shell has at most so many letters, e.g. "Loading…".
const MAX_SHELL_LETTERS: usize = 30;

static STANDARD: LazyLock<BlockDetector> = LazyLock::new(|| {
    let rules = serde_json::from_str(RULES).expect("our own rules are well-formed");
    BlockDetector::new(rules)
});

/// Tells a page from what is sent instead of one.
///
/// The rules are data ([`BlockRule`]), each with the page that it was taken from. A rule about the
/// body is asked only for pages with few letters to read, which makes it cheap for the others (a few
/// microseconds) and keeps it from pages that only talk about captchas.
///
/// By itself it judges any answer; [`around`](Self::around) puts it behind another fetcher.
/// [`Http`](crate::Http) and the browser ask it by themselves, about refusals with an error status
/// too.
#[derive(Clone, Debug)]
pub struct BlockDetector {
    rules: Arc<[BlockRule]>,
}

/// What an answer looks like that is no page. All conditions that are given have to be met.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BlockRule {
    /// Who blocks, for the message.
    pub name: String,
    /// What it counts as: `captcha`, or else `blocked`.
    pub code: Option<Code>,
    /// One of these statuses; any without them.
    pub status: Vec<u16>,
    /// A header, by its name, with this text in its value.
    pub header: Option<HeaderRule>,
    /// All of these texts are in the body.
    pub body: Vec<String>,
    /// None of these texts is in the body.
    pub without: Vec<String>,
    /// It is an empty page that a script would fill.
    pub shell: bool,
    /// Where the rule was taken from.
    pub source: String,
}

/// A header that tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderRule {
    /// Its name, in small letters.
    pub name: String,
    /// A text in its value, in small letters.
    pub value: String,
}

impl Default for BlockDetector {
    fn default() -> Self {
        STANDARD.clone()
    }
}

impl BlockDetector {
    /// A detector with own rules only.
    pub fn new(rules: Vec<BlockRule>) -> Self {
        Self { rules: rules.into() }
    }

    /// Its rules.
    pub fn rules(&self) -> &[BlockRule] {
        &self.rules
    }

    /// The error that an answer is instead of a page, if it is.
    ///
    /// `is_rendered` says whether scripts have run: what is empty then stays so.
    pub fn judge(
        &self,
        status: u16,
        headers: &HeaderMap,
        body: &str,
        is_rendered: bool,
    ) -> Option<FetchError> {
        let by_head = |rule: &&BlockRule| rule.body.is_empty() && rule.fits_head(status, headers);
        if let Some(rule) = self.rules.iter().find(by_head) {
            return Some(rule.error(status));
        }
        let letters = visible::letters(body, MAX_LETTERS);
        if letters >= MAX_LETTERS {
            return None;
        }
        let fits = |rule: &&BlockRule| {
            letters <= rule.max_letters(is_rendered)
                && !(rule.body.is_empty() || rule.shell && is_data(body))
                && rule.fits_head(status, headers)
                && rule.fits_body(body)
        };
        let rule = self.rules.iter().find(fits)?;
        Some(if rule.shell { shell(rule, is_rendered) } else { rule.error(status) })
            .map(|error| error.with_http_status(status))
    }

    /// A fetcher whose pages are judged before anybody gets them.
    pub fn around<F: Fetcher>(self, fetcher: F) -> Unblocked<F> {
        Unblocked { fetcher, detector: self }
    }
}

impl BlockRule {
    fn max_letters(&self, is_rendered: bool) -> usize {
        match self.without.is_empty() {
            // After rendering a short page is just short.
            _ if self.shell && is_rendered => 0,
            _ if self.shell => MAX_SHELL_LETTERS,
            false => MAX_CAPTCHA_LETTERS,
            true => MAX_LETTERS,
        }
    }

    fn fits_head(&self, status: u16, headers: &HeaderMap) -> bool {
        let has_header = |rule: &HeaderRule| {
            headers.get_all(&*rule.name).iter().any(|value| {
                let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
                value.contains(&rule.value)
            })
        };
        (self.status.is_empty() || self.status.contains(&status))
            && self.header.as_ref().is_none_or(has_header)
    }

    fn fits_body(&self, body: &str) -> bool {
        let has = |text: &String| memchr::memmem::find(body.as_bytes(), text.as_bytes()).is_some();
        self.body.iter().all(has) && !self.without.iter().any(has)
    }

    fn error(&self, status: u16) -> FetchError {
        let code = self.code.unwrap_or(Code::Blocked);
        let what = if code == Code::Captcha { "a captcha" } else { "a refusal" };
        let message = format!("instead of the page came {what} ({})", self.name);
        FetchError::new(code, message).with_http_status(status)
    }
}

fn shell(rule: &BlockRule, is_rendered: bool) -> FetchError {
    if is_rendered {
        let message = "the page is still empty after rendering; name what to wait for: wait_for";
        return FetchError::new(Code::RenderFailed, message);
    }
    let name = &rule.name;
    let message = format!("the page is empty without a browser ({name}); ask for one: render");
    // Trying it again in the same way can't help; `escalate` does it in another.
    FetchError::new(Code::Blocked, message).permanent().with_source(EmptyShell)
}

/// The page is empty without a browser.
#[derive(Debug, thiserror::Error)]
#[error("the page is an empty shell")]
struct EmptyShell;

/// Whether a browser might see what this attempt did not.
#[cfg(feature = "proxies")]
pub(crate) fn is_shell(error: &FetchError) -> bool {
    error.source.as_ref().is_some_and(|source| source.is::<EmptyShell>())
}

/// A page without a letter to read may carry its content as data.
fn is_data(body: &str) -> bool {
    ["application/ld+json", "__NEXT_DATA__", "property=\"og:title\""]
        .iter()
        .any(|mark| memchr::memmem::find(body.as_bytes(), mark.as_bytes()).is_some())
        || memchr::memmem::find(body.as_bytes(), b"<script").is_none()
}

/// A fetcher behind a [`BlockDetector`].
#[derive(Clone, Debug)]
pub struct Unblocked<F> {
    fetcher: F,
    detector: BlockDetector,
}

#[async_trait]
impl<F: Fetcher> Fetcher for Unblocked<F> {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let page = self.fetcher.fetch(task).await?;
        match self.detector.judge(page.status, &page.headers, &page.text, false) {
            Some(error) => Err(error.with_final_url(page.final_url)),
            None => Ok(page),
        }
    }

    async fn admit(&self, task: &Task) -> Admission {
        self.fetcher.admit(task).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, header: Option<(&'static str, &str)>, body: &str) -> Option<Code> {
        let headers = header
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        let headers = headers.into_iter().collect();
        BlockDetector::default().judge(status, &headers, body, false).map(|error| error.code)
    }

    #[test]
    fn every_rule_names_its_source_and_can_be_met() {
        for rule in BlockDetector::default().rules() {
            assert!(rule.source.starts_with("https://"), "{}", rule.name);
            assert!(rule.header.is_some() || !rule.body.is_empty(), "{}", rule.name);
            let headers = rule.header.as_ref().map(|header| {
                (header.name.parse::<http::HeaderName>().unwrap(), header.value.parse().unwrap())
            });
            let status = rule.status.first().copied().unwrap_or(200);
            let body = format!("<html><script></script>{}", rule.body.join(" "));
            // A text that is to be in the body may be one to read; it is short.
            let body = body.replace("JavaScript", "<!--JavaScript-->");
            let headers = headers.into_iter().collect();
            let error = BlockDetector::default().judge(status, &headers, &body, false);
            assert!(error.is_some(), "{}", rule.name);
        }
    }

    #[test]
    fn challenges_are_told_by_header_whatever_the_status() {
        for status in [200, 403, 429, 503] {
            let header = Some(("cf-mitigated", "challenge"));
            assert_eq!(judge(status, header, "x"), Some(Code::Captcha), "{status}");
        }
        assert_eq!(judge(202, Some(("x-amzn-waf-action", "challenge")), ""), Some(Code::Blocked));
        let datadome = Some(("x-datadome", "protected"));
        assert_eq!(judge(403, datadome, ""), Some(Code::Blocked));
        assert_eq!(judge(200, datadome, "<p>A page that is protected by it."), None);
    }

    #[test]
    fn pages_that_only_have_or_mention_such_things_are_pages() {
        let article = "<p>How px-captcha and _cf_chl_opt work. ".repeat(100);
        let login = r#"<form><input type="password"><div class="g-recaptcha"></div>Log in</form>"#;
        let contact = r#"<form><textarea></textarea><div class="h-captcha"></div></form>"#;
        let jsd = r#"<h1>Lamp</h1><script src="/cdn-cgi/challenge-platform/scripts/jsd/main.js">"#;
        for page in [&*article, login, contact, jsd, "", "{}", "plain text", "<p>short"] {
            assert_eq!(judge(200, None, page), None, "{page:.80}");
        }
        let wall = r#"<h1>Are you human?</h1><div class="g-recaptcha" data-sitekey="k"></div>"#;
        assert_eq!(judge(200, None, wall), Some(Code::Captcha));
    }

    #[test]
    fn an_empty_shell_is_no_page_unless_it_carries_data() {
        let shell = r#"<!doctype html><title>Shop</title><div id="root"></div><script src="a.js"></script>"#;
        let headers = HeaderMap::new();
        let detector = BlockDetector::default();
        let error = detector.judge(200, &headers, shell, false).unwrap();
        assert_eq!((error.code, error.retryable), (Code::Blocked, false));
        assert!(error.message.contains("render"), "{error}");
        let error = detector.judge(200, &headers, shell, true).unwrap();
        assert_eq!(error.code, Code::RenderFailed);
        for page in [
            format!(r#"{shell}<script type="application/ld+json">{{"name":"Lamp"}}</script>"#),
            shell.replace(
                "</div>",
                "A lamp for the desk, with a long cable, in many colours.</div>",
            ),
            r#"<div id="root"></div>"#.to_owned(),
            r#"<img src="a.png"><script src="count.js"></script>"#.to_owned(),
        ] {
            assert_eq!(judge(200, None, &page), None, "{page}");
        }
    }
}
