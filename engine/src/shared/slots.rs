//! How many attempts are under way at a time, and whose.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use slab::Slab;

use super::{Bell, Shared};

/// The slots of all jobs. While one is free, nobody waits for one.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    jobs: Slab<Job>,
    /// How many jobs want a slot.
    wanting: usize,
    turn: u64,
}

#[derive(Debug)]
struct Job {
    /// Slots that it has, those handed to it included.
    held: usize,
    /// Slots handed to it that it has not taken yet.
    handed: usize,
    /// How many more it could use.
    wants: usize,
    /// Since when it wants some.
    since: u64,
    /// It has ended but for some attempts.
    is_gone: bool,
    bell: Arc<Bell>,
}

/// A job's place among those that take slots.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Place>);

/// A slot of an attempt, given back when dropped: to the job itself, if nobody who wants one has
/// fewer.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Place>);

/// There while the job or one of its slots is.
#[derive(Debug)]
struct Place {
    shared: Shared,
    key: usize,
    /// Whether slots may have been handed to it, or still may.
    expects: AtomicBool,
}

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        let state = State { free: total, jobs: Slab::new(), wanting: 0, turn: 0 };
        Self { state: Mutex::new(state) }
    }

    /// How many are taken.
    pub(super) fn held(&self) -> usize {
        self.lock().jobs.iter().map(|(_, job)| job.held).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn new(shared: Shared, bell: Arc<Bell>) -> Self {
        let job = Job { held: 0, handed: 0, wants: 0, since: 0, is_gone: false, bell };
        let key = shared.0.slots.lock().jobs.insert(job);
        Self(Arc::new(Place { shared, key, expects: AtomicBool::new(false) }))
    }

    /// Takes a slot. If there is none, the job is one of those that want some, up to `wants`: its
    /// bell rings when it has got one.
    pub(crate) fn take(&self, wants: usize) -> Option<Slot> {
        let mut state = self.0.lock();
        if state.take(self.0.key, wants) {
            return Some(Slot(Arc::clone(&self.0)));
        }
        self.0.expects.store(true, Ordering::Relaxed);
        None
    }

    /// Gives back what was handed to the job and not taken; unless it is short of slots, it wants
    /// none.
    pub(crate) fn settle(&self, is_short: bool) {
        if !self.0.expects.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.0.lock();
        self.0.expects.store(is_short, Ordering::Relaxed);
        state.settle(self.0.key, is_short);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.settle(false);
        // What its last attempts give back is for others.
        self.0.lock().jobs[self.0.key].is_gone = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.release(self.0.key) {
            self.0.expects.store(true, Ordering::Relaxed);
        }
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.slots.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lock().jobs.remove(self.key);
    }
}

impl State {
    fn take(&mut self, key: usize, wants: usize) -> bool {
        let job = &mut self.jobs[key];
        if job.handed > 0 {
            job.handed -= 1;
            return true;
        }
        if self.free > 0 {
            self.free -= 1;
            job.held += 1;
            return true;
        }
        self.set_wants(key, wants.max(1));
        false
    }

    /// True if the slot comes straight back, since nobody who wants one has fewer.
    fn release(&mut self, key: usize) -> bool {
        self.jobs[key].held -= 1;
        let Some(next) = self.next() else {
            self.free += 1;
            return false;
        };
        let job = &self.jobs[key];
        let comes_back = !job.is_gone && self.jobs[next].held > job.held;
        if comes_back {
            let job = &mut self.jobs[key];
            job.held += 1;
            job.handed += 1;
        } else {
            self.hand_to(next);
        }
        comes_back
    }

    fn settle(&mut self, key: usize, is_short: bool) {
        if !is_short {
            self.set_wants(key, 0);
        }
        let job = &mut self.jobs[key];
        let unused = std::mem::take(&mut job.handed);
        job.held -= unused;
        self.give(unused);
    }

    /// Hands slots to those who want some.
    fn give(&mut self, count: usize) {
        for _ in 0..count {
            match self.next() {
                Some(next) => self.hand_to(next),
                None => self.free += 1,
            }
        }
    }

    /// Who is to get the next slot: of those who want one, the one with the fewest.
    fn next(&self) -> Option<usize> {
        if self.wanting == 0 {
            return None;
        }
        let wanting = self.jobs.iter().filter(|(_, job)| job.wants > 0);
        wanting.min_by_key(|(_, job)| (job.held, job.since)).map(|(key, _)| key)
    }

