//! One standard gzip member, written by several compressors one after the other.

use std::{fmt, io};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::PackState;

/// Level 1 of zlib-rs: a quarter larger than level 6 at a fraction of its time.
const LEVEL: u32 = 1;
/// Deflate, no flags, no time, fastest, unknown system: the same bytes on every machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// How much room each call of the compressor gets at least, in bytes.
const ROOM: usize = 32 * 1024;

/// The member at some point of its stream.
///
/// After a flush the deflate stream stands at a byte boundary. A new compressor can go on from
/// there, since its blocks refer to its own data only; header, checksum and length are kept here.
pub(crate) struct Gzip {
    deflate: Compress,
    checksum: Hasher,
    length: u64,
    has_header: bool,
    is_flushed: bool,
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Gzip {
    pub(crate) fn begin() -> Self {
        Self::at(Hasher::new(), 0, false)
    }

    /// Goes on after the flush that gave this state.
    pub(crate) fn resume(crc32: u32, length: u64) -> Self {
        Self::at(Hasher::new_with_initial_len(crc32, length), length, true)
    }

    fn at(checksum: Hasher, length: u64, has_header: bool) -> Self {
        let deflate = Compress::new(Compression::new(LEVEL), false);
        Self { deflate, checksum, length, has_header, is_flushed: true }
    }

    pub(crate) fn state(&self) -> PackState {
        PackState::Gzip { crc32: self.checksum.clone().finalize(), length: self.length }
    }

    pub(crate) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if input.is_empty() {
            return Ok(());
        }
        self.write_header(out);
        self.checksum.update(input);
        self.length += input.len() as u64;
        self.is_flushed = false;
        let mut rest = input;
        while !rest.is_empty() {
            let (taken, _) = self.step(rest, FlushCompress::None, out)?;
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Ends the block at a byte boundary.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_header(out);
        while !self.is_flushed {
            // Done when the compressor leaves room: it had no more to say.
            let before = out.len();
            self.step(&[], FlushCompress::Sync, out)?;
            self.is_flushed = out.len() < out.capacity() || out.len() == before;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_header(out);
        while self.step(&[], FlushCompress::Finish, out)?.1 != Status::StreamEnd {}
        out.extend_from_slice(&self.checksum.clone().finalize().to_le_bytes());
        // The format wants the length modulo 2^32.
        out.extend_from_slice(&(self.length as u32).to_le_bytes());
        Ok(())
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        if !self.has_header {
            out.extend_from_slice(&HEADER);
            self.has_header = true;
        }
    }

    /// One call of the compressor; how many bytes of the input it took.
    fn step(
        &mut self,
        input: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> io::Result<(usize, Status)> {
        out.reserve(ROOM);
        let before = self.deflate.total_in();
        let status = self.deflate.compress_vec(input, out, flush).map_err(io::Error::other)?;
        Ok(((self.deflate.total_in() - before) as usize, status))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "it must be one member: more would be left unread"
    )]
    fn read_one_member(packed: &[u8]) -> Vec<u8> {
        let mut decoder = flate2::read::GzDecoder::new(packed);
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        assert!(decoder.into_inner().is_empty(), "bytes after the member");
        plain
    }

    fn text(from: u32, count: u32) -> Vec<u8> {
        (from..from + count)
            .flat_map(|n| format!("line {n} of {}\n", n * 7919).into_bytes())
            .collect()
    }

    #[test]
    fn compressors_one_after_the_other_write_one_member() {
        for sizes in [vec![0, 0], vec![1, 0, 1], vec![5_000, 1, 90_000], vec![0, 3]] {
            let (mut out, mut plain, mut state) = (Vec::new(), Vec::new(), None);
            for size in sizes {
                let mut gzip = match state {
                    Some(PackState::Gzip { crc32, length }) => Gzip::resume(crc32, length),
                    _ => Gzip::begin(),
                };
                let part = text(plain.len() as u32, size);
                gzip.write(&part, &mut out).unwrap();
                plain.extend(part);
                gzip.flush(&mut out).unwrap();
                gzip.flush(&mut out).unwrap();
                state = Some(gzip.state());
                // Lost with the crash: never appended.
                gzip.write(b"lost", &mut Vec::new()).unwrap();
            }
            let Some(PackState::Gzip { crc32, length }) = state else { unreachable!("set above") };
            Gzip::resume(crc32, length).finish(&mut out).unwrap();
            assert_eq!(read_one_member(&out), plain);
        }
    }

    #[test]
    fn everything_written_can_be_read_after_a_flush() {
        let (mut gzip, mut out) = (Gzip::begin(), Vec::new());
        let plain = text(0, 20_000);
        gzip.write(&plain, &mut out).unwrap();
        gzip.flush(&mut out).unwrap();
        let mut decoder = flate2::read::MultiGzDecoder::new(&*out);
        let mut read = vec![0; plain.len()];
        decoder.read_exact(&mut read).unwrap();
        assert_eq!(read, plain);
    }
}
