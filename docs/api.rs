//! The Rust calls of `api.md`. They are compiled and run by `service/tests/client/documented.rs`.

use std::{error::Error, path::Path, time::Duration};

use reqwest::{Client, RequestBuilder, Response, header};
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncWriteExt};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A service, and the right to use it.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) http: Client,
}

impl Service {
    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    fn delete(&self, path: &str) -> RequestBuilder {
        self.http.delete(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }
}

/// The answer, or what the service says is wrong.
async fn accepted(response: Response) -> Result<Response> {
    if response.status().is_client_error() || response.status().is_server_error() {
        let error: Value = response.json().await?;
        return Err(
            format!("{} ({}, {})", error["message"], error["code"], error["trace_id"]).into()
        );
    }
    Ok(response)
}

pub(crate) async fn create(service: &Service, urls: &[String]) -> Result<String> {
    let spec = json!({
        "name": "a few products",
        "urls": urls,
        "defaults": {"extract": {"name": "string", "price": "number"}},
    });
    let job: Value =
        accepted(service.post("/v1/jobs").json(&spec).send().await?).await?.json().await?;
    Ok(job["id"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn create_of_list(service: &Service, list: &Path) -> Result<String> {
    let file = File::open(list).await?;
    let request = service.post("/v1/uploads").header(header::CONTENT_TYPE, "text/csv").body(file);
    let upload: Value = accepted(request.send().await?).await?.json().await?;
    println!("{} URLs, {} bad lines", upload["urls_total"], upload["invalid_lines"]);

    let spec = json!({
        "input": {"upload_id": upload["id"]},
        "defaults": {"extract": {"name": "string", "price": "number"}},
        "concurrency": 16,
        "output": {"format": "csv"},
    });
    let job: Value =
        accepted(service.post("/v1/jobs").json(&spec).send().await?).await?.json().await?;
    Ok(job["id"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn status(service: &Service, id: &str) -> Result<Value> {
    let path = format!("/v1/jobs/{id}");
    Ok(accepted(service.get(&path).send().await?).await?.json().await?)
}

pub(crate) async fn wait(service: &Service, id: &str) -> Result<Value> {
    loop {
        let path = format!("/v1/jobs/{id}?wait=30");
        let request = service.get(&path).timeout(Duration::from_secs(60));
        let job: Value = accepted(request.send().await?).await?.json().await?;
        if matches!(job["status"].as_str(), Some("completed" | "cancelled" | "failed")) {
            return Ok(job);
        }
    }
}

pub(crate) async fn list(service: &Service, status: &str) -> Result<Vec<Value>> {
    let mut jobs = Vec::new();
    let mut path = format!("/v1/jobs?status={status}&limit=100");
    loop {
        let page: Value = accepted(service.get(&path).send().await?).await?.json().await?;
        jobs.extend(page["data"].as_array().into_iter().flatten().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return Ok(jobs) };
        path = format!("/v1/jobs?status={status}&limit=100&cursor={cursor}");
    }
}

pub(crate) async fn cancel(service: &Service, id: &str) -> Result<Value> {
    let path = format!("/v1/jobs/{id}");
    Ok(accepted(service.delete(&path).send().await?).await?.json().await?)
}

pub(crate) async fn errors(service: &Service, id: &str) -> Result<Vec<Value>> {
    let path = format!("/v1/jobs/{id}/errors?limit=100");
    let page: Value = accepted(service.get(&path).send().await?).await?.json().await?;
    Ok(page["data"].as_array().cloned().unwrap_or_default())
}

pub(crate) async fn retry(service: &Service, id: &str) -> Result<String> {
    let body = json!({"only": {"codes": ["target_4xx", "timeout"]}});
    let path = format!("/v1/jobs/{id}/retry");
    let job: Value = accepted(service.post(&path).json(&body).send().await?).await?.json().await?;
    Ok(job["id"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn download(service: &Service, job: &Value, file: &Path) -> Result<()> {
    let url = job["download_url"].as_str().ok_or("the job has no result")?;
    // The link is signed: the key stays at home.
    let mut response = accepted(service.http.get(url).send().await?).await?;
    let mut file = File::create(file).await?;
    while let Some(chunk) = response.chunk().await? {
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    Ok(())
}

pub(crate) async fn create_once(
    service: &Service,
    spec: &Value,
    key: &str,
) -> Result<(String, bool)> {
    let request = service.post("/v1/jobs").header("Idempotency-Key", key).json(spec);
    let response = accepted(request.send().await?).await?;
    let was_made_before = response.headers().contains_key("Idempotent-Replayed");
    let job: Value = response.json().await?;
    Ok((job["id"].as_str().unwrap_or_default().to_owned(), was_made_before))
}

/// Whether a delivery comes from the service, and now; `now` in seconds since 1970.
pub(crate) fn is_genuine(
    secret: &str,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: i64,
) -> bool {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|key| data_encoding::BASE64.decode(key.as_bytes()).ok());
    let (Some(key), Ok(sent)) = (key, timestamp.parse::<i64>()) else { return false };
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let expected =
        format!("v1,{}", data_encoding::BASE64.encode(&hmac_sha256::HMAC::mac(signed, key)));
    // Two of them while the secret is being changed. Compared in constant time.
    let is_signed = signatures.split(' ').any(|signature| {
        bool::from(subtle::ConstantTimeEq::ct_eq(signature.as_bytes(), expected.as_bytes()))
    });
    is_signed && (now - sent).abs() <= 300
}
