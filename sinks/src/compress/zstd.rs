//! Zstandard frames, one after the other.

use std::{fmt, io};

use zstd::{
    stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer},
    zstd_safe::CCtx,
};

/// zstd's own default.
const LEVEL: i32 = 3;

/// A run of frames, each with its checksum. A frame is ended at a checkpoint, so that what follows
/// needs nothing of what went before.
pub(crate) struct Zstd {
    encoder: Encoder<'static>,
    in_frame: bool,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").field("in_frame", &self.in_frame).finish_non_exhaustive()
    }
}

impl Zstd {
    pub(crate) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { encoder, in_frame: false })
    }

    pub(crate) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            self.in_frame = true;
            self.step(out, |encoder, out| encoder.run(&mut input, out))?;
        }
        Ok(())
    }

    /// Ends the block.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.in_frame {
            return Ok(());
        }
        while self.step(out, Operation::flush)? > 0 {}
        Ok(())
    }

    /// Ends the frame, if there is one.
    pub(crate) fn end_frame(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.in_frame {
            return Ok(());
        }
        while self.step(out, |encoder, out| encoder.finish(out, true))? > 0 {}
        self.encoder.reinit()?;
        self.in_frame = false;
        Ok(())
    }

    /// Ends the frame. A file of no bytes is not a valid one, so an empty frame stands in.
    pub(crate) fn finish(&mut self, is_empty: bool, out: &mut Vec<u8>) -> io::Result<()> {
        self.in_frame |= is_empty;
        self.end_frame(out)
    }

    /// One call of the encoder with some room in the buffer.
    fn step(
        &mut self,
        out: &mut Vec<u8>,
        call: impl FnOnce(&mut Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        out.reserve(CCtx::out_size());
        let length = out.len();
        call(&mut self.encoder, &mut OutBuffer::around_pos(out, length))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        zstd::Decoder::new(packed).unwrap().read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn frames_of_several_lives_read_as_one_stream() {
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        for size in [0, 10, 500_000, 0, 1] {
            let mut zstd = Zstd::new().unwrap();
            let part: Vec<u8> = (0..size).map(|n: u32| (n.wrapping_mul(n) % 251) as u8).collect();
            zstd.write(&part, &mut out).unwrap();
            plain.extend(part);
            zstd.flush(&mut out).unwrap();
            zstd.end_frame(&mut out).unwrap();
            zstd.end_frame(&mut out).unwrap();
            zstd.write(b"lost", &mut Vec::new()).unwrap();
        }
        Zstd::new().unwrap().finish(out.is_empty(), &mut out).unwrap();
        assert_eq!(unpack(&out), plain);
    }

    #[test]
    fn an_empty_file_is_a_valid_one() {
        let mut out = Vec::new();
        Zstd::new().unwrap().finish(true, &mut out).unwrap();
        assert!(!out.is_empty());
        assert_eq!(unpack(&out), b"");
    }
}
