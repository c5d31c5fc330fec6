//! The SHA-256 of a file that may be written in several lives.

use std::fmt::Write;

use harvestman_engine::{Error, Result};
use sha2::{
    Digest, Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};

/// The digest of the bytes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Sha256);

impl Running {
    /// Goes on where [`state`](Self::state) was taken: nothing is read again, and bytes that were
    /// changed since then give another digest than the file's.
    pub(crate) fn resume(state: &str) -> Result<Self> {
        let state = parse(state).and_then(|bytes| {
            let bytes = SerializedState::<Sha256>::try_from(&*bytes).ok()?;
            Sha256::deserialize(&bytes).ok()
        });
        let damaged = || Error::damaged("the sink's state", "its running SHA-256 can't be read");
        state.map(Self).ok_or_else(damaged)
    }

    pub(crate) fn state(&self) -> String {
        hex(&self.0.serialize())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> String {
        hex(&self.0.clone().finalize())
    }
}

/// The SHA-256 of some bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

fn parse(hex: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight words of the hash after a block of `a`s.
    const WORDS: &str = "1cb85bdf26061ee894a845fb310fd44f16685eb2c199d4d6294990ab665e6300";

    #[test]
    fn a_digest_goes_on_from_its_state() {
        for cut in [0, 1, 55, 63, 64, 65, 100, 200] {
            let bytes = [b'a'; 200];
            let mut before = Running::default();
            before.update(&bytes[..cut]);
            let mut after = Running::resume(&before.state()).unwrap();
            before.update(b"lost");
            after.update(&bytes[cut..]);
            assert_eq!(after.finish(), sha256(&bytes), "{cut}");
        }
    }

    /// If this fails after an update of `sha2`, states of before can't be gone on with: raise the
    /// version of the sink's state.
    #[test]
    fn the_form_of_the_state_is_the_one_that_was_saved() {
        let mut running = Running::default();
        running.update(&[b'a'; 100]);
        let (blocks, left) = ("0100000000000000", "24");
        let rest = "61".repeat(36) + &"00".repeat(27);
        assert_eq!(running.state(), [WORDS, blocks, left, &rest].concat());
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for state in ["", "0", "zz", "é1", &"00".repeat(103), &"00".repeat(105), &"ff".repeat(104)]
        {
            assert!(matches!(Running::resume(state), Err(Error::Damaged { .. })), "{state}");
        }
    }
}
