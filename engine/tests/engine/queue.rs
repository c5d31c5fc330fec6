//! Several jobs side by side.

use std::time::Duration;

use harvestman_engine::{engine::EngineSettings, store::Status};
use tokio::time::Instant;

use crate::world::{World, spec};

#[tokio::test(start_paused = true)]
async fn jobs_start_in_their_order() {
    let mut settings = EngineSettings::default();
    settings.max_running = 2;
    let world = World::with(settings);
    let engine = world.open().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(engine.submit(spec(&[("/ok", 3)])).await.unwrap().job.id);
    }
    let mut started = Vec::new();
    for id in &ids {
        started.push(engine.wait(id).await.unwrap().job.started_at.unwrap());
    }
    assert!(started.is_sorted(), "{started:?}");
    assert!(started[0] < started[5]);
}

#[tokio::test(start_paused = true)]
async fn a_small_job_is_not_stuck_behind_a_huge_one() {
    let world = World::new();
    let engine = world.open().await;
    let huge = engine.submit(spec(&[("/slow", 1_000)]).with_concurrency(256)).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = Instant::now();
    let small = engine.submit(spec(&[("/ok", 20)])).await.unwrap().job.id;
    engine.wait(&small).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(engine.status(&huge).await.unwrap().job.status, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_leaves_the_queue_without_being_begun() {
    let mut settings = EngineSettings::default();
    settings.max_running = 1;
    let world = World::with(settings);
    let engine = world.open().await;
    let first = engine.submit(spec(&[("/slow", 3)])).await.unwrap().job.id;
    let second = engine.submit(spec(&[("/ok", 3)])).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cancelled = engine.cancel(&second).await.unwrap();
    assert_eq!(cancelled.job.status, Status::Cancelled);
    assert_eq!(cancelled.job.skipped(), Some(3));
    engine.wait(&first).await.unwrap();
    assert!(world.indices(&second).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_begins_no_job_twice() {
    let world = World::new();
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/slow", 12)]).with_concurrency(2)).await.unwrap().job.id;
    for hours in [12, -14, 30] {
        tokio::time::sleep(Duration::from_secs(33)).await;
        world.set_clock_by(hours * 3_600);
        // Wakes the scheduler before the lease would be renewed.
        engine.submit(spec(&[("/ok", 1)])).await.unwrap();
    }
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.reason), (Status::Completed, None));
    assert_eq!(world.fetched("/slow"), 12, "each page once");
    assert_eq!(world.indices(&id), (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_fetches_nothing_twice() {
    let world = World::new();
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/slow", 40)]).with_concurrency(8)).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(30)).await;
    engine.shutdown().await;
    let done = world.indices(&id).len();
    assert!((8..40).contains(&done), "{done}");
    drop(engine);
    let engine = world.open().await;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(ended.job.status, Status::Completed);
    assert_eq!(ended.job.counters.attempts, 40, "one attempt a page, over both lives");
    assert_eq!(world.indices(&id), (0..40).collect::<Vec<_>>());
}
