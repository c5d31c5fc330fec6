//! How many bytes of pages are in memory, and whose.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::sync::{Mutex as Queue, Notify};

use super::Shared;

/// Bytes for pages between their arrival and the writing of their record, over all jobs.
///
/// A job takes no more than it leaves free: the dynamic thresholds of Choudhury and Hahne ("Dynamic
/// queue length thresholds for shared-memory packet switches", 1998) with a factor of one. So of *n*
/// jobs that take all that they get, each has 1 ÷ (*n* + 1), and as much is left for the next one.
#[derive(Debug)]
pub(super) struct Pages {
    /// Below zero by what jobs that held nothing have taken beyond it.
    free: AtomicI64,
    /// Changes go together under this lock; a look needs none.
    changes: Mutex<()>,
    freed: Notify,
}

/// A job's part of it, of which it keeps a bound of its own too.
///
/// An attempt takes its page's share when the page has arrived, and the driver starts no attempt
/// while there is no room; so a job holds at most its budget and one page per slot.
#[derive(Clone, Debug)]
pub(crate) struct PageBudget(Arc<Share>);

#[derive(Debug)]
struct Share {
    shared: Shared,
    most: i64,
    held: AtomicI64,
    /// Pages that wait for room.
    waiting: AtomicUsize,
    /// They wait in order, or a large one would be overtaken for ever.
    queue: Queue<()>,
}

/// A page's share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    share: Arc<Share>,
    bytes: i64,
}

impl Pages {
    pub(super) fn new(bytes: u64) -> Self {
        let free = AtomicI64::new(signed(bytes));
        Self { free, changes: Mutex::new(()), freed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So far from the end of the range that no sum overflows.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

impl PageBudget {
    pub(super) fn new(shared: Shared, bytes: u64) -> Self {
        let (held, waiting) = (AtomicI64::new(0), AtomicUsize::new(0));
        let queue = Queue::new(());
        Self(Arc::new(Share { shared, most: signed(bytes), held, waiting, queue }))
    }

    /// Takes room for a page, if there is some now.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Hold> {
        let bytes = signed(bytes as u64);
        let may_take = self.0.waiting.load(Ordering::Relaxed) == 0 && self.0.take(bytes);
        may_take.then(|| Hold { share: Arc::clone(&self.0), bytes })
    }

    /// Waits for room for a page. A job that holds none always has room for one, of any size.
    pub(crate) async fn take(&self, bytes: usize) -> Hold {
        if let Some(hold) = self.try_take(bytes) {
            return hold;
        }
        let bytes = signed(bytes as u64);
        self.0.wait(bytes).await;
        Hold { share: Arc::clone(&self.0), bytes }
    }

    /// Waits until there may be room.
    pub(crate) async fn wait_for_room(&self) {
        let has_room = || {
            // Under the lock, so that what is given back meanwhile is seen or wakes.
            let _changes = self.0.pages().lock();
            !self.is_used_up()
        };
        self.0.retry(has_room).await;
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0 || !self.0.has_room(1)
    }
}

impl Share {
    fn pages(&self) -> &Pages {
        &self.shared.0.pages
    }

    fn has_room(&self, bytes: i64) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let free = self.pages().free.load(Ordering::Relaxed);
        held == 0 || (held + bytes <= self.most && held + bytes <= free - bytes)
    }

    fn take(&self, bytes: i64) -> bool {
        let _changes = self.pages().lock();
        let has_room = self.has_room(bytes);
        if has_room {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            self.pages().free.fetch_sub(bytes, Ordering::Relaxed);
        }
        has_room
    }

    /// Waits for room behind those who came before.
    async fn wait(&self, bytes: i64) {
        let _waiting = Waiting::new(&self.waiting);
        let _turn = self.queue.lock().await;
        self.retry(|| self.take(bytes)).await;
    }

    /// Tries until it works, again whenever something is given back.
    async fn retry(&self, mut works: impl FnMut() -> bool) {
        loop {
            let mut freed = std::pin::pin!(self.pages().freed.notified());
            freed.as_mut().enable();
            if works() {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let pages = self.share.pages();
        let changes = pages.lock();
        self.share.held.fetch_sub(self.bytes, Ordering::Relaxed);
        pages.free.fetch_add(self.bytes, Ordering::Relaxed);
        drop(changes);
        pages.freed.notify_waiters();
    }
}

/// Counts one that waits, while it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::SharedLimits;

    const KIB: usize = 1024;

    fn shared(bytes: u64) -> Shared {
        Shared::new(SharedLimits::default().with_page_bytes(bytes))
    }

    /// Takes pages of 1 KiB until there is no room.
    fn fill(budget: &PageBudget) -> Vec<Hold> {
        std::iter::from_fn(|| budget.take(KIB).now_or_never()).take(1_000).collect()
    }

    #[tokio::test]
    async fn a_page_waits_for_room_and_gives_it_back() {
        let budget = shared(u64::MAX).page_budget(10 * 1024);
        let first = budget.take(6 * KIB).await;
        assert!(budget.take(5 * KIB).now_or_never().is_none());
        drop(first);
        let all = budget.take(1 << 30).await;
        assert!(budget.is_used_up());
        drop(all);
        assert!(!budget.is_used_up());
    }

    #[tokio::test]
    async fn a_large_page_is_not_overtaken() {
        let budget = shared(u64::MAX).page_budget(10 * 1024);
        let small = budget.take(6 * KIB).await;
        let mut large = Box::pin(budget.take(8 * KIB));
        assert!((&mut large).now_or_never().is_none());
        let mut late = Box::pin(budget.take(KIB));
        assert!((&mut late).now_or_never().is_none(), "behind the large one");
        drop(small);
        let large = large.await;
        let late = late.await;
        drop((large, late));
    }

    #[tokio::test]
    async fn whatever_jobs_hold_there_is_room_for_the_next_one() {
        let shared = shared(100 * KIB as u64);
        let jobs: Vec<_> = (0..4).map(|_| shared.page_budget(u64::MAX)).collect();
        let first = fill(&jobs[0]);
        assert_eq!(first.len(), 50, "a job alone takes half");
        let second = fill(&jobs[1]);
        assert_eq!(second.len(), 25);
        let third = fill(&jobs[2]);
        assert_eq!(third.len(), 12);
        assert!(!jobs[3].is_used_up());
        drop(second);
        assert_eq!(fill(&jobs[3]).len(), 19, "half of what is free");
    }

    #[tokio::test]
    async fn what_a_dropped_job_held_is_free_again() {
        let shared = shared(100 * KIB as u64);
        let (first, second) = (shared.page_budget(u64::MAX), shared.page_budget(u64::MAX));
        let held = fill(&first);
        let mut waiting = Box::pin(first.take(KIB));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        drop((first, held));
        assert_eq!(fill(&second).len(), 50);
    }
}
