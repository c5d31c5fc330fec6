//! Stronger means for tasks that were refused.

use harvestman_engine::{Code, FetchError, Params, params::ProxyType};

use crate::{Proxies, blocks};

/// Whether the task may be tried by stronger means than it asks for.
pub(super) fn is_asked(params: &Params) -> bool {
    params.retry.as_ref().is_some_and(|retry| retry.escalate)
}

/// The means of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    class: Option<ProxyType>,
    render: bool,
}

impl Rung {
    pub(super) fn of(params: &Params) -> Self {
        Self { class: params.proxy_type, render: params.needs_browser() }
    }

    /// The parameters of an attempt with these means.
    pub(super) fn apply(self, params: &Params) -> Params {
        let mut params = params.clone();
        params.proxy_type = self.class;
        params.render = Some(self.render);
        params
    }

    /// The next stronger means after a refusal; `None` if there are none or it was no refusal.
    pub(super) fn next(
        self,
        error: &FetchError,
        proxies: &Proxies,
        country: Option<&str>,
        can_render: bool,
    ) -> Option<Self> {
        let rendered = Some(Self { render: true, ..self }).filter(|_| can_render && !self.render);
        if blocks::is_shell(error) {
            return rendered;
        }
        let is_refusal = matches!(error.code, Code::Blocked | Code::Captcha)
            || (error.code, error.http_status) == (Code::Target4xx, Some(403));
        if !is_refusal {
            return None;
        }
        let mut classes = proxies.classes().into_iter();
        if let Some(own) = self.class {
            classes.find(|class| *class == own);
        }
        let stronger = classes.find(|class| proxies.check(Some(*class), country).is_ok());
        stronger.map(|class| Self { class: Some(class), ..self }).or(rendered)
    }
}

/// A refusal that stronger means may overcome: it is tried again, by these.
pub(super) fn by_means(mut error: FetchError, means: Params) -> FetchError {
    if error.code == Code::Target4xx {
        error.code = Code::Blocked;
    }
    error.with_means(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PoolConfig, ProxiesConfig};

    fn proxies() -> Proxies {
        let mobile = PoolConfig::new(ProxyType::Mobile, ["http://m:1"]).with_country("de");
        let config = ProxiesConfig::new()
            .with_pool(PoolConfig::new(ProxyType::Datacenter, ["http://d:1"]))
            .with_pool(PoolConfig::new(ProxyType::Residential, ["http://r:1"]))
            .with_pool(mobile);
        Proxies::new(&config).unwrap()
    }

    fn climb(json: &str, error: &FetchError, can_render: bool) -> Vec<Rung> {
        let params: Params = serde_json::from_str(json).unwrap();
        let (proxies, country) = (proxies(), params.country.as_deref());
        let next = |rung: &Rung| rung.next(error, &proxies, country, can_render);
        std::iter::successors(Some(Rung::of(&params)), next).skip(1).collect()
    }

    #[test]
    fn a_refused_task_climbs_through_what_there_is() {
        let rung = |class, render| Rung { class, render };
        let [datacenter, residential, mobile] =
            [ProxyType::Datacenter, ProxyType::Residential, ProxyType::Mobile].map(Some);
        let blocked = FetchError::new(Code::Blocked, "");
        assert_eq!(
            climb("{}", &blocked, true),
            [
                rung(datacenter, false),
                rung(residential, false),
                rung(mobile, false),
                rung(mobile, true)
            ]
        );
        let residential_only = r#"{"proxy_type":"residential","render":true}"#;
        assert_eq!(climb(residential_only, &blocked, true), [rung(mobile, true)]);
        assert_eq!(climb(r#"{"country":"de"}"#, &blocked, false), [rung(mobile, false)]);
        let forbidden = FetchError::new(Code::Target4xx, "").with_http_status(403);
        assert_eq!(climb(r#"{"proxy_type":"mobile"}"#, &forbidden, true), [rung(mobile, true)]);
        for other in [
            FetchError::new(Code::Target4xx, "").with_http_status(404),
            FetchError::new(Code::Timeout, ""),
            FetchError::new(Code::ProxyError, ""),
        ] {
            assert!(climb("{}", &other, true).is_empty(), "{}", other.code);
        }
    }

    #[test]
    fn a_shell_goes_to_the_browser_at_once_or_nowhere() {
        let body = r#"<div id="root"></div><script></script>"#;
        let detector = crate::BlockDetector::default();
        let shell = detector.judge(200, &http::HeaderMap::new(), body, false).unwrap();
        assert_eq!(climb("{}", &shell, true), [Rung { class: None, render: true }]);
        assert!(climb("{}", &shell, false).is_empty());
    }

    #[test]
    fn a_refusal_is_tried_again_by_the_next_means_and_keeps_the_rest() {
        let json = r#"{"wait_ms":5,"retry":{"escalate":true}}"#;
        let params: Params = serde_json::from_str(json).unwrap();
        let rung = Rung { class: Some(ProxyType::Mobile), render: true };
        let forbidden = FetchError::new(Code::Target4xx, "").with_http_status(403);
        let error = by_means(forbidden, rung.apply(&params));
        assert_eq!((error.code, error.retryable), (Code::Blocked, true));
        let means = error.means.unwrap();
        assert_eq!(Rung::of(&means), rung);
        assert!(is_asked(&means) && means.wait == params.wait);
    }
}
