//! Stronger means for tasks that were refused.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use harvestman_engine::{Code, FetchError, Page, Task, params::ProxyType};
use lru::LruCache;

use crate::{Proxies, blocks};

/// The most refused tasks that are remembered.
const MAX_TASKS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Whether the task may be tried by stronger means than it asks for.
pub(super) fn is_asked(task: &Task) -> bool {
    task.params().retry.as_ref().is_some_and(|retry| retry.escalate)
}

/// The means of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    class: Option<ProxyType>,
    render: bool,
}

impl Rung {
    fn of(task: &Task) -> Self {
        let params = task.params();
        Self { class: params.proxy_type, render: params.needs_browser() }
    }

    #[cfg(feature = "render")]
    pub(super) fn is_rendered(self) -> bool {
        self.render
    }

    /// The task as it is tried with these means.
    pub(super) fn apply(self, task: &Task) -> Cow<'_, Task> {
        if self == Self::of(task) {
            return Cow::Borrowed(task);
        }
        let mut params = task.params().clone();
        params.proxy_type = self.class;
        params.render = Some(self.render);
        Cow::Owned(task.clone().with_params(params))
    }

    /// The next stronger means after a refusal; `None` if there are none or it was no refusal.
    pub(super) fn next(
        self,
        error: &FetchError,
        proxies: &Proxies,
        country: Option<&str>,
        has_browser: bool,
    ) -> Option<Self> {
        let rendered = Some(Self { render: true, ..self }).filter(|_| has_browser && !self.render);
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

/// How far refused tasks have come.
#[derive(Clone, Debug)]
pub(super) struct Escalations(Arc<Mutex<LruCache<Key, Rung>>>);

/// A task by its place and its URL; two jobs with the same list share it, which costs nothing.
type Key = (u64, u64);

impl Default for Escalations {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(MAX_TASKS))))
    }
}

impl Escalations {
    /// The means of the task's next attempt.
    pub(super) fn rung(&self, task: &Task) -> Rung {
        self.lock().get(&key(task)).copied().unwrap_or_else(|| Rung::of(task))
    }

    /// Remembers what an attempt says about the next one. A refusal that stronger means may overcome
    /// becomes one that is tried again.
    pub(super) fn settle(
        &self,
        task: &Task,
        rung: Rung,
        result: Result<Page, FetchError>,
        next: impl FnOnce(Rung, &FetchError) -> Option<Rung>,
    ) -> Result<Page, FetchError> {
        let Err(mut error) = result else {
            self.lock().pop(&key(task));
            return result;
        };
        if let Some(next) = next(rung, &error) {
            self.lock().put(key(task), next);
            error.retryable = true;
            if error.code == Code::Target4xx {
                error.code = Code::Blocked;
            }
        }
        Err(error)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Rung>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(task: &Task) -> Key {
    let mut hasher = DefaultHasher::new();
    task.url().hash(&mut hasher);
    (task.index(), hasher.finish())
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

    fn task(json: &str) -> Task {
        let params: harvestman_engine::Params = serde_json::from_str(json).unwrap();
        Task::new(0, "http://a.test/", params)
    }

    fn climb(json: &str, error: &FetchError, has_browser: bool) -> Vec<Rung> {
        let task = task(json);
        let (proxies, country) = (proxies(), task.params().country.clone());
        let next = |rung: &Rung| rung.next(error, &proxies, country.as_deref(), has_browser);
        std::iter::successors(Some(Rung::of(&task)), next).skip(1).collect()
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
    fn what_was_reached_is_remembered_until_it_works() {
        let (escalations, task) = (Escalations::default(), task("{}"));
        let forbidden = FetchError::new(Code::Target4xx, "").with_http_status(403);
        let next = |rung: Rung, error: &FetchError| rung.next(error, &proxies(), None, false);
        let rung = escalations.rung(&task);
        let error = escalations.settle(&task, rung, Err(forbidden), next).unwrap_err();
        assert_eq!((error.code, error.retryable), (Code::Blocked, true));
        let rung = escalations.rung(&task);
        assert_eq!(rung.apply(&task).params().proxy_type, Some(ProxyType::Datacenter));
        let page = Page::new("http://a.test/".parse().unwrap(), "");
        escalations.settle(&task, rung, Ok(page), next).unwrap();
        assert_eq!(escalations.rung(&task), Rung::of(&task));
    }
}
