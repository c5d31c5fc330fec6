//! `run` with a browser and with proxies, and `doctor`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use harvestman_shop::Shop;
use rustix::process::Signal;

use crate::{
    program::{Place, signal, stderr},
    readers::{assert_complete, records},
};

fn place(pages: u32) -> Place {
    Place::new(Shop::new().with_page_bytes(2_000), pages)
}

/// As root, Chromium has no sandbox.
fn sandbox() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &["--no-sandbox"] } else { &[] }
}

fn rendering<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["--output", "out.ndjson", "--render", "--pages", "2"], sandbox(), more].concat()
}

/// The browsers' processes whose profile is in this place.
fn browsers(place: &Place) -> Vec<String> {
    let profiles = place.path("").display().to_string();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let commands = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(&format!("--user-data-dir={profiles}"))).collect()
}

/// The processes of the browsers and of their groups, as `/proc` has them: not every helper is told
/// its profile.
fn families(place: &Place) -> Vec<PathBuf> {
    let all = || fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let profile = format!("--user-data-dir={}", place.path("").display());
    let is_main = |process: &PathBuf| {
        fs::read_to_string(process.join("cmdline")).is_ok_and(|command| command.contains(&profile))
    };
    let groups: Vec<_> = all().filter(is_main).filter_map(|main| group(&main)).collect();
    let belongs = |process: &PathBuf| group(process).is_some_and(|group| groups.contains(&group));
    all().filter(belongs).collect()
}

/// The process group of a process that has not ended.
fn group(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    fields.nth(1).filter(|_| !is_over).map(str::to_owned)
}

fn profiles(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("")).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.display().to_string().contains("harvestman-browser-")).collect()
}

/// `run` with the profiles in the place's own directory.
fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env("TMPDIR", place.path(""));
    command
}

fn run(place: &Place, args: &[&str]) -> Output {
    command(place, args).output().unwrap()
}

