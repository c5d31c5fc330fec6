//! Drives one job: takes tasks from the source, tries each at its time, hands over the records.

mod attempt;
mod credits;
mod ending;
mod hosts;
mod rate;
mod retry;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    stream::{BoxStream, Fuse, ReadyChunks},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{
    attempt::{Attempt, Permit},
    credits::Credits,
    hosts::{HostKey, Hosts, Pending},
    rate::Rate,
};
pub(crate) use self::{
    attempt::{Found, Plugins},
    ending::{Command, Ended},
};
pub use self::{
    ending::{Ending, StopReason},
    retry::RetryPolicy,
};
use crate::{
    Code, FetchError, HostLimits, Meter, Record, Result, Shared, Task,
    checkpoint::Done,
    progress::{self, Phase, Progress},
    shared::{Bell, Seat, Verdict},
};

/// The most tasks taken from the source at once.
const MAX_CHUNK: usize = 256;
/// How often the progress is brought up to date.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The settings of a driver.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) concurrency: usize,
    pub(crate) look_ahead: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) hosts: HostLimits,
    pub(crate) grace: Duration,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) max_credits: u64,
}

/// How a driver is connected.
pub(crate) struct Channels {
    pub(crate) records: mpsc::Sender<Record>,
    pub(crate) command: watch::Receiver<Command>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// The job's loop. It owns all state of the job that is not yet a record, and no lock.
///
/// Backpressure is one chain: while a record can't be handed over, or the pages in memory are at
/// their limit, nothing is dispatched; while enough tasks wait, the source is not polled.
pub(crate) struct Driver {
    settings: Settings,
    plugins: Arc<Plugins>,
    tasks: Fuse<ReadyChunks<BoxStream<'static, Result<Task>>>>,
    /// What an earlier life has written.
    done: Done,
    hosts: Hosts,
    seat: Seat,
    /// Rung by other jobs.
    bell: Arc<Bell>,
    credits: Credits,
    attempts: JoinSet<Attempt>,
    /// Records for which the channel has no room yet: at most one for each slot and one chunk.
    outbox: VecDeque<Record>,
    records: mpsc::Sender<Record>,
    command: watch::Receiver<Command>,
    /// What it is doing by its commands.
    order: Command,
    /// Set with the order to stop: when the attempts under way are given up.
    give_up_at: Option<Instant>,
    source_ended: bool,
    /// A stopping job has let go of tasks that have no record.
    left_some_out: bool,
    progress: watch::Sender<Progress>,
    settled: Rate,
    /// Records made in this life.
    made: u64,
}

impl Driver {
    pub(crate) fn new(
        settings: Settings,
        plugins: Plugins,
        shared: &Shared,
        tasks: BoxStream<'static, Result<Task>>,
        done: Done,
        channels: Channels,
    ) -> Self {
        let Channels { records, command, progress } = channels;
        let bell = Arc::new(Bell::default());
        let seat = shared.seat(&bell);
        let hosts =
            Hosts::new(shared.clone(), Arc::clone(&bell), settings.hosts, settings.concurrency);
        let credits = Credits::new(settings.max_credits, progress.borrow().counters.credits);
        // An earlier life may have ended between the last record and the end of the output.
        let source_ended = progress.borrow().total.is_some_and(|total| done.count() >= total);
        Self {
            settings,
            plugins: Arc::new(plugins),
            tasks: tasks.ready_chunks(MAX_CHUNK).fuse(),
            done,
            hosts,
            seat,
            bell,
            credits,
            attempts: JoinSet::new(),
            outbox: VecDeque::new(),
            records,
            command,
            order: Command::Run,
            give_up_at: None,
            source_ended,
            left_some_out: false,
            progress,
            settled: Rate::new(Instant::now()),
            made: 0,
        }
    }

    /// Runs until every task has its record or the job is told to stop. An error is one of the
    /// source. Ends without one when the writer has hung up: it knows why.
    pub(crate) async fn run(mut self) -> Result<Ended> {
        self.obey();
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.is_finished() {
            self.dispatch();
            let is_short = self.is_short_of_room();
            let wants_tasks = self.wants_tasks();
            let give_up_at = self.give_up_at;
            tokio::select! {
                biased;
                () = self.records.closed() => break,
                Ok(()) = self.command.changed() => self.obey(),
                Some(attempt) = self.attempts.join_next() => self.settle_all(attempt),
                () = room(&self.records), if !self.outbox.is_empty() => self.empty_outbox(),
                () = self.hosts.wait() => {}
                () = self.bell.rung() => {}
                tasks = self.tasks.next(), if wants_tasks => self.take(tasks)?,
                () = self.plugins.budget.wait_for_room(), if is_short => {}
                () = give_up(give_up_at) => {
                    tracing::warn!(attempts = self.attempts.len(), "attempts given up");
                    // Their credits are of no account: nothing is begun any more.
                    self.attempts = JoinSet::new();
                    self.left_some_out = true;
                }
                _ = ticks.tick() => self.report(),
            }
        }
        self.report();
        Ok(self.ended())
    }

