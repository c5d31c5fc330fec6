use crate::{
    Checkpoint, CheckpointStore, SinkState,
    checkpoint::{Counters, Done},
};

/// Checks an empty store: nothing at first, then always what was saved last.
pub async fn store_conformance(store: &dyn CheckpointStore) {
    assert_eq!(store.load().await.unwrap(), None, "a new store is empty");
    let mut done = Done::default();
    for index in [0, 1, 5, 9] {
        done.insert(index);
        let state = SinkState(serde_json::json!({ "offset": index }));
        let checkpoint = Checkpoint::new(done.clone(), state, Counters::default());
        store.save(&checkpoint).await.unwrap();
        assert_eq!(store.load().await.unwrap(), Some(checkpoint), "what was saved last");
    }
}
