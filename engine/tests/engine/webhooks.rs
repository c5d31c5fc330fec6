//! Endpoints that are told, whatever happens to them or to the engine.

use std::time::Duration;

use harvestman_engine::{
    CourierRequest, Engine, JobSpec,
    id::JobId,
    spec::{Input, WebhookSpec},
    store::{Delivery, DeliveryQuery, DeliveryState, ErroredQuery},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{World, kill, spec};

fn hook() -> WebhookSpec {
    WebhookSpec::new("https://hooks.test/jobs".parse().unwrap())
}

async fn end_a_job(engine: &Engine, hook: WebhookSpec) -> JobId {
    let id = engine.submit(spec(&[("/ok", 2)]).with_webhook(hook)).await.unwrap().job.id;
    engine.wait(&id).await.unwrap();
    id
}

async fn delivery(engine: &Engine) -> Delivery {
    let query = DeliveryQuery { limit: 10, ..DeliveryQuery::default() };
    engine.deliveries(&query).await.unwrap().remove(0)
}

fn body(request: &CourierRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Checks a signature with a verifier that shares no code with ours.
fn verify(secret: &str, request: &CourierRequest) -> bool {
    let text = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    let (id, timestamp) = (text("webhook-id"), text("webhook-timestamp"));
    let key = data_encoding::BASE64.decode(secret.trim_start_matches("whsec_").as_bytes()).unwrap();
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let expected = data_encoding::BASE64.encode(&hmac_of(&key, &signed));
    text("webhook-signature").split(' ').any(|given| given == format!("v1,{expected}"))
}

/// HMAC by its definition in RFC 2104.
fn hmac_of(key: &[u8], message: &[u8]) -> [u8; 32] {
    use hmac_sha256::Hash;

    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Hash::hash(&[block.map(|byte| byte ^ 0x36).as_slice(), message].concat());
    Hash::hash(&[block.map(|byte| byte ^ 0x5C).as_slice(), &inner].concat())
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_told_once_and_can_check_it() {
    let world = World::new();
    let engine = world.open().await;
    let id = end_a_job(&engine, hook()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mail = world.mail();
    assert_eq!(mail.len(), 1);
    let event = body(&mail[0].1);
    assert_eq!(
        (&event["event"], &event["type"]),
        (&"job.completed".into(), &"job.completed".into())
    );
    let data = &event["data"];
    assert_eq!((&data["job_id"], &data["status"]), (&id.as_str().into(), &"completed".into()));
    assert_eq!((&data["urls_total"], &data["urls_ok"]), (&2.into(), &2.into()));
    assert!(data["download_url"].is_string());
    let known = secret(&engine).await;
    assert!(verify(&known, &mail[0].1));
    assert!(!verify("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &mail[0].1));
    assert_eq!(delivery(&engine).await.state, DeliveryState::Delivered);
}

/// The secret of the default workspace.
async fn secret(engine: &Engine) -> String {
    engine.credentials().await.unwrap().secret.reveal().to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_gets_it_on_schedule_across_a_restart() {
    let world = World::new();
    world.answer_with(503);
    let engine = world.open().await;
    let begun = Instant::now();
    end_a_job(&engine, hook()).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    kill(engine).await;
    let engine = world.open().await;
    tokio::time::sleep(Duration::from_mins(100)).await;
    engine.shutdown().await;
    drop(engine);
    // Nobody is there when the next try would be due; it comes as soon as somebody is.
    tokio::time::sleep(Duration::from_hours(4)).await;
    world.answer_with(200);
    let reopened = Instant::now();
    let engine = world.open().await;
    tokio::time::sleep(Duration::from_secs(10)).await;

    let mail = world.mail();
    let minutes: Vec<f64> = mail.iter().map(|(at, _)| (*at - begun).as_secs_f64() / 60.0).collect();
    assert_eq!(minutes.len(), 7, "{minutes:?}");
    let waits = [10.0 / 60.0, 1.0, 5.0, 15.0, 60.0];
    for (pair, wait) in minutes.windows(2).zip(waits) {
        let waited = pair[1] - pair[0];
        assert!((wait * 0.89..wait * 1.11 + 0.6).contains(&waited), "{waited} for {wait}");
    }
    assert!(mail[6].0 - reopened < Duration::from_secs(2), "at once");
    let ids: Vec<_> = mail.iter().map(|(_, request)| body(request)["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same event");
    let delivery = delivery(&engine).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 7));
}

#[tokio::test(start_paused = true)]
async fn after_the_last_retry_it_is_given_up_and_can_be_replayed() {
    let world = World::new();
    world.answer_with(500);
    let engine = world.open().await;
    end_a_job(&engine, hook()).await;
    tokio::time::sleep(Duration::from_hours(30)).await;
    let given_up = delivery(&engine).await;
    assert_eq!((given_up.state, given_up.attempts), (DeliveryState::Failed, 9));
    assert!(given_up.error.unwrap().contains("500"));
    world.answer_with(200);
    engine.replay(&given_up.id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(delivery(&engine).await.state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn gone_is_final() {
    let world = World::new();
    world.answer_with(410);
    let engine = world.open().await;
    end_a_job(&engine, hook()).await;
    tokio::time::sleep(Duration::from_hours(30)).await;
    assert_eq!(delivery(&engine).await.state, DeliveryState::Failed);
    assert_eq!(world.mail().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_and_a_secret_of_the_jobs_own() {
    let world = World::new();
    let engine = world.open().await;
    let old = secret(&engine).await;
    let new = harvestman_engine::webhook::Secret::random();
    engine.rotate_secret(new.clone()).await.unwrap();
    end_a_job(&engine, hook()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::time::sleep(Duration::from_hours(25)).await;
    end_a_job(&engine, hook()).await;
    let own = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    end_a_job(&engine, hook().with_secret(own)).await;
    let line = json!({"url": "http://a.test/404", "headers": {"authorization": "Bearer hush"}});
    let list = engine.submit(JobSpec::new(Input::Urls(vec![line]))).await.unwrap().job.id;
    engine.wait(&list).await.unwrap();
    let errored = engine.errored(&list, &ErroredQuery { limit: 1, ..Default::default() }).await;
    assert_eq!(errored.unwrap()[0].task["headers"]["authorization"], "Bearer hush");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mail: Vec<_> = world.mail().into_iter().map(|(_, request)| request).collect();
    assert!(verify(&old, &mail[0]) && verify(new.reveal(), &mail[0]), "both for a day");
    assert!(!verify(&old, &mail[1]) && verify(new.reveal(), &mail[1]));
    assert!(verify(own, &mail[2]) && !verify(new.reveal(), &mail[2]));
    // Nothing of it lies in the store in the clear.
    for entry in std::fs::read_dir(world.directory()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [own, new.reveal(), &old, "hooks.test/jobs", "Bearer hush"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
}
