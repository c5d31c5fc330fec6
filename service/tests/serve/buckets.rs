//! Results in the operator's bucket, and in buckets of users.

use std::process::{Command, Stdio};

use harvestman_shop::Shop;
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    moto::Moto,
    service::{PATIENCE, Service, records, send},
};

/// What the service is told of the storage: where it is, and the keys of one of its users.
struct Told(Vec<String>, Vec<(&'static str, String)>);

impl Told {
    fn of(moto: &Moto, user: &str, more: &[&str]) -> Self {
        let (id, secret) = moto.keys(user);
        let endpoints =
            ["--s3-endpoint".to_owned(), moto.url(), "--sts-endpoint".to_owned(), moto.url()];
        let args = endpoints.into_iter().chain(more.iter().map(ToString::to_string));
        Self(args.collect(), vec![("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)])
    }

    fn args(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    fn env(&self) -> Vec<(&str, &str)> {
        self.1.iter().map(|(name, value)| (*name, &**value)).collect()
    }

    fn start(&self) -> Service {
        Service::with(Shop::new().with_products(100), &self.args(), &self.env())
    }
}

const OWN: &[&str] = &["--storage", "s3://results/own"];

async fn ended_job(service: &Service) -> Value {
    let more = json!({"defaults": {"formats": ["html"]}, "output": {"max_part_bytes": 1_048_576}});
    let job = service.submit(100, more).await;
    let ended = service.ended(&job).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    ended
}

#[tokio::test]
async fn a_result_in_the_operators_bucket_is_downloaded_as_from_a_disk() {
    let moto = Moto::start("nobody's");
    let service = Told::of(&moto, "admin", OWN).start();
    let ended = ended_job(&service).await;
    let id = ended["id"].as_str().unwrap();
    let manifest = service.download(&ended["download_url"]).await.json();
    let parts = manifest["parts"].as_array().unwrap();
    assert!(parts.len() > 1, "{manifest}");
    let mut rows = Vec::new();
    for part in parts {
        let whole = service.download(&part["url"]).await;
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&whole.bytes));
        assert_eq!(part["sha256"], hash);
        rows.extend(records(&whole.text()));
        let url = part["url"].as_str().unwrap();
        let rest = send(service.client.get(url).header("range", "bytes=1000-1999")).await;
        assert_eq!((rest.status.as_u16(), &*rest.bytes), (206, &whole.bytes[1_000..2_000]));
        let head = send(service.client.head(url)).await;
        assert_eq!(head.header("content-length"), whole.bytes.len().to_string());
        let name = part["name"].as_str().unwrap();
        assert_eq!(moto.read(&format!("s3://results/own/{id}/{name}")).await, whole.bytes);
    }
    assert_eq!(rows.len(), 100);
    assert!(!service.path("data/results").join(id).exists());

    // What is gone from the bucket, behind the service's back or through it, is gone.
    let first = parts[0]["url"].clone();
    service.delete(&format!("/v1/jobs/{id}/output")).await.expect(200);
    assert!(moto.names(&format!("s3://results/own/{id}")).await.is_empty());
    service.download(&first).await.refused(410, "result_expired");
    let log = service.log();
    let (_, secret) = moto.keys("admin");
    assert!(!log.contains(&secret), "{log}");
}

#[tokio::test]
async fn downloads_can_be_left_to_the_bucket() {
    let moto = Moto::start("nobody's");
    let more = [OWN, &["--redirect-downloads"]].concat();
    let service = Told::of(&moto, "admin", &more).start();
    let ended = ended_job(&service).await;
    let manifest = service.download(&ended["download_url"]).await.json();
    let part = &manifest["parts"][0];
    let url = part["url"].as_str().unwrap();
    let client = Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE);
    let told = send(client.build().unwrap().get(url)).await;
    assert_eq!(told.status, 307);
    assert!(told.header("location").starts_with(&moto.url()), "{told:?}");
    // Moto knows presigned links, but not together with permissions.
    moto.let_everybody_in();
    let followed = send(service.client.get(url)).await;
    assert_eq!(followed.status, 200, "{}", followed.text());
    assert_eq!(part["sha256"], data_encoding::HEXLOWER.encode(&Sha256::digest(&followed.bytes)));
    let head = send(service.client.head(url)).await;
    assert_eq!(head.header("content-length"), followed.bytes.len().to_string());
    // A forged link isn't led on.
    let forged = url.replace("sig=", "sig=A");
    send(service.client.get(forged)).await.refused(403, "link_invalid");
}

#[tokio::test]
async fn a_team_gets_its_result_in_its_own_bucket() {
    let mut service = Service::open();
    let workspace = service.get("/v1/workspace").await.expect(200);
    let moto = Moto::start(workspace["external_id"].as_str().unwrap());
    let list = service.urls(30).join("\n");
    moto.put("s3://lists/urls.txt.gz", gzip(list.as_bytes())).await;
    let told = Told::of(&moto, "service", &[]);
    service.restart_with(&told.args(), &told.env());
    let body = json!({
        "input": {"s3_uri": "s3://lists/urls.txt.gz", "role_arn": moto.role("role")},
        "output": {"s3_uri": "s3://results/team", "role_arn": moto.role("role"), "gzip": true},
    });
    let job = crate::service::id(&service.post("/v1/jobs", &body).await.expect(202));
    let ended = service.ended(&job).await;
    assert_eq!((&ended["status"], &ended["urls_ok"]), (&json!("completed"), &json!(30)));
    let place = format!("s3://results/team/{job}/part-00000.ndjson.gz");
    assert_eq!(ended["download_url"], place);
    assert_eq!(ended["output"]["parts"][0]["url"], place);
    let link = service.post(&format!("/v1/jobs/{job}/download-url"), &json!({})).await;
    assert_eq!(link.expect(200)["download_url"], place);
    let bytes = moto.read(&place).await;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&*bytes), &mut text)
        .unwrap();
    assert_eq!(records(&text).len(), 30);
    // The team's is the team's.
    service.delete(&format!("/v1/jobs/{job}/output")).await.expect(200);
    assert_eq!(moto.names(&format!("s3://results/team/{job}")).await.len(), 2);

    // The program that downloads says where it is.
    let body = json!({"urls": service.urls(1), "output": body["output"]});
    let job = crate::service::id(&service.post("/v1/jobs", &body).await.expect(202));
    service.ended(&job).await;
    let download = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .args(["jobs", "download", &job, "--url", &service.url])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&download.stderr).into_owned();
    assert!(said.contains(&format!("s3://results/team/{job}/part-00000.ndjson.gz")), "{said}");
    assert!(!download.status.success());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

/// What the program says that doesn't start.
fn refused(moto: &Moto, user: &str, storage: &str, code: i32) -> String {
    let told = Told::of(moto, user, &["--storage", storage]);
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .args(["serve", "--listen", "127.0.0.1:0", "--no-sandbox", "--data"])
        .arg(directory.path().join("data"))
        .args(told.args())
        .envs(told.env())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[tokio::test]
async fn a_storage_that_can_not_be_used_is_refused_at_the_start() {
    let moto = Moto::start("nobody's");
    let said = refused(&moto, "admin", "s3://none/results", 2);
    assert!(said.contains("s3://none/results") && said.contains("no such bucket"), "{said}");
    let said = refused(&moto, "service", "s3://results/own", 3);
    assert!(said.contains("access to s3://results/own was denied"), "{said}");
    let said = refused(&moto, "admin", "s3://results/../x", 2);
    assert!(said.contains("--storage"), "{said}");
}
