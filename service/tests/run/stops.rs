//! Signals, and a disk that is full.

use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

use harvestman_shop::Shop;
use rustix::process::Signal;

use crate::{
    program::{Place, signal, stderr},
    readers::assert_complete,
};

fn slow_place() -> Place {
    let shop = Shop::new().with_page_bytes(2_000).with_latency(Duration::from_millis(100));
    Place::new(shop, 300)
}

const ARGS: [&str; 6] = ["--output", "out.ndjson.gz", "--extract", "name:string", "-c", "10"];

#[test]
fn a_first_signal_drains_and_saves() {
    for stop in [Signal::INT, Signal::TERM] {
        let place = slow_place();
        let mut child = place.command(&ARGS).spawn().unwrap();
        place.wait_for_requests(60, &mut child);
        signal(&child, stop);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(stderr(&output).contains("run the same command"), "{}", stderr(&output));
        assert!(place.exists("out.ndjson.gz.job") && !place.exists("out.ndjson.gz"));
        let asked = place.shop.requests();

        let output = place.run(&ARGS, 0);
        assert!(stderr(&output).contains("going on"), "{}", stderr(&output));
        assert_eq!(place.shop.requests(), 300, "no page was fetched twice after {asked}");
        assert_complete(&place, "out.ndjson.gz", 300);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let shop = Shop::new().with_page_bytes(2_000).with_latency(Duration::from_secs(20));
    let place = Place::new(shop, 40);
    let mut child = place.command(&ARGS).spawn().unwrap();
    place.wait_for_requests(5, &mut child);
    signal(&child, Signal::INT);
    // Once the program has said that it is stopping, the next signal counts as the second.
    let said = BufReader::new(child.stderr.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("stopping")));
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// The limit on a file's size stands for the disk's: no test can fill a disk without privileges.
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new(Shop::new().with_page_bytes(4_000), 600);
    for name in ["out.ndjson", "out.ndjson.gz", "out.csv.zst", "out.parquet"] {
        let fields: &[&str] = if name.contains("ndjson") {
            &[]
        } else {
            &["--extract", "name:string", "--extract", "description:string"]
        };
        let args = [&["--output", name], fields].concat();
        let mut command = std::process::Command::new("sh");
        // Blocks of 512 bytes; the signal that goes with the limit is ignored, as by most daemons.
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
        let program = place.command(&args);
        command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
        command.current_dir(program.get_current_dir().unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("failed to write"), "{name}: {}", stderr(&output));
        assert!(place.exists(&format!("{name}.job")), "{name}: the state is kept");

        place.run(&args, 0);
        assert_complete(&place, name, 600);
    }
}
