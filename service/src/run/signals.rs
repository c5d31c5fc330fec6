//! Ctrl-C and SIGTERM: the first one suspends the job, the second one ends it at once.

use harvestman::{JobHandle, Report, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::display::Display;

/// Waits for the job's end while obeying the signals.
pub(super) async fn obeyed_by(job: JobHandle, display: &Display) -> Result<Report> {
    let mut signals = Signals::new();
    let stopper = job.stopper();
    let end = job.wait();
    tokio::pin!(end);
    tokio::select! {
        report = &mut end => return report,
        () = signals.next() => {}
    }
    display.note("stopping: finishing the pages under way, press Ctrl-C again to end at once");
    stopper.suspend();
    tokio::select! {
        report = &mut end => return report,
        () = signals.next() => stopper.abort(),
    }
    end.await
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Self {
        let listen = |kind| signal(kind).expect("the runtime can listen to signals");
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
