//! Where the result goes: to a file, a pipe, a bucket.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use harvestman::{
    Error, Result, Schema, Sink, buckets,
    sinks::{FileSink, OutputFormat, PipeSink},
    storage::{Access, Location, Storage},
};

use super::{failure::Failure, input::location};
use crate::cli::RunArgs;

/// Where the parts for a bucket are made, in the state's directory.
const PARTS: &str = "parts";

/// Where the result goes.
#[derive(Debug)]
pub(super) enum Output {
    File(PathBuf),
    Pipe(PathBuf),
    /// Parts and a manifest under this place.
    Bucket(Location),
}

impl Output {
    pub(super) fn new(args: &RunArgs) -> Result<Self, Failure> {
        let path = &args.output;
        if let Some(location) = location("the result", path)? {
            return match location.path().filename() {
                Some(_) => Ok(Self::Bucket(location)),
                None => Err(Failure::usage(format!(
                    "{location} is a whole bucket; name a directory in it: {location}nightly.ndjson"
                ))),
            };
        }
        if is_pipe(path) {
            return Ok(Self::Pipe(path.clone()));
        }
        check_file(path, &args.input)?;
        Ok(Self::File(path.clone()))
    }

    /// By the name; a pipe, and a directory in a bucket without a suffix, get NDJSON.
    pub(super) fn format(&self) -> Result<OutputFormat> {
        match self {
            Self::File(path) => OutputFormat::detect(path),
            Self::Pipe(path) => Ok(OutputFormat::detect(path).unwrap_or_default()),
            Self::Bucket(location) => {
                let name = location.path().filename().unwrap_or_default();
                if name.contains('.') {
                    OutputFormat::detect(name)
                } else {
                    Ok(OutputFormat::default())
                }
            }
        }
    }

    /// What tells this place from another one.
    pub(super) fn identity(&self) -> PathBuf {
        match self {
            Self::File(path) | Self::Pipe(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone())
            }
            Self::Bucket(location) => location.to_string().into(),
        }
    }

    /// What is named after the result and lies beside it, or here: its state, its screenshots.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        match self {
            Self::Pipe(path) if path != Path::new("-") => path.with_added_extension(suffix),
            Self::Pipe(_) => Path::new("harvestman").with_added_extension(suffix),
            Self::File(path) => path.with_added_extension(suffix),
            Self::Bucket(location) => {
                let name = location.path().filename().unwrap_or("harvestman");
                Path::new(name).with_added_extension(suffix)
            }
        }
    }

    pub(super) fn sink(
        &self,
        args: &RunArgs,
        format: OutputFormat,
        schema: Option<Arc<Schema>>,
        state: &Path,
        storage: &Storage,
    ) -> Result<Arc<dyn Sink>> {
        let set_up = |sink: FileSink| {
            let sink = sink.with_escape_formulas(args.escape_formulas);
            let sink = match args.max_part_bytes {
                Some(bytes) => sink.with_max_part_bytes(bytes),
                None => sink,
            };
            match &schema {
                Some(schema) => sink.with_schema(Arc::clone(schema)),
                None => sink,
            }
        };
        Ok(match self {
            Self::File(path) => {
                Arc::new(set_up(FileSink::new(path, format)).with_work_directory(state))
            }
            Self::Bucket(location) => {
                let parts = set_up(FileSink::in_directory(state.join(PARTS), format));
                Arc::new(buckets::sink(&storage.open(location, &Access::Own)?, parts))
            }
            Self::Pipe(path) => {
                let sink = open_pipe(path, format)?.with_escape_formulas(args.escape_formulas);
                Arc::new(match schema {
                    Some(schema) => sink.with_schema(schema),
                    None => sink,
                })
            }
        })
    }
}

/// Waits at a named pipe until somebody reads.
fn open_pipe(path: &Path, format: OutputFormat) -> Result<PipeSink> {
    if path == Path::new("-") {
        return Ok(PipeSink::stdout(format));
    }
    let file = fs::File::options().write(true).open(path).map_err(Error::io("open", path))?;
    Ok(PipeSink::new(path.display().to_string(), tokio::fs::File::from_std(file), format))
}

/// Whether this is standard input or output, or a pipe or device with a name.
pub(super) fn is_pipe(path: &Path) -> bool {
    let is_stream =
        |kind: fs::FileType| kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    path == Path::new("-") || fs::metadata(path).is_ok_and(|data| is_stream(data.file_type()))
}

/// Whether two names mean one file that is there, over links too.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    identity(one).is_ok_and(|one| identity(other).is_ok_and(|other| one == other))
}

/// Finds out before the first page is fetched what would fail at the end.
fn check_file(path: &Path, input: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", path.display())));
    }
    if is_same_file(path, input) {
        let message = format!("{} is the list itself; name another --output", path.display());
        return Err(Failure::usage(message));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => {
            Err(Failure::usage(format!("there is no directory {}", parent.display())))
        }
        _ => Ok(()),
    }
}
