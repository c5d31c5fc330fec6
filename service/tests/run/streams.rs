//! Pipes on both sides.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::Duration,
};

use harvestman_shop::Shop;
use rustix::process::Signal;

use crate::{
    program::{Place, signal, stderr},
    readers::{assert_complete, records},
};

fn place(latency: u64) -> Place {
    let shop = Shop::new().with_page_bytes(2_000).with_latency(Duration::from_millis(latency));
    Place::new(shop, 200)
}

fn lines(place: &Place, pages: std::ops::Range<u32>) -> String {
    pages.map(|page| place.shop.product_url(page) + "\n").collect()
}

#[test]
fn the_first_record_leaves_before_the_input_ends() {
    let place = place(0);
    let allowed = place.shop.address().to_string();
    let args =
        ["run", "-", "--output", "-", "--extract", "name:string", "--allow-address", &allowed];
    let mut child = place.bare(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(&place, 0..1).as_bytes()).unwrap();

    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    assert_eq!(records(first.as_bytes())[0]["index"], 0);

    input.write_all(lines(&place, 1..200).as_bytes()).unwrap();
    drop(input);
    let rest: Vec<_> = output.lines().map(Result::unwrap).collect();
    assert_eq!(rest.len(), 199);
    assert!(child.wait().unwrap().success());
    assert!(!place.exists("harvestman.job"));
}

#[test]
fn a_list_from_a_pipe_can_be_resumed() {
    let place = place(50);
    let allowed = place.shop.address().to_string();
    let args = [
        "run",
        "-",
        "--output",
        "out.csv",
        "--extract",
        "name:string",
        "-c",
        "4",
        "--allow-address",
        &allowed,
    ];
    let run = |kill_after: Option<u64>| {
        let mut child = place.bare(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let list = lines(&place, 0..200);
        let feeder = std::thread::spawn(move || input.write_all(list.as_bytes()));
        if let Some(requests) = kill_after {
            place.wait_for_requests(requests, &mut child);
            signal(&child, Signal::KILL);
        }
        // A program that was killed closes its end.
        let _ = feeder.join().unwrap();
        child.wait_with_output().unwrap()
    };
    run(Some(60));
    run(Some(30));
    let output = run(None);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_complete(&place, "out.csv", 200);
}

#[test]
fn an_output_that_nobody_reads_ends_the_job() {
    let place = place(0);
    let mut child = place.command(&["--output", "-"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("standard output"), "{}", stderr(&output));
}

#[test]
fn the_summary_for_programs_leaves_the_result_alone() {
    let place = place(0);
    let output = place.run(&["--output", "-", "--extract", "name:string", "--json"], 0);
    assert_eq!(records(&output.stdout).len(), 200);
    let summary: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(summary["urls_ok"], 200);
    let quiet = place.run(&["--output", "quiet.ndjson", "--quiet"], 0);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
}
