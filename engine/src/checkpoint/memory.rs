//! A checkpoint store for jobs that need not outlive the process.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Checkpoint, CheckpointStore};
use crate::{Errored, Result};

/// Keeps the checkpoint in memory, without the errored tasks: for tests and for jobs that need not
/// survive.
#[derive(Debug, Default)]
pub struct MemoryStore {
    saved: Mutex<Option<Checkpoint>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn load(&self) -> Result<Option<Checkpoint>> {
        Ok(self.saved.lock().expect("no holder panics").clone())
    }

    async fn save(&self, checkpoint: &Checkpoint, _errored: &[Errored]) -> Result<()> {
        *self.saved.lock().expect("no holder panics") = Some(checkpoint.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store_conformance;

    #[tokio::test]
    async fn conforms() {
        let store = MemoryStore::new();
        store_conformance(&store).await;
    }
}
