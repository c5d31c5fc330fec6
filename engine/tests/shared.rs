//! The promises of jobs that share slots, memory and hosts, on paused time.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use harvestman_engine::{
    Code, Ending, FetchError, Fetcher, HostLimits, Job, JobHandle, MemoryStore, Page, Part, Record,
    Result, RetryPolicy, Shared, SharedLimits, Sink, SinkState, SinkWriter, StopReason, Task,
    params::RetryParams,
    testing::{ListSource, MemorySink, Reply},
};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The servers, which see the requests of all jobs.
#[derive(Debug, Default)]
struct Web {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Which job asked, and when.
    log: Vec<(usize, Instant)>,
    in_flight: BTreeMap<String, usize>,
    most_at_a_host: usize,
    most: usize,
}

impl Web {
    /// A fetcher of this job, which answers by its script.
    fn client<F>(self: &Arc<Self>, job: usize, script: F) -> Arc<Client<F>>
    where
        F: Fn(&Task) -> Reply + Send + Sync,
    {
        Arc::new(Client { web: Arc::clone(self), job, script })
    }

    /// When the job asked.
    fn times(&self, job: usize) -> Vec<Instant> {
        let seen = self.seen.lock().unwrap();
        seen.log.iter().filter(|(asked, _)| *asked == job).map(|(_, at)| *at).collect()
    }

    /// How many requests were under way at most: at one host, and at all.
    fn most(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        (seen.most_at_a_host, seen.most)
    }
}

struct Client<F> {
    web: Arc<Web>,
    job: usize,
    script: F,
}

impl<F> std::fmt::Debug for Client<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "job {}", self.job)
    }
}

/// A request under way, until it is dropped.
struct Request<'a>(&'a Web, String);

impl<'a> Request<'a> {
    fn begin(web: &'a Web, job: usize, host: &str) -> Self {
        let mut seen = web.seen.lock().unwrap();
        seen.log.push((job, Instant::now()));
        *seen.in_flight.entry(host.to_owned()).or_default() += 1;
        seen.most_at_a_host = seen.most_at_a_host.max(seen.in_flight[host]);
        seen.most = seen.most.max(seen.in_flight.values().sum());
        Self(web, host.to_owned())
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        *self.0.seen.lock().unwrap().in_flight.get_mut(&self.1).unwrap() -= 1;
    }
}

#[async_trait]
impl<F: Fn(&Task) -> Reply + Send + Sync> Fetcher for Client<F> {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let _request = Request::begin(&self.web, self.job, task.host());
        // Large on the pages that say so.
        let size = if task.target().unwrap().path() == "/large" { 100 * 1024 } else { 0 };
        let page = || Page::new(task.target().unwrap().clone(), "x".repeat(size));
        match (self.script)(task) {
            Reply::Page(after) => {
                sleep(after).await;
                Ok(page())
            }
            Reply::Fail(code, after) => {
                sleep(after).await;
                Err(FetchError::new(code, "as told"))
            }
            Reply::SlowDown(wait) => {
                Err(FetchError::new(Code::Target429, "as told").with_retry_after(Some(wait)))
            }
            Reply::Panic => panic!("as told"),
            Reply::Hang => std::future::pending().await,
        }
    }
}

/// A job of `count` pages over `hosts` hosts.
fn job(fetcher: Arc<dyn Fetcher>, shared: &Shared, count: usize, hosts: usize) -> Job {
    let urls = (0..count).map(|index| format!("http://h{}.test/", index % hosts));
    let source = Arc::new(ListSource::new(urls));
    Job::new(source, fetcher, Arc::new(MemorySink::new())).with_shared(shared)
}

async fn completed(jobs: impl IntoIterator<Item = JobHandle>) {
    for report in join_all(jobs.into_iter().map(JobHandle::wait)).await {
        assert_eq!(report.unwrap().ending, Ending::Completed);
    }
}

