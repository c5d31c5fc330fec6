//! How many bytes of pages a job may hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, since a semaphore counts in 32 bits.
const UNIT: u64 = 1024;

/// A bounded number of bytes for pages between their arrival and the writing of their record.
///
/// An attempt takes its page's share when the page has arrived, and the driver starts no attempt
/// while the budget is used up; so a job holds at most the budget and one page per slot.
#[derive(Clone, Debug)]
pub(crate) struct PageBudget {
    permits: Arc<Semaphore>,
    units: u32,
}

/// A page's share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    _permit: OwnedSemaphorePermit,
}

impl PageBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self { permits: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits for room for `bytes`; a page larger than the whole budget takes all of it.
    pub(crate) async fn take(&self, bytes: usize) -> Hold {
        let units = u32::try_from((bytes as u64).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.permits).acquire_many_owned(units.min(self.units)).await;
        Hold { _permit: permits.expect("the budget is never closed") }
    }

    /// Waits until something is given back.
    pub(crate) async fn wait_for_room(&self) {
        drop(self.permits.acquire().await);
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.permits.available_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_page_waits_for_room_and_gives_it_back() {
        let budget = PageBudget::new(10 * 1024);
        let first = budget.take(6 * 1024).await;
        assert!(budget.take(5 * 1024).now_or_never().is_none());
        drop(first);
        let all = budget.take(1 << 30).await;
        assert!(budget.is_used_up());
        drop(all);
        assert!(!budget.is_used_up());
    }
}
