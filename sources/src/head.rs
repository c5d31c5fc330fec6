//! The beginning of an input: byte order marks, files of another kind, a guess at the format.

use std::io::{self, Read};

use harvestman_engine::Error;

use crate::InputFormat;

/// The longest first line that is looked at to tell the format.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What the first bytes of an input say of all the rest.
enum Signature {
    /// A mark to drop.
    Mark,
    /// No list of tasks; the text continues "the input …".
    Refused(&'static str),
}

const SIGNATURES: &[(&[u8], Signature)] = &[
    (b"\xEF\xBB\xBF", Signature::Mark),
    (b"\xFF\xFE", Signature::Refused("is UTF-16; save it as UTF-8")),
    (b"\xFE\xFF", Signature::Refused("is UTF-16; save it as UTF-8")),
    (b"\x1F\x8B", Signature::Refused("is compressed with gzip; name it .gz, or decode it first")),
    (
        b"\x28\xB5\x2F\xFD",
        Signature::Refused("is compressed with zstd; name it .zst, or decode it first"),
    ),
    (b"PK\x03\x04", Signature::Refused("is a spreadsheet or a ZIP archive; save it as CSV")),
    (b"PAR1", Signature::Refused("is a Parquet file; save it as CSV or NDJSON")),
];

/// The first bytes of an input, read ahead.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    /// The length of the byte order mark.
    pub(crate) mark: usize,
    pub(crate) format: InputFormat,
}

impl Head {
    /// Reads as little as it takes to know the format: nothing beyond the first line, where the
    /// input comes in lines.
    pub(crate) fn read(
        input: &mut impl Read,
        format: Option<InputFormat>,
        name: &str,
    ) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut is_ended = false;
        loop {
            if let Some(mark) = find_mark(&bytes, is_ended, name)? {
                let guess = || first_line(&bytes[mark..], is_ended).map(InputFormat::of_first_line);
                if let Some(format) = format.or_else(guess) {
                    return Ok(Self { bytes, mark, format });
                }
            }
            is_ended = !read_more(input, &mut bytes)?;
        }
    }
}

/// The length of the byte order mark; `None` if there are too few bytes to tell.
fn find_mark(bytes: &[u8], is_ended: bool, name: &str) -> io::Result<Option<usize>> {
    for (signature, meaning) in SIGNATURES {
        if bytes.starts_with(signature) {
            return match meaning {
                Signature::Mark => Ok(Some(signature.len())),
                Signature::Refused(why) => Err(io::Error::other(Error::invalid(name, *why))),
            };
        }
        if signature.starts_with(bytes) && !is_ended {
            return Ok(None);
        }
    }
    Ok(Some(0))
}

/// The first line that isn't blank, if all of it is there.
fn first_line(bytes: &[u8], is_ended: bool) -> Option<&[u8]> {
    let text = bytes.trim_ascii_start();
    match memchr::memchr(b'\n', text) {
        Some(end) => Some(&text[..end]),
        None if is_ended || bytes.len() >= MAX_HEAD_BYTES => Some(text),
        None => None,
    }
}

/// Appends what one read yields; false at the end of the input.
pub(crate) fn read_more(input: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 8 * 1024];
    loop {
        match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(read) => {
                bytes.extend_from_slice(&chunk[..read]);
                return Ok(read > 0);
            }
        }
    }
}
