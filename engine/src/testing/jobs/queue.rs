use serde_json::json;

use super::{at, new_event, new_job};
use crate::{
    Checkpoint, Code, Error, Errored, FetchError, JobSpec, Params, Part, Record, SinkState,
    StopReason, Task,
    checkpoint::{Counters, Done, Finished},
    id::JobId,
    spec::{Input, RetryFilter, WebhookSpec},
    store::{
        Claim, Commit, Ended, ErroredQuery, JobEntry, JobQuery, Lease, NewJob, OutputState,
        Problem, Status, Store,
    },
};

/// Checks an empty store of jobs.
pub async fn jobs_conformance(store: &dyn Store) {
    keeps_what_it_is_given(store).await;
    claims_in_order_and_fences(store).await;
    commits_all_in_one(store).await;
    ends_once(store).await;
    cancels_by_state(store).await;
    lists_by_page_and_filter(store).await;
    erases_and_forgets(store).await;
}

async fn put(store: &dyn Store, job: NewJob) -> JobId {
    let id = job.id.clone();
    store.insert(job).await.unwrap();
    id
}

/// Claims jobs for half a minute.
async fn claim(
    store: &dyn Store,
    owner: &str,
    now: i64,
    most: usize,
    held: &[JobId],
) -> Vec<(Lease, JobEntry)> {
    let claim = Claim { owner, now: at(now), until: at(now + 30), most, held };
    store.claim(&claim).await.unwrap()
}

/// Claims all that is there, so that the next check begins with an empty queue.
async fn claim_all(store: &dyn Store, now: i64) -> Vec<(Lease, JobId)> {
    let claimed = claim(store, "suite", now, 1_000, &[]).await;
    claimed.into_iter().map(|(lease, job)| (lease, job.id)).collect()
}

async fn end_all(store: &dyn Store, leases: Vec<(Lease, JobId)>, now: i64) {
    for (lease, _) in leases {
        store.end(&lease, &ended(Status::Completed, now, &[])).await.unwrap();
    }
}

fn ended(status: Status, now: i64, parts: &[Part]) -> Ended<'_> {
    Ended {
        commit: None,
        status,
        reason: None,
        problem: None,
        total: None,
        parts,
        finished_at: at(now),
        expires_at: Some(at(now + 1_000)),
        event: Some(new_event(at(now), None)),
    }
}

async fn keeps_what_it_is_given(store: &dyn Store) {
    let mut defaults = Params::new();
    defaults.country = Some("de".to_owned());
    let webhook = WebhookSpec::new("https://hooks.test/token".parse().unwrap());
    let mut new = new_job("a", at(0));
    new.spec = new.spec.with_defaults(defaults).with_webhook(webhook).with_max_credits(7);
    new.urls.push(json!({"url": "https://a.test/", "headers": {"authorization": "x"}}));
    let id = put(store, new.clone()).await;
    let job = store.job(&id).await.unwrap().unwrap();
    assert_eq!((job.status, &job.spec), (Status::Queued, &new.spec), "the spec, secrets included");
    assert_eq!((job.workspace.as_str(), job.total, job.created_at), ("a", Some(1), at(0)));
    assert_eq!(store.inline_urls(&id).await.unwrap(), new.urls);
    assert!(store.insert(new).await.is_err(), "an id is given out once");
    assert_eq!(store.job(&JobId::random()).await.unwrap(), None);
    assert_eq!(store.inline_urls(&JobId::random()).await.unwrap(), Vec::<serde_json::Value>::new());
    let leases = claim_all(store, 0).await;
    end_all(store, leases, 0).await;
}

