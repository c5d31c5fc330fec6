//! One URL of a job.

mod plain;

use std::sync::Arc;

use serde_json::{Map, Value, value::RawValue};
use url::Url;

use crate::{Code, FetchError, Params, params::Said};

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// One URL of a job with what the input says about it.
///
/// A line that can't be used is a task as well, an [invalid](Self::invalid) one: it is never
/// fetched and gets its error record.
#[derive(Clone, Debug)]
pub struct Task {
    ordinal: u64,
    index: u64,
    line: u64,
    target: Target,
    id: Option<Box<str>>,
    metadata: Option<Arc<RawValue>>,
    params: Arc<Params>,
    said: Said,
}

/// The URL, as written and as understood.
#[derive(Clone, Debug)]
enum Target {
    /// Written just as the parser writes it.
    Canonical(Url),
    /// Written in another way, which the record echoes.
    Written {
        text: Box<str>,
        url: Url,
    },
    Invalid {
        text: Option<Box<str>>,
        error: Arc<FetchError>,
    },
}

impl Task {
    /// A task at a 0-based position in the input, which is its [ordinal](Self::ordinal) and its
    /// [index](Self::index) alike, on the line after it (`index + 1`).
    ///
    /// An `url` that isn't absolute HTTP or HTTPS makes an [invalid](Self::invalid) task.
    pub fn new(index: u64, url: &str, params: impl Into<Arc<Params>>) -> Self {
        let target = match parse(url) {
            Ok(parsed) if parsed.as_str() == url => Target::Canonical(parsed),
            Ok(parsed) => Target::Written { text: url.into(), url: parsed },
            Err(message) => Target::Invalid {
                text: Some(url.into()),
                error: Arc::new(FetchError::new(Code::InvalidUrl, message)),
            },
        };
        let line = index + 1;
        Self::of(index, line, target, params.into())
    }

    /// Whether an URL can be fetched; the error is that of the invalid task which [`new`](Self::new)
    /// makes. Costs next to nothing where the URL is plainly written.
    pub fn check_url(url: &str) -> Result<(), FetchError> {
        if url.len() <= MAX_URL_BYTES && plain::is_plain(url) {
            return Ok(());
        }
        match parse(url) {
            Ok(_) => Ok(()),
            Err(message) => Err(FetchError::new(Code::InvalidUrl, message)),
        }
    }

    /// A task for a line that can't be used, with its URL if that could be read.
    pub fn invalid(index: u64, line: u64, url: Option<&str>, error: FetchError) -> Self {
        let target = Target::Invalid { text: url.map(Into::into), error: Arc::new(error) };
        Self::of(index, line, target, Arc::default())
    }

    fn of(index: u64, line: u64, target: Target, params: Arc<Params>) -> Self {
        let (id, metadata, said) = (None, None, Said::default());
        Self { ordinal: index, index, line, target, id, metadata, params, said }
    }

    /// Sets the position in this job's input where it isn't the [index](Self::index): the index of
    /// a task that is taken over from another job, or of one behind left-out duplicates, stays.
    pub fn with_ordinal(mut self, ordinal: u64) -> Self {
        self.ordinal = ordinal;
        self
    }

    /// Sets the 1-based line of the file.
    pub fn with_line(mut self, line: u64) -> Self {
        self.line = line;
        self
    }

