//! Workspaces and API keys.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    id::{JobId, KeyId},
    webhook::Secret,
};

/// Keeps workspaces and the hashes of their keys.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Adds a key, or replaces the one with its id.
    async fn put_key(&self, key: &ApiKey) -> Result<()>;

    /// The key with this hash, revoked or not.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>>;

    /// All keys of a workspace, or of all, oldest first.
    async fn keys(&self, workspace: Option<&str>) -> Result<Vec<ApiKey>>;

    /// Revokes a key for good. False if there is none with this id.
    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool>;

    /// A workspace.
    async fn workspace(&self, name: &str) -> Result<Option<WorkspaceEntry>>;

    /// Adds a workspace unless it is there, and answers with the one that is there now.
    async fn add_workspace(&self, workspace: &WorkspaceEntry) -> Result<WorkspaceEntry>;

    /// Replaces a workspace.
    async fn set_workspace(&self, workspace: &WorkspaceEntry) -> Result<()>;
}

/// A key to the service; the key itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub workspace: String,
    /// The user's own name for it.
    pub name: String,
    /// The SHA-256 of the key, in lower-case hexadecimal digits.
    pub hash: String,
    /// What may be done with it.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// Look at jobs, uploads and deliveries, and download results.
    Read,
    /// Make, stop and retry jobs, upload, replay.
    Write,
}

impl WorkspaceEntry {
    /// A new workspace, with a secret and an external id drawn at random.
    pub fn new(name: impl Into<String>, now: Timestamp) -> Self {
        let digits = || JobId::random().as_str().trim_start_matches(JobId::PREFIX).to_owned();
        Self {
            name: name.into(),
            secret: Secret::random(),
            old_secret: None,
            external_id: format!("hv-{}{}", digits(), digits()),
            created_at: now,
        }
    }
}

/// A workspace: what separates one user's jobs from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceEntry {
    /// Its name.
    pub name: String,
    /// What its webhooks are signed with; a store seals it.
    pub secret: Secret,
    /// The secret before, and until when it still signs along.
    pub old_secret: Option<(Secret, Timestamp)>,
    /// What its roles' trust policies may ask for; not secret.
    pub external_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}
