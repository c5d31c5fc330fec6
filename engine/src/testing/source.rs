use futures::{StreamExt, TryStreamExt};

use crate::{Source, Task};

/// Checks that every opening of a source with `count` tasks yields the same tasks.
pub async fn source_conformance(source: &dyn Source, count: u64) {
    let all = read(source, 0).await;
    assert_eq!(all.len() as u64, count, "the number of tasks");
    if let Some(total) = source.total() {
        assert_eq!(total, count, "total() is the number of tasks");
    }
    for from in [0, 1, count / 3, count / 2, count.saturating_sub(1), count, count + 1, count + 99]
    {
        let expected = all.get(from as usize..).unwrap_or_default();
        assert_eq!(read(source, from).await, expected, "the tasks from {from} on");
    }
    // A stream that is dropped half-way harms no other one.
    let mut left = source.open(0);
    let mut other = source.open(0);
    left.next().await;
    drop(left);
    assert_eq!(other.try_next().await.unwrap().map(|task| describe(&task)), all.first().cloned());
}

async fn read(source: &dyn Source, from: u64) -> Vec<String> {
    let tasks: Vec<Task> = source.open(from).try_collect().await.unwrap();
    for (offset, task) in tasks.iter().enumerate() {
        assert_eq!(task.ordinal(), from + offset as u64, "ordinals count up by one");
    }
    tasks.iter().map(describe).collect()
}

/// All that a record would show of a task.
fn describe(task: &Task) -> String {
    let metadata = task.metadata().map(serde_json::value::RawValue::get);
    let error = task.target().err().map(|error| (error.code, &error.message));
    format!(
        "{} {} {} {:?} {:?} {metadata:?} {error:?} {:?}",
        task.ordinal(),
        task.index(),
        task.line(),
        task.url(),
        task.id(),
        task.params()
    )
}
