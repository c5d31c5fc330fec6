//! What is known of one host, by all jobs together.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Bell, limit::AdaptiveLimit};

/// A host that refuses without saying for how long is left alone this long, then twice as long…
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// …and at most this long.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// A rate may catch up on this much time, since a timer is never exact.
const PACE_SLACK: Duration = Duration::from_millis(10);

/// How a job treats a host: its own limits and those of all jobs, whichever are stricter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The most requests under way, of all jobs.
    pub(crate) cap: usize,
    /// The time between two requests, of any jobs.
    pub(crate) interval: Duration,
    /// How many requests under way a host begins with that nothing is known of.
    pub(crate) start: usize,
}

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

/// A host. Jobs that can't ask it now wait in a queue and take turns: only the first one of them may
/// ask, so what a job gives back never goes past the others to itself.
#[derive(Debug)]
pub(crate) struct SharedHost {
    name: Arc<str>,
    known: Mutex<Known>,
}

/// A request under way. Dropped, it is over, and the host's place is for the next one.
#[derive(Debug)]
pub(crate) struct Request {
    host: Arc<SharedHost>,
    /// The most requests under way that its job bears.
    cap: usize,
    begun: Instant,
    answer: Option<(Verdict, Instant)>,
}

#[derive(Debug)]
struct Known {
    in_flight: usize,
    limit: AdaptiveLimit,
    /// It asked for a pause until then.
    paused_until: Option<Instant>,
    /// The last request, by the pace: the next one comes an interval later.
    paced: Option<Instant>,
    /// Refusals since the last answer.
    refusals: u32,
    waiting: VecDeque<Waiting>,
    /// The jobs that hold on to it; nearly always one.
    jobs: SmallVec<[Job; 1]>,
}

/// A job's own key of the host.
#[derive(Clone, Copy, Debug)]
struct Job {
    id: usize,
    key: usize,
}

/// A job that waits, once.
#[derive(Debug)]
struct Waiting {
    bell: Arc<Bell>,
    /// The driver's own key of the host.
    key: usize,
    is_rung: bool,
}

/// Why a host can't be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It is the job's turn at this moment.
    Until(Instant),
    /// The bell will ring.
    Wait,
}

impl SharedHost {
    /// Whether it has asked to be left alone now.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.lock().paused_until.is_some_and(|until| until > now)
    }

    pub(super) fn new(name: Arc<str>, limit: AdaptiveLimit, bell: &Arc<Bell>, key: usize) -> Self {
        let known = Known {
            in_flight: 0,
            limit,
            paused_until: None,
            paced: None,
            refusals: 0,
            waiting: VecDeque::new(),
            jobs: SmallVec::from_buf([Job { id: bell.id(), key }]),
        };
        Self { name, known: Mutex::new(known) }
    }

    /// Holds on to it for a job, until it [leaves](Self::leave). If it does already, the key under
    /// which it does.
    pub(super) fn join(&self, bell: &Arc<Bell>, key: usize) -> Option<usize> {
        let mut known = self.lock();
        let present = known.jobs.iter().find(|job| job.id == bell.id()).map(|job| job.key);
        if present.is_none() {
            known.jobs.push(Job { id: bell.id(), key });
        }
        present
    }

    /// Lets go of it for a job, which is none of those who wait either. True if nothing is left of
    /// it that has to be remembered.
    pub(super) fn leave(&self, bell: &Arc<Bell>, now: Instant) -> bool {
        let mut known = self.lock();
        known.jobs.retain(|job| job.id != bell.id());
        known.step_aside(bell);
        known.jobs.is_empty() && known.pause(now).is_none()
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Begins a request, if the host may be asked and it is this job's turn. Otherwise the job waits
    /// in the queue, until it asks again or [steps aside](Self::step_aside).
    pub(crate) fn begin(
        self: &Arc<Self>,
        bell: &Arc<Bell>,
        key: usize,
        manner: Manner,
        now: Instant,
    ) -> Result<Request, Denied> {
        self.lock().begin(bell, key, manner, now)?;
        Ok(Request { host: Arc::clone(self), cap: manner.cap, begun: now, answer: None })
    }

    /// Leaves the queue, so that the next job gets its turn.
    pub(crate) fn step_aside(&self, bell: &Arc<Bell>) {
        self.lock().step_aside(bell);
    }

    /// How much is left of the pause that it has asked for.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        self.lock().pause(now)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Notes what the request says about the host, up to this moment.
    pub(crate) fn end(mut self, verdict: Verdict, at: Instant) {
        self.answer = Some((verdict, at));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut known = self.host.lock();
        known.in_flight -= 1;
        if let Some((verdict, at)) = self.answer {
            known.learn(self.cap, verdict, self.begun, at);
        }
        known.ring_first();
    }
}

impl Known {
    fn begin(
        &mut self,
        bell: &Arc<Bell>,
        key: usize,
        manner: Manner,
        now: Instant,
    ) -> Result<(), Denied> {
        let is_first = self.waiting.front().is_none_or(|first| first.is(bell));
        let has_room = self.in_flight < self.limit.get().min(manner.cap);
        let not_before = self.not_before(manner);
        if is_first && has_room && not_before.is_none_or(|moment| moment <= now) {
            self.waiting.pop_front();
            self.in_flight += 1;
            self.keep_pace(manner, now);
            self.ring_first();
            return Ok(());
        }
        self.wait(bell, key);
        match not_before {
            Some(moment) if is_first && has_room => Err(Denied::Until(moment)),
            _ => Err(Denied::Wait),
        }
    }

    fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.paused_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn step_aside(&mut self, bell: &Arc<Bell>) {
        self.waiting.retain(|waiting| !waiting.is(bell));
        self.ring_first();
    }

    fn not_before(&self, manner: Manner) -> Option<Instant> {
        self.paused_until.max(self.paced.map(|paced| paced + manner.interval))
    }

    fn keep_pace(&mut self, manner: Manner, now: Instant) {
        let due = self.paced.map(|paced| paced + manner.interval);
        let earliest = now.checked_sub(PACE_SLACK.min(manner.interval)).unwrap_or(now);
        self.paced = Some(due.map_or(now, |due| due.max(earliest)));
    }

    fn wait(&mut self, bell: &Arc<Bell>, key: usize) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.is(bell)) {
            waiting.is_rung = false;
            return;
        }
        self.waiting.push_back(Waiting { bell: Arc::clone(bell), key, is_rung: false });
    }

    fn learn(&mut self, cap: usize, verdict: Verdict, begun: Instant, now: Instant) {
        match verdict {
            Verdict::Answered => {
                self.refusals = 0;
                self.limit.answered(begun, now, cap);
            }
            Verdict::Refused(wait) => {
                self.limit.refused(begun, now, cap);
                self.refusals = self.refusals.saturating_add(1);
                let doubled = FIRST_PAUSE.saturating_mul(1 << (self.refusals - 1).min(20));
                let wait = wait.unwrap_or(doubled.min(MAX_PAUSE));
                self.paused_until = self.paused_until.max(Some(now + wait));
            }
            Verdict::Failed => self.limit.refused(begun, now, cap),
            Verdict::Unknown => {}
        }
    }

    /// Tells the first of those who wait that it may ask.
    fn ring_first(&mut self) {
        if let Some(first) = self.waiting.front_mut().filter(|first| !first.is_rung) {
            first.is_rung = true;
            first.bell.ring_for(first.key);
        }
    }
}

impl Waiting {
    fn is(&self, bell: &Arc<Bell>) -> bool {
        Arc::ptr_eq(&self.bell, bell)
    }
}
