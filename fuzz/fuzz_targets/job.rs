//! Any body is refused, or is a job whose spec reads back from what it is kept as.
#![no_main]

use harvestman_engine::{JobSpec, spec::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(submission) = JobSpec::read(bytes, &Limits::default()) else { return };
    let kept = serde_json::to_string(&submission.spec).expect("a spec is JSON");
    let again: JobSpec = serde_json::from_str(&kept).expect("what is kept is read");
    assert_eq!(serde_json::to_string(&again).expect("a spec is JSON"), kept);
});
