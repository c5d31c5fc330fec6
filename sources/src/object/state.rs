//! What is kept of an object with a job's checkpoint.

use std::sync::Arc;

use harvestman_engine::{Error, LineReader, Result, SourceState};
use serde::{Deserialize, Serialize};

use super::pinned::{PinnedObject, Version};
use crate::{InputFormat, columns::Columns, reading::Layout, rows::Position};

/// The longest header that is kept; behind a longer one, an object is read from its beginning.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Which object it was, and where in it a row begins.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    version: Version,
    place: Option<Place>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    format: InputFormat,
    /// The first row of CSV.
    header: Option<String>,
    task: u64,
    offset: u64,
    line: u64,
}

impl State {
    pub(super) fn new(pinned: &PinnedObject, place: Option<(&Layout, (u64, Position))>) -> Self {
        let place = place.and_then(|(layout, (task, at))| Place::new(layout, task, at));
        Self { version: pinned.version.clone(), place }
    }

    pub(super) fn write(&self) -> Option<SourceState> {
        serde_json::to_value(self).ok().map(SourceState)
    }

    pub(super) fn read(state: &SourceState) -> Result<Self> {
        Self::deserialize(&state.0)
            .map_err(|error| Error::damaged("the source's state", error.to_string()))
    }

    pub(super) fn refuse_other(&self, pinned: &PinnedObject) -> Result<()> {
        if self.version == pinned.version {
            return Ok(());
        }
        let message = format!("it was {}, now it is {}", self.version, pinned.version);
        Err(Error::changed(&pinned.name, message))
    }

    /// How the rows are written, and the task and the place of one of them.
    pub(super) fn place(
        &self,
        reader: &LineReader,
        name: &str,
    ) -> Result<Option<(Layout, u64, Position)>> {
        let Some(place) = &self.place else { return Ok(None) };
        let layout = match (place.format, &place.header) {
            (InputFormat::Text, _) => Layout::Text,
            (InputFormat::Ndjson, _) => Layout::Ndjson,
            (InputFormat::Csv, header) => {
                let header = header.as_deref().unwrap_or_default();
                let columns = Columns::read(header.as_bytes(), reader)
                    .map_err(|message| Error::invalid(name, format!("the header {message}")))?;
                Layout::Csv(Arc::new(columns))
            }
        };
        Ok(Some((layout, place.task, Position { offset: place.offset, line: place.line })))
    }
}

impl Place {
    fn new(layout: &Layout, task: u64, at: Position) -> Option<Self> {
        let header = match layout {
            Layout::Csv(columns) => Some(columns.header()),
            _ => None,
        };
        if header.is_some_and(|header| header.is_empty() || header.len() > MAX_HEADER_BYTES) {
            return None;
        }
        let (format, header) = (layout.format(), header.map(str::to_owned));
        Some(Self { format, header, task, offset: at.offset, line: at.line })
    }
}