#[test]
fn pages_are_rendered_with_images_beside_the_output_and_nothing_is_left() {
    let place = place(4);
    let list = fs::read_to_string(place.path("urls.ndjson")).unwrap();
    let list = list.replacen('}', r#","screenshot":true}"#, 1);
    fs::write(place.path("urls.ndjson"), list).unwrap();
    let output = run(&place, &rendering(&["--wait-for", "body", "--extract", "name:string"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = records(&fs::read(place.path("out.ndjson")).unwrap());
    assert_eq!(records.len(), 4);
    for record in &records {
        assert_eq!(record["status"], "ok", "{record}");
        assert!(record["data"]["name"].is_string(), "{record}");
    }
    let with_image = records.iter().find(|record| record["index"] == 0).unwrap();
    assert_eq!(with_image["screenshot"], "out.ndjson.screenshots/000000000.png");
    assert!(
        fs::read(place.path("out.ndjson.screenshots/000000000.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    assert!(browsers(&place).is_empty() && profiles(&place).is_empty());
    if !sandbox().is_empty() {
        assert!(stderr(&output).contains("sandbox is off"), "{}", stderr(&output));
    }
}

#[test]
fn a_killed_run_leaves_no_browser_and_the_next_one_goes_on() {
    let place = place(60);
    let args = rendering(&["--wait-for", "body"]);
    let mut child = command(&place, &args).spawn().unwrap();
    place.wait_for_requests(10, &mut child);
    let family = families(&place);
    assert!(family.len() > 2, "a browser runs");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let begun = Instant::now();
    let is_left = |process: &PathBuf| group(process).is_some();
    while family.iter().any(is_left) || !browsers(&place).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{family:?} {:?}", browsers(&place));
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(profiles(&place).len(), 1, "its profile is still there");
    let output = run(&place, &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_complete(&place, "out.ndjson", 60);
    assert!(profiles(&place).is_empty(), "the next browser has swept it");
}

#[test]
fn what_there_are_no_means_for_is_refused_at_once() {
    let place = place(2);
    fs::write(
        place.path("p.toml"),
        "[[pools]]\nclass = \"datacenter\"\nproxies = [\"http://u:secret@127.0.0.1:9\"]\n",
    )
    .unwrap();
    fs::write(
        place.path("bad.toml"),
        "[[pools]]\nclass = \"fast\"\nproxies = [\"http://u:secret@a:1\"]\n",
    )
    .unwrap();
    let table: &[(&[&str], &str)] = &[
        (&["--render", "--browser", "/nowhere"], "apt-get install chromium"),
        (&["--render", "--browser", "/bin/false"], "did not start"),
        (&["--proxy-type", "mobile"], "--proxies"),
        (&["--proxies", "p.toml", "--proxy-type", "mobile"], "there is no mobile proxy"),
        (&["--proxies", "bad.toml"], "fast"),
        (&["--country", "Germany", "--proxies", "p.toml"], "two letters"),
        (&["--wait-for", ""], "1 to 1000 bytes"),
    ];
    for (args, message) in table {
        let output = run(&place, &[&["--output", "out.ndjson"], *args].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(message) && !said.contains("secret"), "{args:?}: {said}");
    }
    if !sandbox().is_empty() {
        let output = run(&place, &["--output", "out.ndjson", "--render"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--no-sandbox"), "{}", stderr(&output));
    }
    assert_eq!(place.shop.requests(), 0);
    // With proxies nothing goes out directly.
    let output = run(&place, &["--output", "out.ndjson", "--proxies", "p.toml", "--retries", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for record in records(&fs::read(place.path("out.ndjson")).unwrap()) {
        assert_eq!(record["code"], "proxy_error", "{record}");
        assert!(!record["message"].as_str().unwrap().contains("secret"), "{record}");
    }
    assert_eq!(place.shop.requests(), 0);
}

#[test]
fn the_way_of_fetching_belongs_to_the_job() {
    let place = Place::new(Shop::new().with_latency(Duration::from_millis(20)), 400);
    let args = ["--output", "out.ndjson", "-c", "2"];
    let mut child = place.command(&args).spawn().unwrap();
    place.wait_for_requests(20, &mut child);
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let other = [&args[..], &["--render"], sandbox()].concat();
    let output = run(&place, &other);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("the way of fetching differs"), "{}", stderr(&output));
}

#[test]
fn the_doctor_says_what_is_there() {
    let place = place(1);
    fs::write(
        place.path("p.toml"),
        "[[pools]]\nclass = \"mobile\"\nproxies = [\"http://u:secret@127.0.0.1:9\"]\n",
    )
    .unwrap();
    let doctor = |args: &[&str]| {
        let mut command = place.bare(&[&["doctor", "--json"], args].concat());
        let output = command.env("TMPDIR", place.path("")).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        let status = move |what: &str| {
            let found = findings.iter().find(|finding| finding["what"] == what).unwrap().clone();
            (found["status"].as_str().unwrap().to_owned(), found["message"].to_string())
        };
        (output.status.code(), status)
    };
    let (code, status) = doctor(sandbox());
    assert_eq!(code, Some(0));
    let expected = if sandbox().is_empty() { "ok" } else { "warning" };
    assert_eq!(status("browser").0, expected);
    assert!(status("browser").1.contains("Chrome/"), "{}", status("browser").1);
    assert_eq!(status("proxies").0, "missing");
    for what in ["program", "store", "disk", "clock"] {
        assert_eq!(status(what).0, "ok", "{what}: {}", status(what).1);
    }
    let (code, status) =
        doctor(&["--browser", "/nowhere", "--proxies", "p.toml", "--state", "/nowhere"]);
    assert_eq!(code, Some(3));
    for (what, word) in [
        ("browser", "apt-get install chromium"),
        ("proxies", "1 of 1 don't answer: http://127.0.0.1:9"),
        ("store", "name another --state"),
        ("disk", "/nowhere"),
    ] {
        let (status, message) = status(what);
        assert_eq!(status, "failed", "{what}: {message}");
        assert!(message.contains(word) && !message.contains("secret"), "{what}: {message}");
    }
    assert!(browsers(&place).is_empty() && profiles(&place).is_empty());
}
