//! Inputs for the tests of this crate.

use std::io::{self, Read};

/// Bytes that come in pieces of the given sizes, over and over.
#[derive(Debug)]
pub(crate) struct Chunks {
    bytes: io::Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    reads: usize,
}

impl Chunks {
    pub(crate) fn new(bytes: Vec<u8>, sizes: Vec<usize>) -> Self {
        Self { bytes: io::Cursor::new(bytes), sizes, reads: 0 }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.reads % self.sizes.len()].min(buffer.len());
        self.reads += 1;
        self.bytes.read(&mut buffer[..size])
    }
}
