//! Checks rows on several threads.

use std::{
    mem, panic,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{Scope, ScopedJoinHandle},
};

use super::{batch::Batch, tally::Tally};
use crate::parser::Parser;

/// How many batches wait for each helping thread.
const QUEUED_BATCHES: usize = 2;

/// Rows are gathered into batches, which this thread and its helpers check.
///
/// Every thread takes batches in their order, so that its first errors hold the first of all: they
/// need no more than to be merged at the end.
#[derive(Debug)]
pub(super) struct Checks<'scope, 'env, P> {
    scope: &'scope Scope<'scope, 'env>,
    new_parser: &'env P,
    threads: usize,
    parser: Parser,
    tally: Tally,
    batch: Batch,
    helpers: Vec<ScopedJoinHandle<'scope, Tally>>,
    queue: Option<SyncSender<Batch>>,
}

impl<'scope, 'env, P: Fn() -> Parser + Sync> Checks<'scope, 'env, P> {
    /// Checks on this thread and `threads - 1` others.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        new_parser: &'env P,
        threads: usize,
    ) -> Self {
        let (tally, batch) = (Tally::default(), Batch::default());
        let (helpers, queue, parser) = (Vec::new(), None, new_parser());
        Self { scope, new_parser, threads, parser, tally, batch, helpers, queue }
    }

    pub(super) fn add(&mut self, row: &crate::rows::Row<'_>) {
        self.batch.push(row);
        if self.batch.is_full() {
            self.hand_over();
        }
    }

    /// Gives the batch to whoever has time for it: the helpers, or else this thread.
    fn hand_over(&mut self) {
        // A small upload is not worth a thread.
        let queue = self.queue.get_or_insert_with(|| {
            let (queue, batches) = sync_channel(QUEUED_BATCHES * (self.threads - 1));
            let batches = Arc::new(Mutex::new(batches));
            let help = || help(self.scope, self.new_parser, Arc::clone(&batches));
            self.helpers = (1..self.threads).map(|_| help()).collect();
            queue
        });
        match queue.try_send(mem::take(&mut self.batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.batch = batch;
                self.check();
            }
        }
    }

    fn check(&mut self) {
        self.batch.check(&mut self.parser, &mut self.tally);
        self.batch.clear();
    }

    /// Waits until all rows are checked. A helper's panic goes on here.
    pub(super) fn finish(mut self) -> Tally {
        self.check();
        drop(self.queue);
        for helper in self.helpers {
            match helper.join() {
                Ok(tally) => self.tally.merge(tally),
                Err(payload) => panic::resume_unwind(payload),
            }
        }
        self.tally
    }
}

fn help<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    new_parser: &'env (impl Fn() -> Parser + Sync),
    batches: Arc<Mutex<Receiver<Batch>>>,
) -> ScopedJoinHandle<'scope, Tally> {
    scope.spawn(move || {
        let (mut parser, mut tally) = (new_parser(), Tally::default());
        while let Some(batch) = next(&batches) {
            batch.check(&mut parser, &mut tally);
        }
        tally
    })
}

fn next(batches: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
