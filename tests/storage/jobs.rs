//! Jobs of a team whose list and result are in its own buckets.

use std::time::Duration;

use harvestman::{
    EngineConfig, JobSpec, RefusalCode, RequestError,
    engine::JobStatus,
    spec::{Input, OutputSpec},
    store::Status,
};
use harvestman_shop::Shop;

use crate::{
    moto::Moto,
    place::{Place, indices, object, run, through_buckets},
};

async fn world(count: u32) -> (Place, Moto) {
    let place = Place::new();
    let moto = Moto::start(&place.external_id().await);
    moto.put("s3://lists/urls.ndjson", place.list(count)).await;
    (place, moto)
}

fn problem(ended: &JobStatus) -> (&str, &str) {
    assert_eq!(ended.job.status, Status::Failed, "{:?}", ended.job);
    let problem = ended.job.problem.as_ref().unwrap();
    (&problem.code, &problem.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_a_result_are_reached_in_the_teams_role() {
    let (place, moto) = world(1_500).await;
    let engine = place.open(moto.service(&moto.address)).await;
    let output = OutputSpec::ndjson().with_max_part_bytes(1024 * 1024);
    let ended = run(&engine, through_buckets(&moto, output)).await;
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    assert_eq!((ended.job.total, ended.job.counters.ok), (Some(1_500), 1_500));
    let directory = format!("s3://results/team/{}", ended.job.id);
    assert!(ended.job.parts.len() >= 2, "{:?}", ended.job.parts);
    assert_eq!(ended.job.parts[1].location, format!("{directory}/part-00001.ndjson"));
    assert_eq!(indices(&moto, &directory).await, (0..1_500).collect::<Vec<_>>());
    assert_eq!(moto.uploads_under_way("results").await, 0);
    // What was made on the way is gone from the disk.
    assert!(!place.data().join("results").join(ended.job.id.as_str()).exists());

    // The team's bucket is the team's: its result stays when the job's is deleted here.
    engine.delete_output(&ended.job.id).await.unwrap();
    assert!(moto.names(&directory).await.len() >= 3);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_role_fails_the_job_before_anything_is_fetched() {
    let (place, moto) = world(5).await;
    // The roles ask for another external id than this engine's workspace has.
    let other = Place::new();
    let engine = other.open(moto.service(&moto.address)).await;
    let role = || Some(moto.role("role"));
    let ended = run(&engine, JobSpec::new(object("s3://lists/urls.ndjson", role()))).await;
    let (code, message) = problem(&ended);
    assert_eq!(code, "s3_access_denied");
    assert!(message.contains("AccessDenied") && message.contains("sts:AssumeRole"), "{message}");

    // A role that may be taken on and may do nothing, for the list and for the result.
    let engine = {
        engine.shutdown().await;
        place.open(moto.service(&moto.address)).await
    };
    let spec = JobSpec::new(object("s3://lists/urls.ndjson", Some(moto.role("nothing"))));
    let ended = run(&engine, spec).await;
    let (code, message) = problem(&ended);
    assert_eq!(code, "s3_access_denied");
    assert!(message.contains("s3://lists/urls.ndjson") && message.contains("AccessDenied"));
    let mut spec = through_buckets(&moto, OutputSpec::ndjson());
    spec.output.role_arn = Some(moto.role("nothing"));
    let ended = run(&engine, spec).await;
    assert_eq!(problem(&ended).0, "s3_access_denied");
    assert!(problem(&ended).1.contains("s3://results/team/"), "{}", problem(&ended).1);

    // Without a role, what isn't for everybody is denied, whatever the service may do itself.
    let ended = run(&engine, JobSpec::new(object("s3://lists/urls.ndjson", None))).await;
    assert_eq!(problem(&ended).0, "s3_access_denied");

    // An external id that is not this workspace's is never shown to anybody.
    let Input::Object { uri, role_arn, region, format, .. } =
        object("s3://lists/urls.ndjson", role())
    else {
        unreachable!("made as an object")
    };
    let external_id = Some("hv-of-somebody-else".to_owned());
    let input = Input::Object { uri, role_arn, external_id, region, format };
    let ended = run(&engine, JobSpec::new(input)).await;
    let (code, message) = problem(&ended);
    assert_eq!(code, "s3_access_denied");
    assert!(message.contains(&engine.credentials().await.unwrap().external_id), "{message}");
    assert_eq!(place.shop.requests() + other.shop.requests(), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_was_changed_says_so() {
    let place = Place::with(Shop::new().with_latency(Duration::from_millis(20)));
    let moto = Moto::start(&place.external_id().await);
    moto.put("s3://lists/urls.ndjson", place.list(3_000)).await;
    let engine = place.open(moto.service(&moto.address)).await;
    let role = || Some(moto.role("role"));
    let ended = run(&engine, JobSpec::new(object("s3://lists/none.csv", role()))).await;
    assert_eq!(problem(&ended).0, "input_unreadable");
    assert!(problem(&ended).1.contains("isn't there"), "{}", problem(&ended).1);

    // Suspended in its middle; the list is another one when the job goes on.
    let spec = JobSpec::new(object("s3://lists/urls.ndjson", role())).with_concurrency(4);
    let id = engine.submit(spec).await.unwrap().job.id;
    while engine.status(&id).await.unwrap().job.counters.done() == 0 {
        tokio::task::yield_now().await;
    }
    engine.shutdown().await;
    drop(engine);
    moto.put("s3://lists/urls.ndjson", place.list(2_999)).await;
    let engine = place.open(moto.service(&moto.address)).await;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(problem(&ended).0, "input_changed");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_bucket_holds_the_results_of_all_and_is_cleaned_up() {
    let (place, moto) = world(20).await;
    let config = |place: &Place| -> EngineConfig {
        let results = "s3://results/own".parse().unwrap();
        let lists = "s3://lists".parse().unwrap();
        place.config().with_storage(moto.admin()).with_own_bucket(lists).with_results_in(results)
    };
    let engine = harvestman::Engine::open(config(&place)).await.unwrap();
    let ended = run(&engine, JobSpec::new(object("s3://lists/urls.ndjson", None))).await;
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    let directory = format!("s3://results/own/{}", ended.job.id);
    assert_eq!(indices(&moto, &directory).await, (0..20).collect::<Vec<_>>());
    let ended = engine.delete_output(&ended.job.id).await.unwrap();
    assert!(moto.names(&directory).await.is_empty(), "{:?}", ended.job);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_opened_is_refused_at_submission() {
    let place = Place::new();
    let moto = Moto::start("hv-anybody");
    let engine = place.open(moto.service(&moto.address)).await;
    let arn = || Some(moto.role("role"));
    let delivered = |uri: &str, role: Option<String>| {
        let mut output = OutputSpec::ndjson();
        (output.s3_uri, output.role_arn) = (Some(uri.to_owned()), role);
        JobSpec::new(Input::urls([place.shop.product_url(1)])).with_output(output)
    };
    for (spec, code, path) in [
        (JobSpec::new(object("gs://a/b", None)), RefusalCode::Unavailable, "input"),
        (JobSpec::new(object("s3://a@b/c", None)), RefusalCode::SchemaInvalid, "input"),
        (
            JobSpec::new(object("s3://a/b", Some("admin".into()))),
            RefusalCode::SchemaInvalid,
            "input.role_arn",
        ),
        (delivered("s3://results/x", None), RefusalCode::SchemaInvalid, "output.role_arn"),
        (delivered("s3://results/../x", arn()), RefusalCode::SchemaInvalid, "output.s3_uri"),
    ] {
        match engine.submit(spec).await {
            Err(RequestError::Refused(refusal)) => {
                assert_eq!((refusal.code, &*refusal.fields), (code, &[path.to_owned()][..]));
            }
            other => panic!("{other:?}"),
        }
    }
    engine.shutdown().await;
}
