//! Tasks from a file.

use std::{
    fs::{self, File, Metadata},
    io::{Seek, SeekFrom},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use futures::stream::BoxStream;
use harvestman_engine::{Error, LineReader, Result, Source, Task};

use crate::{
    Compression, InputFormat, InputOptions, Survey,
    decode::{decode, read_error},
    feed::{Outlet, stream},
    index::RowIndex,
    reading::{Layout, Reading, begin},
    survey::survey,
};

/// The tasks of a text, NDJSON or CSV file, which may be compressed.
///
/// The file is looked through once at the beginning, so that the number of its tasks is known and
/// a plain file can be opened anywhere at once. A compressed one is decoded from its beginning by
/// every opening; rows before the one that is asked for are passed over unread. Each opening has a
/// thread until it is read or dropped. Memory doesn't depend on the size of the file.
///
/// | the file has | what comes of it |
/// |---|---|
/// | a UTF-8 byte order mark | it is dropped |
/// | UTF-16, another kind of file, or compression that the suffix doesn't name | the job fails, with what to do |
/// | LF or CRLF at the end of a line, or no line break at its end | all the same |
/// | a carriage return elsewhere | a character like any other; not allowed in a URL |
/// | invalid UTF-8, a NUL byte, a line over [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES) | an invalid task |
/// | blank lines, or nothing at all | no tasks; blank lines count for the numbers of lines |
/// | the same URL twice | two tasks |
/// | CSV: unknown or repeated columns, none called `url` | the job fails, with the column's name |
/// | CSV: a row with more cells than the header | an invalid task |
/// | CSV: a row with fewer cells, or an empty cell | what is missing isn't said |
/// | CSV: a quoted cell that never ends | one invalid task for all the rest |
/// | damage, or an early end, of compressed data | the job fails |
#[derive(Debug)]
pub struct FileSource {
    file: Arc<SurveyedFile>,
}

#[derive(Debug)]
struct SurveyedFile {
    path: std::path::PathBuf,
    name: String,
    reader: LineReader,
    compression: Compression,
    max_decoded_bytes: u64,
    layout: Layout,
    index: RowIndex,
    survey: Survey,
    version: Version,
}

/// What tells that a file was written to.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl FileSource {
    /// Looks through a file, whose lines are merged onto the reader's defaults. Blocks for as long
    /// as it takes to read the file once: call it on a thread for blocking work.
    ///
    /// Fails if the file can't be read or decoded, if it is larger than the options allow, or if
    /// the header of a CSV file can't be used.
    pub fn from_path(
        path: impl AsRef<Path>,
        reader: LineReader,
        options: &InputOptions,
    ) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let name = path.display().to_string();
        let mut options = options.clone();
        options.format = options.format.or_else(|| InputFormat::of_path(&path));
        let compression = options.compression.unwrap_or_else(|| Compression::of_path(&path));
        let file = open_file(&path)?;
        let version = Version::of(&file.metadata().map_err(Error::io("read", &path))?);
        let (survey, layout, index) = survey(file, &name, &reader, &options, compression)?;
        let max_decoded_bytes = options.max_decoded_bytes;
        Ok(Self {
            file: Arc::new(SurveyedFile {
                path,
                name,
                reader,
                compression,
                max_decoded_bytes,
                layout,
                index,
                survey,
                version,
            }),
        })
    }

    /// What the file holds. Its SHA-256 tells a resumed job whether it is still the same file.
    pub fn survey(&self) -> &Survey {
        &self.file.survey
    }

    /// How the tasks are written.
    pub fn format(&self) -> InputFormat {
        self.file.layout.format()
    }
}

impl Source for FileSource {
    /// Fails if the file was written to since it was looked through.
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let file = Arc::clone(&self.file);
        stream(move |outlet| file.send(from, outlet))
    }

    fn total(&self) -> Option<u64> {
        Some(self.file.survey.tasks)
    }
}

impl SurveyedFile {
    fn send(&self, from: u64, outlet: &Outlet) -> Result<()> {
        let file = open_file(&self.path)?;
        self.refuse_changed(&file)?;
        match self.compression {
            Compression::None => self.send_plain(file, from, outlet),
            _ => self.send_decoded(file, from, outlet),
        }
    }

    fn send_plain(&self, mut file: File, from: u64, outlet: &Outlet) -> Result<()> {
        let Some((next, at)) = self.index.before(from) else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(at.offset)).map_err(read_error(&self.name))?;
        let rows = self.layout.rows(file, at);
        Reading::new(rows, &self.layout, self.reader.clone(), next, &self.name).send(from, outlet)
    }

    fn send_decoded(&self, file: File, from: u64, outlet: &Outlet) -> Result<()> {
        let decoded = decode(file, self.compression, self.max_decoded_bytes, &self.name);
        let decoded = decoded.map_err(read_error(&self.name))?;
        let (layout, rows) = begin(decoded, Some(self.layout.format()), &self.reader, &self.name)?;
        Reading::new(rows, &layout, self.reader.clone(), 0, &self.name).send(from, outlet)
    }

    fn refuse_changed(&self, file: &File) -> Result<()> {
        let now = Version::of(&file.metadata().map_err(Error::io("read", &self.path))?);
        if now == self.version {
            return Ok(());
        }
        let (was, is) = (self.version.bytes, now.bytes);
        let message = format!("it was written to while the job ran ({was} bytes then, {is} now)");
        Err(Error::changed(&self.name, message))
    }
}

fn open_file(path: &Path) -> Result<File> {
    // Asked before it is opened, which would wait at a named pipe for somebody to write.
    let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
    if !metadata.is_file() {
        let message = "is no regular file; give a pipe as standard input";
        return Err(Error::invalid(path.display().to_string(), message));
    }
    File::open(path).map_err(Error::io("open", path))
}
