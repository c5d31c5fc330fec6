use crate::{
    Checkpoint, CheckpointStore, Code, Errored, FetchError, Params, Record, SinkState, Task,
    checkpoint::{Counters, Done, MAX_ERRORED_A_COMMIT},
};

/// Checks an empty store: nothing at first, then always what was saved last, with or without
/// errored tasks.
pub async fn store_conformance(store: &dyn CheckpointStore) {
    assert_eq!(store.load().await.unwrap(), None, "a new store is empty");
    let mut done = Done::default();
    for index in [0, 1, 5, 9] {
        done.insert(index);
        let state = SinkState(serde_json::json!({ "offset": index }));
        let checkpoint = Checkpoint::new(done.clone(), state, Counters::default());
        store.save(&checkpoint, &errored(index)).await.unwrap();
        assert_eq!(store.load().await.unwrap(), Some(checkpoint), "what was saved last");
    }
}

/// No errored task, some, and as many as a commit may bring.
fn errored(index: u64) -> Vec<Errored> {
    let count = if index == 9 { MAX_ERRORED_A_COMMIT as u64 } else { index };
    let one = |offset| {
        let task = Task::new(index * 1_000 + offset, "https://a.test/é\"'", Params::new());
        let error = FetchError::new(Code::Timeout, "no page; it's \"late\"");
        Errored::of(&Record::error(task, error)).expect("an error")
    };
    (0..count).map(one).collect()
}
