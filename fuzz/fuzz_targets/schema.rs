//! Any JSON is refused with its place, or is a schema that reads back from what it was written as.
#![no_main]

use harvestman_engine::Schema;
use harvestman_extractors::Standard;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(written) = serde_json::from_slice::<Value>(bytes) else { return };
    match Schema::from_json(written) {
        Err(error) => assert!(error.to_string().starts_with("extract")),
        Ok(schema) => {
            let again = serde_json::to_value(&schema).expect("a schema is JSON");
            assert_eq!(Schema::from_json(again).as_ref(), Ok(&schema));
            let _ = Standard::check(&schema);
        }
    }
});
