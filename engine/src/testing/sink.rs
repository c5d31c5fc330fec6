use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Code, FetchError, Fields, Params, Part, Record, Sink, SinkState, Task};

/// A sink with a place of its own to write to, and a way to read back what it published.
pub trait SinkUnderTest: Sync {
    /// A description of the one output; the same every time.
    fn sink(&self) -> Arc<dyn Sink>;

    /// The `index` of every record in the published parts, in any order. Reads them with a reader
    /// that shares no code with the sink, and panics if a part isn't valid.
    fn indices(&self, parts: &[Part]) -> Vec<u64>;
}

/// A record of the shape `{"name": string, "price": number, "tags": array of string}`; every
/// seventh is an error.
pub fn record(index: u64) -> Record {
    let task = Task::new(index, &format!("https://shop.test/p/{index}"), Params::new());
    if index % 7 == 6 {
        return Record::error(task, FetchError::new(Code::Target5xx, "the server answered 503"));
    }
    let data = json!({
        "name": format!("Lamp \"{index}\", large\nand é {}", "x".repeat((index % 50) as usize)),
        "price": if index.is_multiple_of(5) { Value::Null } else { json!(index as f64 / 4.0) },
        "tags": ["a", format!("b{index}")],
    });
    let Value::Object(data) = data else { unreachable!("written as an object") };
    Record::ok(task, Fields::from_data(data)).with_http_status(200)
}

/// Checks the commit rule of a sink for records of the shape of [`record()`].
///
/// `make` prepares a fresh, empty place; it is called once for each case.
pub async fn sink_conformance<S: SinkUnderTest>(make: impl Fn() -> S + Send) {
    writes_everything(&make()).await;
    writes_nothing(&make()).await;
    for (committed, lost) in [(0, 3), (1, 0), (5, 40), (700, 1), (1_000, 1_000)] {
        resumes_after_a_crash(&make(), committed, lost).await;
    }
    resumes_many_times(&make()).await;
    finishes_twice(&make()).await;
    seals_for_good(&make()).await;
    refuses_a_foreign_state(&make()).await;
}

async fn writes_everything(place: &impl SinkUnderTest) {
    let mut writer = place.sink().open(None).await.unwrap();
    for first in (0..2_500).step_by(100) {
        writer.write((first..first + 100).map(record).collect()).await.unwrap();
    }
    let parts = writer.finish().await.unwrap();
    expect(place, &parts, 2_500);
}

async fn writes_nothing(place: &impl SinkUnderTest) {
    let parts = place.sink().open(None).await.unwrap().finish().await.unwrap();
    expect(place, &parts, 0);
}

/// What came after the checkpoint is cut off, and written anew by the next life.
async fn resumes_after_a_crash(place: &impl SinkUnderTest, committed: u64, lost: u64) {
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write((0..committed).map(record).collect()).await.unwrap();
    let state = writer.checkpoint().await.unwrap();
    writer.write((committed..committed + lost).map(record).collect()).await.unwrap();
    drop(writer);
    let mut writer = place.sink().open(Some(&reread(&state))).await.unwrap();
    writer.write((committed..committed + lost + 10).map(record).collect()).await.unwrap();
    let parts = writer.finish().await.unwrap();
    expect(place, &parts, committed + lost + 10);
}

async fn resumes_many_times(place: &impl SinkUnderTest) {
    let mut state = None;
    for life in 0..12 {
        let mut writer = place.sink().open(state.as_ref()).await.unwrap();
        writer.write((life * 50..life * 50 + 50).map(record).collect()).await.unwrap();
        state = Some(reread(&writer.checkpoint().await.unwrap()));
        writer.write((9_000..9_020).map(record).collect()).await.unwrap();
        if life % 2 == 0 {
            // A checkpoint that was taken but never saved: the next life knows only the one before.
            writer.checkpoint().await.unwrap();
        }
    }
    let writer = place.sink().open(state.as_ref()).await.unwrap();
    let parts = writer.finish().await.unwrap();
    expect(place, &parts, 600);
}

/// A crash after the publishing and before that was saved.
async fn finishes_twice(place: &impl SinkUnderTest) {
    let mut writer = place.sink().open(None).await.unwrap();
    writer.write((0..80).map(record).collect()).await.unwrap();
    let state = writer.checkpoint().await.unwrap();
    writer.write((80..100).map(record).collect()).await.unwrap();
    writer.finish().await.unwrap();
    let mut writer = place.sink().open(Some(&reread(&state))).await.unwrap();
    writer.write((80..130).map(record).collect()).await.unwrap();
    let parts = writer.finish().await.unwrap();
    expect(place, &parts, 130);
}

/// A part that is sealed at a checkpoint stays as it is, through a crash and to the end.
async fn seals_for_good(place: &impl SinkUnderTest) {
    let mut writer = place.sink().open(None).await.unwrap();
    assert_eq!(writer.sealed(), [], "before the first checkpoint");
    let mut sealed = Vec::new();
    let mut state = None;
    for first in (0..1_000).step_by(100) {
        writer.write((first..first + 100).map(record).collect()).await.unwrap();
        assert_eq!(writer.sealed(), sealed, "as of the last checkpoint");
        state = Some(reread(&writer.checkpoint().await.unwrap()));
        assert!(writer.sealed().starts_with(&sealed), "a sealed part never changes");
        sealed = writer.sealed();
        assert!(sealed.iter().map(|part| part.rows).sum::<u64>() <= first + 100);
    }
    writer.write((9_000..9_400).map(record).collect()).await.unwrap();
    // A checkpoint that is never saved: what it sealed is taken back.
    writer.checkpoint().await.unwrap();
    drop(writer);
    let mut writer = place.sink().open(state.as_ref()).await.unwrap();
    assert_eq!(writer.sealed(), sealed, "the parts of the checkpoint");
    writer.write((1_000..1_100).map(record).collect()).await.unwrap();
    let parts = writer.finish().await.unwrap();
    assert!(parts.starts_with(&sealed), "the end has every sealed part as it was");
    expect(place, &parts, 1_100);
}

async fn refuses_a_foreign_state(place: &impl SinkUnderTest) {
    let foreign = SinkState(json!({"kind": "something else"}));
    assert!(place.sink().open(Some(&foreign)).await.is_err(), "a state of another kind");
}

/// A state survives being written and read as JSON.
fn reread(state: &SinkState) -> SinkState {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn expect(place: &impl SinkUnderTest, parts: &[Part], count: u64) {
    let mut indices = place.indices(parts);
    indices.sort_unstable();
    let expected: Vec<_> = (0..count).collect();
    assert_eq!(indices, expected, "every record exactly once");
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), count, "the parts' rows");
}
