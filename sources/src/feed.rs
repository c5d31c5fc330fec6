//! Tasks from a thread as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    thread, vec,
};

use futures::{Stream, StreamExt, stream::BoxStream};
use harvestman_engine::{Error, Result, Task};
use tokio::sync::mpsc;

/// How many batches wait for the reader of a stream.
const QUEUED_BATCHES: usize = 2;

/// Runs `read` on a thread of its own and yields what it sends.
///
/// The thread is no task of the runtime, which would wait at its end for a read from a silent pipe.
pub(crate) fn stream(
    read: impl FnOnce(&Outlet) -> Result<()> + Send + 'static,
) -> BoxStream<'static, Result<Task>> {
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let outlet = Outlet(sender);
    let spawned = thread::Builder::new().name("harvestman-input".to_owned()).spawn(move || {
        let end = match read(&outlet) {
            Ok(()) => Message::End,
            Err(error) => Message::Failed(error),
        };
        // Nobody listens any more if this fails.
        drop(outlet.0.blocking_send(end));
    });
    let feed = Feed { receiver, batch: Vec::new().into_iter(), is_ended: false };
    match spawned {
        Ok(_) => feed.boxed(),
        Err(error) => {
            let error = Error::io("start a thread to read", "the input")(error);
            futures::stream::iter([Err(error)]).boxed()
        }
    }
}

/// Where a thread puts its tasks.
#[derive(Debug)]
pub(crate) struct Outlet(mpsc::Sender<Message>);

impl Outlet {
    /// Waits until there is room. False if the stream was dropped: the thread should end.
    pub(crate) fn send(&self, batch: Vec<Task>) -> bool {
        self.0.blocking_send(Message::Batch(batch)).is_ok()
    }

    /// Whether the stream was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

#[derive(Debug)]
enum Message {
    Batch(Vec<Task>),
    Failed(Error),
    /// Said aloud, so that a thread that panics isn't taken for one at its end.
    End,
}

struct Feed {
    receiver: mpsc::Receiver<Message>,
    batch: vec::IntoIter<Task>,
    is_ended: bool,
}

impl Stream for Feed {
    type Item = Result<Task>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Task>>> {
        loop {
            if let Some(task) = self.batch.next() {
                return Poll::Ready(Some(Ok(task)));
            }
            if self.is_ended {
                return Poll::Ready(None);
            }
            match ready!(self.receiver.poll_recv(context)) {
                Some(Message::Batch(batch)) => self.batch = batch.into_iter(),
                last => {
                    self.is_ended = true;
                    return Poll::Ready(last_item(last).map(Err));
                }
            }
        }
    }
}

fn last_item(message: Option<Message>) -> Option<Error> {
    match message {
        Some(Message::Failed(error)) => Some(error),
        Some(Message::Batch(_) | Message::End) => None,
        None => {
            let message = "the thread that reads the input ended early".to_owned();
            Some(Error::Panicked { part: "source", message })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use harvestman_engine::Params;

    use super::*;

    fn batch(range: std::ops::Range<u64>) -> Vec<Task> {
        range.map(|index| Task::new(index, "http://a.test/", Params::new())).collect()
    }

    #[tokio::test]
    async fn tasks_come_in_order_and_before_the_error() {
        let mut stream = stream(|outlet| {
            assert!(outlet.send(batch(0..3)) && outlet.send(batch(3..4)));
            Err(Error::invalid("a", "b"))
        });
        for index in 0..4 {
            assert_eq!(stream.try_next().await.unwrap().unwrap().index(), index);
        }
        assert_eq!(stream.try_next().await.unwrap_err().to_string(), "a: b");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_no_end() {
        let mut stream = stream(|_| panic!("a test panics on purpose"));
        assert!(matches!(stream.next().await, Some(Err(Error::Panicked { part: "source", .. }))));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_dropped_stream_ends_the_thread() {
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let stream = stream(move |outlet| {
            while outlet.send(batch(0..1)) {}
            ended.send(outlet.is_closed()).unwrap();
            Ok(())
        });
        drop(stream);
        assert!(has_ended.await.unwrap());
    }
}