    fn hand_to(&mut self, key: usize) {
        let job = &mut self.jobs[key];
        job.held += 1;
        job.handed += 1;
        job.bell.ring();
        let left = job.wants.saturating_sub(1);
        self.set_wants(key, left);
    }

    fn set_wants(&mut self, key: usize, wants: usize) {
        let job = &mut self.jobs[key];
        match (job.wants > 0, wants > 0) {
            (false, true) => {
                self.wanting += 1;
                self.turn += 1;
                job.since = self.turn;
            }
            (true, false) => self.wanting -= 1,
            _ => {}
        }
        job.wants = wants;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SharedLimits;

    /// A job with the slots that it uses.
    struct Busy {
        seat: Seat,
        slots: Vec<Slot>,
    }

    impl Busy {
        fn fill(&mut self, most: usize) {
            let took = std::iter::from_fn(|| self.seat.take(most)).take(most);
            let before = self.slots.len();
            self.slots.extend(took);
            self.seat.settle(self.slots.len() - before < most);
        }

        fn release(&mut self, count: usize) {
            self.slots.truncate(self.slots.len().saturating_sub(count));
        }
    }

    fn jobs(slots: usize, count: usize) -> (Shared, Vec<Busy>) {
        let shared = Shared::new(SharedLimits::default().with_slots(slots));
        let busy = || Busy { seat: shared.seat(&Arc::default()), slots: Vec::new() };
        let jobs = (0..count).map(|_| busy()).collect();
        (shared, jobs)
    }

    fn held<const N: usize>(jobs: &[Busy]) -> [usize; N] {
        std::array::from_fn(|job| jobs[job].slots.len())
    }

    #[test]
    fn one_job_gets_all_and_yields_to_another_one_by_one() {
        let (_shared, mut jobs) = jobs(10, 2);
        jobs[0].fill(20);
        jobs[1].fill(20);
        assert_eq!(held(&jobs), [10, 0]);
        for taken in 1..=5 {
            jobs[0].release(1);
            jobs[0].fill(20);
            jobs[1].fill(20);
            assert_eq!(held(&jobs), [10 - taken, taken]);
        }
        for turn in 0..20 {
            jobs[turn % 2].release(1);
            jobs[0].fill(20);
            jobs[1].fill(20);
            let [a, b] = held(&jobs);
            assert!(a + b == 10 && a.abs_diff(b) <= 2, "{a} and {b}");
        }
    }

    #[test]
    fn those_with_fewer_get_theirs_back() {
        let (_shared, mut jobs) = jobs(10, 2);
        jobs[1].fill(2);
        jobs[0].fill(100);
        assert_eq!(held(&jobs), [8, 2]);
        jobs[1].release(2);
        jobs[1].fill(2);
        assert_eq!(held(&jobs), [8, 2]);
        drop(jobs.remove(1));
        jobs[0].fill(100);
        assert_eq!(held(&jobs), [10], "what another one held");
    }

    proptest! {
        #[test]
        fn no_slot_is_lost_doubled_or_free_while_somebody_waits(
            slots in 1_usize..12,
            steps in prop::collection::vec((0_usize..4, 0_u8..4, 1_usize..6), 0..200),
        ) {
            let (shared, jobs) = jobs(slots, 4);
            let mut jobs: Vec<_> = jobs.into_iter().map(Some).collect();
            for (number, step, count) in steps {
                let Some(job) = &mut jobs[number] else { continue };
                match step {
                    0 => job.fill(count),
                    1 => job.release(count),
                    2 => job.seat.settle(false),
                    _ if count == 5 => jobs[number] = None,
                    _ => {}
                }
                let state = shared.0.slots.lock();
                let held: usize = state.jobs.iter().map(|(_, job)| job.held).sum();
                let handed: usize = state.jobs.iter().map(|(_, job)| job.handed).sum();
                let used: usize = jobs.iter().flatten().map(|job| job.slots.len()).sum();
                prop_assert_eq!(held + state.free, slots);
                prop_assert_eq!(used + handed, held);
                let waits = state.jobs.iter().filter(|(_, job)| job.wants > 0).count();
                prop_assert_eq!(waits, state.wanting);
                prop_assert!(state.free == 0 || waits == 0);
            }
        }
    }
}