    /// Sets the user's own identifier, which the record echoes.
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the user's own JSON, which the record echoes.
    pub fn with_metadata(mut self, metadata: Box<RawValue>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Sets how it is fetched and what is extracted.
    pub fn with_params(mut self, params: impl Into<Arc<Params>>) -> Self {
        self.params = params.into();
        self
    }

    /// The position in this job's input, counting up by one from 0: what source, driver and
    /// checkpoint go by.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Notes which of the parameters the line has set itself.
    pub(crate) fn with_said(mut self, said: Said) -> Self {
        self.said = said;
        self
    }

    /// The task in the input's own format, as far as it could be read: `url`, `id` and the
    /// parameters that its line has set itself. Those of [`Task::new`] are the job's defaults.
    pub(crate) fn write(&self, to: &mut Map<String, Value>) {
        if let Some(url) = self.url() {
            to.insert("url".to_owned(), url.into());
        }
        if let Some(id) = self.id() {
            to.insert("id".to_owned(), id.into());
        }
        self.said.write(&self.params, to);
    }

    /// The 0-based position in the input as the user knows it, which the record echoes. May have
    /// gaps: a retry keeps the index of the job before, and what is left out keeps its number.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The 1-based line of the file; of an inline list, the position counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The URL byte for byte as written; `None` for a line in which none could be read.
    pub fn url(&self) -> Option<&str> {
        match &self.target {
            Target::Canonical(url) => Some(url.as_str()),
            Target::Written { text, .. } => Some(text),
            Target::Invalid { text, .. } => text.as_deref(),
        }
    }

    /// The URL to fetch, or why there is none.
    pub fn target(&self) -> Result<&Url, &FetchError> {
        match &self.target {
            Target::Canonical(url) | Target::Written { url, .. } => Ok(url),
            Target::Invalid { error, .. } => Err(error),
        }
    }

    /// The user's own identifier.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The user's own JSON.
    pub fn metadata(&self) -> Option<&RawValue> {
        self.metadata.as_deref()
    }

    /// How to fetch it and what to extract: the line's parameters merged onto the job's defaults.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The host and port whose limits this task falls under; empty for an invalid task.
    pub fn host(&self) -> &str {
        let Ok(url) = self.target() else { return "" };
        // "host" or "host:port"; the default port is not part of a parsed URL.
        let authority = url.authority();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

fn parse(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("the URL is longer than {MAX_URL_BYTES} bytes"));
    }
    if text.trim().is_empty() {
        return Err("the URL is empty".to_owned());
    }
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            "the URL has no scheme; write https:// before it".to_owned()
        }
        error => format!("the URL can't be read: {error}"),
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("only http and https URLs can be fetched, not {other}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(url: &str) -> Task {
        Task::new(0, url, Params::new())
    }

    #[test]
    fn a_url_is_echoed_byte_for_byte() {
        for url in ["http://a.test/", "HTTP://A.test", " http://a.test/é?q=1#x", "nonsense"] {
            assert_eq!(task(url).url(), Some(url));
        }
    }

    #[test]
    fn only_absolute_http_urls_have_a_target() {
        assert_eq!(task("HTTP://A.test").target().unwrap().as_str(), "http://a.test/");
        for (url, message) in [
            ("a.test/x", "write https:// before it"),
            ("file:///etc/passwd", "only http and https"),
            ("javascript:alert(1)", "only http and https"),
            ("http://", "can't be read"),
            ("", "is empty"),
        ] {
            let task = task(url);
            let error = task.target().unwrap_err();
            assert!(error.message.contains(message), "{url}: {error}");
            assert_eq!(error.code, Code::InvalidUrl);
        }
        let long = format!("http://a.test/{}", "x".repeat(MAX_URL_BYTES));
        assert!(task(&long).target().is_err());
    }

    #[test]
    fn an_ordinal_of_its_own_leaves_the_index_alone() {
        let task = Task::new(7, "http://a.test/", Params::new());
        assert_eq!((task.ordinal(), task.index()), (7, 7));
        let task = task.with_ordinal(2);
        assert_eq!((task.ordinal(), task.index(), task.line()), (2, 7, 8));
    }

    #[test]
    fn hosts_are_told_apart_by_port_but_not_by_user() {
        assert_eq!(task("http://u:p@A.test:80/").host(), "a.test");
        assert_eq!(task("http://a.test:81/").host(), "a.test:81");
        assert_eq!(task("https://[::1]:443/x").host(), "[::1]");
        assert_eq!(task("x").host(), "");
    }
}
