//! Links to results that need no key: signed, with an end, under keys that can be changed.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{PoisonError, RwLock},
};

use data_encoding::BASE64URL_NOPAD;
use harvestman::{
    Error, Part, Result,
    engine::{Link, Links},
    id::JobId,
    spec::OutputSpec,
    store::JobEntry,
};
use hmac_sha256::HMAC;
use jiff::{Span, Timestamp};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use url::Url;

use super::error::{ApiError, ErrorCode};

/// The file of the keys, in the directory of the store.
const FILE: &str = "link-keys.json";
/// How long a replaced key opens links: as long as the longest-lived link, in hours.
const KEEP_OLD_HOURS: i64 = 24 * 30;
/// The file that names all parts of a result.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The keys that links are signed with: the newest signs, those before still open what they signed.
#[derive(Debug)]
pub(crate) struct LinkKeys {
    keys: RwLock<Vec<LinkKey>>,
    base: Url,
}

#[derive(Clone, Deserialize, Serialize)]
struct LinkKey {
    id: String,
    secret: String,
    created_at: Timestamp,
    /// Until when it opens links; `None` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl LinkKey {
    fn random(now: Timestamp) -> Self {
        let mut rng = rand::rng();
        let (id, secret): (u32, [u8; 32]) = (rng.random(), rng.random());
        let secret = BASE64URL_NOPAD.encode(&secret);
        Self { id: format!("{id:08x}"), secret, created_at: now, until: None }
    }

    /// The signature over everything that a link says.
    fn sign(&self, job: &str, file: &str, expires: i64) -> String {
        let signed = format!("{job}\n{file}\n{expires}\n{}", self.id);
        BASE64URL_NOPAD.encode(&HMAC::mac(signed, self.secret.as_bytes()))
    }
}

/// What a link says besides its path.
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    pub(crate) expires: i64,
    pub(crate) key: String,
    pub(crate) sig: String,
}

impl LinkKeys {
    /// The keys in the directory, of which one is made at the first time. `base` is the address that
    /// users reach the service at.
    pub(crate) fn open(directory: &Path, base: Url, now: Timestamp) -> Result<Self> {
        let path = directory.join(FILE);
        let mut keys = read(&path)?;
        keys.retain(|key| key.until.is_none_or(|until| until > now));
        if keys.is_empty() {
            keys.push(LinkKey::random(now));
            write(&path, &keys)?;
        }
        Ok(Self { keys: RwLock::new(keys), base })
    }

    /// A link to a file of a job's result, until this time.
    pub(crate) fn url(&self, job: &str, file: &str, until: Timestamp) -> String {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let expires = until.as_second();
        let Some(key) = keys.last() else { return String::new() };
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/exports/{job}/{file}", url.path().trim_end_matches('/')));
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("key", &key.id)
            .append_pair("sig", &key.sign(job, file, expires));
        url.into()
    }

    /// Checks a link, and says until when it is valid.
    pub(crate) fn check(
        &self,
        job: &str,
        file: &str,
        said: &Signature,
        now: Timestamp,
    ) -> Result<Timestamp, ApiError> {
        let forged =
            || ApiError::new(ErrorCode::LinkInvalid, "this link was not made by this service");
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.iter().find(|key| key.id == said.key).ok_or_else(forged)?;
        let right = known.sign(job, file, said.expires);
        if !bool::from(right.as_bytes().ct_eq(said.sig.as_bytes())) {
            return Err(forged());
        }
        let until = Timestamp::from_second(said.expires).map_err(|_| forged())?;
        if until <= now || known.until.is_some_and(|until| until <= now) {
            let message = format!("this link was valid until {until}; ask for a new one");
            return Err(ApiError::new(ErrorCode::LinkExpired, message));
        }
        Ok(until)
    }

    /// Where a part is to be had until this time: by a link, or in the user's bucket that it was
    /// delivered to.
    pub(crate) fn part_url(
        &self,
        job: &JobId,
        output: &OutputSpec,
        part: &Part,
        until: Timestamp,
    ) -> String {
        if output.is_delivered() {
            return part.location.clone();
        }
        self.url(job.as_str(), &file_name(&part.location), until)
    }

    /// The same for the whole result: its only part, or the list of them.
    pub(crate) fn whole_url(&self, job: &JobEntry, until: Timestamp) -> Option<String> {
        let output = &job.spec.output;
        match &*job.parts {
            [] => None,
            [only] => Some(self.part_url(&job.id, output, only, until)),
            [first, ..] if output.is_delivered() => {
                let directory = first.location.strip_suffix(&file_name(&first.location));
                Some(format!("{}{MANIFEST}", directory.unwrap_or_default()))
            }
            _ => Some(self.url(job.id.as_str(), MANIFEST, until)),
        }
    }
}

