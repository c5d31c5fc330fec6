//! Where the list comes from: a file, a pipe, an object in a bucket.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use harvestman::{
    Error, LineReader, Result, Source, buckets,
    sources::{FileSource, InputOptions, PipeSource},
    storage::{Access, Location, Storage},
};

use super::{failure::Failure, output::is_pipe};

/// What standard input has brought, in the state's directory.
const SPOOL: &str = "input";

/// Where the list comes from.
#[derive(Debug)]
pub(super) enum Input {
    File(PathBuf),
    Pipe(PathBuf),
    Object(Location),
}

/// A list that was opened, or a pipe that is to be.
#[derive(Debug)]
pub(super) enum List {
    File(FileSource),
    Pipe(PathBuf),
    Object(Arc<harvestman::sources::ObjectStore>, String),
}

impl Input {
    pub(super) fn new(input: &Path) -> Result<Self, Failure> {
        Ok(match location("the list", input)? {
            Some(location) => Self::Object(location),
            None if is_pipe(input) => Self::Pipe(input.to_owned()),
            None => Self::File(input.to_owned()),
        })
    }

    /// Opens it as far as it can be read twice.
    pub(super) async fn open(
        &self,
        reader: LineReader,
        storage: &Storage,
        access: &Access,
    ) -> Result<List> {
        let options = InputOptions::new();
        match self {
            Self::Pipe(path) => Ok(List::Pipe(path.clone())),
            Self::File(path) => {
                let path = path.clone();
                let survey = move || FileSource::from_path(path, reader, &options);
                let source = tokio::task::spawn_blocking(survey).await;
                Ok(List::File(source.map_err(|error| Error::part("source", error))??))
            }
            Self::Object(location) => {
                let bucket = storage.open(location, access)?;
                let source = buckets::source(&bucket, reader, &options).await?;
                Ok(List::Object(Arc::new(source), location.to_string()))
            }
        }
    }
}

impl List {
    /// How many URLs there are, if that is known before they are read.
    pub(super) fn tasks(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(file.survey().tasks),
            Self::Pipe(_) | Self::Object(..) => None,
        }
    }

    /// What tells this list from another one: of a file its hash. What a pipe brings is compared as
    /// it comes, an object by the source itself.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::File(file) => file.survey().sha256.clone(),
            Self::Pipe(_) => "-".to_owned(),
            Self::Object(_, uri) => uri.clone(),
        }
    }

    /// How it is read, where that is known by now.
    pub(super) fn format(&self) -> String {
        match self {
            Self::File(file) => format!("{:?}", file.format()).to_lowercase(),
            Self::Pipe(_) | Self::Object(..) => String::new(),
        }
    }

    pub(super) async fn into_source(
        self,
        reader: LineReader,
        state: &Path,
    ) -> Result<Arc<dyn Source>> {
        Ok(match self {
            Self::File(file) => Arc::new(file),
            Self::Object(object, _) => object,
            Self::Pipe(path) => Arc::new(open_pipe(path, state.join(SPOOL), reader).await?),
        })
    }
}

async fn open_pipe(path: PathBuf, spool: PathBuf, reader: LineReader) -> Result<PipeSource> {
    let open = move || -> Result<PipeSource> {
        let input: Box<dyn std::io::Read + Send> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(fs::File::open(&path).map_err(Error::io("open", &path))?)
        };
        PipeSource::new(input, spool, reader, &InputOptions::new())
    };
    let source = tokio::task::spawn_blocking(open).await;
    source.map_err(|error| Error::part("source", error))?
}

/// The place in a bucket that an argument names, if it does.
pub(super) fn location(what: &str, argument: &Path) -> Result<Option<Location>, Failure> {
    let Some(text) = argument.to_str().filter(|text| text.contains("://")) else {
        return Ok(None);
    };
    if text.starts_with("http://") || text.starts_with("https://") {
        let message = format!(
            "{what} is a file, a pipe or a place in a bucket; fetch {text} first, or write it into a list"
        );
        return Err(Failure::usage(message));
    }
    let location = text.parse::<Location>();
    location.map(Some).map_err(|error| Failure::usage(format!("{text}: {error}")))
}
