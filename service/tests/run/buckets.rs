//! Lists from buckets, results to them.

use std::{io::Read, process::Command};

use harvestman_shop::Shop;
use serde_json::Value;

use crate::{
    moto::Moto,
    program::{Place, stderr},
};

/// `harvestman run` with the keys of a user who may do everything with buckets.
fn command(place: &Place, moto: &Moto, args: &[&str]) -> Command {
    let (id, secret) = moto.keys("admin");
    let mut command = place.bare(&["run"]);
    command.args(["--allow-address", &place.shop.address().to_string()]).args(args);
    command.env("AWS_ENDPOINT_URL_S3", moto.url());
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    command
}

async fn put_list(place: &Place, moto: &Moto, count: u32) {
    let list: Vec<_> = (0..count).map(|page| place.shop.product_url(page)).collect();
    moto.put("s3://lists/urls.txt", list.join("\n")).await;
}

/// The pages in the parts that the manifest names.
async fn pages(moto: &Moto, directory: &str) -> Vec<u64> {
    let manifest = moto.read(&format!("{directory}/manifest.json")).await;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut pages = Vec::new();
    for part in manifest["parts"].as_array().unwrap() {
        let part = moto.read(part["url"].as_str().unwrap()).await;
        let mut text = String::new();
        zstd::Decoder::new(&*part).unwrap().read_to_string(&mut text).unwrap();
        let index = |row| serde_json::from_str::<Value>(row).unwrap()["index"].as_u64().unwrap();
        pages.extend(text.lines().map(index));
    }
    pages.sort_unstable();
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_a_bucket_ends_in_a_bucket_also_when_it_is_killed() {
    let place = Place::new(Shop::new().with_page_bytes(2_000), 600);
    let moto = Moto::start("nobody's");
    put_list(&place, &moto, 600).await;
    let output = "s3://results/nightly.ndjson.zst";
    let args = ["s3://lists/urls.txt", "--output", output, "-c", "4", "--json"];
    let mut child = command(&place, &moto, &args).spawn().unwrap();
    place.wait_for_requests(150, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.exists("nightly.ndjson.zst.job"));
    let ended = command(&place, &moto, &args).output().unwrap();
    assert!(ended.status.success(), "{}", stderr(&ended));
    let summary: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(summary["parts"][0]["location"], format!("{output}/part-00000.ndjson.zst"));
    assert_eq!(pages(&moto, output).await, (0..600).collect::<Vec<_>>());
    assert_eq!(moto.names(output).await, ["manifest.json", "part-00000.ndjson.zst"]);
    assert_eq!(moto.uploads_under_way("results").await, 0);
    assert!(!place.exists("nightly.ndjson.zst.job"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_used_is_refused_before_anything_is_fetched() {
    let place = Place::new(Shop::new(), 5);
    let moto = Moto::start("nobody's");
    put_list(&place, &moto, 5).await;
    let list = "s3://lists/urls.txt";
    for (args, code, said) in [
        (&["s3://lists/none.csv", "--output", "out.ndjson"][..], 3, "isn't there"),
        (&[list, "--anonymous", "--output", "out.ndjson"], 3, "denied"),
        (&["az://a/list.csv", "--output", "out.ndjson"], 2, "no such storage set up"),
        (&["https://a.test/list.csv", "--output", "out.ndjson"], 2, "fetch https://a.test"),
        (&["ftp://a/list.csv", "--output", "out.ndjson"], 2, "s3://bucket/key"),
        (&[list, "--output", "s3://results"], 2, "is a whole bucket"),
        (&[list, "--output", "s3://results/x.doc"], 2, ".ndjson"),
        (&[list, "--output", "s3://results/x.csv"], 2, "needs columns"),
        (&[list, "--output", "s3://none/x.ndjson"], 3, "there is no such bucket"),
    ] {
        let output = command(&place, &moto, args).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
    assert_eq!(place.shop.requests(), 0);
}
