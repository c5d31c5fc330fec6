//! The directory beside the output that holds what a later run needs to go on.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use harvestman::{
    Error, FileStore, Result,
    checkpoint::{replace_file, sync_directory},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const JOB: &str = "job.json";
const LOCK: &str = "lock";
/// Raised when an older state can no longer be read.
const VERSION: u32 = 1;

/// The state's directory, locked by this process.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
}

/// What a state belongs to: whatever would make other records than before. The pace, the patience
/// and the addresses opened may be changed between two runs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) version: u32,
    /// The SHA-256 of the list, its address in a bucket, or `-` for standard input; these two are
    /// compared as they come.
    pub(super) input: String,
    /// How the list is read.
    pub(super) input_format: String,
    pub(super) output: PathBuf,
    pub(super) extract: Value,
    pub(super) escape_formulas: bool,
    pub(super) max_part_bytes: Option<u64>,
    pub(super) user_agent: Option<String>,
    /// The options about proxies and the browser that make other records.
    #[serde(default)]
    pub(super) fetching: Value,
    #[serde(default)]
    pub(super) llm_model: Option<String>,
}

impl Identity {
    pub(super) fn new(output: PathBuf, extract: Value) -> Self {
        Self {
            version: VERSION,
            input: String::new(),
            input_format: String::new(),
            output,
            extract,
            escape_formulas: false,
            max_part_bytes: None,
            user_agent: None,
            fetching: Value::Null,
            llm_model: None,
        }
    }

    /// Refuses to go on with what belongs to something else, naming the first difference.
    fn check(&self, saved: &Self) -> Result<()> {
        let differs = |what: &str, then: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            let message = format!(
                "it was {then} and is {now}; restore it to go on, or begin anew with --restart"
            );
            Err(Error::changed(what, message))
        };
        let set = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
        if self.version != saved.version {
            return differs("the state's version", &saved.version, &self.version);
        }
        if self.output != saved.output {
            return differs("--output", &saved.output.display(), &self.output.display());
        }
        if self.extract != saved.extract {
            return differs("--extract", &saved.extract, &self.extract);
        }
        if self.escape_formulas != saved.escape_formulas {
            return differs("--escape-formulas", &saved.escape_formulas, &self.escape_formulas);
        }
        if self.max_part_bytes != saved.max_part_bytes {
            let bytes = |of: &Self| set(of.max_part_bytes.map(|bytes| bytes.to_string()));
            return differs("--max-part-bytes", &bytes(saved), &bytes(self));
        }
        if self.user_agent != saved.user_agent {
            let agent = |of: &Self| set(of.user_agent.clone());
            return differs("--user-agent", &agent(saved), &agent(self));
        }
        if self.fetching != saved.fetching {
            let what = "the way of fetching";
            return differs(what, &saved.fetching, &self.fetching);
        }
        if self.llm_model != saved.llm_model {
            let model = |of: &Self| set(of.llm_model.clone());
            return differs("--llm-model", &model(saved), &model(self));
        }
        if self.input != saved.input {
            return differs("the input", &describe(&saved.input), &describe(&self.input));
        }
        if self.input_format != saved.input_format {
            return differs("the input's format", &saved.input_format, &self.input_format);
        }
        Ok(())
    }
}

/// A hash says nothing to a person, but its beginning tells two apart.
fn describe(input: &str) -> String {
    match input {
        "-" => "standard input".to_owned(),
        uri if uri.contains("://") => uri.to_owned(),
        hash => format!("a file with the SHA-256 {}…", &hash[..hash.len().min(12)]),
    }
}

impl State {
    /// Locks the directory, making it if need be; empties it for a `restart`.
    pub(super) fn open(directory: &Path, restart: bool) -> Result<(Self, FileStore)> {
        refuse_foreign(directory)?;
        let store = FileStore::open(directory)?;
        let state = Self { directory: directory.to_owned() };
        if restart {
            state.clear()?;
        }
        Ok((state, store))
    }

