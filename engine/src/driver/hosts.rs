//! Which task is next: tasks wait here by host, never in a slot.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use slab::Slab;
use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

use super::{limit::AdaptiveLimit, rate::Rate};
use crate::Task;

/// How many hosts without a task are remembered, for the sake of their limits.
const MAX_IDLE_HOSTS: usize = 4_096;
/// How many hosts that asked for a pause are remembered without having a task.
const MAX_PAUSED_HOSTS: usize = 65_536;
/// A host that refuses without saying for how long is left alone this long, then twice as long…
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// …and at most this long.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// A rate may catch up on this much time, since a timer is never exact.
const PACE_SLACK: Duration = Duration::from_millis(10);

/// The limits that every host of a job has. A host is told by name and port.
///
/// By default a host may take the whole concurrency while no other one waits, an equal share when
/// others do, and less by itself when it refuses (429, 503), fails or slows down.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HostLimits {
    /// The largest number of requests under way; the job's concurrency by default.
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
    fn interval(self) -> Option<Duration> {
        let seconds = 1.0 / self.per_second?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_hours(24)))
    }
}

/// A task that waits for its next attempt.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) task: Arc<Task>,
    /// Attempts made.
    pub(crate) attempts: u32,
    pub(crate) first_begun: Option<Instant>,
    /// The credits reserved for the attempt under way.
    pub(crate) price: u64,
}

impl Pending {
    pub(crate) fn new(task: Task) -> Self {
        Self { task: Arc::new(task), attempts: 0, first_begun: None, price: 0 }
    }
}

/// A host of [`Hosts`], while it has a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(usize);

/// What an attempt says about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answered, with whatever.
    Answered,
    /// It asked to be left alone, for this long if it said so.
    Refused(Option<Duration>),
    /// It didn't answer.
    Failed,
    /// Nothing.
    Unknown,
}

/// The waiting tasks by host, and when each host may be asked next.
///
/// The host with the fewest requests under way is next, among equals the one that waits longest:
/// so slots are shared evenly among the hosts that have work, and a host that keeps its slots for
/// long gets no further ones while another host waits.
#[derive(Debug)]
pub(crate) struct Hosts {
    limits: HostLimits,
    concurrency: usize,
    names: HashMap<Arc<str>, HostKey>,
    hosts: Slab<Host>,
    /// The hosts that can be asked now, by requests under way and turn.
    ready: BTreeMap<Place, HostKey>,
    turn: u64,
    timers: DelayQueue<Wake>,
    waiting: usize,
    /// How many hosts have no task.
    idle: usize,
    /// More idle hosts than this are swept out.
    idle_limit: usize,
}

type Place = (usize, u64);

#[derive(Debug)]
struct Host {
    name: Arc<str>,
    queue: VecDeque<Pending>,
    /// Tasks of it that wait for their retry.
    delayed: usize,
    in_flight: usize,
    limit: AdaptiveLimit,
    /// No request before this moment.
    not_before: Instant,
    timer: Option<delay_queue::Key>,
    /// Refusals since the last answer.
    refusals: u32,
    place: Option<Place>,
    answers: Rate,
}

#[derive(Debug)]
enum Wake {
    Host(HostKey),
    Task(HostKey, Pending),
}

impl Host {
    fn remaining(&self) -> usize {
        self.queue.len() + self.delayed + self.in_flight
    }

    fn may_be_asked(&self, now: Instant) -> bool {
        !self.queue.is_empty() && self.in_flight < self.limit.get() && self.not_before <= now
    }
}

impl Hosts {
    pub(crate) fn new(limits: HostLimits, concurrency: usize) -> Self {
        Self {
            limits,
            concurrency: limits.concurrency.map_or(concurrency, |most| most.min(concurrency)),
            names: HashMap::new(),
            hosts: Slab::new(),
            ready: BTreeMap::new(),
            turn: 0,
            timers: DelayQueue::new(),
            waiting: 0,
            idle: 0,
            idle_limit: MAX_IDLE_HOSTS,
        }
    }

    /// How many tasks wait, for their turn or their time.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a task behind the others of its host.
    pub(crate) fn add(&mut self, task: Task, now: Instant) {
        let key = self.key(task.host(), now);
        self.waiting += 1;
        self.hosts[key.0].queue.push_back(Pending::new(task));
        self.place(key, now);
    }

    /// Adds a failed task again, to be tried after `wait`. Comes before the attempt's
    /// [release](Self::release), so that the host never seems idle.
    pub(crate) fn add_retry(&mut self, key: HostKey, pending: Pending, wait: Duration) {
        self.waiting += 1;
        self.hosts[key.0].delayed += 1;
        self.timers.insert(Wake::Task(key, pending), wait);
    }

    /// The task that is to be tried next, if one can be tried now.
    pub(crate) fn peek(&self) -> Option<&Task> {
        let (_, key) = self.ready.first_key_value()?;
        self.hosts[key.0].queue.front().map(|pending| &*pending.task)
    }

