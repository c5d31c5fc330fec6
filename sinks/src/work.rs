//! The directory of unfinished output.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use harvestman_engine::{Error, Result, checkpoint::sync_directory};

const PART: &str = "part-";
const OPEN: &str = ".open";
const GROUPS: &str = "groups";
const SPOOL: &str = "spool-";
const JOURNAL: &str = "publish.json";

/// Names and clears the sink's files in a directory that it may share with the job's checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct WorkDirectory {
    path: PathBuf,
    suffix: String,
}

/// A place in the output: the part under way, and in Parquet the row group under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) part: u64,
    pub(crate) group: u64,
}

/// What one of the sink's files holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// A complete part, as it will be published.
    Part(u64),
    /// The part under way.
    Open(u64),
    /// The sealed row groups of a part.
    Groups(u64),
    /// The rows of a row group under way.
    Spool(Mark),
}

impl WorkDirectory {
    pub(crate) fn new(path: PathBuf, suffix: String) -> Self {
        Self { path, suffix }
    }

    /// The name of a part that is complete.
    pub(crate) fn part(&self, part: u64) -> PathBuf {
        self.path.join(format!("{PART}{part:05}.{}", self.suffix))
    }

    /// Its name until then.
    pub(crate) fn open(&self, part: u64) -> PathBuf {
        self.path.join(format!("{PART}{part:05}.{}{OPEN}", self.suffix))
    }

    /// Gives a complete and synchronised part its name, durably.
    pub(crate) fn seal(&self, part: u64) -> Result<()> {
        let (from, to) = (self.open(part), self.part(part));
        fs::rename(&from, &to).map_err(Error::io("rename to", to))?;
        self.sync()
    }

    /// Takes the name of a part back, if it has one, to go on with it.
    pub(crate) fn reopen(&self, part: u64) -> Result<()> {
        let (from, to) = (self.part(part), self.open(part));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("rename to", to)(error))
            }
            _ => Ok(()),
        }
    }

    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only Parquet has row groups"))]
    pub(crate) fn groups(&self, part: u64) -> PathBuf {
        self.path.join(format!("{PART}{part:05}.{GROUPS}"))
    }

    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only Parquet has row groups"))]
    pub(crate) fn spool(&self, mark: Mark) -> PathBuf {
        self.path.join(format!("{PART}{:05}.{SPOOL}{:05}", mark.part, mark.group))
    }

    /// The list of the parts that are being published.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Makes the entries of the directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_directory(&self.journal())
    }

    /// Makes the directory, without any file of the sink in it.
    pub(crate) fn begin(&self) -> Result<()> {
        make_directory(&self.path)?;
        remove(&self.journal())?;
        self.remove_where(|_| true)?;
        self.sync()
    }

    /// Removes what was written after a checkpoint at `mark`. With `keep_open` the part under way
    /// is a file of its own, else it only comes about when it is sealed.
    pub(crate) fn remove_after(&self, mark: Mark, keep_open: bool) -> Result<()> {
        self.remove_where(|content| match content {
            Content::Part(part) => part >= mark.part,
            Content::Open(part) => part > mark.part || (part == mark.part && !keep_open),
            Content::Groups(part) => part > mark.part,
            Content::Spool(spool) => spool > mark,
        })
    }

    /// Removes what only a checkpoint before `mark` would need.
    pub(crate) fn remove_before(&self, mark: Mark) -> Result<()> {
        self.remove_where(|content| match content {
            Content::Part(_) | Content::Open(_) => false,
            Content::Groups(part) => part < mark.part,
            Content::Spool(spool) => spool < mark,
        })
    }

    /// Removes everything of the sink's but, with `keep_parts`, the complete parts; and the
    /// directory if nothing else is in it.
    pub(crate) fn clear(&self, keep_parts: bool) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        remove(&self.journal())?;
        self.remove_where(|content| !(keep_parts && matches!(content, Content::Part(_))))?;
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
                Err(Error::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn remove_where(&self, condition: impl Fn(Content) -> bool) -> Result<()> {
        let read = |error| Error::io("read", &self.path)(error);
        for entry in fs::read_dir(&self.path).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name();
            if name.to_str().and_then(Content::of_name).is_some_and(&condition) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Content {
    fn of_name(name: &str) -> Option<Self> {
        let (part, rest) = name.strip_prefix(PART)?.split_once('.')?;
        let part = part.parse().ok()?;
        Some(if rest == GROUPS {
            Self::Groups(part)
        } else if let Some(group) = rest.strip_prefix(SPOOL) {
            Self::Spool(Mark { part, group: group.parse().ok()? })
        } else if rest.ends_with(OPEN) {
            Self::Open(part)
        } else {
            Self::Part(part)
        })
    }
}

/// Makes a directory and those above it where they are missing, durably.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_directory)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::io("make", path)(error))
        }
        _ => sync_directory(path),
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (tempfile::TempDir, WorkDirectory) {
        let temporary = tempfile::tempdir().unwrap();
        let work = WorkDirectory::new(temporary.path().join("w"), "parquet".to_owned());
        work.begin().unwrap();
        for name in [
            "part-00000.parquet",
            "part-00001.parquet",
            "part-00001.parquet.open",
            "part-00002.parquet.open",
            "part-00001.groups",
            "part-00001.spool-00002",
            "part-00001.spool-00003",
            "part-00002.groups",
            "part-00002.spool-00000",
            "checkpoint.json",
            "part-x.parquet",
        ] {
            fs::write(work.path.join(name), "").unwrap();
        }
        (temporary, work)
    }

    fn names(work: &WorkDirectory) -> Vec<String> {
        let entries = fs::read_dir(&work.path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_lies_on_the_wrong_side_of_a_mark_goes() {
        let mark = Mark { part: 1, group: 3 };
        let (_temporary, work) = filled();
        work.remove_before(mark).unwrap();
        assert!(!names(&work).contains(&"part-00001.spool-00002".to_owned()));
        assert_eq!(names(&work).len(), 10);
        work.remove_after(mark, true).unwrap();
        let expected = [
            "checkpoint.json",
            "part-00000.parquet",
            "part-00001.groups",
            "part-00001.parquet.open",
            "part-00001.spool-00003",
            "part-x.parquet",
        ];
        assert_eq!(names(&work), expected);
        work.remove_after(mark, false).unwrap();
        assert!(!names(&work).contains(&"part-00001.parquet.open".to_owned()));
    }

    #[test]
    fn the_files_of_others_stay() {
        let (_temporary, work) = filled();
        work.clear(true).unwrap();
        let parts = ["part-00000.parquet", "part-00001.parquet"];
        assert_eq!(names(&work), [&["checkpoint.json"], &parts[..], &["part-x.parquet"]].concat());
        work.clear(false).unwrap();
        assert_eq!(names(&work), ["checkpoint.json", "part-x.parquet"]);
        fs::remove_file(work.path.join("checkpoint.json")).unwrap();
        fs::remove_file(work.path.join("part-x.parquet")).unwrap();
        work.clear(false).unwrap();
        assert!(!work.path.exists());
        work.clear(false).unwrap();
    }
}
