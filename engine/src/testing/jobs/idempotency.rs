use super::{at, new_job};
use crate::store::{Begun, IdempotencyKey, Store, StoredAnswer};

fn key(workspace: &str, fingerprint: &str) -> IdempotencyKey {
    IdempotencyKey {
        workspace: workspace.to_owned(),
        key: "k".to_owned(),
        fingerprint: fingerprint.to_owned(),
    }
}

fn answer(workspace: &str, body: &str) -> StoredAnswer {
    StoredAnswer {
        workspace: workspace.to_owned(),
        key: "k".to_owned(),
        status: 202,
        body: body.to_owned(),
        location: Some("/v1/jobs/x".to_owned()),
    }
}

/// Checks an empty store of answers.
pub async fn idempotency_conformance(store: &dyn Store) {
    let begin = async |workspace: &str, fingerprint: &str, owner: &str| {
        store.begin(&key(workspace, fingerprint), owner, at(0)).await.unwrap()
    };
    assert_eq!(begin("a", "f", "one").await, Begun::New);
    assert_eq!(begin("a", "f", "one").await, Begun::InProgress);
    assert_eq!(begin("a", "g", "one").await, Begun::Conflict);
    assert_eq!(begin("b", "g", "one").await, Begun::New, "a key is a workspace's own");
    assert_eq!(begin("a", "f", "two").await, Begun::New, "who began it has died");
    store.answer(&answer("a", "done")).await.unwrap();
    assert_eq!(begin("a", "f", "three").await, Begun::Answered(answer("a", "done")));
    assert_eq!(begin("a", "g", "three").await, Begun::Conflict);
    store.abandon("a", "k").await.unwrap();
    assert_eq!(begin("a", "f", "three").await, Begun::Answered(answer("a", "done")));
    store.abandon("b", "k").await.unwrap();
    assert_eq!(begin("b", "h", "one").await, Begun::New, "it came to nothing");

    // An answer and its job are kept together or not at all.
    let mut job = new_job("b", at(0));
    job.answer = Some(answer("b", "made"));
    store.insert(job.clone()).await.unwrap();
    assert_eq!(begin("b", "h", "one").await, Begun::Answered(answer("b", "made")));
    job.answer = Some(answer("b", "made again"));
    assert!(store.insert(job).await.is_err(), "the same id");
    assert_eq!(begin("b", "h", "one").await, Begun::Answered(answer("b", "made")));

    assert_eq!(store.forget_answers(at(0), 99).await.unwrap(), 0);
    assert_eq!(store.forget_answers(at(1), 99).await.unwrap(), 2);
    assert_eq!(begin("a", "g", "one").await, Begun::New);
}