impl Links for LinkKeys {
    fn link(&self, job: &JobEntry, until: Timestamp) -> Option<Link> {
        Some(Link { url: self.whole_url(job, until)?, expires_at: until })
    }
}

/// The name of a part's file.
pub(crate) fn file_name(location: &str) -> String {
    location.rsplit('/').next().unwrap_or(location).to_owned()
}

/// Makes a new key that signs from the next start on; those before open their links for 30 days.
pub(crate) fn rotate(directory: &Path, now: Timestamp) -> Result<String> {
    let path = directory.join(FILE);
    let mut keys = read(&path)?;
    let until = now.checked_add(Span::new().hours(KEEP_OLD_HOURS)).unwrap_or(Timestamp::MAX);
    for key in &mut keys {
        key.until.get_or_insert(until);
    }
    keys.retain(|key| key.until.is_none_or(|until| until > now));
    let new = LinkKey::random(now);
    let id = new.id.clone();
    keys.push(new);
    write(&path, &keys)?;
    Ok(id)
}

fn read(path: &Path) -> Result<Vec<LinkKey>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    serde_json::from_slice(&text).map_err(|_| {
        let message = "holds no keys of links; restore it, or remove it, which ends all links";
        Error::damaged(path.display().to_string(), message)
    })
}

/// Readable by its owner only, and whole or not at all.
fn write(path: &Path, keys: &[LinkKey]) -> Result<()> {
    let text = serde_json::to_vec_pretty(keys).map_err(|error| Error::part("links", error))?;
    let new = path.with_extension("json.new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    let mut file = file.map_err(Error::io("make", &new))?;
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    written.map_err(Error::io("write to", &new))?;
    fs::rename(&new, path).map_err(Error::io("rename to", path))?;
    harvestman::checkpoint::sync_directory(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "job_3F2D1A77B0E1";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn open(directory: &Path, now: Timestamp) -> LinkKeys {
        LinkKeys::open(directory, Url::parse("https://a.test/base").unwrap(), now).unwrap()
    }

    fn signature(url: &str) -> Signature {
        let url = Url::parse(url).unwrap();
        let get = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.unwrap().1.into_owned()
        };
        Signature { expires: get("expires").parse().unwrap(), key: get("key"), sig: get("sig") }
    }

    #[test]
    fn a_link_opens_its_file_until_its_end_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let keys = open(directory.path(), at(0));
        let url = keys.url(JOB, "part-00000.csv", at(100));
        assert!(
            url.starts_with("https://a.test/base/v1/exports/job_3F2D1A77B0E1/part-00000.csv?"),
            "{url}"
        );
        let said = signature(&url);
        keys.check(JOB, "part-00000.csv", &said, at(99)).unwrap();
        let code = |job: &str, file: &str, said: &Signature, now| {
            keys.check(job, file, said, at(now)).unwrap_err().code
        };
        assert_eq!(code(JOB, "part-00000.csv", &said, 100), ErrorCode::LinkExpired);
        assert_eq!(code(JOB, "part-00001.csv", &said, 0), ErrorCode::LinkInvalid);
        assert_eq!(code("job_3F2D1A77B0E2", "part-00000.csv", &said, 0), ErrorCode::LinkInvalid);
        let longer = Signature { expires: 200, ..signature(&url) };
        assert_eq!(code(JOB, "part-00000.csv", &longer, 0), ErrorCode::LinkInvalid);
        let other = Signature { key: "00000000".to_owned(), ..signature(&url) };
        assert_eq!(code(JOB, "part-00000.csv", &other, 0), ErrorCode::LinkInvalid);
    }

    #[test]
    fn links_outlive_a_restart_and_a_change_of_keys_by_30_days() {
        let directory = tempfile::tempdir().unwrap();
        let month = 3_600 * KEEP_OLD_HOURS;
        let old = open(directory.path(), at(0)).url(JOB, MANIFEST, at(2 * month));
        open(directory.path(), at(1)).check(JOB, MANIFEST, &signature(&old), at(1)).unwrap();
        rotate(directory.path(), at(10)).unwrap();
        let keys = open(directory.path(), at(11));
        keys.check(JOB, MANIFEST, &signature(&old), at(month)).unwrap();
        assert!(keys.check(JOB, MANIFEST, &signature(&old), at(month + 10)).is_err());
        let new = signature(&keys.url(JOB, MANIFEST, at(2 * month)));
        assert_ne!(new.key, signature(&old).key);
        keys.check(JOB, MANIFEST, &new, at(month + 10)).unwrap();
    }

    #[test]
    fn the_keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), at(0));
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
