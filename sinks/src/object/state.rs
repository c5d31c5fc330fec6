//! How the writing of objects goes on.

use harvestman_engine::{Error, Result, SinkState};
use serde::{Deserialize, Serialize};

/// The version of the state's form; another one is refused.
const VERSION: u32 = 1;

/// The JSON of a [`SinkState`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    kind: Kind,
    version: u32,
    uri: String,
    /// The state of the files.
    pub(super) parts: SinkState,
    /// How many parts are in the bucket.
    pub(super) shipped: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Object,
}

impl State {
    pub(super) fn new(uri: &str, parts: SinkState, shipped: usize) -> Self {
        Self { kind: Kind::Object, version: VERSION, uri: uri.to_owned(), parts, shipped }
    }

    pub(super) fn write(&self) -> Result<SinkState> {
        let json = serde_json::to_value(self).map_err(|error| Error::part("sink", error))?;
        Ok(SinkState(json))
    }

    /// Reads a state and refuses one of another output.
    pub(super) fn read(state: &SinkState, uri: &str) -> Result<Self> {
        let state = Self::deserialize(&state.0)
            .map_err(|error| Error::damaged("the sink's state", error.to_string()))?;
        if state.version != VERSION {
            let message = format!("version {} instead of {VERSION}", state.version);
            return Err(Error::damaged("the sink's state", message));
        }
        if state.uri != uri {
            let message = format!("it was {}, now it is {uri}", state.uri);
            return Err(Error::changed("the output's place", message));
        }
        Ok(state)
    }
}