async fn claims_in_order_and_fences(store: &dyn Store) {
    let mut ids = Vec::new();
    for second in 0..4 {
        ids.push(put(store, new_job("a", at(second))).await);
    }
    assert_eq!(store.open_jobs().await.unwrap(), 4);
    let first = claim(store, "one", 10, 2, &[]).await;
    assert_eq!(first.iter().map(|(_, job)| &job.id).collect::<Vec<_>>(), [&ids[0], &ids[1]]);
    assert!(first.iter().all(|(_, job)| job.status == Status::Running));
    assert_eq!(first[0].1.started_at, Some(at(10)));

    // What somebody is working on is not given to them again, whatever the clock says.
    let held: Vec<JobId> = first.iter().map(|(_, job)| job.id.clone()).collect();
    let others = claim(store, "one", 9_999, 9, &[&held[..], &ids[2..]].concat()).await;
    assert!(others.is_empty(), "{others:?}");

    // The first one lives on, the second one is taken over: it comes before the queued ones.
    store.renew(&first[0].0, at(100)).await.unwrap();
    let second = claim(store, "two", 50, 2, &[]).await;
    assert_eq!(second.iter().map(|(_, job)| &job.id).collect::<Vec<_>>(), [&ids[1], &ids[2]]);
    assert!(second[0].0.token > first[1].0.token, "each claim has a higher token");
    assert_eq!(second[0].1.started_at, Some(at(10)), "it was begun then");

    let (old, new) = (&first[1].0, &second[0].0);
    let checkpoint = checkpoint(1, &[]);
    let commit = Commit { checkpoint: &checkpoint, errored: &[], total: None };
    for refused in [
        store.renew(old, at(200)).await,
        store.commit(old, &commit).await,
        store.release(old).await,
        store.end(old, &ended(Status::Completed, 60, &[])).await,
    ] {
        assert!(matches!(refused, Err(Error::LeaseLost { .. })), "{refused:?}");
    }
    assert_eq!(store.checkpoint(&ids[1]).await.unwrap(), None, "nothing was written");
    assert_eq!(store.count_events(&ids[1]).await.unwrap(), 0);
    store.commit(new, &commit).await.unwrap();

    // What is given back can be claimed at once.
    store.release(new).await.unwrap();
    let again = claim(store, "three", 51, 1, &[]).await;
    assert_eq!(again[0].1.id, ids[1]);
    assert_eq!(again[0].1.counters, checkpoint.counters, "where it was");
    let mut leases = vec![first[0].0.clone(), second[1].0.clone(), again[0].0.clone()];
    leases.extend(claim_all(store, 51).await.into_iter().map(|(lease, _)| lease));
    for lease in leases {
        store.end(&lease, &ended(Status::Completed, 60, &[])).await.unwrap();
    }
    assert_eq!(store.open_jobs().await.unwrap(), 0);
}

/// A checkpoint over `count` tasks, of which those with these indices have failed.
fn checkpoint(count: u64, failed: &[u64]) -> Checkpoint {
    let mut done = Done::default();
    let mut counters = Counters::default();
    for index in 0..count {
        done.insert(index);
        counters.add(&record(index, failed.contains(&index)));
    }
    Checkpoint::new(done, SinkState(json!({ "lines": count })), counters)
}

fn record(index: u64, failed: bool) -> Record {
    let task = Task::new(index, &format!("https://a.test/{index}"), Params::new());
    let code = if index.is_multiple_of(2) { Code::Timeout } else { Code::Target4xx };
    if failed {
        Record::error(task, FetchError::new(code, "as the suite says"))
    } else {
        Record::ok(task, crate::Fields::default())
    }
}

fn errored(indices: &[u64]) -> Vec<Errored> {
    indices.iter().filter_map(|index| Errored::of(&record(*index, true))).collect()
}

