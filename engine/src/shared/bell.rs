//! How one job tells another that there is something for it.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures::task::AtomicWaker;

/// Rung when a job may have got a slot, or may ask a host for which it waited. Only its driver listens.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_rung: AtomicBool,
    driver: AtomicWaker,
    /// The hosts that it was rung for, by the driver's own keys: each once until it asks again.
    hosts: Mutex<Vec<usize>>,
    has_hosts: AtomicBool,
}

impl Bell {
    /// What tells a job from all others while it runs.
    pub(crate) fn id(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    pub(crate) fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        self.driver.wake();
    }

    pub(crate) fn ring_for(&self, host: usize) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).push(host);
        self.has_hosts.store(true, Ordering::Release);
        self.ring();
    }

    /// Waits until it is rung.
    pub(crate) async fn rung(&self) {
        poll_fn(|context| {
            if self.is_rung.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.driver.register(context.waker());
            // Once more, since it may have been rung just before there was somebody to wake.
            if self.is_rung.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Takes the hosts that it was rung for.
    pub(crate) fn take_hosts(&self) -> Vec<usize> {
        if !self.has_hosts.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
