//! What is refused, with which words and which exit code.

use std::fs;

use harvestman_shop::Shop;

use crate::{
    program::{Place, signal, stderr},
    readers::records,
};

fn place() -> Place {
    Place::new(Shop::new().with_page_bytes(2_000), 30)
}

#[test]
fn a_command_that_cannot_be_used_ends_with_2_and_says_what_to_do() {
    let place = place();
    fs::write(place.path("schema.json"), r#"{"title": "h1"}"#).unwrap();
    fs::write(place.path("broken.csv"), "link,id\nhttp://a.test/,1\n").unwrap();
    std::os::unix::fs::symlink("urls.ndjson", place.path("link.ndjson")).unwrap();
    let table: &[(&[&str], &str)] = &[
        (&["--output", "out.xlsx"], "parquet"),
        (&["--output", "out.csv"], "--extract"),
        (&["--output", "urls.ndjson"], "is the list itself"),
        (&["--output", "link.ndjson"], "is the list itself"),
        (&["--output", "nowhere/out.ndjson"], "there is no directory nowhere"),
        (&["--output", "out.ndjson", "--extract", "price"], "NAME:TYPE"),
        (&["--output", "out.ndjson", "--extract", "price:money"], "price"),
        (&["--output", "out.ndjson", "--schema", "schema.json"], r#"{"selector": "h1"}"#),
        (&["--output", "out.ndjson", "-c", "0"], "1..=10000"),
        (&["--output", "out.ndjson", "--allow-address", "here"], "here"),
        (&["--output", "out.ndjson", "--nonsense"], "--nonsense"),
    ];
    for (args, message) in table {
        let output = place.run(args, 2);
        assert!(stderr(&output).contains(message), "{args:?}: {}", stderr(&output));
    }
    let missing = place.bare(&["run", "nowhere.csv", "-o", "out.ndjson"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("nowhere.csv"));
    let broken = place.bare(&["run", "broken.csv", "-o", "out.ndjson"]).output().unwrap();
    assert_eq!(broken.status.code(), Some(2));
    assert!(stderr(&broken).contains("url"), "{}", stderr(&broken));
    assert!(!place.exists("out.ndjson.job"), "nothing is left behind");
}

#[test]
fn private_addresses_are_refused_unless_allowed() {
    let place = place();
    let output = place.bare(&["run", "urls.ndjson", "-o", "out.ndjson"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(place.shop.requests(), 0);
    for record in records(&fs::read(place.path("out.ndjson")).unwrap()) {
        assert_eq!(record["code"], "forbidden_address");
    }
}

#[test]
fn a_state_goes_on_only_with_the_same_command() {
    let place = Place::new(Shop::new().with_latency(std::time::Duration::from_millis(20)), 400);
    let args = ["--output", "out.csv", "--extract", "name:string", "-c", "2"];
    let mut child = place.command(&args).spawn().unwrap();
    place.wait_for_requests(20, &mut child);

    let output = place.run(&args, 3);
    assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(4));

    let other = ["--output", "out.csv", "--extract", "name:url", "-c", "2"];
    let output = place.run(&other, 2);
    assert!(stderr(&output).contains("--extract differs"), "{}", stderr(&output));
    place.write_list(401);
    let output = place.run(&args, 2);
    assert!(stderr(&output).contains("the input differs"), "{}", stderr(&output));

    let output =
        place.run(&["--output", "out.csv", "--extract", "name:url", "-c", "64", "--restart"], 0);
    assert!(!stderr(&output).contains("going on"), "{}", stderr(&output));
    assert!(!place.exists("out.csv.job"));
}
