//! Tells those who wait for a job that something has changed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::id::JobId;

/// From so many bells on those are looked for that nobody listens to: a job that has ended never
/// rings again.
const MIN_SWEPT: usize = 1_024;

/// One bell for each job that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    bells: Mutex<HashMap<JobId, watch::Sender<()>>>,
}

impl Signals {
    /// Listens to a job; what is rung after this call is heard.
    pub(crate) fn listen(&self, job: &JobId) -> watch::Receiver<()> {
        let mut bells = self.bells();
        if bells.len() >= MIN_SWEPT && bells.len().is_power_of_two() {
            bells.retain(|_, bell| bell.receiver_count() > 0);
        }
        bells.entry(job.clone()).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Tells everybody who listens to a job; forgets the bell when nobody does.
    pub(crate) fn ring(&self, job: &JobId) {
        let mut bells = self.bells();
        if let Some(bell) = bells.get(job)
            && bell.send(()).is_err()
        {
            bells.remove(job);
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_is_heard_and_a_bell_without_listeners_goes() {
        let signals = Signals::default();
        let job = JobId::random();
        let mut heard = signals.listen(&job);
        signals.ring(&job);
        heard.changed().await.unwrap();
        drop(heard);
        signals.ring(&job);
        assert!(signals.bells().is_empty());
    }
}