async fn commits_all_in_one(store: &dyn Store) {
    let id = put(store, new_job("a", at(0))).await;
    let lease = claim_all(store, 0).await.remove(0).0;
    let mut indices = Vec::new();
    for round in 1..4_u64 {
        let new: Vec<u64> = (round * 100..round * 100 + 4).collect();
        let checkpoint = checkpoint(round * 200, &new);
        let failures = errored(&new);
        let commit = Commit { checkpoint: &checkpoint, errored: &failures, total: Some(999) };
        store.commit(&lease, &commit).await.unwrap();
        indices.extend(new);
        let saved = store.checkpoint(&id).await.unwrap().unwrap();
        assert_eq!(saved, checkpoint);
        let job = store.job(&id).await.unwrap().unwrap();
        assert_eq!((job.counters, job.total), (checkpoint.counters, Some(999)));
    }
    let query = |only: RetryFilter, after, skip, limit| ErroredQuery { only, after, skip, limit };
    let found = async |query: ErroredQuery| {
        let found = store.errored(&id, &query).await.unwrap();
        found.into_iter().map(|errored| errored.index).collect::<Vec<_>>()
    };
    assert_eq!(found(query(RetryFilter::default(), None, 0, 99)).await, indices);
    assert_eq!(found(query(RetryFilter::default(), Some(indices[3]), 1, 2)).await, indices[5..7]);
    let timeouts = RetryFilter { codes: vec![Code::Timeout], retryable: None };
    let even: Vec<u64> = indices.iter().copied().filter(|index| index % 2 == 0).collect();
    assert_eq!(found(query(timeouts.clone(), None, 0, 99)).await, even);
    assert_eq!(store.count_errored(&id, &timeouts).await.unwrap(), 6);
    let lasting = RetryFilter { codes: Vec::new(), retryable: Some(false) };
    assert_eq!(store.count_errored(&id, &lasting).await.unwrap(), 6, "the 404s");
    let whole = store.errored(&id, &query(RetryFilter::default(), None, 0, 1)).await.unwrap();
    assert_eq!(whole, errored(&indices[..1]), "as it was given");
    store.end(&lease, &ended(Status::Completed, 9, &[])).await.unwrap();
}

async fn ends_once(store: &dyn Store) {
    let id = put(store, new_job("a", at(0))).await;
    let lease = claim_all(store, 0).await.remove(0).0;
    let mut last = checkpoint(10, &[3]);
    let parts = vec![Part::new("part-00000.ndjson", 10, 100)];
    last.finished = Some(Finished { reason: Some(StopReason::Budget), parts: parts.clone() });
    let failures = errored(&[3]);
    let end = Ended {
        commit: Some(Commit { checkpoint: &last, errored: &failures, total: None }),
        status: Status::Failed,
        reason: Some(StopReason::Budget),
        problem: Some(Problem::new("disk_full", "no room")),
        total: Some(12),
        parts: &parts,
        finished_at: at(5),
        expires_at: Some(at(1_005)),
        event: Some(new_event(at(5), Some("hooks.test"))),
    };
    store.end(&lease, &end).await.unwrap();
    let job = store.job(&id).await.unwrap().unwrap();
    assert_eq!((job.status, job.reason), (Status::Failed, Some(StopReason::Budget)));
    assert_eq!((&job.counters, &job.parts), (&last.counters, &parts));
    assert_eq!((job.total, job.skipped()), (Some(12), Some(2)));
    assert_eq!(job.problem, Some(Problem::new("disk_full", "no room")));
    assert_eq!((job.finished_at, job.expires_at), (Some(at(5)), Some(at(1_005))));
    assert_eq!(store.checkpoint(&id).await.unwrap(), Some(last));
    assert_eq!(store.count_events(&id).await.unwrap(), 1);
    assert_eq!(store.count_errored(&id, &RetryFilter::default()).await.unwrap(), 1);
    let refused = store.end(&lease, &ended(Status::Completed, 6, &[])).await;
    assert!(matches!(refused, Err(Error::LeaseLost { .. })), "it has ended: {refused:?}");
    assert_eq!(store.count_events(&id).await.unwrap(), 1, "one event a job");
    assert!(claim_all(store, 1_000).await.is_empty(), "what has ended is never claimed");
}

