//! Decodes compressed input as it is read, within bounds.

use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use harvestman_engine::Error;

use crate::{Compression, head::read_more, reading::Reheaded};

/// The largest window of a zstd frame, as a power of two: 8 MiB, what every decoder has to
/// support. Beyond are `--long` and `--ultra`.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// A decoder's input is read in pieces of this size.
const BUFFER_BYTES: usize = 64 * 1024;

/// Decodes `input`. More than `max_bytes` of decoded output is an error; plain input may be of any
/// size. All members or frames are read; input without any is an error, as from a decoder.
pub(crate) fn decode<'a>(
    input: impl Read + Send + 'a,
    compression: Compression,
    max_bytes: u64,
    name: &str,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let input = BufReader::with_capacity(BUFFER_BYTES, input);
    let limit = |decoder| Limited { decoder, left: max_bytes, max_bytes, name: name.to_owned() };
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(limit(Box::new(MultiGzDecoder::new(input)))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(limit(Box::new(decoder)))
        }
    })
}

/// Tells the compression of an input that has no name by its first bytes; no more are read than it
/// takes to know.
pub(crate) fn detect<R: Read>(mut input: R) -> io::Result<(Compression, Reheaded<R>)> {
    let mut bytes = Vec::new();
    let compression = loop {
        if let Some(compression) = Compression::of_first_bytes(&bytes) {
            break compression;
        }
        if !read_more(&mut input, &mut bytes)? {
            break Compression::None;
        }
    };
    Ok((compression, Cursor::new(bytes).chain(input)))
}

struct Limited<'a> {
    decoder: Box<dyn Read + Send + 'a>,
    left: u64,
    max_bytes: u64,
    name: String,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let max = self.max_bytes;
            let message =
                format!("holds more than {max} bytes when decoded; split it, or raise the limit");
            io::Error::other(Error::invalid(&self.name, message))
        })?;
        Ok(read)
    }
}

/// The job's error for a failure to read `name`. A refusal by the operating system has its number;
/// all else comes from a decoder, which found something that it can't read.
pub(crate) fn read_error(name: &str) -> impl Fn(io::Error) -> Error {
    move |error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) if error.raw_os_error().is_some() => Error::io("read", name)(error),
        Err(error) => Error::damaged(name, explain(&error)),
    }
}

fn explain(error: &io::Error) -> String {
    let message = error.to_string();
    if message.contains("too much memory") {
        let window = 1u64 << MAX_ZSTD_WINDOW_LOG;
        return format!(
            "its zstd window is over {window} bytes; compress it without --long and --ultra"
        );
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early; fetch or compress it again".to_owned(),
        _ => format!("it can't be decoded ({message}); fetch or compress it again"),
    }
}
