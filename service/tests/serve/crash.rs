//! Killed under load and started again: what was acknowledged is there.

use std::{collections::BTreeSet, time::Duration};

use harvestman_shop::Shop;
use reqwest::Method;
use serde_json::json;

use crate::service::{Service, id, records};

/// How often the process is killed.
const KILLS: usize = 3;

/// Submits and uploads until the connection breaks; gives the ids that were acknowledged.
async fn load(service: &Service, round: usize) -> (Vec<String>, Vec<String>) {
    let (mut jobs, mut uploads) = (Vec::new(), Vec::new());
    for number in 0.. {
        let upload =
            service.request(Method::POST, "/v1/uploads").header("content-type", "text/plain");
        let Ok(answer) = upload.body(service.urls(5).join("\n")).send().await else { break };
        let Ok(body) = answer.bytes().await else { break };
        let upload = id(&serde_json::from_slice(&body).unwrap());
        uploads.push(upload.clone());
        let body = json!({"input": {"upload_id": upload}, "concurrency": 2});
        let job =
            service.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
        let job = job.header("idempotency-key", format!("{round}-{number}"));
        let Ok(answer) = job.body(body.to_string()).send().await else { break };
        let Ok(body) = answer.bytes().await else { break };
        jobs.push(id(&serde_json::from_slice(&body).unwrap()));
    }
    (jobs, uploads)
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let shop = Shop::new().with_products(50).with_latency(Duration::from_millis(5));
    let mut service = Service::with(shop, &[], &[]);
    let (mut jobs, mut uploads) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        let long = service.submit(50, json!({"concurrency": 1})).await;
        service.delete(&format!("/v1/jobs/{long}")).await;
        let loaded = load(&service, round);
        let killed = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            service.signal(rustix::process::Signal::KILL);
        };
        let ((more, lists), ()) = tokio::join!(loaded, killed);
        jobs.extend(more);
        uploads.extend(lists);
        service.kill_and_restart();
        let cancelled = service.ended(&long).await;
        assert_eq!(cancelled["status"], "cancelled", "a cancel was forgotten");
    }
    assert!(jobs.len() > KILLS, "{} jobs", jobs.len());
    for upload in &uploads {
        assert_eq!(
            service.get(&format!("/v1/uploads/{upload}")).await.expect(200)["urls_total"],
            5
        );
    }
    assert_eq!(jobs.iter().collect::<BTreeSet<_>>().len(), jobs.len());
    for job in &jobs {
        let ended = service.ended(job).await;
        assert_eq!((&ended["status"], &ended["urls_ok"]), (&json!("completed"), &json!(5)));
        let answer = service.download(&ended["download_url"]).await;
        assert_eq!(records(&answer.text()).len(), 5);
    }
}
