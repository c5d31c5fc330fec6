//! Undoes a `Content-Encoding` chunk by chunk, within limits.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use harvestman_engine::FetchError;
use http::HeaderValue;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use crate::{content::Coding, failure};

/// The codings that can be undone.
pub(crate) const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");

/// How much comes out of one step: a bomb can exceed the limit by no more.
const STEP_BYTES: usize = 16 * 1024;
/// The largest window of zstd: 8 MiB, as RFC 9659 has it for the web.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// The window of gzip, 32 KiB.
const GZIP_WINDOW_BITS: u8 = 15;

/// A body that is being decompressed.
pub(crate) struct Decompressor {
    codec: Codec,
    name: &'static str,
    state: State,
    step: Box<[u8]>,
    max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has come yet.
    Empty,
    /// Amid a stream.
    Open,
    /// Behind the end of a stream; another may follow.
    Ended,
    /// Behind the end; what follows is no stream.
    Closed,
}

enum Codec {
    Gzip(Decompress),
    /// Before its first byte has told whether it has a header.
    Deflate(Option<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(Decoder<'static>),
}

/// What one step did.
struct Step {
    read: usize,
    written: usize,
    is_end: bool,
}

/// The compressed bytes are not what they should be.
struct Corrupt;

impl Decompressor {
    /// Undoes `coding` up to `max` bytes; `None` for a coding that can't be undone.
    pub(crate) fn new(coding: &Coding, max: u64) -> Option<Self> {
        let (name, codec) = match coding {
            Coding::Gzip => ("gzip", Codec::Gzip(Decompress::new_gzip(GZIP_WINDOW_BITS))),
            Coding::Deflate => ("deflate", Codec::Deflate(None)),
            // The other constructor lets a page ask for a window of 1 GiB.
            Coding::Brotli => (
                "brotli",
                Codec::Brotli(Box::new(BrotliState::new_strict(
                    StandardAlloc::default(),
                    StandardAlloc::default(),
                    StandardAlloc::default(),
                ))),
            ),
            Coding::Zstd => ("zstd", Codec::Zstd(zstd_decoder()?)),
            Coding::Unknown(_) => return None,
        };
        let step = vec![0; STEP_BYTES].into_boxed_slice();
        Some(Self { codec, name, state: State::Empty, step, max })
    }

    /// Appends what `chunk` decompresses to.
    pub(crate) fn push(&mut self, mut chunk: &[u8], body: &mut Vec<u8>) -> Result<(), FetchError> {
        while self.is_open_for(chunk) {
            let step = self.codec.step(chunk, &mut self.step);
            let step = step.map_err(|Corrupt| failure::corrupt(self.name))?;
            if (body.len() + step.written) as u64 > self.max {
                return Err(failure::too_large(self.max));
            }
            body.extend_from_slice(&self.step[..step.written]);
            chunk = &chunk[step.read..];
            self.state = if step.is_end { State::Ended } else { State::Open };
            let is_full = step.written == self.step.len();
            // Output may be left inside although the input is used up, but only if there was no room.
            if !step.is_end && !is_full && (chunk.is_empty() || step.read == 0) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a step can do something; begins another stream behind one that has ended.
    fn is_open_for(&mut self, chunk: &[u8]) -> bool {
        match (self.state, chunk.first()) {
            (State::Closed, _) | (State::Empty | State::Ended, None) => false,
            (State::Empty | State::Open, _) => true,
            (State::Ended, Some(first)) => {
                let goes_on = self.codec.begin_another(*first);
                self.state = if goes_on { State::Open } else { State::Closed };
                goes_on
            }
        }
    }

    /// Checks that the body was whole; an empty one is.
    pub(crate) fn finish(&self) -> Result<(), FetchError> {
        if self.state == State::Open { Err(failure::cut_short()) } else { Ok(()) }
    }
}

impl Codec {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Corrupt> {
        match self {
            Self::Gzip(inflate) => step_inflate(inflate, input, output),
            Self::Deflate(inflate) => {
                let inflate = inflate.get_or_insert_with(|| {
                    Decompress::new(input.first().is_some_and(|first| is_zlib(*first)))
                });
                step_inflate(inflate, input, output)
            }
            Self::Brotli(state) => step_brotli(state, input, output),
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).map_err(|_| Corrupt)?;
                let (read, written) = (status.bytes_read, status.bytes_written);
                Ok(Step { read, written, is_end: status.remaining == 0 })
            }
        }
    }

    /// Prepares for a further stream if `first` can begin one: gzip and zstd may be concatenated.
    /// Other bytes behind the end are ignored, as browsers do.
    fn begin_another(&mut self, first: u8) -> bool {
        match self {
            Self::Gzip(inflate) if first == 0x1f => {
                *inflate = Decompress::new_gzip(GZIP_WINDOW_BITS);
                true
            }
            // A frame, or one that is skipped.
            Self::Zstd(decoder) if matches!(first, 0x28 | 0x50..=0x5f) => decoder.reinit().is_ok(),
            _ => false,
        }
    }
}

fn zstd_decoder() -> Option<Decoder<'static>> {
    let mut decoder = Decoder::new().ok()?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG)).ok()?;
    Some(decoder)
}

