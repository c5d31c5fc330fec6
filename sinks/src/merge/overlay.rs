//! Which rows of the original stay.

use std::path::Path;

use harvestman_engine::{Error, Result};
use roaring::RoaringTreemap;

/// The indices of both outputs.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    replaced: RoaringTreemap,
    original: RoaringTreemap,
}

/// Where a row stands, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    /// Counted from 1, without a header.
    pub(super) row: u64,
}

impl Overlay {
    /// Notes a row of the retry; all of them come before the original's.
    pub(super) fn replace(&mut self, index: u64, place: Place<'_>) -> Result<()> {
        if self.replaced.insert(index) { Ok(()) } else { Err(place.twice(index)) }
    }

    /// Whether a row of the original stays.
    pub(super) fn keeps(&mut self, index: u64, place: Place<'_>) -> Result<bool> {
        if self.original.insert(index) {
            Ok(!self.replaced.contains(index))
        } else {
            Err(place.twice(index))
        }
    }
}

impl Place<'_> {
    pub(super) fn damaged(self, message: impl Into<String>) -> Error {
        Error::damaged(format!("row {} of {}", self.row, self.path.display()), message)
    }

    fn twice(self, index: u64) -> Error {
        self.damaged(format!("its index {index} has come before in the same output"))
    }
}
