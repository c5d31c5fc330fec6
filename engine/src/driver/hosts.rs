//! Which task is next: tasks wait here by host, never in a slot.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use slab::Slab;
use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

use super::rate::Rate;
use crate::{
    HostLimits, HostProgress, Params, Shared, Task,
    progress::MAX_SLOWEST_HOSTS,
    shared::{Bell, Denied, Manner, Request, SharedHost},
};

/// How many hosts without a task a job holds on to, for the sake of their rates.
const MAX_IDLE_HOSTS: usize = 4_096;
/// How many hosts are looked at each time that the slowest are asked for.
const MAX_LOOKED_AT: usize = 4_096;

/// A task that waits for its next attempt.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) task: Arc<Task>,
    /// The same by other means, if an attempt has asked for them.
    tried_as: Option<Arc<Task>>,
    /// Attempts made.
    pub(crate) attempts: u32,
    pub(crate) first_begun: Option<Instant>,
    /// The credits reserved for the attempt under way.
    pub(crate) price: u64,
}

impl Pending {
    pub(crate) fn new(task: Task) -> Self {
        let task = Arc::new(task);
        Self { task, tried_as: None, attempts: 0, first_begun: None, price: 0 }
    }

    /// The task as the next attempt is made.
    pub(crate) fn tried_as(&self) -> &Arc<Task> {
        self.tried_as.as_ref().unwrap_or(&self.task)
    }

    /// Makes further attempts with these parameters.
    pub(crate) fn try_as(&mut self, means: Arc<Params>) {
        self.tried_as = Some(Arc::new(Task::clone(&self.task).with_params(means)));
    }
}

/// A host of [`Hosts`], while it has a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(usize);

/// The waiting tasks by host, and when each host may be asked next.
///
/// The host with the fewest of the job's requests under way is next, among equals the one that
/// waits longest: so slots are shared evenly among the hosts that have work, and a host that keeps
/// its slots for long gets no further ones while another host waits. Whether it may be asked, the
/// [shared knowledge](SharedHost) says, and tells when it may be if not.
#[derive(Debug)]
pub(crate) struct Hosts {
    shared: Shared,
    bell: Arc<Bell>,
    manner: Manner,
    hosts: Slab<Host>,
    /// The hosts that can be asked now as far as is known, by requests under way and turn.
    ready: BTreeMap<Place, HostKey>,
    turn: u64,
    timers: DelayQueue<Wake>,
    waiting: usize,
    /// Hosts at which it may be the job's turn since they were last looked at.
    offered: Vec<HostKey>,
    /// How many hosts have no task.
    idle: usize,
    /// The hosts that have had none, in the order in which they may be forgotten.
    leaving: VecDeque<HostKey>,
    /// The slowest hosts found so far, and where to go on looking.
    slowest: Vec<usize>,
    looked_at: usize,
}

type Place = (usize, u64);

#[derive(Debug)]
struct Host {
    shared: Arc<SharedHost>,
    queue: VecDeque<Pending>,
    /// Tasks of it that wait for their retry.
    delayed: usize,
    in_flight: usize,
    /// What it answered when it was last asked whether it can be: it is among those who wait for it.
    denied: Option<Denied>,
    timer: Option<delay_queue::Key>,
    place: Option<Place>,
    /// Whether it is among the leaving ones…
    is_leaving: bool,
    /// …and has had tasks again since.
    came_back: bool,
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
        let is_denied = match self.denied {
            None => false,
            Some(Denied::Until(moment)) => moment > now,
            Some(Denied::Wait) => true,
        };
        !self.queue.is_empty() && !is_denied
    }

    /// How long it will need for what remains, as far as that can be told.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        if self.remaining() == 0 {
            return None;
        }
        let pause = match self.denied {
            Some(Denied::Until(moment)) => Some(moment.saturating_duration_since(now)),
            _ => None,
        };
        let rate = self.answers.per_second(now);
        let seconds = rate.map(|rate| self.remaining() as f64 / rate);
        let work = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match (work, pause) {
            (None, pause) => pause,
            (work, None) => work,
            (Some(work), Some(pause)) => work.checked_add(pause),
        }
    }

    fn progress(&self, now: Instant) -> HostProgress {
        HostProgress {
            host: self.shared.name().to_string(),
            remaining: self.remaining(),
            in_flight: self.in_flight,
            per_second: self.answers.per_second(now),
            paused_for: self.shared.pause(now),
            eta: self.time_left(now),
        }
    }
}

