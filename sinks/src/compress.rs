//! Packing a stream of bytes so that it can be cut at a checkpoint and continued from there.

#[cfg(feature = "compression")]
mod gzip;
#[cfg(feature = "compression")]
mod zstd;

use std::io;

use harvestman_engine::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::Compression;

/// Packs bytes into a buffer, in memory.
#[derive(Debug)]
pub(crate) enum Compressor {
    Plain,
    #[cfg(feature = "compression")]
    Gzip(Box<gzip::Gzip>),
    #[cfg(feature = "compression")]
    Zstd(zstd::Zstd),
}

/// What a compressor needs besides the bytes up to the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PackState {
    /// Nothing: the bytes so far are complete in themselves.
    Complete,
    /// The running figures of the member's trailer.
    Gzip { crc32: u32, length: u64 },
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        match compression {
            Compression::None => Ok(Self::Plain),
            #[cfg(feature = "compression")]
            Compression::Gzip => Ok(Self::Gzip(Box::new(gzip::Gzip::begin()))),
            #[cfg(feature = "compression")]
            Compression::Zstd => Ok(Self::Zstd(zstd::Zstd::new().map_err(failed)?)),
            #[cfg(not(feature = "compression"))]
            _ => Err(Error::invalid("compression", "build with the feature `compression`")),
        }
    }

    /// Goes on from a checkpoint with that state.
    pub(crate) fn resume(compression: Compression, state: PackState) -> Result<Self> {
        match (compression, state) {
            #[cfg(feature = "compression")]
            (Compression::Gzip, PackState::Gzip { crc32, length }) => {
                Ok(Self::Gzip(Box::new(gzip::Gzip::resume(crc32, length))))
            }
            (Compression::None | Compression::Zstd, PackState::Complete) => Self::new(compression),
            _ => Err(Error::damaged("the sink's state", "it is of another compression")),
        }
    }

    /// Packs `input`; what is ready is appended to `out`.
    pub(crate) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Plain => {
                out.extend_from_slice(input);
                Ok(())
            }
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => gzip.write(input, out).map_err(failed),
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => zstd.write(input, out).map_err(failed),
        }
    }

    /// Appends what is held back, so that a reader gets everything written so far.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Plain => Ok(()),
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => gzip.flush(out).map_err(failed),
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => zstd.flush(out).map_err(failed),
        }
    }

    /// Appends what is held back, so that the stream can be continued from here with the state.
    pub(crate) fn checkpoint(&mut self, out: &mut Vec<u8>) -> Result<PackState> {
        match self {
            Self::Plain => Ok(PackState::Complete),
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => {
                gzip.flush(out).map_err(failed)?;
                Ok(gzip.state())
            }
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => {
                zstd.end_frame(out).map_err(failed)?;
                Ok(PackState::Complete)
            }
        }
    }

    /// Appends the end. `is_empty` says that no byte has gone before, in this life or another.
    pub(crate) fn finish(&mut self, is_empty: bool, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Plain => {
                let _ = is_empty;
                Ok(())
            }
            #[cfg(feature = "compression")]
            Self::Gzip(gzip) => gzip.finish(out).map_err(failed),
            #[cfg(feature = "compression")]
            Self::Zstd(zstd) => zstd.finish(is_empty, out).map_err(failed),
        }
    }
}

/// A compressor that works in memory fails by lack of memory only.
fn failed(error: io::Error) -> Error {
    Error::part("sink", error)
}
