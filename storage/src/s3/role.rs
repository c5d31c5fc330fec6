//! A role that was taken on, and is again before its session ends.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use object_store::{CredentialProvider, Result, aws::AwsCredential};
use tokio::sync::Mutex;

use super::sts::{Session, Sts};
use crate::Role;

/// How long before its end a session is replaced, or a fifth of it if that is less: longer than any
/// request takes.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// Gives the credentials of a role's session. Nobody else is ever given them.
pub(super) struct AssumedRole {
    sts: Sts,
    role: Role,
    policy: String,
    session: Mutex<Option<Current>>,
}

struct Current {
    credential: Arc<AwsCredential>,
    renew_at: Timestamp,
    until: Timestamp,
}

impl AssumedRole {
    pub(super) fn new(sts: Sts, role: Role, policy: String) -> Self {
        Self { sts, role, policy, session: Mutex::new(None) }
    }
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Current {
    fn new(session: Session, now: Timestamp) -> Self {
        let lasts = session.until.duration_since(now);
        let early = EARLY.min(lasts / 5).max(SignedDuration::ZERO);
        let renew_at = session.until.checked_sub(early).unwrap_or(session.until);
        Self { credential: Arc::new(session.credential), renew_at, until: session.until }
    }
}

#[async_trait]
impl CredentialProvider for AssumedRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        // One asks, the others wait for the same answer.
        let mut session = self.session.lock().await;
        let now = Timestamp::now();
        if let Some(current) = &*session
            && now < current.renew_at
        {
            return Ok(Arc::clone(&current.credential));
        }
        match (self.sts.assume(&self.role, &self.policy).await, &*session) {
            (Ok(renewed), _) => {
                let renewed = session.insert(Current::new(renewed, now));
                Ok(Arc::clone(&renewed.credential))
            }
            // A service that can't be reached now may be by the end of the session.
            (Err(object_store::Error::Generic { .. }), Some(current)) if now < current.until => {
                Ok(Arc::clone(&current.credential))
            }
            (Err(error), _) => Err(error),
        }
    }
}
