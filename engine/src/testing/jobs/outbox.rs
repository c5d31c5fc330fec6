use super::{at, new_event, new_job};
use crate::{
    id::{DeliveryId, JobId},
    store::{Attempted, Delivery, DeliveryQuery, DeliveryState, NewEvent, Store},
};

/// Makes a job that ends at once, with this event.
async fn end_a_job(store: &dyn Store, workspace: &str, event: NewEvent) -> JobId {
    let job = new_job(workspace, event.created_at);
    let id = job.id.clone();
    store.insert(job).await.unwrap();
    store.cancel(&id, event.created_at, Some(event)).await.unwrap();
    id
}

async fn find(store: &dyn Store, workspace: &str, id: &DeliveryId) -> Delivery {
    let query = DeliveryQuery {
        workspace: Some(workspace.to_owned()),
        limit: 99,
        ..DeliveryQuery::default()
    };
    let deliveries = store.deliveries(&query).await.unwrap();
    deliveries.into_iter().find(|delivery| delivery.id == *id).unwrap()
}

fn due_ids(due: &[Delivery]) -> Vec<&DeliveryId> {
    due.iter().map(|delivery| &delivery.id).collect()
}

/// Checks an empty outbox.
pub async fn outbox_conformance(store: &dyn Store) {
    assert_eq!(store.next_due().await.unwrap(), None);
    let silent = end_a_job(store, "a", new_event(at(0), None)).await;
    assert_eq!(store.count_events(&silent).await.unwrap(), 1, "an event without an endpoint");
    let events = [10, 20].map(|second| new_event(at(second), Some("hooks.test")));
    let jobs = [
        end_a_job(store, "a", events[0].clone()).await,
        end_a_job(store, "b", events[1].clone()).await,
    ];
    let ids = events.clone().map(|event| event.delivery.unwrap().id);
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(store.due(at(9), 9).await.unwrap(), []);
    let due = store.due(at(30), 9).await.unwrap();
    assert_eq!(due_ids(&due), [&ids[0], &ids[1]], "the longest due first");
    assert_eq!((&due[0].body, &due[0].job), (&events[0].body, &jobs[0]));
    assert_eq!((due[0].host.as_str(), due[0].workspace.as_str()), ("hooks.test", "a"));

    let failed = Attempted {
        at: at(31),
        state: DeliveryState::Pending,
        next_at: Some(at(60)),
        http_status: Some(500),
        error: Some("answered 500".to_owned()),
    };
    store.attempted(&ids[0], &failed).await.unwrap();
    assert_eq!(due_ids(&store.due(at(59), 9).await.unwrap()), [&ids[1]]);
    let tried = find(store, "a", &ids[0]).await;
    assert_eq!((tried.attempts, tried.http_status), (1, Some(500)));
    assert_eq!((tried.attempted_at, tried.next_at), (Some(at(31)), Some(at(60))));
    let settled = Attempted {
        at: at(61),
        state: DeliveryState::Delivered,
        next_at: None,
        http_status: Some(200),
        error: None,
    };
    store.attempted(&ids[0], &settled).await.unwrap();
    assert_eq!(find(store, "a", &ids[0]).await.state, DeliveryState::Delivered);

    assert!(!store.replay("b", &ids[0], at(70)).await.unwrap(), "it is another workspace's");
    assert!(store.replay("a", &ids[0], at(70)).await.unwrap());
    let replayed = find(store, "a", &ids[0]).await;
    assert_eq!((replayed.state, replayed.attempts), (DeliveryState::Pending, 2));
    assert_eq!((replayed.attempts_before, replayed.next_at), (2, Some(at(70))));

    let of_job = DeliveryQuery { job: Some(jobs[1].clone()), limit: 9, ..Default::default() };
    assert_eq!(due_ids(&store.deliveries(&of_job).await.unwrap()), [&ids[1]]);
    store.forget_deliveries(at(1_000), 99).await.unwrap();
    assert_eq!(store.count_events(&silent).await.unwrap(), 0, "old, and nothing waits for it");
    assert_eq!(store.count_events(&jobs[0]).await.unwrap(), 1, "it waits to be delivered");
    store.attempted(&ids[0], &settled).await.unwrap();
    store.forget_deliveries(at(61), 99).await.unwrap();
    assert_eq!(store.count_events(&jobs[0]).await.unwrap(), 1, "it was tried too lately");
    store.forget_deliveries(at(62), 99).await.unwrap();
    assert_eq!(store.count_events(&jobs[0]).await.unwrap(), 0);
    assert_eq!(store.count_events(&jobs[1]).await.unwrap(), 1, "it waits still");
}