/// Whether "deflate" begins with the header that it should have; many servers leave it out.
fn is_zlib(first: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7
}

fn step_inflate(
    inflate: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Corrupt> {
    let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, output, FlushDecompress::None).map_err(|_| Corrupt)?;
    Ok(Step {
        read: (inflate.total_in() - before_in) as usize,
        written: (inflate.total_out() - before_out) as usize,
        is_end: status == Status::StreamEnd,
    })
}

fn step_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Corrupt> {
    let (mut left_in, mut read) = (input.len(), 0);
    let (mut left_out, mut written, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left_in,
        &mut read,
        input,
        &mut left_out,
        &mut written,
        output,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err(Corrupt),
        result => Ok(Step { read, written, is_end: matches!(result, BrotliResult::ResultSuccess) }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write};
    use harvestman_engine::Code;
    use proptest::prelude::*;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(body: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
        encoder.write_all(body).unwrap();
        encoder.into_inner()
    }

    fn zstd(body: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(body, 1).unwrap()
    }

    type Compress = fn(&[u8]) -> Vec<u8>;

    const CODINGS: [(Coding, Compress); 5] = [
        (Coding::Gzip, gzip),
        (Coding::Deflate, zlib),
        (Coding::Deflate, deflate),
        (Coding::Brotli, brotli),
        (Coding::Zstd, zstd),
    ];

    fn decompress(
        coding: &Coding,
        bytes: &[u8],
        chunk: usize,
        max: u64,
    ) -> Result<Vec<u8>, FetchError> {
        let mut decompressor = Decompressor::new(coding, max).unwrap();
        let mut body = Vec::new();
        for chunk in bytes.chunks(chunk) {
            decompressor.push(chunk, &mut body)?;
        }
        decompressor.finish().map(|()| body)
    }

    /// Text that no compression makes very short.
    fn prose() -> Vec<u8> {
        let number = |n: u64| format!("{:x} ", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..5_000).map(number).collect::<String>().into_bytes()
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut_into_chunks() {
        for body in [prose(), Vec::new(), vec![b'x'; 3 * STEP_BYTES]] {
            for (coding, compress) in CODINGS {
                let bytes = compress(&body);
                for chunk in [1, 7, 1_000, usize::MAX] {
                    let decompressed = decompress(&coding, &bytes, chunk, 1 << 20).unwrap();
                    assert!(decompressed == body, "{coding:?} {chunk}");
                }
            }
        }
    }

    #[test]
    fn a_body_without_its_end_is_cut_short_wherever_it_ends() {
        for (coding, compress) in CODINGS {
            let bytes = compress(&prose());
            for end in [1, 5, bytes.len() / 2, bytes.len() - 1] {
                let error = decompress(&coding, &bytes[..end], 4_096, 1 << 20).unwrap_err();
                assert_eq!(error.code, Code::Truncated, "{coding:?} {end}");
            }
            assert_eq!(decompress(&coding, &[], 1, 1).unwrap(), b"", "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_stops_one_step_behind_the_limit() {
        for (coding, compress) in CODINGS {
            let bytes = compress(&vec![0; 16 << 20]);
            let mut decompressor = Decompressor::new(&coding, 100_000).unwrap();
            let mut body = Vec::new();
            let error = decompressor.push(&bytes, &mut body).unwrap_err();
            assert_eq!(error.code, Code::BodyTooLarge, "{coding:?}");
            assert!(body.len() <= 100_000, "{coding:?}");
            assert_eq!(decompress(&coding, &compress(b"four"), 9, 4).unwrap(), b"four");
            assert!(decompress(&coding, &compress(b"four."), 9, 4).is_err());
        }
    }

    #[test]
    fn further_streams_belong_to_the_body_and_other_bytes_do_not() {
        for (coding, compress) in [CODINGS[0].clone(), CODINGS[4].clone()] {
            let two = [compress(b"one "), compress(b"two")].concat();
            for chunk in [1, usize::MAX] {
                assert_eq!(decompress(&coding, &two, chunk, 99).unwrap(), b"one two");
            }
        }
        for (coding, compress) in CODINGS {
            let padded = [compress(b"one"), vec![0; 9]].concat();
            assert_eq!(decompress(&coding, &padded, 4, 99).unwrap(), b"one", "{coding:?}");
        }
    }

    #[test]
    fn a_large_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&prose()).unwrap();
        let bytes = encoder.finish().unwrap();
        let error = decompress(&Coding::Zstd, &bytes, usize::MAX, 1 << 20).unwrap_err();
        assert_eq!(error.code, Code::DecodeError);
    }

    proptest! {
        #[test]
        fn any_bytes_end_within_the_limit(bytes: Vec<u8>, chunk in 1..100_usize, index in 0..5_usize) {
            if let Ok(body) = decompress(&CODINGS[index].0, &bytes, chunk, 1_000) {
                prop_assert!(body.len() <= 1_000);
            }
        }

        #[test]
        fn a_flipped_bit_never_hangs_or_panics(at: prop::sample::Index, bit in 0..8_u32, index in 0..5_usize) {
            let (coding, compress) = &CODINGS[index];
            let mut bytes = compress(&prose()[..2_000]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let _ = decompress(coding, &bytes, 100, 10_000);
        }
    }
}