/// How far ahead one of two jobs was at most of the other, while both had work.
fn most_ahead(web: &Web, jobs: [usize; 2], count: usize) -> usize {
    let [mut a, mut b] = [0_usize; 2];
    let mut most = 0;
    for (job, _) in &web.seen.lock().unwrap().log {
        a += usize::from(*job == jobs[0]);
        b += usize::from(*job == jobs[1]);
        if a < count && b < count {
            most = most.max(a.abs_diff(b));
        }
    }
    most
}

#[tokio::test(start_paused = true)]
async fn the_places_at_a_host_are_those_of_all_jobs_and_go_round() {
    let three = HostLimits::default().with_concurrency(3);
    for (of_all, of_each) in [(three, HostLimits::default()), (HostLimits::default(), three)] {
        let (web, shared) =
            (Arc::default(), Shared::new(SharedLimits::default().with_hosts(of_all)));
        let web: Arc<Web> = web;
        let begun = Instant::now();
        let jobs = [0, 1].map(|number| {
            let fetcher = web.client(number, |_| Reply::Page(ms(100)));
            job(fetcher, &shared, 60, 1).with_hosts(of_each).spawn()
        });
        completed(jobs).await;
        assert_eq!(web.most().0, 3, "at a time");
        assert!((ms(4_000)..ms(4_200)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let ahead = most_ahead(&web, [0, 1], 60);
        assert!(ahead <= 3, "{ahead} requests ahead of the other");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_host_is_that_of_all_jobs() {
    let limits = HostLimits::default().with_per_second(5.0);
    let shared = Shared::new(SharedLimits::default().with_hosts(limits));
    let web: Arc<Web> = Arc::default();
    let jobs = [0, 1, 2].map(|number| {
        let fetcher = web.client(number, |_| Reply::Page(ms(500)));
        job(fetcher, &shared, 20, 1).spawn()
    });
    completed(jobs).await;
    let times: Vec<_> = web.seen.lock().unwrap().log.iter().map(|(_, at)| *at).collect();
    assert_eq!(times.len(), 60);
    for pair in times.windows(6) {
        assert!(pair[5] - pair[0] >= ms(985), "{:?}", pair[5] - pair[0]);
    }
    assert!(times[59] - times[0] < ms(59 * 200 + 500), "{:?}", times[59] - times[0]);
    for jobs in [[0, 1], [1, 2], [0, 2]] {
        // The first one queues up again before the others are there.
        assert!(most_ahead(&web, jobs, 20) <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_job_was_asked_for_holds_for_all() {
    let (web, shared): (Arc<Web>, _) = (Arc::default(), Shared::default());
    let is_first = AtomicBool::new(true);
    let first = web.client(0, move |_| {
        let is_first = is_first.swap(false, Ordering::Relaxed);
        if is_first { Reply::SlowDown(ms(5_000)) } else { Reply::Page(ms(10)) }
    });
    let begun = Instant::now();
    let first = job(first, &shared, 3, 1).spawn();
    sleep(ms(5)).await;
    let second = web.client(1, |_| Reply::Page(ms(10)));
    // Host 0 of 2 is the paused one.
    let second = job(second, &shared, 100, 2).spawn();
    completed([first, second]).await;
    let early = |at: &&Instant| **at < begun + ms(5_000);
    assert_eq!(web.times(1).iter().filter(early).count(), 50, "the other host goes on");
    assert!(begun.elapsed() < ms(6_500), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_small_job_gets_its_share_beside_a_huge_one() {
    let shared = Shared::new(SharedLimits::default().with_slots(64));
    let web: Arc<Web> = Arc::default();
    let begun = Instant::now();
    let huge = web.client(0, |_| Reply::Page(ms(100)));
    let huge = job(huge, &shared, 10_000, 100).with_concurrency(1_000).spawn();
    sleep(ms(2_050)).await;

    let arrived = Instant::now();
    let small = web.client(1, |_| Reply::Page(ms(100)));
    completed([job(small, &shared, 320, 50).with_concurrency(64).spawn()]).await;
    // A half of the slots: 320 × 100 ms ÷ 32.
    let taken = arrived.elapsed();
    assert!((ms(900)..ms(1_300)).contains(&taken), "{taken:?}");

    completed([huge]).await;
    let ideal = ms(10_320 * 100 / 64);
    assert!(begun.elapsed() < ideal.mul_f64(1.05), "{:?} of {ideal:?}", begun.elapsed());
    assert_eq!(web.most().1, 64);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_wants_little_leaves_the_rest_to_the_others() {
    let shared = Shared::new(SharedLimits::default().with_slots(60));
    let web: Arc<Web> = Arc::default();
    let begun = Instant::now();
    let jobs = [(5, 250), (1_000, 1_375), (1_000, 1_375)];
    let jobs = jobs.into_iter().enumerate().map(|(number, (concurrency, count))| {
        let fetcher = web.client(number, |_| Reply::Page(ms(100)));
        job(fetcher, &shared, count, 50).with_concurrency(concurrency).spawn()
    });
    completed(jobs.collect::<Vec<_>>()).await;
    // 5 slots for one and 27.5 for each of the two others: all are done after about 5 s.
    let taken = begun.elapsed();
    assert!((ms(5_000)..ms(5_500)).contains(&taken), "{taken:?}");
}

/// A sink that takes nothing, ever.
#[derive(Debug)]
struct Stalled;

#[async_trait]
impl Sink for Stalled {
    async fn open(&self, _resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl SinkWriter for Stalled {
    async fn write(&mut self, _records: Vec<Record>) -> Result<()> {
        std::future::pending().await
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        Ok(SinkState(json!({})))
    }

    fn sealed(&self) -> Vec<Part> {
        Vec::new()
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Part>> {
        Ok(Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_whose_sinks_stall_stop_no_other_one() {
    // Memory for 30 pages and slots for 8; all ask the same host, which takes 3 at a time.
    let limits = SharedLimits::default().with_slots(8).with_page_bytes(3_000 * 1024);
    let shared = Shared::new(limits.with_hosts(HostLimits::default().with_concurrency(3)));
    let web: Arc<Web> = Arc::default();
    let stalled: Vec<_> = [0, 1]
        .into_iter()
        .map(|number| {
            let fetcher = web.client(number, |_| Reply::Page(ms(10)));
            let urls = (0..500).map(|_| "http://h0.test/large");
            let source = Arc::new(ListSource::new(urls));
            Job::new(source, fetcher, Arc::new(Stalled)).with_shared(&shared).spawn()
        })
        .collect();
    sleep(ms(5_000)).await;
    let held = web.seen.lock().unwrap().log.len();
    assert!(held <= 30, "{held} pages in memory");

    let begun = Instant::now();
    let fetcher = web.client(2, |_| Reply::Page(ms(100)));
    completed([job(fetcher, &shared, 300, 1).spawn()]).await;
    assert!(begun.elapsed() < ms(10_500), "{:?}", begun.elapsed());
    for job in stalled {
        job.abort();
        job.wait().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_in_any_way_gives_back_what_it_held() {
    type End = fn(&JobHandle);
    let ends: [End; 3] = [
        JobHandle::abort,
        // The attempts under way never end and are given up.
        JobHandle::suspend,
        |job| job.stopper().cancel_for(StopReason::Deadline),
    ];
    for end in ends {
        let limits = SharedLimits::default().with_slots(8);
        let shared = Shared::new(limits.with_hosts(HostLimits::default().with_concurrency(4)));
        let web: Arc<Web> = Arc::default();
        let hanging = web.client(0, |_| Reply::Hang);
        let hanging = job(hanging, &shared, 100, 2).with_grace(ms(500)).spawn();
        // Waits for a slot and for the hosts.
        let waiting = web.client(1, |_| Reply::Page(ms(100)));
        let waiting = job(waiting, &shared, 100, 2).spawn();
        sleep(ms(1_000)).await;
        end(&hanging);
        hanging.wait().await.unwrap();
        end(&waiting);
        waiting.wait().await.unwrap();

        let begun = Instant::now();
        let next = web.client(2, |_| Reply::Page(ms(100)));
        completed([job(next, &shared, 160, 2).spawn()]).await;
        assert!(begun.elapsed() < ms(2_500), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_share_nothing_know_nothing_of_one_another() {
    let web: Arc<Web> = Arc::default();
    let begun = Instant::now();
    let jobs = [0, 1].map(|number| {
        let fetcher = web.client(number, |_| Reply::Page(ms(100)));
        let source = Arc::new(ListSource::new(vec!["http://h0.test/"; 30]));
        let job = Job::new(source, fetcher, Arc::new(MemorySink::new()));
        job.with_hosts(HostLimits::default().with_concurrency(3)).spawn()
    });
    completed(jobs).await;
    assert_eq!(web.most().0, 6);
    assert!(begun.elapsed() < ms(1_300));
}

/// What a job of the property test is like.
#[derive(Clone, Debug)]
struct Plan {
    arrives: u64,
    count: usize,
    hosts: usize,
    concurrency: usize,
    latency: u64,
    suspended_after: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    (0_u64..3_000, 1_usize..80, 1_usize..6, 1_usize..20, 5_u64..300, 0_u64..4_000).prop_map(
        |(arrives, count, hosts, concurrency, latency, suspended_after)| Plan {
            arrives,
            count,
            hosts,
            concurrency,
            latency,
            suspended_after,
        },
    )
}

/// Runs a job that is suspended once, to its end.
async fn run(plan: Plan, number: usize, web: Arc<Web>, shared: Shared) {
    sleep(ms(plan.arrives)).await;
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let latency = plan.latency;
    let fetcher = web.client(number, move |task| match task.index() % 11 {
        3 => Reply::Fail(Code::Target5xx, ms(latency)),
        7 => Reply::SlowDown(ms(latency)),
        index => Reply::Page(ms(latency + index)),
    });
    for life in 0..2 {
        let urls = (0..plan.count).map(|index| format!("http://h{}.test/", index % plan.hosts));
        let job =
            Job::new(Arc::new(ListSource::new(urls)), fetcher.clone(), Arc::new(sink.clone()));
        let retry = RetryPolicy::default().with_params(RetryParams::up_to(1));
        let job = job.with_store(store.clone()).with_retry(retry).with_shared(&shared);
        let running = job.with_concurrency(plan.concurrency).spawn();
        let stopper = running.stopper();
        let suspend = async {
            sleep(ms(plan.suspended_after)).await;
            stopper.suspend();
            std::future::pending::<()>().await;
        };
        let wait = running.wait();
        tokio::pin!(wait);
        let report = if life == 0 {
            tokio::select! {
                report = &mut wait => report.unwrap(),
                () = suspend => unreachable!("it never ends"),
            }
        } else {
            wait.await.unwrap()
        };
        if report.ending == Ending::Completed {
            break;
        }
    }
    assert_eq!(sink.published().unwrap().len(), plan.count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn limits_hold_at_any_instant_and_every_job_ends(
        plans in prop::collection::vec(plan(), 1..6),
        slots in 1_usize..12,
        at_a_host in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let limits = HostLimits::default().with_concurrency(at_a_host);
        let (web, most) = runtime.block_on(async {
            let shared = Shared::new(SharedLimits::default().with_slots(slots).with_hosts(limits));
            let web: Arc<Web> = Arc::default();
            let jobs = plans.into_iter().enumerate().map(|(number, plan)| {
                tokio::spawn(run(plan, number, Arc::clone(&web), shared.clone()))
            });
            let ended = timeout(Duration::from_hours(1), join_all(jobs.collect::<Vec<_>>())).await;
            ended.expect("no job waits for ever").into_iter().for_each(|job| job.unwrap());
            let most = web.most();
            (web, most)
        });
        prop_assert!(most.0 <= at_a_host && most.1 <= slots, "{:?}", most);
        prop_assert!(web.seen.lock().unwrap().in_flight.values().all(|count| *count == 0));
    }
}
