//! Results by signed links: whole, in ranges, in several files, and no longer.

use std::time::Duration;

use harvestman_shop::Shop;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::service::{Service, records, send};

/// Enough data for several of the smallest parts.
async fn job_of_several_parts(service: &Service) -> serde_json::Value {
    let more = json!({"defaults": {"formats": ["html"]}, "output": {"max_part_bytes": 1_048_576}});
    let job = service.submit(100, more).await;
    service.ended(&job).await
}

#[tokio::test]
async fn an_interrupted_download_goes_on_where_it_was() {
    let service = Service::open();
    let job = service.submit(10, json!({})).await;
    let url = service.ended(&job).await["download_url"].as_str().unwrap().to_owned();
    let whole = send(service.client.get(&url)).await;
    let tag = whole.header("etag").to_owned();
    assert_eq!(
        tag,
        format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&whole.bytes)))
    );
    let half = whole.bytes.len() / 2;
    let rest =
        service.client.get(&url).header("range", format!("bytes={half}-")).header("if-range", &tag);
    let rest = send(rest).await;
    assert_eq!(rest.status, 206);
    assert_eq!(
        rest.header("content-range"),
        format!("bytes {half}-{}/{}", whole.bytes.len() - 1, whole.bytes.len())
    );
    assert_eq!([&whole.bytes[..half], &rest.bytes].concat(), whole.bytes);
    let changed =
        send(service.client.get(&url).header("range", "bytes=5-").header("if-range", "\"other\""))
            .await;
    assert_eq!((changed.status.as_u16(), changed.bytes.len()), (200, whole.bytes.len()));
    let head = send(service.client.head(&url)).await;
    assert_eq!(head.header("content-length"), whole.bytes.len().to_string());
    assert_eq!(head.header("accept-ranges"), "bytes");
    let known = send(service.client.get(&url).header("if-none-match", &tag)).await;
    assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));
    let beyond = send(service.client.get(&url).header("range", "bytes=999999999-")).await;
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", whole.bytes.len()));
    beyond.refused(416, "range_not_satisfiable");
}

#[tokio::test]
async fn several_files_are_listed_and_each_is_what_the_list_says() {
    let service = Service::open();
    let ended = job_of_several_parts(&service).await;
    assert!(ended["download_url"].as_str().unwrap().contains("/manifest.json?"), "{ended}");
    let manifest = service.download(&ended["download_url"]).await.json();
    let parts = manifest["parts"].as_array().unwrap();
    assert!(parts.len() > 1, "{manifest}");
    assert_eq!((&manifest["job_id"], &manifest["status"]), (&ended["id"], &json!("completed")));
    let mut indexes = Vec::new();
    for part in parts {
        let file = service.download(&part["url"]).await;
        assert_eq!(part["bytes"], file.bytes.len());
        assert_eq!(part["sha256"], data_encoding::HEXLOWER.encode(&Sha256::digest(&file.bytes)));
        let records = records(&file.text());
        assert_eq!(part["rows"], records.len());
        indexes.extend(records.iter().map(|record| record["index"].as_u64().unwrap()));
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..100).collect::<Vec<_>>());
    assert_eq!(manifest["rows"], 100);
}

#[tokio::test]
async fn a_link_opens_nothing_but_its_file() {
    let service = Service::open();
    let first = service.submit(1, json!({})).await;
    let second = service.submit(1, json!({})).await;
    service.ended(&second).await;
    let url = service.ended(&first).await["download_url"].as_str().unwrap().to_owned();
    let (path, query) = url.split_once('?').unwrap();
    for path in [
        path.replace(&first, &second),
        path.replace("part-00000.ndjson", "manifest.json"),
        path.replace("part-00000.ndjson", "..%2f..%2fharvestman.db"),
        path.replace("part-00000.ndjson", "%2e%2e/%2e%2e/harvestman.db"),
        path.replace("part-00000.ndjson", "part-00000.ndjson%00"),
        path.replace("part-00000.ndjson", "%ff"),
    ] {
        let answer = send(service.client.get(format!("{path}?{query}"))).await;
        assert!(matches!(answer.status.as_u16(), 403 | 404), "{path}: {}", answer.text());
    }
    for query in [
        String::new(),
        query.replace("expires=1", "expires=2"),
        query.replace("expires=", "expires=-"),
        query.replace("key=", "key=0"),
        format!("{}{}", &query[..query.len() - 1], if query.ends_with('0') { '4' } else { '0' }),
        "expires=99999999999999999999&key=a&sig=b".to_owned(),
    ] {
        send(service.client.get(format!("{path}?{query}"))).await.refused(403, "link_invalid");
    }
}

#[tokio::test]
async fn a_new_link_lasts_as_long_as_asked_and_an_erased_result_is_gone() {
    let service = Service::open();
    let job = service.submit(2, json!({})).await;
    let ended = service.ended(&job).await;
    let path = format!("/v1/jobs/{job}/download-url");
    for (seconds, is_taken) in
        [(3_599, false), (3_600, true), (2_592_000, true), (2_592_001, false)]
    {
        let answer = service.post(&path, &json!({"expires_in_s": seconds})).await;
        if is_taken {
            let body = answer.expect(200);
            assert_eq!(service.download(&body["download_url"]).await.status, 200);
        } else {
            answer.refused(400, "limit_exceeded");
        }
    }
    service.post(&path, &json!({"expires": 1})).await.refused(422, "schema_invalid");
    let erased = service.delete(&format!("/v1/jobs/{job}/output")).await.expect(200);
    assert_eq!(
        (&erased["output"]["state"], &erased["download_url"]),
        (&json!("erased"), &json!(null))
    );
    service.download(&ended["download_url"]).await.refused(410, "result_expired");
    service.post(&path, &json!({})).await.refused(410, "result_expired");
}

#[tokio::test]
async fn parts_of_a_running_job_can_be_read() {
    let shop = Shop::new().with_products(200).with_latency(Duration::from_millis(50));
    let service = Service::with(shop, &[], &[]);
    let output = json!({"max_part_bytes": 1_048_576});
    let more = json!({"defaults": {"formats": ["html"]}, "output": output, "concurrency": 4});
    let job = service.submit(200, more).await;
    let running = service.until(&job, |job| job["output"]["parts"][0].is_object()).await;
    assert_eq!((&running["status"], &running["download_url"]), (&json!("running"), &json!(null)));
    let part = &running["output"]["parts"][0];
    let file = service.download(&part["url"]).await;
    assert_eq!(records(&file.text()).len(), part["rows"]);
    service.delete(&format!("/v1/jobs/{job}")).await;
}
