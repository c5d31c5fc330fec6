//! What a fetcher brings back.

use http::HeaderMap;
use url::Url;

/// A fetched page: an accepted answer with its text decoded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Where the redirects led.
    pub final_url: Url,
    /// The status of the answer.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body as text. The fetcher has decoded it and has kept it under the task's `max_bytes`.
    pub text: String,
    /// The file with the page's image, if one was asked for, relative to where the records go.
    pub screenshot: Option<String>,
}

impl Page {
    /// A page without headers, status 200.
    pub fn new(final_url: Url, text: impl Into<String>) -> Self {
        Self {
            final_url,
            status: 200,
            headers: HeaderMap::new(),
            text: text.into(),
            screenshot: None,
        }
    }

    /// Sets the status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets the file with the page's image.
    pub fn with_screenshot(mut self, file: impl Into<String>) -> Self {
        self.screenshot = Some(file.into());
        self
    }

    /// Sets the headers.
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }
}
