//! What is left of a job that could not go on.

use std::{io::ErrorKind, sync::Arc};

use super::{Core, JobContext};
use crate::{Checkpoint, Error, Result, Sink, checkpoint::Finished, store::Problem};

/// Completes the output as it was committed last, so that what is done can be had. `None` if
/// nothing is, or if the output can't be completed either. The sink is for its
/// [end](Sink::ended).
pub(super) async fn finish_output(
    core: &Core,
    context: &JobContext,
) -> Result<Option<(Checkpoint, Arc<dyn Sink>)>> {
    let checkpoint = core.store().checkpoint(&context.id).await?;
    let Some(mut checkpoint) = checkpoint.filter(|saved| saved.counters.done() > 0) else {
        return Ok(None);
    };
    match complete(core, context, &checkpoint).await {
        Ok((finished, sink)) => {
            checkpoint.finished = Some(finished);
            Ok(Some((checkpoint, sink)))
        }
        Err(error) => {
            tracing::warn!(job = %context.id, %error, "its output can't be completed");
            Ok(None)
        }
    }
}

async fn complete(
    core: &Core,
    context: &JobContext,
    checkpoint: &Checkpoint,
) -> Result<(Finished, Arc<dyn Sink>)> {
    let sink = core.parts.assembler.parts(context).await?.sink;
    let writer = sink.open(Some(&checkpoint.sink)).await?;
    Ok((Finished { reason: None, parts: writer.finish().await? }, sink))
}

/// An error of the job in the contract's words.
pub(super) fn problem_of(error: &Error) -> Problem {
    let code = match error {
        Error::Changed { .. } => "input_changed",
        Error::Invalid { .. } => "input_invalid",
        Error::Denied { code, .. } => code,
        Error::Damaged { .. } => "damaged",
        Error::Io { source, .. } => match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "disk_full",
            ErrorKind::NotFound => "input_unreadable",
            _ => "io_failed",
        },
        Error::Part { part: "source", .. } => "input_unreadable",
        Error::Part { part: "sink", .. } | Error::Poisoned => "output_unwritable",
        _ => "internal",
    };
    Problem::new(code, error.to_string())
}
