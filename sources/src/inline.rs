//! Tasks from a list in memory.

use std::sync::Arc;

use futures::{StreamExt, stream, stream::BoxStream};
use harvestman_engine::{Line, LineReader, Params, Result, Source, Task};
use serde_json::Value;

/// A list of tasks in memory; the line of a task is its position counted from 1.
///
/// ```
/// use harvestman_engine::Source;
/// use harvestman_sources::Inline;
///
/// let source = Inline::new(["https://a.test/", "https://b.test/"]);
/// assert_eq!(source.total(), Some(2));
/// assert_eq!(source.tasks()[1].line(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Inline {
    tasks: Arc<[Task]>,
}

impl Inline {
    /// A list of URLs with nothing else said.
    pub fn new<I: IntoIterator<Item: AsRef<str>>>(urls: I) -> Self {
        Self::from_urls(urls, &LineReader::new(Params::new()))
    }

    /// A list of URLs with the reader's defaults.
    pub fn from_urls<I: IntoIterator<Item: AsRef<str>>>(urls: I, reader: &LineReader) -> Self {
        Self::collect(urls, |line, url| reader.read_url(line, url.as_ref()))
    }

    /// A list of JSON values, each a string or an object with `url` and Scrape parameters, merged
    /// onto the reader's defaults.
    pub fn from_json<'a>(values: impl IntoIterator<Item = &'a Value>, reader: &LineReader) -> Self {
        Self::collect(values, |line, value| reader.read_json(line, value.to_string().as_bytes()))
    }

    /// The tasks, so that a caller may refuse a list with [invalid](Task::invalid) ones.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    fn collect<I: IntoIterator>(items: I, read: impl Fn(Line, I::Item) -> Task) -> Self {
        let lines = (0..).map(|index| Line { index, number: index + 1 });
        Self { tasks: lines.zip(items).map(|(line, item)| read(line, item)).collect() }
    }
}

impl Source for Inline {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let tasks = Arc::clone(&self.tasks);
        let first = usize::try_from(from).unwrap_or(usize::MAX).min(tasks.len());
        stream::iter((first..tasks.len()).map(move |index| Ok(tasks[index].clone()))).boxed()
    }

    fn total(&self) -> Option<u64> {
        Some(self.tasks.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use harvestman_engine::testing::source_conformance;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn lists_of_urls_and_of_json_conform() {
        let urls: Vec<String> = (0..9).map(|n| format!("http://a.test/{n}")).collect();
        source_conformance(&Inline::new(&urls), 9).await;
        source_conformance(&Inline::new::<[&str; 0]>([]), 0).await;
        let values = [json!("http://a.test/"), json!({"url": "http://b.test/", "id": 1}), json!(3)];
        let reader = LineReader::new(Params::new());
        source_conformance(&Inline::from_json(&values, &reader), 3).await;
    }

    #[test]
    fn values_are_merged_onto_the_defaults_and_counted_from_1() {
        let defaults: Params = serde_json::from_value(json!({"country": "de"})).unwrap();
        let reader = LineReader::new(defaults);
        let values =
            [json!("http://a.test/"), json!({"url": "http://b.test/", "country": "fr"}), json!(3)];
        let source = Inline::from_json(&values, &reader);
        let [a, b, c] = source.tasks() else { panic!("three tasks") };
        assert_eq!(a.params().country.as_deref(), Some("de"));
        assert_eq!((b.params().country.as_deref(), b.line()), (Some("fr"), 2));
        assert!(c.target().unwrap_err().message.starts_with("line 3: "));
    }
}