    fn is_finished(&self) -> bool {
        let is_idle = self.attempts.is_empty() && self.outbox.is_empty();
        is_idle && (self.is_exhausted() || self.is_draining())
    }

    /// A job whose last task is done when the order comes has completed.
    fn ended(&self) -> Ended {
        let (ending, reason) = match self.order {
            Command::Cancel(reason) if !self.is_exhausted() => (Ending::Cancelled, Some(reason)),
            Command::Suspend if !self.is_exhausted() => (Ending::Suspended, None),
            _ => (Ending::Completed, None),
        };
        Ended { ending, reason }
    }

    /// Whether every task has been settled or is under way.
    fn is_exhausted(&self) -> bool {
        self.source_ended && self.hosts.waiting() == 0 && !self.left_some_out
    }

    fn is_draining(&self) -> bool {
        self.give_up_at.is_some()
    }

    fn is_short_of_room(&self) -> bool {
        self.plugins.budget.is_used_up()
            && self.attempts.len() < self.settings.concurrency
            && !self.is_draining()
    }

    fn wants_tasks(&self) -> bool {
        let held = self.hosts.waiting() + self.attempts.len();
        !self.source_ended
            && !self.is_draining()
            && self.outbox.is_empty()
            && held < self.settings.look_ahead
    }

    fn obey(&mut self) {
        let command = *self.command.borrow_and_update();
        self.follow(command);
    }

    fn follow(&mut self, command: Command) {
        if self.order.replace(command) {
            self.give_up_at.get_or_insert(Instant::now() + self.settings.grace);
            self.report();
        }
    }

    fn take(&mut self, chunk: Option<Vec<Result<Task>>>) -> Result<()> {
        let Some(chunk) = chunk else {
            self.source_ended = true;
            return Ok(());
        };
        let now = Instant::now();
        for task in chunk {
            let task = task?;
            if self.done.contains(task.ordinal()) {
                continue;
            }
            match task.target() {
                Ok(_) => self.hosts.add(task, now),
                Err(error) => {
                    let error = FetchError::new(error.code, error.message.clone());
                    self.hand_over(Record::error(task, error));
                }
            }
        }
        Ok(())
    }

    /// Begins what can be begun, and leaves to other jobs what this one can't use.
    fn dispatch(&mut self) {
        let now = Instant::now();
        self.hosts.answer_bell(now);
        let (mut is_short_of_slots, mut spare) = (false, None);
        while self.may_begin() {
            let Some(task) = self.hosts.peek() else { break };
            let price = self.settings.meter.price(task);
            if !self.credits.reserve(price) {
                self.wait_for_credits();
                break;
            }
            let Some(slot) = spare.take().or_else(|| self.seat.take(self.wanted_slots())) else {
                self.credits.give_back(price);
                is_short_of_slots = true;
                break;
            };
            let Some((host, mut pending, request)) = self.hosts.next(now) else {
                self.credits.give_back(price);
                spare = Some(slot);
                continue;
            };
            pending.price = price;
            let permit = Permit { request, _slot: slot };
            self.attempts.spawn(Arc::clone(&self.plugins).attempt(host, pending, permit));
        }
        drop(spare);
        self.seat.settle(is_short_of_slots);
        // A turn is kept for a slot: one that another job can't use for want of this turn comes here.
        // Were both passed on, they might go round among the jobs and never meet.
        if !is_short_of_slots {
            self.hosts.step_aside();
        }
    }

    fn may_begin(&self) -> bool {
        !self.is_draining()
            && self.attempts.len() < self.settings.concurrency
            && self.outbox.is_empty()
            && !self.plugins.budget.is_used_up()
    }

    /// How many slots it could use.
    fn wanted_slots(&self) -> usize {
        self.hosts.waiting().min(self.settings.concurrency - self.attempts.len())
    }

