//! API keys: how they look, and how they are kept.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// What a key begins with unless the operator says otherwise.
pub(crate) const DEFAULT_PREFIX: &str = "hd_live_";
/// How much chance is in a key, in bytes: nobody guesses it, so that a plain hash keeps it.
const RANDOM_BYTES: usize = 24;

/// A new key, drawn at random.
pub(crate) fn random(prefix: &str) -> String {
    let bytes: [u8; RANDOM_BYTES] = rand::rng().random();
    format!("{prefix}{}", BASE64URL_NOPAD.encode(&bytes))
}

/// What is kept of a key: its SHA-256 in lower-case hexadecimal digits.
pub(crate) fn hash(key: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(key))
}

/// Whether a text can be the hash of a key.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
