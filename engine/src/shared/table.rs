//! The hosts that are known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use super::{Bell, Manner, SharedHost, limit::AdaptiveLimit};

/// How many hosts there are before those are looked for whose pause is over.
const MIN_SWEPT: usize = 4_096;
/// How many hosts are remembered that no job holds on to, for the sake of the pause they asked for.
const MAX_PAUSED_HOSTS: usize = 65_536;

/// The hosts that some job holds on to, and those that have asked for a pause, by name.
#[derive(Debug)]
pub(super) struct HostTable {
    /// The most requests under way at one host.
    max: usize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    hosts: HashMap<Arc<str>, Arc<SharedHost>>,
    /// More hosts than this are swept.
    limit: usize,
}

impl HostTable {
    pub(super) fn new(max: usize) -> Self {
        let known = Known { hosts: HashMap::new(), limit: MIN_SWEPT };
        Self { max, known: Mutex::new(known) }
    }

    /// How many hosts are known, and how many of them have asked to be left alone at `now`.
    pub(super) fn count(&self, now: Instant) -> (usize, usize) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let paused = known.hosts.values().filter(|host| host.is_paused(now)).count();
        (known.hosts.len(), paused)
    }

    /// The key under which a job holds on to a host. Otherwise the host, on to which it holds now
    /// under `key`.
    pub(super) fn find(
        &self,
        name: &str,
        bell: &Arc<Bell>,
        manner: Manner,
        key: usize,
    ) -> Result<usize, Arc<SharedHost>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.hosts.get(name) {
            return host.join(bell, key).ok_or_else(|| Arc::clone(host));
        }
        if known.hosts.len() >= known.limit {
            known.sweep();
        }
        let name: Arc<str> = name.into();
        let limit = AdaptiveLimit::new(self.max, manner.start);
        let host = Arc::new(SharedHost::new(Arc::clone(&name), limit, bell, key));
        known.hosts.insert(name, Arc::clone(&host));
        Err(host)
    }

    /// Lets go of hosts. Those that nobody else holds on to are forgotten, to keep the memory bounded
    /// over millions of them; not those in a pause, since a request before its time is worse than a
    /// limit learned anew.
    pub(super) fn release(
        &self,
        hosts: impl IntoIterator<Item = Arc<SharedHost>>,
        bell: &Arc<Bell>,
        now: Instant,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for host in hosts {
            // A request under way still counts, though its job has gone.
            let is_idle = Arc::strong_count(&host) == 2;
            if host.leave(bell, now) && is_idle {
                known.hosts.remove(host.name());
            }
        }
    }
}

impl Known {
    /// Forgets those whose pause is over; all of them that nobody holds on to, if there are too many.
    fn sweep(&mut self) {
        let now = Instant::now();
        let is_idle = |host: &Arc<SharedHost>| Arc::strong_count(host) == 1;
        let idle = self.hosts.values().filter(|host| is_idle(host)).count();
        let forget_paused = idle > MAX_PAUSED_HOSTS;
        self.hosts
            .retain(|_, host| !is_idle(host) || (!forget_paused && host.pause(now).is_some()));
        // Twice what is left, so that each sweep is paid for by as many new hosts.
        self.limit = (self.hosts.len() * 2).max(MIN_SWEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostLimits, Shared, shared::Verdict};

    #[test]
    fn idle_hosts_are_forgotten_and_paused_ones_last() {
        let shared = Shared::default();
        let manner = shared.manner(HostLimits::default(), 32);
        let (bell, now) = (Arc::new(Bell::default()), Instant::now());
        let host = |name: &str| shared.host(name, &bell, manner, 0).unwrap_err();
        let paused = host("paused.test");
        let minute = std::time::Duration::from_mins(1);
        let request = paused.begin(&bell, 0, manner, now).unwrap();
        request.end(Verdict::Refused(Some(minute)), now);

        let used = host("used.test");
        let idle = host("idle.test");
        shared.release_hosts([paused, Arc::clone(&used), idle], &bell, now);
        let count = |shared: &Shared| shared.0.hosts.known.lock().unwrap().hosts.len();
        assert_eq!(count(&shared), 2);
        assert!(host("paused.test").pause(now).is_some());
        assert!(Arc::ptr_eq(&host("used.test"), &used));

        for index in 0..200_000 {
            let one = host(&format!("h{index}.test"));
            let request = one.begin(&bell, 0, manner, now).unwrap();
            request.end(Verdict::Refused(Some(minute)), now);
            shared.release_hosts([one], &bell, now);
            assert!(count(&shared) <= 2 * MAX_PAUSED_HOSTS + 2);
        }
        assert_eq!(shared.host("used.test", &bell, manner, 9).unwrap(), 0, "held on to since");
    }
}
