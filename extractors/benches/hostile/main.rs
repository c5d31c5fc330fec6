//! What hostile pages cost: each in a process of its own, which may take 2 s of one core and 1 GiB, and
//! may not panic.
//!
//! `cargo bench -p harvestman-extractors --bench hostile [NAME]`
//!
//! Fails if any page passes a bound.

mod pages;

use std::{
    env, fs,
    process::{Command, ExitCode},
    time::Duration,
};

use harvestman_engine::{Extractor, Page, Params, Task};
use harvestman_extractors::Standard;
use serde_json::{Value, json};

/// The longest that a page may take of one core, so that other work on the machine doesn't count.
const MAX_TIME: Duration = Duration::from_secs(2);
/// The most memory that reading a page may take beside the page itself, in MiB.
const MAX_MIB: u64 = 1024;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [role, name, params] = &args[..]
        && role == "child"
    {
        return child(name, params);
    }
    let only = args.first();
    let mut failed = 0;
    println!("{:<34}{:>9}  {:>24}{:>24}", "", "page", "found by name", "selectors, formats");
    for (name, make) in pages::PAGES {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        print!("{name:<34}{:>6.1} MB", make().len() as f64 / 1e6);
        for params in ["named", "located"] {
            let output =
                Command::new(env::current_exe()?).args(["child", name, params]).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            print!("{:>24}", if output.status.success() { said.trim() } else { "FAILED" });
            failed += u32::from(!output.status.success());
            if !output.status.success() {
                print!(" ({})", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        println!();
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads one page, and says what that took.
fn child(name: &str, params: &str) -> Result<ExitCode, Failure> {
    let found = pages::PAGES.iter().find(|(page, _)| *page == name);
    let make = found.ok_or("there is no such page")?.1;
    let params = if params == "named" { named() } else { located() };
    let params: Params = serde_json::from_value(params)?;
    let task = Task::new(0, "https://shop.test/lamps/1234", params);
    let page = Page::new(task.target().map_err(|error| error.message.clone())?.clone(), make());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let before = status("VmRSS:")?;
    let idle = cpu_time()?;
    let result = runtime.block_on(Standard::new().extract(&task, &page));
    let time = cpu_time()?.saturating_sub(idle);
    let memory = status("VmHWM:")?.saturating_sub(before) / 1024;
    let end = if result.is_ok() { "" } else { " refused" };
    println!("{} ms {memory} MiB{end}", time.as_millis());
    let is_fine = time <= MAX_TIME && memory <= MAX_MIB;
    if !is_fine {
        eprintln!("{} ms, {memory} MiB", time.as_millis());
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What this process has taken of one core.
fn cpu_time() -> Result<Duration, Failure> {
    const TICKS_A_SECOND: u64 = 100;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no such figure")?;
    // The user's time and the system's are the 12th and 13th figure after the name.
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

/// A figure of this process in KiB.
fn status(key: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn named() -> Value {
    json!({"extract": {
        "name": "string", "title": "string", "price": "number", "currency": "string",
        "availability": "string", "brand": "string", "sku": "string", "author": "string",
        "published": "date", "description": "string", "image": "url", "rating": "number",
        "ingredients": "array of string", "tags": "array of string", "total_time": "integer",
        "offers": [{"price": "number", "currency": "string"}], "height": "string", "phone": "string",
    }, "extract_options": {"meta": true}})
}

fn located() -> Value {
    json!({"extract": {
        "a": {"selector": "h1:has(b), .price"}, "b": {"selector": "//td[2]", "all": true, "type": "array"},
        "c": {"selector": "$..price", "type": "number"}, "d": {"selector": "p", "all": true, "type": "array"},
        "e": {"selector": "table", "output": "table_json"}, "f": {"selector": "div", "regex": "(\\d+),(\\d+)"},
    }, "formats": ["data", "text", "markdown", "links"]})
}
