//! What the bodies of requests hold, for the document of the API.
//!
//! They are read by [`JobSpec::read`](harvestman::JobSpec::read) and its siblings; a test holds the
//! names that these take against the names here.
#![expect(dead_code, reason = "these types describe; the engine reads")]

use std::collections::BTreeMap;

use harvestman::{Refusal, RefusalCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::ApiError;

/// A job to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// A name of the user's own.
    #[schema(max_length = 256, example = "nightly-catalog")]
    name: Option<String>,
    /// Where the URLs come from: exactly one of its kinds.
    input: Option<InputRequest>,
    /// The same as `input.urls`.
    #[schema(value_type = Option<Vec<Value>>, max_items = 1000, example = json!(["https://example.com/"]))]
    urls: Option<Vec<Value>>,
    /// The parameters of every line, unless it sets its own.
    #[schema(value_type = Option<ScrapeParameters>)]
    defaults: Option<ScrapeParameters>,
    /// How many pages may be under way; 32 by default.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u64>,
    /// What the result looks like.
    output: Option<OutputRequest>,
    /// Who is told of the end: a URL, or an object.
    #[schema(value_type = Option<WebhookTarget>)]
    webhook: Option<WebhookTarget>,
    /// The most that the job may cost; it is stopped before the first record beyond it.
    max_credits: Option<u64>,
    /// When so many URLs fail that the rest is not worth fetching.
    fail_if: Option<FailIfRequest>,
    /// Fetch a URL that is listed several times once only.
    dedupe: Option<bool>,
    /// What a line does that can't be used: `record` (an error record), or `fail`.
    #[schema(pattern = "^(record|fail)$")]
    on_invalid: Option<String>,
    /// The user's own data, up to 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// How many seconds the job may run.
    #[schema(minimum = 1, maximum = 86400)]
    deadline_s: Option<u64>,
    /// How many seconds pages under way may still take after a cancel; 60 by default.
    #[schema(maximum = 600)]
    cancel_grace_s: Option<u64>,
    /// Say what the job would be, and make none.
    dry_run: Option<bool>,
}

/// Where the URLs come from: exactly one of `urls`, `upload_id`, `s3_uri` and `gcs_uri`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputRequest {
    /// URLs, or objects with a `url` and parameters of their own.
    #[schema(value_type = Option<Vec<Value>>, max_items = 1000)]
    urls: Option<Vec<Value>>,
    /// A file that was uploaded before.
    #[schema(example = "upl_8K2nB7")]
    upload_id: Option<String>,
    /// An object, `s3://bucket/key`.
    s3_uri: Option<String>,
    /// An object, `gs://bucket/key`.
    gcs_uri: Option<String>,
    /// The role to take on for reading the object.
    role_arn: Option<String>,
    /// What the role's trust policy asks for.
    external_id: Option<String>,
    /// The bucket's region.
    region: Option<String>,
    /// ndjson, csv or text; by the object's suffix when not said.
    #[schema(pattern = "^(ndjson|csv|text)$")]
    format: Option<String>,
}

/// What the result looks like.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputRequest {
    /// ndjson (by default), csv or parquet; the latter two need `defaults.extract`.
    #[schema(pattern = "^(ndjson|csv|parquet)$")]
    format: Option<String>,
    /// The same as `compression: gzip`.
    gzip: Option<bool>,
    /// none, gzip or zstd.
    #[schema(pattern = "^(none|gzip|zstd)$")]
    compression: Option<String>,
    /// After how many bytes, as stored, the next part is begun.
    #[schema(minimum = 1_048_576)]
    max_part_bytes: Option<u64>,
    /// How many seconds the link to the result is valid; a day by default.
    #[schema(minimum = 3600, maximum = 2_592_000)]
    expires_in_s: Option<u64>,
    /// Put `'` before CSV cells that a spreadsheet would run.
    escape_formulas: Option<bool>,
    /// A bucket of the user's own to deliver to, `s3://bucket/prefix`.
    s3_uri: Option<String>,
    /// The role to take on for writing there.
    role_arn: Option<String>,
}

/// Who is told of the end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum WebhookTarget {
    /// An http or https URL.
    #[schema(example = "https://your-app.com/hooks/jobs")]
    Url(String),
    /// A URL with what goes along.
    Object(WebhookRequest),
}

/// Who is told of the end, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRequest {
    /// An http or https URL.
    url: String,
    /// Which events: job.completed, job.failed, job.cancelled; all by default.
    events: Option<Vec<String>>,
    /// What deliveries are signed with instead of the workspace's secret: whsec_ and base64.
    secret: Option<String>,
    /// Headers that go along.
    headers: Option<BTreeMap<String, String>>,
}