    /// What is reserved may be given back; without that, there is no room for the next task for good.
    fn wait_for_credits(&mut self) {
        if !self.credits.are_reserved() {
            self.follow(Command::Cancel(StopReason::Budget));
        }
    }

    /// Settles this attempt and all others that have ended.
    fn settle_all(&mut self, first: Result<Attempt, JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            // An attempt never panics by itself and is aborted only together with the set.
            if let Ok(attempt) = ended {
                self.settle(attempt);
            }
            next = self.attempts.try_join_next();
        }
    }

    fn settle(&mut self, attempt: Attempt) {
        let Attempt { mut pending, host, permit, answered, outcome } = attempt;
        let verdict = verdict(&outcome, &self.settings.retry);
        match outcome {
            Ok(found) => {
                self.credits.spend(pending.price);
                self.record(host, pending, Ok(found));
            }
            Err(mut error) => {
                self.credits.give_back(pending.price);
                if let Some(means) = error.means.take() {
                    pending.try_as(means);
                }
                let own = pending.task.params().retry.as_deref();
                match self.settings.retry.wait(own, pending.attempts, &error) {
                    // It will be tried in the job's next life, with all its attempts.
                    Some(_) if self.order == Command::Suspend => {
                        self.left_some_out = true;
                    }
                    Some(wait) if !self.is_draining() => {
                        self.hosts.add_retry(host, pending, wait);
                    }
                    _ => self.record(host, pending, Err(error)),
                }
            }
        }
        if let Some(permit) = permit {
            permit.request.end(verdict, answered);
        }
        self.hosts.release(host, answered);
    }

    fn record(&mut self, host: HostKey, pending: Pending, outcome: Result<Found, FetchError>) {
        let now = Instant::now();
        self.hosts.count_record(host, now);
        let mut record = match outcome {
            Ok(found) => Record::found(pending.task, found, pending.price),
            Err(error) => Record::error(pending.task, error),
        };
        record.attempts = pending.attempts;
        record.elapsed = pending.first_begun.map(|begun| now - begun).unwrap_or_default();
        self.hand_over(record);
    }

    fn hand_over(&mut self, record: Record) {
        self.settled.add(Instant::now());
        self.made += 1;
        self.outbox.push_back(record);
        self.empty_outbox();
    }

    fn empty_outbox(&mut self) {
        while let Some(record) = self.outbox.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(record)) = self.records.try_send(record) {
                self.outbox.push_front(record);
                return;
            }
        }
    }

    fn report(&mut self) {
        let now = Instant::now();
        let rate = self.settled.per_second(now);
        let slowest_hosts = self.hosts.slowest(now);
        let slowest = slowest_hosts.iter().find_map(|host| host.eta);
        self.progress.send_modify(|progress| {
            if self.is_draining() {
                progress.phase = Phase::Draining;
            }
            if self.source_ended {
                let held = self.hosts.waiting() + self.attempts.len();
                let made = progress.resumed + self.made;
                progress.total.get_or_insert(made + held as u64);
            }
            progress.in_flight = self.attempts.len();
            progress.waiting = self.hosts.waiting();
            progress.hosts = self.hosts.active();
            progress.rate = rate;
            progress.slowest_hosts = slowest_hosts;
            let remaining =
                progress.total.map(|total| total.saturating_sub(progress.resumed + self.made));
            let concurrency = self.settings.concurrency;
            progress.eta =
                remaining.and_then(|left| progress::eta(left, concurrency, rate, slowest));
        });
    }
}

/// Waits until there is room for a record.
async fn room(records: &mpsc::Sender<Record>) {
    drop(records.reserve().await);
}

/// The attempts under way are given up at this moment, if there is one.
async fn give_up(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What an attempt says about its host.
fn verdict(outcome: &Result<Found, FetchError>, retry: &RetryPolicy) -> Verdict {
    let Err(error) = outcome else { return Verdict::Answered };
    match (error.code, error.http_status) {
        (Code::Target429, _) | (_, Some(429)) => Verdict::Refused(retry.retry_after(error)),
        (_, Some(503)) if error.retry_after.is_some() => Verdict::Refused(retry.retry_after(error)),
        // A 503 that asks for no pause may be one bad server of many: less at a time will do.
        (Code::Timeout | Code::ConnectFailed | Code::Truncated, _) | (_, Some(503)) => {
            Verdict::Failed
        }
        (_, Some(_)) => Verdict::Answered,
        _ => Verdict::Unknown,
    }
}
