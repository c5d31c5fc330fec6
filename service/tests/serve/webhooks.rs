//! Webhooks: signed, listed, sent again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::Command,
    sync::mpsc,
};

use hmac_sha256::HMAC;
use serde_json::{Value, json};

use crate::service::{Service, id};

/// A request that an endpoint got: its head in lower case, and its body.
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().trim()
    }
}

/// An endpoint that answers with these statuses, the last one for ever.
fn endpoint(statuses: &'static [u16]) -> (String, mpsc::Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let lower: String = head
                .lines()
                .map(|line| match line.split_once(':') {
                    Some((name, value)) => format!("{}:{value}\n", name.to_ascii_lowercase()),
                    None => format!("{line}\n"),
                })
                .collect();
            let mut request = Received { head: lower, body: String::new() };
            let length: usize = request.header("content-length").parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            request.body = String::from_utf8(body).unwrap();
            let status = statuses[count.min(statuses.len() - 1)];
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (url, received)
}

fn secret(service: &Service) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .args(["keys", "webhook-secret", "--data", service.path("data").to_str().unwrap()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn delivery(service: &Service, job: &str, state: &str) -> Value {
    loop {
        let list = service.get(&format!("/v1/webhooks/deliveries?job={job}")).await.expect(200);
        if list["data"][0]["state"] == state {
            return list["data"][0].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_end_of_a_job_is_told_signed_and_can_be_told_again() {
    let service = Service::open();
    let (url, received) = endpoint(&[200]);
    let job = service.submit(2, json!({"webhook": url, "metadata": {"a": 1}})).await;
    let got = received.recv().unwrap();
    let body: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!((&body["event"], &body["data"]["job_id"]), (&json!("job.completed"), &json!(job)));
    assert_eq!(
        (&body["data"]["urls_ok"], &body["data"]["metadata"]),
        (&json!(2), &json!({"a": 1}))
    );
    let key = secret(&service);
    let signed = format!("{}.{}", got.header("x-hypedata-timestamp"), got.body);
    let right = data_encoding::HEXLOWER.encode(&HMAC::mac(signed, key.as_bytes()));
    assert_eq!(got.header("x-hypedata-signature"), format!("sha256={right}"));
    assert_eq!(service.download(&body["data"]["download_url"]).await.status, 200);
    let told = delivery(&service, &job, "delivered").await;
    assert_eq!(
        (&told["attempts"], &told["http_status"], &told["host"]),
        (&json!(1), &json!(200), &json!("127.0.0.1"))
    );
    let path = format!("/v1/webhooks/deliveries/{}/replay", id(&told));
    assert_eq!(service.post(&path, &json!({})).await.expect(202)["state"], "pending");
    let again = received.recv().unwrap();
    assert_eq!((&again.body, again.header("webhook-id")), (&got.body, got.header("webhook-id")));
}

#[tokio::test]
async fn an_endpoint_that_fails_is_tried_again_and_listed() {
    let service = Service::open();
    let (url, received) = endpoint(&[500]);
    let job =
        service.submit(1, json!({"webhook": {"url": url, "events": ["job.completed"]}})).await;
    received.recv().unwrap();
    loop {
        let told = delivery(&service, &job, "pending").await;
        if told["attempts"] == 1 {
            assert_eq!(told["http_status"], 500);
            assert!(told["next_attempt_at"].is_string(), "{told}");
            return;
        }
    }
}

#[tokio::test]
async fn the_operators_secret_signs_for_all() {
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let shop = harvestman_shop::Shop::new();
    let service = Service::with(shop, &[], &[("HARVESTMAN_WEBHOOK_SECRET", secret)]);
    let (url, received) = endpoint(&[200]);
    service.submit(1, json!({"webhook": url})).await;
    let got = received.recv().unwrap();
    let signed = format!("{}.{}", got.header("x-hypedata-timestamp"), got.body);
    let right = data_encoding::HEXLOWER.encode(&HMAC::mac(signed, secret.as_bytes()));
    assert_eq!(got.header("x-hypedata-signature"), format!("sha256={right}"));
    assert!(!service.log().contains(secret));
}
