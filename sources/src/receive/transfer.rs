//! The two ends that bytes pass: counted as they come, written and hashed as they are decoded.

use std::{
    io::{self, Read, Write},
    sync::OnceLock,
};

use sha2::{Digest, Sha256};

use super::ReceiveError;

/// Counts what is sent and stops at the limit.
pub(super) struct Incoming<'a, R> {
    input: R,
    bytes: Budget<'a>,
}

/// Writes down what is read through it, and stops at the limit.
pub(super) struct Outgoing<'a, R, W> {
    decoded: R,
    output: W,
    hash: Sha256,
    bytes: Budget<'a>,
}

/// Bytes so far, and how many there may be.
struct Budget<'a> {
    bytes: u64,
    limit: u64,
    cause: &'a OnceLock<ReceiveError>,
}

impl Budget<'_> {
    fn add(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes += bytes as u64;
        if self.bytes > self.limit {
            return Err(self.fail(ReceiveError::TooLarge { limit: self.limit }));
        }
        Ok(())
    }

    /// Keeps the first failure. What is returned only stops the reading.
    fn fail(&self, error: ReceiveError) -> io::Error {
        let message = error.to_string();
        // A later failure follows from the first.
        drop(self.cause.set(error));
        io::Error::other(message)
    }
}

impl<'a, R: Read> Incoming<'a, R> {
    pub(super) fn new(input: R, limit: u64, cause: &'a OnceLock<ReceiveError>) -> Self {
        Self { input, bytes: Budget { bytes: 0, limit, cause } }
    }

    /// Reads what a decoder may have left; how many bytes there were in all.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.bytes.bytes)
    }
}

impl<R: Read> Read for Incoming<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(read) => self.bytes.add(read).map(|()| read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(source) => Err(self.bytes.fail(ReceiveError::Interrupted { source })),
        }
    }
}

impl<'a, R: Read, W: Write> Outgoing<'a, R, W> {
    pub(super) fn new(
        decoded: R,
        output: W,
        limit: u64,
        cause: &'a OnceLock<ReceiveError>,
    ) -> Self {
        Self { decoded, output, hash: Sha256::new(), bytes: Budget { bytes: 0, limit, cause } }
    }

    /// Passes on what the output may hold back; how many bytes there were in all, and their hash.
    pub(super) fn finish(mut self) -> io::Result<(u64, Sha256)> {
        let flushed = self.output.flush();
        flushed.map_err(|source| self.bytes.fail(ReceiveError::Io { source }))?;
        Ok((self.bytes.bytes, self.hash))
    }
}

impl<R: Read, W: Write> Read for Outgoing<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoded.read(buffer)?;
        self.bytes.add(read)?;
        let bytes = &buffer[..read];
        self.hash.update(bytes);
        let written = self.output.write_all(bytes);
        written.map_err(|source| self.bytes.fail(ReceiveError::Io { source }))?;
        Ok(read)
    }
}
