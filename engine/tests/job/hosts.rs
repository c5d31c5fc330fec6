//! Hosts: their limits, their pauses, their share, and what they hold up.

use std::sync::Arc;

use harvestman_engine::{
    HostLimits, Job, MAX_SLOWEST_HOSTS, Params,
    params::RetryParams,
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher},
};
use tokio::time::Instant;

use crate::{assert_complete, ms, source};

#[tokio::test(start_paused = true)]
async fn a_retry_after_pauses_the_whole_host_and_no_other() {
    // Host 0 asks for a pause of 5 s at its first request.
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index(), attempt) {
        (0, 1) => Reply::SlowDown(ms(5_000)),
        _ => Reply::Page(ms(10)),
    });
    let sink = MemorySink::new();
    let begun = Instant::now();
    let job = Job::new(source(400, 4), fetcher.clone(), Arc::new(sink.clone()));
    job.with_concurrency(1).spawn().wait().await.unwrap();

    assert_complete(&sink, 400);
    let log = fetcher.log();
    let early = log.iter().skip(1).filter(|(index, at)| index % 4 == 0 && *at < begun + ms(5_000));
    assert_eq!(early.count(), 0, "requests to the paused host before its time");
    let others = log.iter().filter(|(index, _)| index % 4 != 0).map(|(_, at)| *at).max().unwrap();
    assert!(others < begun + ms(4_000), "the others went on: {:?}", others - begun);
    assert!(begun.elapsed() < ms(8_000));
}

#[tokio::test(start_paused = true)]
async fn a_tar_pit_gets_its_share_of_the_slots_and_no_more() {
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() % 100 {
        0 => Reply::Hang,
        _ => Reply::Page(ms(100)),
    });
    let sink = MemorySink::new();
    let params = Params::new().with_retry(RetryParams::never());
    let urls = (0..10_000).map(|index| format!("http://h{}.test/", index % 100));
    let source = Arc::new(ListSource::new(urls).with_params(params));
    let begun = Instant::now();
    let job = Job::new(source, fetcher.clone(), Arc::new(sink.clone())).with_concurrency(64);
    job.spawn().wait().await.unwrap();

    let last = fetcher.log().iter().filter(|(index, _)| index % 100 != 0).map(|(_, at)| *at).max();
    let ideal = ms(100) * 9_900 / 64;
    let taken = last.unwrap() - begun;
    assert!(taken < ideal.mul_f64(1.1), "{taken:?} instead of {ideal:?}");
    assert_complete(&sink, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_single_host_gets_the_whole_concurrency() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let sink = MemorySink::new();
    let begun = Instant::now();
    let job = Job::new(source(10_000, 1), fetcher, Arc::new(sink)).with_concurrency(100);
    job.spawn().wait().await.unwrap();
    assert!(begun.elapsed() < ms(100 * 100 + 500), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn host_limits_hold() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let limits = HostLimits::default().with_per_second(5.0);
    let begun = Instant::now();
    let job = Job::new(source(40, 2), fetcher.clone(), Arc::new(MemorySink::new()));
    job.with_hosts(limits).spawn().wait().await.unwrap();
    // 20 requests a host, 200 ms apart.
    assert!((ms(3_700)..ms(4_200)).contains(&begun.elapsed()), "{:?}", begun.elapsed());

    let limits = HostLimits::default().with_concurrency(3);
    let begun = Instant::now();
    let job = Job::new(source(60, 2), fetcher, Arc::new(MemorySink::new()));
    job.with_hosts(limits).spawn().wait().await.unwrap();
    assert!((ms(1_000)..ms(1_400)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_eta_knows_the_slowest_host() {
    // Host 0 takes ten times as long, and both have as many tasks.
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() % 2 {
        0 => Reply::Page(ms(1_000)),
        _ => Reply::Page(ms(100)),
    });
    let limits = HostLimits::default().with_concurrency(1);
    let job = Job::new(source(400, 2), fetcher, Arc::new(MemorySink::new()));
    let job = job.with_hosts(limits).spawn();
    tokio::time::sleep(ms(10_100)).await;
    let progress = job.progress();
    assert_eq!(progress.total, Some(400));
    let eta = progress.eta.unwrap().as_secs_f64();
    assert!((150.0..230.0).contains(&eta), "{eta} s for 190 pages of one second");
    assert!((5.0..12.0).contains(&progress.rate.unwrap()), "{:?}", progress.rate);
    let hosts: Vec<_> = progress.slowest_hosts.iter().map(|host| &*host.host).collect();
    assert_eq!(hosts, ["h0.test", "h1.test"]);
    let slow = &progress.slowest_hosts[0];
    assert_eq!((slow.in_flight, slow.paused_for), (1, None));
    assert!((190..193).contains(&slow.remaining), "{slow:?}");
    assert!((0.8..1.2).contains(&slow.per_second.unwrap()), "{slow:?}");
    assert_eq!(slow.eta, progress.eta);
    job.abort();
}

#[tokio::test(start_paused = true)]
async fn a_paused_host_is_among_the_slowest() {
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index(), attempt) {
        (0, 1) => Reply::SlowDown(ms(60_000)),
        _ => Reply::Page(ms(100)),
    });
    let job = Job::new(source(2_000, 20), fetcher, Arc::new(MemorySink::new()));
    let job = job.with_concurrency(4).spawn();
    tokio::time::sleep(ms(5_100)).await;
    let hosts = job.progress().slowest_hosts;
    assert_eq!(hosts.len(), MAX_SLOWEST_HOSTS);
    assert_eq!((&*hosts[0].host, hosts[0].remaining, hosts[0].in_flight), ("h0.test", 100, 0));
    assert!((ms(54_000)..ms(56_000)).contains(&hosts[0].paused_for.unwrap()), "{:?}", hosts[0]);
    assert!(hosts.windows(2).all(|pair| pair[0].eta >= pair[1].eta));
    job.abort();
}
