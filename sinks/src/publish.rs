//! Giving finished parts their final names, so that a crash at any point can be mended.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use harvestman_engine::{
    Error, Part, Result,
    checkpoint::{replace_file, sync_directory},
};

use crate::{
    format::split_name,
    work::{WorkDirectory, remove},
};

/// The final names of an output's parts.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
}

/// What is left to do to publish finished parts. Each step may be repeated, alone or with those
/// before it; a crash leaves the first few of them done.
#[derive(Debug)]
pub(crate) enum Step {
    /// Writes down which parts get which names, before the first is moved.
    Journal { path: PathBuf, parts: Vec<Part> },
    /// Moves a part to its final name.
    Move { from: PathBuf, to: PathBuf },
}

impl Target {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A single part has the output's own name, several are numbered: `out.part-00000.csv`.
    fn part(&self, number: u64, count: u64) -> PathBuf {
        if count == 1 {
            return self.path.clone();
        }
        let (stem, suffix) = split_name(&self.path);
        let dot = if suffix.is_empty() { "" } else { "." };
        self.path.with_file_name(format!("{stem}.part-{number:05}{dot}{suffix}"))
    }

    /// The parts of the output with these rows and bytes.
    pub(crate) fn parts(&self, sealed: &[(u64, u64)]) -> Vec<Part> {
        let count = sealed.len() as u64;
        let part = |(number, &(rows, bytes)): (usize, &(u64, u64))| {
            let path = self.part(number as u64, count);
            Part::new(path.to_string_lossy(), rows, bytes)
        };
        sealed.iter().enumerate().map(part).collect()
    }
}

/// The steps to publish these parts.
pub(crate) fn steps(work: &WorkDirectory, target: &Target, parts: &[Part]) -> Vec<Step> {
    let journal = Step::Journal { path: work.journal(), parts: parts.to_vec() };
    let count = parts.len() as u64;
    let moves = (0..count)
        .map(|number| Step::Move { from: work.part(number), to: target.part(number, count) });
    std::iter::once(journal).chain(moves).collect()
}

impl Step {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Journal { path, parts } => {
                let json = serde_json::to_vec(parts).map_err(|error| Error::part("sink", error))?;
                replace_file(path, &json)
            }
            Self::Move { from, to } => move_file(from, to),
        }
    }
}

/// Takes back what an earlier life had published after the checkpoint: the parts up to `current`
/// return to the work directory, later ones are removed. Without a journal there is nothing to do.
pub(crate) fn take_back(work: &WorkDirectory, target: &Target, current: u64) -> Result<()> {
    let journal = work.journal();
    let json = match fs::read(&journal) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", journal)(error)),
    };
    let parts: Vec<Part> = serde_json::from_slice(&json)
        .map_err(|error| Error::damaged(journal.display().to_string(), error.to_string()))?;
    for (number, part) in (0..).zip(&parts) {
        let (unpublished, published) = (work.part(number), target.part(number, parts.len() as u64));
        if unpublished.exists() || !is_published(&published, part.bytes)? {
            // Not moved yet; or gone, which whoever needs it finds out.
            continue;
        }
        if number <= current {
            move_file(&published, &unpublished)?;
        } else {
            remove(&published)?;
        }
    }
    remove(&journal)?;
    work.sync()
}

/// Whether the file is there, with the size that it was published with.
fn is_published(path: &Path, bytes: u64) -> Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() == bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("examine", path)(error)),
    }
}

/// Moves a synchronised file, durably and in one step for whoever looks at `to`.
fn move_file(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy_over(from, to)?,
        Err(error) => return Err(Error::io("rename to", to)(error)),
    }
    sync_directory(to)?;
    sync_directory(from)
}

/// Moves a file to another file system: the copy is complete before it gets its name.
fn copy_over(from: &Path, to: &Path) -> Result<()> {
    let temporary = to.with_added_extension("tmp");
    let copy = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.sync_all()
    };
    let copied = copy().map_err(Error::io("copy to", &temporary));
    if copied.is_err() {
        // Makes room again where room was what failed; the first error is the one to tell.
        let _ = remove(&temporary);
    }
    copied?;
    fs::rename(&temporary, to).map_err(Error::io("rename to", to))?;
    sync_directory(to)?;
    remove(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_has_the_outputs_name_and_several_are_numbered() {
        let location = |path: &str, number, count| {
            Target::new(path.into()).part(number, count).display().to_string()
        };
        assert_eq!(location("d/out.ndjson.gz", 0, 1), "d/out.ndjson.gz");
        assert_eq!(location("d/out.ndjson.gz", 12, 13), "d/out.part-00012.ndjson.gz");
        assert_eq!(location("out.dat", 0, 2), "out.dat.part-00000");
    }

    #[test]
    fn a_copy_over_replaces_the_target_and_leaves_no_rest() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        copy_over(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    fn place() -> (tempfile::TempDir, WorkDirectory, Target) {
        let temporary = tempfile::tempdir().unwrap();
        let work = WorkDirectory::new(temporary.path().join("w"), "csv".to_owned());
        work.begin().unwrap();
        let target = Target::new(temporary.path().join("out.csv"));
        (temporary, work, target)
    }

    #[test]
    fn publishing_cut_short_at_any_step_is_taken_back_and_done_again() {
        for done in 0..=4 {
            for current in 0..3 {
                let (_temporary, work, target) = place();
                let sealed = [(1, 2), (1, 2), (1, 2)];
                (0..3).for_each(|n| fs::write(work.part(n), format!("p{n}")).unwrap());
                let parts = target.parts(&sealed);
                let steps = steps(&work, &target, &parts);
                steps.iter().take(done).for_each(|step| step.run().unwrap());
                take_back(&work, &target, current).unwrap();
                take_back(&work, &target, current).unwrap();
                for number in 0..=current {
                    let content = fs::read_to_string(work.part(number)).unwrap();
                    assert_eq!(content, format!("p{number}"), "{done} steps, at part {current}");
                }
                let left = parts.iter().filter(|part| Path::new(&part.location).exists()).count();
                assert_eq!(left, 0, "{done} steps, at part {current}");
            }
        }
    }

    #[test]
    fn an_older_output_of_the_same_name_is_left_alone() {
        let (_temporary, work, target) = place();
        fs::write(target.path(), "older than the job").unwrap();
        fs::write(work.part(0), "p0").unwrap();
        let steps = steps(&work, &target, &target.parts(&[(1, 2)]));
        steps[0].run().unwrap();
        take_back(&work, &target, 0).unwrap();
        assert_eq!(fs::read_to_string(target.path()).unwrap(), "older than the job");
        assert_eq!(fs::read_to_string(work.part(0)).unwrap(), "p0");
    }
}
