//! What a store with 100,000 finished jobs costs: `cargo bench -p harvestman-engine --bench store
//! --features sqlite,testing -- [JOBS]`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use harvestman_engine::{
    JobSpec, Part,
    id::JobId,
    spec::Input,
    store::{Claim, Ended, JobQuery, JobStore, NewJob, Status, sqlite::SqliteStore},
};
use jiff::Timestamp;
use rusqlite::Connection;

/// How often each question is asked.
const ASKED: u64 = 5_000;

fn main() {
    let jobs: u64 = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(finish_one(directory.path()));
    multiply(directory.path(), jobs);

    let begun = Instant::now();
    let store = SqliteStore::open(directory.path()).expect("the store opens");
    println!("start-up with {jobs} finished jobs: {:.0?}", begun.elapsed());
    runtime.block_on(ask(&store, jobs));
}

/// One job as it is kept at its end.
async fn finish_one(directory: &Path) {
    let store = SqliteStore::open(directory).expect("the store opens");
    let now: Timestamp = "2026-05-12T22:00:00Z".parse().expect("a time");
    let job = NewJob {
        id: id(0),
        workspace: "default".to_owned(),
        spec: JobSpec::new(Input::Urls(Vec::new())).with_name("nightly-catalog"),
        urls: Vec::new(),
        total: Some(1_000),
        created_at: now,
        answer: None,
    };
    store.insert(job).await.expect("the job is kept");
    let claim = Claim { owner: "bench", now, until: now, most: 1, held: &[] };
    let claimed = store.claim(&claim).await.expect("the job is claimed");
    let parts = [Part::new("results/job/part-00000.ndjson", 1_000, 500_000)];
    let ended = Ended {
        commit: None,
        status: Status::Completed,
        reason: None,
        problem: None,
        total: Some(1_000),
        parts: &parts,
        finished_at: now,
        expires_at: Some(now),
        event: None,
    };
    store.end(&claimed[0].0, &ended).await.expect("the job ends");
}

/// The same job again and again: what takes hours by the front door is done in SQL.
fn multiply(directory: &Path, jobs: u64) {
    let connection = Connection::open(directory.join("harvestman.db")).expect("the file opens");
    connection
        .execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             INSERT INTO jobs (id, workspace, name, status, spec, total, counters, parts, output,
                               created_at, started_at, finished_at, expires_at, lease_token)
             SELECT printf('job_%012X', n), 'w' || (n % 50), name, status, spec, total, counters,
                    parts, output, created_at, started_at, finished_at, expires_at, lease_token
             FROM jobs CROSS JOIN numbers WHERE number = 1",
            [jobs.saturating_sub(1) as i64],
        )
        .expect("the jobs are multiplied");
}

fn id(number: u64) -> JobId {
    format!("job_{number:012X}").parse().expect("an id")
}

async fn ask(store: &SqliteStore, jobs: u64) {
    let mut times = Vec::new();
    for asked in 0..ASKED {
        let begun = Instant::now();
        // A stride without a common divisor visits the jobs in no order of theirs.
        let found = store.job(&id(asked * 7_919 % jobs)).await.expect("an answer");
        assert!(found.is_some(), "the job is there");
        times.push(begun.elapsed());
    }
    report("status of a job", times);

    for (name, status) in [("page of 100", None), ("page of 100 running", Some(Status::Running))] {
        let mut times = Vec::new();
        let mut before = None;
        for asked in 0..ASKED / 10 {
            let workspace = Some(format!("w{}", asked % 50));
            let query = JobQuery { workspace, status, before, limit: 100, ..JobQuery::default() };
            let begun = Instant::now();
            let page = store.jobs(&query).await.expect("an answer");
            times.push(begun.elapsed());
            before = page.last().map(|job| job.number);
        }
        report(name, times);
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:.2?}, p99 {:.2?}, worst {:.2?}", at(0.5), at(0.99), at(1.0));
}
