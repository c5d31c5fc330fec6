//! Keeps secrets out of the store's plain text.

use std::{
    fmt, fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngExt;

use crate::{Error, Result, checkpoint::sync_directory};

/// The length of a sealing key in bytes.
pub const KEY_BYTES: usize = 32;
/// XChaCha20's nonce is long enough to be drawn at random without counting.
const NONCE_BYTES: usize = 24;

/// Seals secrets (of webhooks, headers, cookies) before they go into the store, with
/// XChaCha20-Poly1305, under a key that lies in a file of its own: a copy of the store alone
/// tells none of them.
///
/// What is sealed for one name (a job's id, a workspace) can't be opened under another.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    /// A sealer with this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.into()) }
    }

    /// The sealer whose key is in a file, which is made at the first time, readable by its owner
    /// only.
    pub fn from_file(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| {
                    let message = "holds no key; restore it from a backup, without it the secrets \
                                   in the store can't be read";
                    Error::damaged(path.display().to_string(), message)
                })?;
                Ok(Self::new(&key))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key: [u8; KEY_BYTES] = rand::rng().random();
                make_private(path, &key)?;
                Ok(Self::new(&key))
            }
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Seals `secret` for `name`.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::rng().random();
        let payload = Payload { msg: secret, aad: name.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("a secret is far below the cipher's limit of 256 GB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for `name`. [`Error::Damaged`] if it was not, or not with this key.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || {
            let message = "can't be opened with this sealing key; restore the key file that \
                           belongs to the store";
            Error::damaged(format!("the secret of {name}"), message)
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

fn make_private(path: &Path, content: &[u8]) -> Result<()> {
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(Error::io("make", path))?;
    file.write_all(content).map_err(Error::io("write to", path))?;
    file.sync_all().map_err(Error::io("synchronise", path))?;
    sync_directory(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_opens_under_its_name_and_key_only() {
        let sealer = Sealer::new(&[7; KEY_BYTES]);
        let sealed = sealer.seal("job_1", b"hush");
        assert_eq!(sealer.open("job_1", &sealed).unwrap(), b"hush");
        assert!(sealer.open("job_2", &sealed).is_err());
        assert!(Sealer::new(&[8; KEY_BYTES]).open("job_1", &sealed).is_err());
        for cut in [0, 10, sealed.len() - 1] {
            assert!(sealer.open("job_1", &sealed[..cut]).is_err(), "cut at {cut}");
        }
        assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
    }

    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let sealed = Sealer::from_file(&path).unwrap().seal("a", b"b");
        assert_eq!(Sealer::from_file(&path).unwrap().open("a", &sealed).unwrap(), b"b");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let error = Sealer::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("restore it from a backup"), "{error}");
    }
}
