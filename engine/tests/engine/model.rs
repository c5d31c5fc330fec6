//! Random submits, cancels, retries, kills and restarts against a model of what must hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use harvestman_engine::{
    Engine, JobSpec,
    engine::EngineSettings,
    id::JobId,
    spec::WebhookSpec,
    store::{ErroredQuery, JobEntry, JobQuery, Status},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::world::{World, assert_consistent, kill, spec};

/// What a user or an operator does next. Jobs are named by their number, modulo their count.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        ok: usize,
        failing: usize,
        slow: usize,
        concurrency: usize,
        budget: Option<u64>,
    },
    Cancel(usize),
    Retry(usize),
    /// The process dies at once.
    Kill,
    /// The process is asked to stop, and does.
    Restart,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let submit = (0_usize..12, 0_usize..6, 0_usize..4, 1_usize..6, prop::option::of(0_u64..10))
        .prop_map(|(ok, failing, slow, concurrency, budget)| Step::Submit {
            ok,
            failing,
            slow,
            concurrency,
            budget,
        });
    prop_oneof![
        4 => submit,
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => any::<usize>().prop_map(Step::Retry),
        2 => Just(Step::Kill),
        1 => Just(Step::Restart),
        5 => (1_u64..15_000).prop_map(Step::Wait),
    ]
}

/// What is known of a job from outside.
struct Known {
    id: JobId,
    /// The indices that its records may have.
    tasks: BTreeSet<u64>,
    /// The job as it was seen last.
    seen: JobEntry,
}

struct Model {
    world: World,
    engine: Option<Engine>,
    jobs: Vec<Known>,
}

impl Model {
    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Submit { ok, failing, slow, concurrency, budget } => {
                let mut job = spec(&[("/ok", ok + 1), ("/404", failing), ("/slow", slow)]);
                job.max_credits = budget;
                let hook = WebhookSpec::new("http://hooks.test/".parse().unwrap());
                let job = job.with_concurrency(concurrency).with_webhook(hook);
                let tasks = (0..(ok + 1 + failing + slow) as u64).collect();
                self.submit(job, tasks).await;
            }
            Step::Cancel(number) => {
                if let Some(id) = self.pick(number) {
                    self.engine().cancel(&id).await.unwrap();
                }
            }
            Step::Retry(number) => self.retry(number).await,
            Step::Kill => {
                kill(self.engine.take().unwrap()).await;
                self.engine = Some(self.world.open().await);
            }
            Step::Restart => {
                self.engine.take().unwrap().shutdown().await;
                self.engine = Some(self.world.open().await);
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }

    fn pick(&self, number: usize) -> Option<JobId> {
        let count = self.jobs.len();
        (count > 0).then(|| self.jobs[number % count].id.clone())
    }

    async fn submit(&mut self, job: JobSpec, tasks: BTreeSet<u64>) {
        let seen = self.engine().submit(job).await.unwrap().job;
        self.jobs.push(Known { id: seen.id.clone(), tasks, seen });
    }

    async fn retry(&mut self, number: usize) {
        let Some(id) = self.pick(number) else { return };
        let query = ErroredQuery { limit: 1_000, ..ErroredQuery::default() };
        let errored = self.engine().errored(&id, &query).await.unwrap();
        let tasks: BTreeSet<u64> = errored.iter().map(|errored| errored.index).collect();
        match self.engine().retry_spec(&id, b"").await {
            Ok(job) if self.is_over(&id).await && !tasks.is_empty() => {
                self.submit(job, tasks).await;
            }
            Ok(job) => {
                self.engine().submit(job).await.unwrap_err();
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn is_over(&self, id: &JobId) -> bool {
        self.engine().status(id).await.unwrap().is_terminal()
    }

    /// What holds after every step.
    async fn check(&mut self) {
        let engine = self.engine.as_ref().unwrap();
        for known in &mut self.jobs {
            let events_before = engine.store().count_events(&known.id).await.unwrap();
            let now = engine.status(&known.id).await.unwrap().job;
            assert_consistent(&now);
            let before = std::mem::replace(&mut known.seen, now.clone());
            if before.status.is_terminal() {
                // Its files may go when their time has come.
                let mut but_for_files = before.clone();
                but_for_files.output = now.output;
                assert_eq!(but_for_files, now, "a job that has ended never changes");
            }
            let done = |job: &JobEntry| job.counters.done();
            assert!(done(&before) <= done(&now), "nothing that was told is taken back");
            let events = engine.store().count_events(&known.id).await.unwrap();
            let has_ended = u64::from(now.status.is_terminal());
            // The job may have ended in between, but end and event come together.
            assert!(events_before <= has_ended && has_ended <= events, "an event with the end");
            assert!(events <= 1, "one event");
            if now.status.is_terminal() {
                check_output(&self.world, known);
            }
        }
        let listed = engine.list(&JobQuery { limit: 100, ..JobQuery::default() }).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|status| &status.job.id).collect();
        let known: Vec<_> = self.jobs.iter().rev().map(|known| &known.id).collect();
        assert_eq!(ids, known, "newest first");
    }

    /// Everything comes to its end, and everybody is told.
    async fn settle(&mut self) {
        for known in &self.jobs {
            self.engine().wait(&known.id).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.check().await;
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, request) in self.world.mail() {
            let event: Value = serde_json::from_slice(&request.body).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            told.entry(text(&event["data"]["job_id"])).or_default().insert(text(&event["id"]));
        }
        for known in &self.jobs {
            let events = told.get(known.id.as_str()).map_or(0, BTreeSet::len);
            assert_eq!(events, 1, "one event was delivered, as often as it was");
        }
    }
}

/// The output of a job that has ended is what its figures say.
fn check_output(world: &World, known: &Known) {
    let (job, records) = (&known.seen, world.records(&known.id));
    let indices = world.indices(&known.id);
    let distinct: BTreeSet<u64> = indices.iter().copied().collect();
    assert_eq!(distinct.len(), indices.len(), "no record twice: {indices:?}");
    assert!(distinct.is_subset(&known.tasks), "no record of anything else");
    assert_eq!(indices.len() as u64, job.counters.done(), "as many as were counted");
    if job.status == Status::Completed {
        assert_eq!(distinct, known.tasks, "every line has its record");
    }
    let credits: u64 = records.iter().map(|record| record["credits"].as_u64().unwrap()).sum();
    assert_eq!(credits, job.counters.credits, "credits are the sum over the file");
    assert!(job.spec.max_credits.is_none_or(|most| credits <= most), "the budget holds");
    if job.counters.done() > 0 {
        assert!(world.sink(&known.id).published().is_some(), "the output is there");
    }
}

async fn run(steps: Vec<Step>) {
    let mut settings = EngineSettings::default();
    settings.max_running = 3;
    let world = World::with(settings);
    let engine = Some(world.open().await);
    let mut model = Model { world, engine, jobs: Vec::new() };
    for step in steps {
        model.apply(step).await;
        model.check().await;
    }
    model.settle().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_whatever_happens(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
