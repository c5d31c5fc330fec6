//! What a job would be, without making it.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use futures::StreamExt;

use super::{JobContext, Workspace, retry::open_source};
use crate::{Error, JobSpec, RequestError, id::JobId, progress::first_guess, spec::Input};

/// How many distinct URLs and hosts are told apart; beyond it the figures are lower bounds.
const MAX_DISTINCT: usize = 1_000_000;

/// What a job would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// How many records it would have.
    pub total: u64,
    /// How many of its lines can't be used.
    pub invalid: u64,
    /// How many of its URLs are repetitions.
    pub duplicates: u64,
    /// How many hosts they lead to.
    pub hosts: u64,
    /// What it would cost if every page was fetched.
    pub credits: u64,
    /// How long it may take: a guess.
    pub eta: Option<Duration>,
}

impl Workspace {
    /// Looks through the input of a job without making it: `dry_run`.
    pub async fn estimate(&self, spec: &JobSpec) -> Result<Estimate, RequestError> {
        self.check(spec).await?;
        let core = self.core();
        let (id, spec) = (JobId::random(), spec.clone());
        let concurrency = spec.concurrency;
        let mut context = JobContext::new(core, id, self.name(), spec, Vec::new()).await?;
        if let Input::Urls(urls) = &mut context.spec.input {
            context.urls = std::mem::take(urls);
        }
        let source = open_source(core, &context).await?;
        let meter = &core.settings().meter;
        let most = core.settings().limits.urls;
        let mut estimate = Estimate::default();
        let (mut urls, mut hosts) = (Distinct::new(), Distinct::new());
        let mut tasks = source.open(0);
        while let Some(task) = tasks.next().await {
            let task = task?;
            estimate.total += 1;
            if estimate.total > most {
                let message = format!("has more than {most} URLs; split it");
                return Err(Error::invalid("input", message).into());
            }
            let Ok(url) = task.target() else {
                estimate.invalid += 1;
                continue;
            };
            estimate.credits += meter.price(&task);
            estimate.duplicates += u64::from(!urls.insert(url.as_str()));
            estimate.hosts += u64::from(hosts.insert(task.host()));
        }
        estimate.eta = first_guess(estimate.total, concurrency);
        Ok(estimate)
    }
}

/// A set of texts by 64-bit hashes: a figure for a person may be off by one in a billion.
struct Distinct {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Distinct {
    fn new() -> Self {
        Self { hasher: RandomState::new(), seen: HashSet::new() }
    }

    /// Whether the text is new.
    fn insert(&mut self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        if self.seen.len() >= MAX_DISTINCT {
            return !self.seen.contains(&hash);
        }
        self.seen.insert(hash)
    }
}
