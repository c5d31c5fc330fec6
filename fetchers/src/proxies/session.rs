//! Sessions: a name that keeps proxy and cookies together.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use lru::LruCache;
use rand::RngExt;
use tokio::time::Instant;

use super::{
    Jar, Outcome,
    pool::{Pool, Wanted, name},
};

/// The most sessions that are remembered; beyond, the least recently used is forgotten.
const MAX_SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
/// How old a session becomes.
const MAX_AGE: Duration = Duration::from_mins(50);
/// After so many blocks a session begins anew.
const MAX_BLOCKS: u32 = 3;
/// How long a session's name at a proxy is.
const TOKEN_CHARS: usize = 8;

/// The place of an attempt in a session: its key and which life of the session it is.
pub(super) type Seat = (Arc<str>, u64);

/// One life of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) member: usize,
    /// Its name at the proxy, which is not the user's.
    pub(super) token: String,
    pub(super) jar: Arc<Jar>,
    pub(super) generation: u64,
    born: Instant,
    blocks: u32,
}

#[derive(Debug)]
pub(super) struct Sessions {
    proxied: LruCache<Arc<str>, Session>,
    direct: LruCache<Arc<str>, (Instant, Arc<Jar>)>,
    generations: u64,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let (proxied, direct) = (LruCache::new(MAX_SESSIONS), LruCache::new(MAX_SESSIONS));
        Self { proxied, direct, generations: 0 }
    }

    /// The session of this name, with a proxy that is chosen once.
    pub(super) fn get(
        &mut self,
        session: &str,
        wanted: Wanted<'_>,
        pool: &mut Pool,
        now: Instant,
    ) -> (Arc<str>, &Session) {
        let class = wanted.class.map_or("any", name);
        let country = wanted.country.unwrap_or("any");
        let key: Arc<str> = format!("{class}/{country}/{session}").into();
        let is_alive = |session: &Session| now < session.born + MAX_AGE;
        match self.proxied.get(&key) {
            Some(found) if is_alive(found) => pool.use_again(found.member),
            _ => {
                let session = self.begin(pool.choose(wanted, now), now);
                self.proxied.put(Arc::clone(&key), session);
            }
        }
        let session = self.proxied.get(&key).expect("it is there or was just put there");
        (key, session)
    }

    /// The cookies of a session without a proxy.
    pub(super) fn direct(&mut self, session: &str, now: Instant) -> Arc<Jar> {
        if let Some((born, jar)) = self.direct.get(session)
            && now < *born + MAX_AGE
        {
            return Arc::clone(jar);
        }
        let jar = Arc::new(Jar::new());
        self.direct.put(session.into(), (now, Arc::clone(&jar)));
        jar
    }

    fn begin(&mut self, member: usize, now: Instant) -> Session {
        self.generations += 1;
        Session {
            member,
            token: token(),
            jar: Arc::new(Jar::new()),
            generation: self.generations,
            born: now,
            blocks: 0,
        }
    }

    /// Ends the session's life when its proxy has failed or it was blocked too often.
    pub(super) fn settle(&mut self, (key, generation): &Seat, outcome: Outcome) {
        let Some(session) = self.proxied.peek_mut(key) else { return };
        if session.generation != *generation {
            return;
        }
        session.blocks += u32::from(outcome == Outcome::Blocked);
        if outcome == Outcome::Failed || session.blocks >= MAX_BLOCKS {
            self.proxied.pop(key);
        }
    }
}

/// A new name for a session, of small letters and digits.
pub(super) fn token() -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..TOKEN_CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use harvestman_engine::params::ProxyType;

    use super::*;
    use crate::proxies::{PoolConfig, ProxiesConfig};

    const NOBODY: Wanted<'_> = Wanted { class: None, country: None };

    fn pool() -> Pool {
        let urls: Vec<_> = (0..10).map(|n| format!("http://p{n}:1")).collect();
        let urls = urls.iter().map(String::as_str);
        Pool::new(&ProxiesConfig::new().with_pool(PoolConfig::new(ProxyType::Mobile, urls)))
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_keeps_its_proxy_and_its_cookies() {
        let (mut sessions, mut pool, now) = (Sessions::new(), pool(), Instant::now());
        let first = sessions.get("s", NOBODY, &mut pool, now).1.member;
        for _ in 0..1_000 {
            pool.choose(NOBODY, now);
            assert_eq!(sessions.get("s", NOBODY, &mut pool, now).1.member, first);
        }
        assert_ne!(sessions.get("t", NOBODY, &mut pool, now).1.member, first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_blocks_failure_or_age() {
        let (mut sessions, mut pool, now) = (Sessions::new(), pool(), Instant::now());
        let seat = |sessions: &mut Sessions, pool: &mut Pool, now| {
            let (key, session) = sessions.get("s", NOBODY, pool, now);
            (key, session.generation)
        };
        let first = seat(&mut sessions, &mut pool, now);
        sessions.settle(&first, Outcome::Blocked);
        sessions.settle(&first, Outcome::Blocked);
        assert_eq!(seat(&mut sessions, &mut pool, now).1, first.1);
        sessions.settle(&first, Outcome::Blocked);
        let second = seat(&mut sessions, &mut pool, now);
        assert_ne!(second.1, first.1, "three blocks");
        sessions.settle(&first, Outcome::Failed);
        assert_eq!(seat(&mut sessions, &mut pool, now).1, second.1, "news of an earlier life");
        sessions.settle(&second, Outcome::Failed);
        let third = seat(&mut sessions, &mut pool, now);
        assert_ne!(third.1, second.1, "a failure");
        let (almost, old) = (now + MAX_AGE - Duration::from_secs(1), now + MAX_AGE);
        assert_eq!(seat(&mut sessions, &mut pool, almost).1, third.1);
        assert_ne!(seat(&mut sessions, &mut pool, old).1, third.1, "age");
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_sessions_is_bounded() {
        let (mut sessions, mut pool, now) = (Sessions::new(), pool(), Instant::now());
        for number in 0..=MAX_SESSIONS.get() {
            sessions.get(&number.to_string(), NOBODY, &mut pool, now);
            sessions.direct(&number.to_string(), now);
        }
        assert_eq!(sessions.proxied.len(), MAX_SESSIONS.get());
        assert_eq!(sessions.direct.len(), MAX_SESSIONS.get());
    }
}
