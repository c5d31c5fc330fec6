use futures::{FutureExt, future::join_all};

use crate::{Fetcher, Task};

/// Checks a fetcher with a task that has a page and one that has none.
pub async fn fetcher_conformance(fetcher: &dyn Fetcher, good: &Task, bad: &Task) {
    let page = fetcher.fetch(good).await.expect("the good task has a page");
    assert!(page.text.len() as u64 <= good.params().max_bytes(), "max_bytes is kept");
    assert!(good.params().accepts_status(page.status), "the status is an accepted one");
    let error = fetcher.fetch(bad).await.expect_err("the bad task has no page");
    assert!(!error.message.is_empty(), "an error says what happened");
    // A dropped attempt harms no other one, and attempts run side by side.
    for _ in 0..10 {
        drop(fetcher.fetch(good).now_or_never());
    }
    for again in join_all((0..10).map(|_| fetcher.fetch(good))).await {
        assert_eq!(again.unwrap().text, page.text, "the same page");
    }
}
