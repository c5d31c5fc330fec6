//! What the jobs of one process share: slots, memory for pages, and what is known of hosts.

mod bell;
mod host;
mod limit;
mod pages;
mod slots;
mod table;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub(crate) use self::{
    bell::Bell,
    host::{Denied, Manner, Request, SharedHost, Verdict},
    pages::{Hold, PageBudget},
    slots::{Seat, Slot},
};
use self::{pages::Pages, slots::Slots, table::HostTable};

/// How many attempts are under way at a time over all jobs, unless told otherwise.
pub const DEFAULT_SLOTS: usize = 512;
/// How many bytes of pages all jobs keep in memory, unless told otherwise: 1 GiB.
pub const DEFAULT_SHARED_PAGE_BYTES: u64 = 1024 * 1024 * 1024;

/// What several jobs of a process share, given to each by [`Job::with_shared`]. Clones are the same.
///
/// - *Slots* go to the job that has the fewest, of those that want one (max-min fairness): a job
///   gets what the others leave, and one that arrives gets its share as attempts of the others end.
/// - *Memory for pages*: a job takes no more than it leaves to the others, so at most a half, and
///   less when several hold theirs. So a job whose sink has stalled stops no other one.
/// - *Hosts*: limits, rates and pauses hold for all jobs together. At a host that is full or paused
///   the jobs take turns.
///
/// A job that ends, in whatever way, gives back all that it held. A job that isn't given one has one
/// of its own.
///
/// [`Job::with_shared`]: crate::Job::with_shared
///
/// ```
/// use harvestman_engine::{HostLimits, Shared, SharedLimits};
///
/// let polite = HostLimits::default().with_concurrency(8).with_per_second(5.0);
/// let shared = Shared::new(SharedLimits::default().with_slots(128).with_hosts(polite));
/// # drop(shared);
/// ```
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Slots,
    pages: Pages,
    hosts: HostTable,
    limits: HostLimits,
}

/// How busy a [`Shared`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Attempts under way, those about to begin included.
    pub in_flight: usize,
    /// Hosts that some job has a task for, and others that have asked for a pause.
    pub hosts: usize,
    /// Those that have asked to be left alone now.
    pub paused_hosts: usize,
}

/// How much the jobs of a [`Shared`] have together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SharedLimits {
    /// Attempts under way; [`DEFAULT_SLOTS`].
    pub slots: usize,
    /// Bytes of pages in memory; [`DEFAULT_SHARED_PAGE_BYTES`]. Beyond it one page more for each slot
    /// may be arriving, and a job that holds none gets room for one in any case.
    pub page_bytes: u64,
    /// What each host gets of all jobs together; no limits by default.
    pub hosts: HostLimits,
}

impl Default for SharedLimits {
    fn default() -> Self {
        Self {
            slots: DEFAULT_SLOTS,
            page_bytes: DEFAULT_SHARED_PAGE_BYTES,
            hosts: HostLimits::default(),
        }
    }
}

impl SharedLimits {
    /// Sets how many attempts are under way, at least 1.
    pub fn with_slots(mut self, attempts: usize) -> Self {
        self.slots = attempts.max(1);
        self
    }

    /// Sets how many bytes of pages are kept in memory.
    pub fn with_page_bytes(mut self, bytes: u64) -> Self {
        self.page_bytes = bytes;
        self
    }

    /// Sets what each host gets of all jobs together.
    pub fn with_hosts(mut self, limits: HostLimits) -> Self {
        self.hosts = limits;
        self
    }
}

/// The limits of each host. A host is told by name and port.
///
/// By default a host may take the whole concurrency while no other one waits, an equal share when
/// others do, and less by itself when it refuses (429, 503), fails or slows down.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HostLimits {
    /// The largest number of requests under way; by default as many as there are slots.
    pub concurrency: Option<usize>,
    /// The largest number of requests a second; unlimited by default.
    pub per_second: Option<f64>,
}

impl HostLimits {
    /// Sets the largest number of requests under way at one host; at least 1.
    pub fn with_concurrency(mut self, requests: usize) -> Self {
        self.concurrency = Some(requests.max(1));
        self
    }

    /// Sets the largest number of requests a second at one host.
    ///
    /// # Panics
    /// If the rate isn't positive.
    pub fn with_per_second(mut self, requests: f64) -> Self {
        assert!(requests > 0.0, "a rate of {requests} requests a second");
        self.per_second = Some(requests);
        self
    }

    /// The time between two requests.
    fn interval(self) -> Duration {
        let Some(per_second) = self.per_second else { return Duration::ZERO };
        let longest = Duration::from_hours(24);
        Duration::try_from_secs_f64(1.0 / per_second).map_or(longest, |time| time.min(longest))
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(SharedLimits::default())
    }
}

impl Shared {
    /// Something to share, with nobody there yet.
    pub fn new(limits: SharedLimits) -> Self {
        let slots = limits.slots.max(1);
        Self(Arc::new(Inner {
            slots: Slots::new(slots),
            pages: Pages::new(limits.page_bytes),
            hosts: HostTable::new(limits.hosts.concurrency.unwrap_or(slots).min(slots)),
            limits: limits.hosts,
        }))
    }

    /// How busy all of it is. Looks at every host that is known.
    pub fn load(&self) -> Load {
        let (hosts, paused_hosts) = self.0.hosts.count(Instant::now());
        Load { in_flight: self.0.slots.held(), hosts, paused_hosts }
    }

    /// What a job has that shares nothing.
    pub(crate) fn alone(concurrency: usize) -> Self {
        Self::new(SharedLimits::default().with_slots(concurrency).with_page_bytes(u64::MAX))
    }

    /// A place among the jobs that take slots.
    pub(crate) fn seat(&self, bell: &Arc<Bell>) -> Seat {
        Seat::new(self.clone(), Arc::clone(bell))
    }

    /// A job's part of the memory for pages, of at most so many bytes.
    pub(crate) fn page_budget(&self, bytes: u64) -> PageBudget {
        PageBudget::new(self.clone(), bytes)
    }

    /// The key under which a job holds on to a host. Otherwise what is known of the host, whoever has
    /// learned it; the job holds on to it now under `key`, until it is
    /// [released](Self::release_hosts).
    pub(crate) fn host(
        &self,
        name: &str,
        bell: &Arc<Bell>,
        manner: Manner,
        key: usize,
    ) -> Result<usize, Arc<SharedHost>> {
        self.0.hosts.find(name, bell, manner, key)
    }

    /// Lets go of hosts that a job has no task for.
    pub(crate) fn release_hosts(
        &self,
        hosts: impl IntoIterator<Item = Arc<SharedHost>>,
        bell: &Arc<Bell>,
        now: Instant,
    ) {
        self.0.hosts.release(hosts, bell, now);
    }

    /// How a job with limits of its own treats a host.
    pub(crate) fn manner(&self, own: HostLimits, concurrency: usize) -> Manner {
        let caps = [own.concurrency, self.0.limits.concurrency];
        let cap = caps.into_iter().flatten().min().unwrap_or(usize::MAX);
        let interval = own.interval().max(self.0.limits.interval());
        Manner { cap, interval, start: concurrency.min(cap) / 8 }
    }
}