async fn cancels_by_state(store: &dyn Store) {
    let queued = put(store, new_job("a", at(0))).await;
    let event = new_event(at(1), None);
    let job = store.cancel(&queued, at(1), Some(event)).await.unwrap().unwrap();
    assert_eq!((job.status, job.reason), (Status::Cancelled, Some(StopReason::User)));
    assert_eq!(job.finished_at, Some(at(1)));
    assert_eq!(store.count_events(&queued).await.unwrap(), 1);
    let again = store.cancel(&queued, at(2), Some(new_event(at(2), None))).await.unwrap().unwrap();
    assert_eq!(again, job, "it stays as it is");
    assert_eq!(store.count_events(&queued).await.unwrap(), 1);

    let running = put(store, new_job("a", at(0))).await;
    let lease = claim_all(store, 3).await.remove(0).0;
    let job = store.cancel(&running, at(4), Some(new_event(at(4), None))).await.unwrap().unwrap();
    assert_eq!((job.status, job.reason), (Status::Running, Some(StopReason::User)));
    assert_eq!(store.count_events(&running).await.unwrap(), 0, "not before its end");
    store.end(&lease, &ended(Status::Cancelled, 5, &[])).await.unwrap();
    assert_eq!(store.cancel(&JobId::random(), at(1), None).await.unwrap(), None);
}

async fn lists_by_page_and_filter(store: &dyn Store) {
    let mut ids = Vec::new();
    for second in 0..7 {
        let mut job = new_job("lists", at(second));
        if second % 2 == 1 {
            job.spec = job.spec.with_name("odd");
        }
        ids.push(put(store, job).await);
    }
    put(store, new_job("other", at(0))).await;
    ids.reverse();
    let list = async |query: JobQuery| {
        let found = store.jobs(&query).await.unwrap();
        found.into_iter().map(|job| (job.id, job.number)).collect::<Vec<_>>()
    };
    let all = JobQuery { workspace: Some("lists".to_owned()), limit: 3, ..JobQuery::default() };
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = list(JobQuery { before, ..all.clone() }).await;
        before = page.last().map(|(_, number)| *number);
        pages.extend(page.into_iter().map(|(id, _)| id));
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages, ids, "newest first, none twice");
    let some = JobQuery { limit: 99, ..all };
    let named = JobQuery { name: Some("odd".to_owned()), ..some.clone() };
    assert_eq!(list(named).await.len(), 3);
    let between =
        JobQuery { created_after: Some(at(2)), created_before: Some(at(5)), ..some.clone() };
    assert_eq!(list(between).await.len(), 3);
    for (status, count) in [(Status::Queued, 7), (Status::Running, 0)] {
        let query = JobQuery { status: Some(status), ..some.clone() };
        assert_eq!(list(query).await.len(), count);
    }
    let leases = claim_all(store, 10).await;
    end_all(store, leases, 10).await;
}

async fn erases_and_forgets(store: &dyn Store) {
    let old = put(store, new_job("a", at(0))).await;
    let leases = claim_all(store, 0).await;
    end_all(store, leases, 10).await;
    let mut retry = new_job("a", at(20));
    retry.spec = JobSpec::new(Input::errored(old.clone()));
    let retry = put(store, retry).await;

    let due = async |now| {
        let jobs = store.outputs_to_erase(at(now), 999).await.unwrap();
        jobs.into_iter().any(|job| job.id == old)
    };
    assert!(!due(1_010).await, "it is kept until then");
    assert!(due(1_011).await);
    store.set_output(&old, OutputState::Erasing).await.unwrap();
    assert!(due(0).await, "what was begun is gone on with");
    store.set_output(&old, OutputState::Erased).await.unwrap();
    assert!(!due(9_999).await);
    assert_eq!(store.job(&old).await.unwrap().unwrap().output, OutputState::Erased);

    store.forget(at(10_000), 999).await.unwrap();
    assert!(store.job(&old).await.unwrap().is_some(), "a retry needs it");
    let leases = claim_all(store, 20).await;
    end_all(store, leases, 30).await;
    store.forget(at(10), 999).await.unwrap();
    assert!(store.job(&old).await.unwrap().is_some(), "it did not end before that");
    store.forget(at(11), 999).await.unwrap();
    assert_eq!(store.job(&old).await.unwrap(), None);
    assert!(store.job(&retry).await.unwrap().is_some(), "its output is there");
    let left = store.errored(&old, &ErroredQuery { limit: 9, ..ErroredQuery::default() }).await;
    assert_eq!(left.unwrap(), Vec::new());
}