/// When so many URLs fail that the rest is not worth fetching.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailIfRequest {
    /// The share of failed records that is too much, above 0 and up to 1.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0)]
    error_rate: f64,
    /// Not judged before this many records; 100 by default.
    min_done: Option<u64>,
}

/// What to try again, and what to change: all that is left out is as in the first job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryRequest {
    /// Which of the failed URLs; all by default.
    only: Option<FilterRequest>,
    /// Those too that got no record, since the job was stopped before.
    include_skipped: Option<bool>,
    /// Parameters that are to be other; null removes one.
    defaults: Option<ScrapeParameters>,
    /// How many pages may be under way.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u64>,
    /// What the result looks like.
    output: Option<OutputRequest>,
    /// Who is told of the end.
    #[schema(value_type = Option<WebhookTarget>)]
    webhook: Option<WebhookTarget>,
    /// A name of the user's own.
    #[schema(max_length = 256)]
    name: Option<String>,
}

/// Which of the failed URLs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterRequest {
    /// Those with one of these codes.
    codes: Option<Vec<String>>,
    /// Those of which another try may come out differently, or those of which it may not.
    retryable: Option<bool>,
}

/// How a page is fetched and read. Everything may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScrapeParameters {
    /// Render the page in a browser.
    render: Option<bool>,
    /// Through which class of proxy.
    #[schema(pattern = "^(datacenter|residential|mobile)$")]
    proxy_type: Option<String>,
    /// The country of the proxy, two letters.
    #[schema(min_length = 2, max_length = 2)]
    country: Option<String>,
    /// Keeps proxy and cookies together.
    session_id: Option<String>,
    /// The fields to find: a sketch such as `{"name": "string", "price": "number"}`, or a JSON Schema.
    #[schema(value_type = Option<Object>, example = json!({"name": "string", "price": "number"}))]
    extract: Option<Value>,
    /// How strict extraction is: `strict`, `meta`, `min_confidence`.
    #[schema(value_type = Option<Object>)]
    extract_options: Option<Value>,
    /// When it is tried again: `on` (5xx, 429, timeout, block, network), `max`, `escalate`.
    #[schema(value_type = Option<Object>)]
    retry: Option<Value>,
    /// GET by default.
    method: Option<String>,
    /// Headers of the request; null removes one.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// Cookies of the request.
    #[schema(value_type = Option<Object>)]
    cookies: Option<Value>,
    /// The body of the request.
    body: Option<String>,
    /// The `User-Agent` of the request.
    user_agent: Option<String>,
    /// How long one try may take; 30,000 by default.
    #[schema(minimum = 1000, maximum = 120_000)]
    timeout_ms: Option<u64>,
    /// The largest page in bytes; 10 MB by default.
    max_bytes: Option<u64>,
    /// Statuses that count as a page besides 2xx.
    accept_status: Option<Vec<u16>>,
    /// How many redirects are followed; 10 by default.
    #[schema(value_type = Option<Value>)]
    follow_redirects: Option<Value>,
    /// Rendered: take the page when an element with this CSS selector is there.
    wait_for: Option<String>,
    /// Rendered: wait so many milliseconds.
    wait_ms: Option<u64>,
    /// Rendered: load no images, fonts and media.
    block_resources: Option<bool>,
    /// Rendered: keep a picture, `viewport` or `full`.
    #[schema(value_type = Option<Value>)]
    screenshot: Option<Value>,
    /// Rendered: what to do on the page, at most 50 steps.
    #[schema(value_type = Option<Vec<Value>>)]
    actions: Option<Vec<Value>>,
    /// What the record holds: data, html, text, markdown, links.
    formats: Option<Vec<String>>,
    /// Whether robots.txt is asked first.
    respect_robots: Option<bool>,
}

/// How long a link is to be valid.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LinkRequest {
    /// In seconds; a day by default.
    #[schema(minimum = 3600, maximum = 2_592_000)]
    pub(crate) expires_in_s: Option<u64>,
}

impl LinkRequest {
    /// Reads a body; nothing is an empty one.
    pub(crate) fn read(json: &[u8]) -> Result<Self, ApiError> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refusal::new(RefusalCode::InvalidJson, "the body is no JSON object").into());
        }
        serde_json::from_slice(json).map_err(|error| {
            let code =
                if error.is_data() { RefusalCode::SchemaInvalid } else { RefusalCode::InvalidJson };
            Refusal::new(code, format!("the body: {error}")).into()
        })
    }
}
