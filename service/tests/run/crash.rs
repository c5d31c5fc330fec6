//! `kill -9` at any moment: every page has exactly one record, and every file is valid.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use harvestman_shop::{Faults, Shop};
use rustix::process::Signal;

use crate::{
    program::{Place, signal, stderr},
    readers::assert_complete,
};

const PAGES: u32 = 3_000;
/// How often each format is killed; the long run (`tools/kill-9.sh`) sets it higher.
const KILLS: u64 = 4;

fn kills() -> u64 {
    std::env::var("HARVESTMAN_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

/// Numbers that look random, another sequence for each seed.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

/// Starts the program again and again, killing it after a random while, until `kills` have hit.
fn survives(name: &str, seed: u64) {
    let faults = Faults::none().with_unavailable_once(20).with_rate_limited_once(5);
    let shop = Shop::new().with_page_bytes(2_000).with_faults(faults);
    let place = Place::new(shop.with_latency(Duration::from_millis(10)), PAGES);
    let args =
        ["--output", name, "--extract", "name:string", "--extract", "price:number", "-c", "16"];
    let mut seed = seed;
    let mut hits = 0;
    while hits < kills() {
        let mut child = quiet(place.command(&args)).spawn().unwrap();
        let after = Duration::from_millis(random(&mut seed) % 2_500);
        let deadline = Instant::now() + after;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        if child.try_wait().unwrap().is_none() {
            signal(&child, Signal::KILL);
            child.wait().unwrap();
            hits += 1;
        } else {
            assert_complete(&place, name, PAGES);
        }
    }
    let output = place.command(&args).output().unwrap();
    assert!(output.status.success(), "{name}: {}", stderr(&output));
    assert_complete(&place, name, PAGES);
    assert!(!place.exists(&format!("{name}.job")), "{name}: the state is gone");
}

fn quiet(mut command: Command) -> Command {
    command.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn ndjson_survives() {
    survives("out.ndjson", 1);
}

#[test]
fn ndjson_gz_survives() {
    survives("out.ndjson.gz", 2);
}

#[test]
fn csv_zst_survives() {
    survives("out.csv.zst", 3);
}

#[test]
fn parquet_survives() {
    survives("out.parquet", 4);
}