    /// Takes the task that is to be tried next, if one can be tried now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(HostKey, Pending)> {
        let (_, key) = self.ready.pop_first()?;
        let host = &mut self.hosts[key.0];
        host.place = None;
        let pending = host.queue.pop_front().expect("only hosts with a task are ready");
        host.in_flight += 1;
        self.waiting -= 1;
        if let Some(interval) = self.limits.interval() {
            host.not_before = host.not_before.max(now - PACE_SLACK.min(interval)) + interval;
        }
        self.place(key, now);
        Some((key, pending))
    }

    /// Notes the end of an attempt that [`next`](Self::next) gave out.
    pub(crate) fn release(&mut self, key: HostKey, verdict: Verdict, begun: Instant, now: Instant) {
        let host = &mut self.hosts[key.0];
        host.in_flight -= 1;
        match verdict {
            Verdict::Answered => {
                host.refusals = 0;
                host.limit.answered(begun, now);
            }
            Verdict::Refused(wait) => {
                host.limit.refused(begun, now);
                host.refusals = host.refusals.saturating_add(1);
                let doubled = FIRST_PAUSE.saturating_mul(1 << (host.refusals - 1).min(20));
                let wait = wait.unwrap_or(doubled.min(MAX_PAUSE));
                host.not_before = host.not_before.max(now + wait);
            }
            Verdict::Failed => host.limit.refused(begun, now),
            Verdict::Unknown => {}
        }
        if host.remaining() == 0 {
            self.idle += 1;
        }
        self.place(key, now);
        self.forget_idle(now);
    }

    /// Counts a record of this host, for its rate.
    pub(crate) fn count_record(&mut self, key: HostKey, now: Instant) {
        self.hosts[key.0].answers.add(now);
    }

    /// Waits until a host or a task has come to its time; forever if none waits for one.
    pub(crate) async fn wait(&mut self) {
        let Some(expired) = self.timers.next().await else {
            return std::future::pending().await;
        };
        let now = Instant::now();
        self.wake(expired.into_inner(), now);
        while let Some(Some(expired)) = futures::FutureExt::now_or_never(self.timers.next()) {
            self.wake(expired.into_inner(), now);
        }
    }

    /// How long the slowest host will need at its rate, its pause included.
    pub(crate) fn slowest(&self, now: Instant) -> Option<Duration> {
        let hosts = self.hosts.iter().map(|(_, host)| host);
        let time = |host: &Host| {
            let pause = host.not_before.saturating_duration_since(now);
            let rate = host.answers.per_second(now)?;
            let seconds = host.remaining() as f64 / rate;
            Some(pause + Duration::try_from_secs_f64(seconds).ok()?)
        };
        hosts.filter(|host| host.remaining() > 0).filter_map(time).max()
    }

    /// How many hosts have a task.
    pub(crate) fn active(&self) -> usize {
        self.hosts.len() - self.idle
    }

    fn key(&mut self, name: &str, now: Instant) -> HostKey {
        if let Some(&key) = self.names.get(name) {
            if self.hosts[key.0].remaining() == 0 {
                self.idle -= 1;
            }
            return key;
        }
        let name: Arc<str> = name.into();
        let key = HostKey(self.hosts.insert(Host {
            name: Arc::clone(&name),
            queue: VecDeque::new(),
            delayed: 0,
            in_flight: 0,
            limit: AdaptiveLimit::new(self.concurrency),
            not_before: now,
            timer: None,
            refusals: 0,
            place: None,
            answers: Rate::new(now),
        }));
        self.names.insert(name, key);
        key
    }

    /// Puts a host where it belongs: among the ready ones, or behind a timer, or nowhere.
    fn place(&mut self, key: HostKey, now: Instant) {
        let host = &mut self.hosts[key.0];
        let is_ready = host.may_be_asked(now);
        match host.place {
            Some(place) if is_ready && place.0 == host.in_flight => {}
            Some(place) => {
                self.ready.remove(&place);
                host.place = None;
            }
            None => {}
        }
        if is_ready && host.place.is_none() {
            self.turn += 1;
            let place = (host.in_flight, self.turn);
            host.place = Some(place);
            self.ready.insert(place, key);
        }
        if !host.queue.is_empty() && host.not_before > now {
            self.set_timer(key);
        }
    }

    fn set_timer(&mut self, key: HostKey) {
        let host = &mut self.hosts[key.0];
        match &host.timer {
            Some(timer) if self.timers.deadline(timer) >= host.not_before => {}
            Some(timer) => self.timers.reset_at(timer, host.not_before),
            None => host.timer = Some(self.timers.insert_at(Wake::Host(key), host.not_before)),
        }
    }

    fn wake(&mut self, wake: Wake, now: Instant) {
        let key = match wake {
            Wake::Host(key) => {
                self.hosts[key.0].timer = None;
                key
            }
            Wake::Task(key, pending) => {
                let host = &mut self.hosts[key.0];
                host.delayed -= 1;
                host.queue.push_front(pending);
                key
            }
        };
        self.place(key, now);
    }

    /// Keeps the memory bounded over millions of hosts. Those that asked for a pause are forgotten
    /// last, since a request before its time is worse than a limit learned anew.
    fn forget_idle(&mut self, now: Instant) {
        if self.idle <= self.idle_limit {
            return;
        }
        let forget_paused = self.idle > MAX_PAUSED_HOSTS;
        let (names, timers) = (&mut self.names, &mut self.timers);
        self.hosts.retain(|_, host| {
            let keep = host.remaining() > 0 || (host.not_before > now && !forget_paused);
            if !keep {
                names.remove(&host.name);
                if let Some(timer) = host.timer.take() {
                    timers.remove(&timer);
                }
            }
            keep
        });
        self.idle = self.hosts.iter().filter(|(_, host)| host.remaining() == 0).count();
        // Twice what is left, so that each sweep is paid for by as many new hosts.
        self.idle_limit = (self.idle * 2).clamp(MAX_IDLE_HOSTS, MAX_PAUSED_HOSTS);
    }
}
