//! What lies where in an engine's directory.

use std::path::{Path, PathBuf};

use harvestman_engine::{
    id::{JobId, UploadId},
    spec::InputFormat,
};

/// The formats that an upload may have, and the suffixes of their files.
const FORMATS: [(InputFormat, &str); 3] =
    [(InputFormat::Ndjson, "ndjson"), (InputFormat::Csv, "csv"), (InputFormat::Text, "txt")];

/// The directory of an engine: the store's files, `uploads/` and `results/`.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    directory: PathBuf,
    results: PathBuf,
}

impl Layout {
    /// With the results in another place than `results/`, if one is given.
    pub(super) fn new(directory: PathBuf, results: Option<PathBuf>) -> Self {
        let results = results.unwrap_or_else(|| directory.join("results"));
        Self { directory, results }
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.directory.join("uploads")
    }

    /// The file of an upload that has come in.
    pub(super) fn upload(&self, id: &UploadId, format: InputFormat) -> PathBuf {
        let suffix = FORMATS.iter().find(|(known, _)| *known == format);
        let suffix = suffix.map_or("ndjson", |(_, suffix)| suffix);
        self.uploads().join(format!("{id}.{suffix}"))
    }

    /// The file of an upload that is coming in.
    pub(super) fn incoming(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(format!("{id}.{INCOMING}"))
    }

    /// The file of an upload, whatever its format, if it is there.
    pub(super) fn find_upload(&self, id: &UploadId) -> Option<PathBuf> {
        let paths = FORMATS.iter().map(|(format, _)| self.upload(id, *format));
        paths.into_iter().find(|path| path.is_file())
    }

    /// The parts of a job's output.
    pub(super) fn output(&self, id: &JobId) -> PathBuf {
        self.results.join(id.as_str())
    }
}

/// The suffix of an upload that is coming in.
pub(super) const INCOMING: &str = "incoming";

/// The upload that a file belongs to.
pub(super) fn upload_of(path: &Path) -> Option<UploadId> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_leads_back_to_its_upload() {
        let layout = Layout::new("data".into(), None);
        let id = UploadId::random();
        for path in [layout.upload(&id, InputFormat::Csv), layout.incoming(&id)] {
            assert_eq!(upload_of(&path), Some(id.clone()), "{}", path.display());
        }
        assert_eq!(upload_of(Path::new("uploads/notes.txt")), None);
    }
}