    /// Checks that the state belongs to this job, or marks it so. True if there was one.
    pub(super) fn claim(&self, identity: &Identity) -> Result<bool> {
        let path = self.directory.join(JOB);
        match fs::read(&path) {
            Ok(json) => {
                let saved: Identity = serde_json::from_slice(&json).map_err(|error| {
                    let message = format!("{error}; begin anew with --restart");
                    Error::damaged(path.display().to_string(), message)
                })?;
                identity.check(&saved).map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let json = serde_json::to_vec_pretty(identity);
                let json = json.map_err(|error| Error::part("store", error))?;
                replace_file(&path, &json).map(|()| false)
            }
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Removes the directory: the job has completed.
    pub(super) fn remove(self) -> Result<()> {
        self.clear()?;
        let lock = self.directory.join(LOCK);
        fs::remove_file(&lock).map_err(Error::io("remove", lock))?;
        fs::remove_dir(&self.directory).map_err(Error::io("remove", &self.directory))?;
        sync_directory(&self.directory)
    }

    /// Removes everything but the lock. What names the job goes last, so that a crash in between
    /// leaves a state and no foreign directory.
    fn clear(&self) -> Result<()> {
        let entries = fs::read_dir(&self.directory).map_err(Error::io("read", &self.directory))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.directory))?;
            if [JOB, LOCK].iter().any(|kept| entry.file_name() == *kept) {
                continue;
            }
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed =
                if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io("remove", path))?;
        }
        match fs::remove_file(self.directory.join(JOB)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.directory.join(JOB))(error))
            }
            _ => Ok(()),
        }
    }
}

/// The state is removed at the end, so it must not be a directory with anything else in it.
fn refuse_foreign(directory: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", directory)(error)),
    };
    let is_ours = [JOB, LOCK].iter().any(|name| directory.join(name).is_file());
    if is_ours || entries.next().is_none() {
        return Ok(());
    }
    Err(Error::invalid(
        directory.display().to_string(),
        "is no state of a job but a directory with something else; name another one with --state",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> Identity {
        let identity = Identity::new("out.csv".into(), json!({"name": "string"}));
        Identity { input: "abc".into(), input_format: "csv".into(), ..identity }
    }

    #[test]
    fn a_state_is_claimed_once_and_recognised_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.job");
        let (state, store) = State::open(&path, false).unwrap();
        assert!(!state.claim(&identity()).unwrap());
        assert!(state.claim(&identity()).unwrap());
        drop(store);
        let (state, _store) = State::open(&path, true).unwrap();
        assert!(!state.claim(&identity()).unwrap(), "after a restart");
        state.remove().unwrap();
        assert!(!path.exists());
    }

    type Change = fn(&mut Identity);

    #[test]
    fn a_difference_is_named_with_both_sides() {
        let directory = tempfile::tempdir().unwrap();
        let (state, _store) = State::open(directory.path(), false).unwrap();
        state.claim(&identity()).unwrap();
        let table: [(Change, &str); 6] = [
            (|now| now.input = "def".into(), "the input differs"),
            (|now| now.input = "-".into(), "is standard input"),
            (|now| now.extract = json!({"name": "url"}), "--extract differs"),
            (|now| now.output = "x.csv".into(), "it was out.csv and is x.csv"),
            (|now| now.max_part_bytes = Some(7), "it was not set and is 7"),
            (|now| now.llm_model = Some("m".into()), "--llm-model differs"),
        ];
        for (change, message) in table {
            let mut now = identity();
            change(&mut now);
            let error = state.claim(&now).unwrap_err();
            assert!(matches!(error, Error::Changed { .. }));
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.to_string().contains("--restart"), "{error}");
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.doc"), "years of work").unwrap();
        for restart in [false, true] {
            let error = State::open(directory.path(), restart).unwrap_err();
            assert!(error.to_string().contains("--state"), "{error}");
        }
        assert!(directory.path().join("thesis.doc").exists());
    }
}
