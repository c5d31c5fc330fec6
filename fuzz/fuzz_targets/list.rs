//! Any upload is refused as a whole, or kept byte for byte with its lines counted: text, NDJSON, CSV,
//! gzip, zstd.
#![no_main]

use harvestman_sources::{Compression, InputFormat, ReceiveOptions, receive};
use libfuzzer_sys::fuzz_target;

const MAX_BYTES: u64 = 1024 * 1024;

fuzz_target!(|sent: (u8, &[u8])| {
    let (choice, bytes) = sent;
    let mut options = ReceiveOptions::new().with_max_bytes(MAX_BYTES);
    match choice % 4 {
        0 => options = options.with_format(InputFormat::Ndjson),
        1 => options = options.with_format(InputFormat::Csv),
        2 => options = options.with_format(InputFormat::Text),
        _ => {}
    }
    let is_plain = choice & 4 != 0;
    if is_plain {
        options = options.with_compression(Compression::None);
    }
    let mut kept = Vec::new();
    let Ok(received) = receive(bytes, &mut kept, &options) else { return };
    assert!(received.invalid <= received.tasks);
    assert!(kept.len() as u64 <= MAX_BYTES);
    assert!(!is_plain || kept == bytes);
});