impl Hosts {
    pub(crate) fn new(
        shared: Shared,
        bell: Arc<Bell>,
        limits: HostLimits,
        concurrency: usize,
    ) -> Self {
        Self {
            manner: shared.manner(limits, concurrency),
            shared,
            bell,
            hosts: Slab::new(),
            ready: BTreeMap::new(),
            turn: 0,
            timers: DelayQueue::new(),
            waiting: 0,
            offered: Vec::new(),
            idle: 0,
            leaving: VecDeque::new(),
            slowest: Vec::new(),
            looked_at: 0,
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

    /// The task that is to be tried next, as it is tried, if one can be tried now.
    pub(crate) fn peek(&self) -> Option<&Task> {
        let (_, key) = self.ready.first_key_value()?;
        self.hosts[key.0].queue.front().map(|pending| &**pending.tried_as())
    }

    /// Takes the task that [`peek`](Self::peek) shows. `None` if its host can't be asked after all:
    /// then there is another one to peek at, or none.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(HostKey, Pending, Request)> {
        let (_, key) = self.ready.pop_first()?;
        let host = &mut self.hosts[key.0];
        host.place = None;
        let begun = host.shared.begin(&self.bell, key.0, self.manner, now);
        host.denied = begun.as_ref().err().copied();
        let next = begun.ok().zip(host.queue.pop_front_if(|_| host.denied.is_none()));
        if next.is_some() {
            host.in_flight += 1;
            self.waiting -= 1;
        }
        self.place(key, now);
        next.map(|(request, pending)| (key, pending, request))
    }

    /// Notes the end of an attempt that [`next`](Self::next) gave out.
    pub(crate) fn release(&mut self, key: HostKey, now: Instant) {
        let host = &mut self.hosts[key.0];
        host.in_flight -= 1;
        if host.remaining() == 0 {
            self.idle += 1;
            if !std::mem::replace(&mut host.is_leaving, true) {
                self.leaving.push_back(key);
            }
        }
        self.place(key, now);
        self.forget_idle(now);
    }

    /// Looks at the hosts for which the bell was rung.
    pub(crate) fn answer_bell(&mut self, now: Instant) {
        for key in self.bell.take_hosts() {
            if let Some(host) = self.hosts.get_mut(key).filter(|host| host.denied.is_some()) {
                host.denied = Some(Denied::Until(now));
                self.offer(HostKey(key), now);
            }
        }
    }

    /// Lets other jobs have their turn at the hosts that this one could ask and doesn't.
    pub(crate) fn step_aside(&mut self) {
        for key in std::mem::take(&mut self.offered) {
            let host = self.hosts.get_mut(key.0);
            let idle = host.filter(|host| host.place.is_some() && host.denied.is_some());
            if let Some(host) = idle {
                host.shared.step_aside(&self.bell);
                host.denied = None;
            }
        }
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

    /// The hosts that will take longest, the slowest first. Looks at a bounded number of hosts, and
    /// at other ones every time.
    pub(crate) fn slowest(&mut self, now: Instant) -> Vec<HostProgress> {
        let places = self.hosts.capacity().max(1);
        let looked_at = self.looked_at..self.looked_at + MAX_LOOKED_AT.min(places);
        self.looked_at = looked_at.end % places;
        let others = looked_at.map(|place| place % places);
        let mut keys = std::mem::take(&mut self.slowest);
        keys.extend(others);
        keys.sort_unstable();
        keys.dedup();
        let time = |key: usize| Some((self.hosts.get(key)?.time_left(now)?, key));
        let mut slowest: Vec<_> = keys.into_iter().filter_map(time).collect();
        slowest.sort_unstable_by(|a, b| b.cmp(a));
        slowest.truncate(MAX_SLOWEST_HOSTS);
        self.slowest = slowest.into_iter().map(|(_, key)| key).collect();
        self.slowest.iter().map(|&key| self.hosts[key].progress(now)).collect()
    }

    /// How many hosts have a task.
    pub(crate) fn active(&self) -> usize {
        self.hosts.len() - self.idle
    }

    fn key(&mut self, name: &str, now: Instant) -> HostKey {
        let vacant = self.hosts.vacant_key();
        let shared = match self.shared.host(name, &self.bell, self.manner, vacant) {
            Ok(key) => {
                let host = &mut self.hosts[key];
                if host.remaining() == 0 {
                    host.came_back = true;
                    self.idle -= 1;
                }
                return HostKey(key);
            }
            Err(shared) => shared,
        };
        HostKey(self.hosts.insert(Host {
            shared,
            queue: VecDeque::new(),
            delayed: 0,
            in_flight: 0,
            denied: None,
            timer: None,
            place: None,
            is_leaving: false,
            came_back: false,
            answers: Rate::new(now),
        }))
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
        match host.denied {
            Some(Denied::Until(moment)) if moment > now => self.set_timer(key, moment),
            _ => {}
        }
    }

    /// Puts a host where it belongs, at which it may be the job's turn.
    fn offer(&mut self, key: HostKey, now: Instant) {
        self.offered.push(key);
        self.place(key, now);
    }

    fn set_timer(&mut self, key: HostKey, moment: Instant) {
        let host = &mut self.hosts[key.0];
        match &host.timer {
            Some(timer) if self.timers.deadline(timer) >= moment => {}
            Some(timer) => self.timers.reset_at(timer, moment),
            None => host.timer = Some(self.timers.insert_at(Wake::Host(key), moment)),
        }
    }

    fn wake(&mut self, wake: Wake, now: Instant) {
        match wake {
            Wake::Host(key) => {
                self.hosts[key.0].timer = None;
                self.offer(key, now);
            }
            Wake::Task(key, pending) => {
                let host = &mut self.hosts[key.0];
                host.delayed -= 1;
                host.queue.push_front(pending);
                self.place(key, now);
            }
        }
    }

    /// Keeps the memory bounded over millions of hosts: forgets those that have had no task for
    /// longest, but for those that came back (the clock algorithm). What is known of them is kept
    /// elsewhere.
    fn forget_idle(&mut self, now: Instant) {
        while self.idle > MAX_IDLE_HOSTS {
            let key = self.leaving.pop_front().expect("every idle host is leaving");
            let host = &mut self.hosts[key.0];
            if host.remaining() > 0 {
                host.is_leaving = false;
                host.came_back = false;
            } else if std::mem::take(&mut host.came_back) {
                self.leaving.push_back(key);
            } else {
                self.forget(key, now);
            }
        }
    }

    fn forget(&mut self, key: HostKey, now: Instant) {
        let host = self.hosts.remove(key.0);
        if let Some(timer) = host.timer {
            self.timers.remove(&timer);
        }
        self.idle -= 1;
        self.shared.release_hosts([host.shared], &self.bell, now);
    }
}

/// A job leaves every host and its queue, however it ends.
impl Drop for Hosts {
    fn drop(&mut self) {
        let hosts = std::mem::take(&mut self.hosts);
        let hosts = hosts.into_iter().map(|(_, host)| host.shared);
        self.shared.release_hosts(hosts, &self.bell, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    #[test]
    fn a_slow_host_is_found_among_very_many() {
        let (shared, now) = (Shared::alone(8), Instant::now());
        let mut hosts = Hosts::new(shared, Arc::default(), HostLimits::default(), 8);
        for host in 0..20_000 {
            let url = format!("http://h{host}.test/");
            hosts.add(Task::new(host, &url, Params::new()), now);
        }
        let second = Duration::from_secs(1);
        for (host, records) in [(10_000, 9), (19_999, 1), (15_000, 3), (1, 20), (2, 21), (3, 22)] {
            let name = format!("h{host}.test");
            let key = HostKey(hosts.shared.host(&name, &hosts.bell, hosts.manner, 0).unwrap());
            hosts.count_record(key, now);
            (1..records).for_each(|_| hosts.count_record(key, now + second));
        }
        let places = hosts.hosts.capacity();
        for _ in 0..places.div_ceil(MAX_LOOKED_AT) {
            hosts.slowest(now + second);
        }
        let found = hosts.slowest(now + second);
        let names: Vec<_> = found.iter().map(|host| &*host.host).collect();
        assert_eq!(names, ["h19999.test", "h15000.test", "h10000.test", "h1.test", "h2.test"]);
        assert!(found[0].eta > found[1].eta);
    }
}
