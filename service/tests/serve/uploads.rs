//! Uploads: raw, packed, as forms; looked at and erased.

use std::io::Write;

use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Service, id, send};

const CSV: &str = "url,id,metadata.shop\nhttp://127.0.0.1/a,1,x\nnonsense,2,y\n";

async fn post(
    service: &Service,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = service.request(Method::POST, "/v1/uploads").body(body);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn a_list_comes_in_raw_packed_or_in_a_form() {
    let service = Service::open();
    let raw = post(&service, &[("content-type", "text/csv; charset=utf-8")], CSV).await;
    assert!(raw.header("location").starts_with("/v1/uploads/upl_"));
    let raw = raw.expect(201);
    assert_eq!(raw["id"], raw["upload_id"]);
    let is = |field: &str| raw[field].clone();
    assert_eq!(
        (is("format"), is("urls_total"), is("invalid_lines")),
        (json!("csv"), json!(2), json!(1))
    );
    assert_eq!((is("bytes"), &raw["errors"][0]["line"]), (json!(CSV.len()), &json!(3)));
    assert_eq!(raw["errors"][0]["code"], "invalid_url");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(CSV.as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    let gzip =
        post(&service, &[("content-type", "text/csv"), ("content-encoding", "gzip")], packed)
            .await
            .expect(201);
    assert_eq!((&gzip["sha256"], &gzip["urls_total"]), (&raw["sha256"], &json!(2)));
    for file in [
        "filename=\"list.csv\"\r\nContent-Type: application/octet-stream",
        "filename=\"x\"\r\nContent-Type: text/csv",
    ] {
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; {file}\r\n\r\n{CSV}\r\n--b--\r\n"
        );
        let form = post(&service, &[("content-type", "multipart/form-data; boundary=b")], form)
            .await
            .expect(201);
        assert_eq!((&form["sha256"], &form["format"]), (&raw["sha256"], &json!("csv")));
    }
}

#[tokio::test]
async fn what_is_no_list_is_refused() {
    let service = Service::open();
    let form = ("content-type", "multipart/form-data; boundary=b");
    let two = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhttp://a.test/\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n";
    for (headers, body, status, code) in [
        (("content-type", "image/png"), "x", 415, "unsupported_media_type"),
        (("content-type", "text/csv"), "name\nx\n", 422, "schema_invalid"),
        (
            form,
            "--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n",
            400,
            "invalid_request",
        ),
        (form, "no form", 400, "invalid_request"),
        (form, two, 400, "invalid_request"),
        (("content-type", "multipart/form-data"), "x", 400, "invalid_request"),
    ] {
        post(&service, &[headers], body).await.refused(status, code);
    }
    let headers = [("content-type", "text/csv"), ("content-encoding", "br")];
    post(&service, &headers, "x").await.refused(415, "unsupported_media_type");
    post(&service, &[], "x").await.refused(415, "unsupported_media_type");
    assert_eq!(std::fs::read_dir(service.path("data/uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_that_a_job_needs_stays() {
    let shop = harvestman_shop::Shop::new()
        .with_products(50)
        .with_latency(std::time::Duration::from_millis(100));
    let service = Service::with(shop, &[], &[]);
    let upload =
        id(&post(&service, &[("content-type", "text/plain")], service.urls(50).join("\n"))
            .await
            .expect(201));
    let path = format!("/v1/uploads/{upload}");
    let body = json!({"input": {"upload_id": upload}, "concurrency": 2});
    let job = id(&service.post("/v1/jobs", &body).await.expect(202));
    service.delete(&path).await.refused(409, "upload_in_use");
    service.delete(&format!("/v1/jobs/{job}")).await;
    service.ended(&job).await;
    service.get(&path).await.expect(200);
    assert_eq!(service.delete(&path).await.status, 204);
    service.get(&path).await.refused(404, "not_found");
    service.post("/v1/jobs", &body).await.refused(404, "not_found");
}
