//! Reads a job from a request: every unknown key, every limit, every contradiction by its path.

use serde::{
    Deserialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{
    FailIf, Input, InputFormat, JobSpec, Limits, OnInvalid, OutputCompression, OutputFormat,
    OutputSpec, RetryFilter, WebhookSpec,
    json::from_json,
    limits::{MAX_INLINE_URLS, MAX_METADATA_BYTES, MAX_NAME_CHARS, MIN_PART_BYTES},
};
use crate::{
    Line, Params, Task,
    id::{JobId, UploadId},
    refusal::{Refusal, RefusalCode},
    webhook,
};

/// The longest URI of an object, in bytes.
const MAX_URI_BYTES: usize = 2_048;
/// The most headers of a webhook.
const MAX_WEBHOOK_HEADERS: usize = 20;

/// A job that was asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Submission {
    /// What it is to do.
    pub spec: JobSpec,
    /// Whether only its figures are wanted, and no job.
    pub dry_run: bool,
    /// What was taken in another way than it was written, for a person.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: Option<String>,
    input: Option<InputBody>,
    urls: Option<Urls>,
    defaults: Option<Params>,
    concurrency: Option<usize>,
    output: Option<OutputSpec>,
    webhook: Option<WebhookBody>,
    max_credits: Option<u64>,
    fail_if: Option<FailIf>,
    dedupe: Option<bool>,
    on_invalid: Option<OnInvalid>,
    metadata: Option<Map<String, Value>>,
    deadline_s: Option<u64>,
    cancel_grace_s: Option<u64>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputBody {
    urls: Option<Urls>,
    upload_id: Option<UploadId>,
    s3_uri: Option<String>,
    gcs_uri: Option<String>,
    role_arn: Option<String>,
    external_id: Option<String>,
    region: Option<String>,
    format: Option<InputFormat>,
}

/// An inline list. What is far beyond any limit is read over, so that a body of nothing but commas
/// takes no memory to speak of.
struct Urls(Vec<Value>);

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UrlsVisitor)
    }
}

struct UrlsVisitor;

impl<'de> Visitor<'de> for UrlsVisitor {
    type Value = Urls;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of URLs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Urls, A::Error> {
        let mut urls = Vec::new();
        while urls.len() <= MAX_INLINE_URLS {
            let Some(url) = list.next_element()? else { return Ok(Urls(urls)) };
            urls.push(url);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Urls(urls))
    }
}

/// What may be changed in a retry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct RetryBody {
    name: Option<String>,
    only: RetryFilter,
    include_skipped: bool,
    defaults: Option<Map<String, Value>>,
    concurrency: Option<usize>,
    output: Option<OutputSpec>,
    webhook: Option<WebhookBody>,
}

/// A URL, or an object with more.
struct WebhookBody(WebhookSpec);

impl<'de> Deserialize<'de> for WebhookBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        match Value::deserialize(deserializer)? {
            Value::String(url) => match url.parse() {
                Ok(url) => Ok(Self(WebhookSpec::new(url))),
                Err(error) => Err(D::Error::custom(format!("the URL can't be read: {error}"))),
            },
            object => serde_path_to_error::deserialize(object).map(Self).map_err(D::Error::custom),
        }
    }
}

impl JobSpec {
    /// Reads the contract's job body and checks it against the limits.
    ///
    /// A [`Refusal`] names the place by its path. Whether an upload, a browser or a proxy is there
    /// is checked by the engine that the job is submitted to.
    pub fn read(json: &[u8], limits: &Limits) -> Result<Submission, Refusal> {
        let body: Body = from_json(json, limits)?;
        let mut input = body.input;
        if let Some(urls) = body.urls {
            if input.is_some() {
                return Err(conflict(["input", "urls"], "give one of them"));
            }
            input = Some(InputBody::of_urls(urls));
        }
        let Some(input) = input else {
            let message = "a job needs an `input` with one of urls, upload_id, s3_uri, gcs_uri";
            return Err(Refusal::new(RefusalCode::ConflictParams, message).with_fields(["input"]));
        };
        let mut spec = Self::new(input.into_input()?);
        spec.name = body.name;
        spec.defaults = body.defaults.unwrap_or_default();
        spec.concurrency = body.concurrency.unwrap_or(spec.concurrency.min(limits.concurrency));
        spec.output = body.output.unwrap_or_default();
        spec.webhook = body.webhook.map(|webhook| webhook.0);
        spec.max_credits = body.max_credits;
        spec.fail_if = body.fail_if;
        spec.dedupe = body.dedupe.unwrap_or_default();
        spec.on_invalid = body.on_invalid.unwrap_or_default();
        spec.metadata = body.metadata;
        spec.deadline_s = body.deadline_s;
        spec.cancel_grace_s = body.cancel_grace_s;
        spec.check(limits)?;
        let warnings = spec.warnings();
        Ok(Submission { spec, dry_run: body.dry_run.unwrap_or_default(), warnings })
    }

    /// Reads the contract's body of a retry of `original`: what it doesn't say is as it was.
    ///
    /// `defaults` are merged onto those of the original key by key, as a line is.
    pub fn read_retry(
        json: &[u8],
        job: &JobId,
        original: &Self,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let is_empty = json.trim_ascii().is_empty();
        let body: RetryBody =
            if is_empty { RetryBody::default() } else { from_json(json, limits)? };
        let mut spec = original.clone();
        spec.input = Input::Errored {
            job: job.clone(),
            only: body.only,
            include_skipped: body.include_skipped,
        };
        // Its index has gone through this already.
        spec.dedupe = false;
        if let Some(defaults) = body.defaults {
            let merged = spec.defaults.merged(&defaults);
            spec.defaults = merged
                .map_err(|error| Refusal::at(RefusalCode::SchemaInvalid, "defaults", error))?;
        }
        spec.name = body.name.or(spec.name);
        spec.concurrency = body.concurrency.unwrap_or(spec.concurrency);
        spec.output = body.output.unwrap_or(spec.output);
        spec.webhook = body.webhook.map(|webhook| webhook.0).or(spec.webhook);
        spec.check(limits)?;
        Ok(spec)
    }

    /// Checks everything that can be told without looking at the input.
    pub fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        self.check_texts()?;
        self.check_numbers(limits)?;
        self.check_input(limits)?;
        self.check_output(limits)?;
        self.webhook.as_ref().map_or(Ok(()), check_webhook)
    }

    fn check_texts(&self) -> Result<(), Refusal> {
        if let Some(name) = &self.name {
            if name.chars().count() > MAX_NAME_CHARS {
                return Err(exceeded("name", format!("at most {MAX_NAME_CHARS} characters")));
            }
            if name.chars().any(char::is_control) {
                return Err(invalid("name", "must not hold control characters"));
            }
        }
        let metadata = self.metadata.as_ref().map(serde_json::to_string);
        if metadata.is_some_and(|json| json.is_ok_and(|json| json.len() > MAX_METADATA_BYTES)) {
            return Err(exceeded("metadata", format!("at most {MAX_METADATA_BYTES} bytes")));
        }
        Ok(())
    }

    fn check_numbers(&self, limits: &Limits) -> Result<(), Refusal> {
        let lifetime = limits.lifetime.as_secs();
        in_range("concurrency", self.concurrency as u64, 1, limits.concurrency as u64)?;
        in_range("deadline_s", self.deadline_s.unwrap_or(lifetime), 1, lifetime)?;
        let grace = self.cancel_grace_s.unwrap_or_default();
        in_range("cancel_grace_s", grace, 0, limits.cancel_grace.as_secs())?;
        match self.fail_if {
            Some(FailIf { error_rate, .. }) if !(error_rate > 0.0 && error_rate <= 1.0) => {
                Err(invalid("fail_if.error_rate", "must be above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    fn check_input(&self, limits: &Limits) -> Result<(), Refusal> {
        let Input::Urls(urls) = &self.input else { return Ok(()) };
        if urls.is_empty() {
            return Err(invalid("input.urls", "is empty"));
        }
        if urls.len() > limits.inline_urls {
            let most = limits.inline_urls;
            let message = format!("at most {most} URLs inline; upload a file for more");
            return Err(exceeded("input.urls", message));
        }
        let reader = self.line_reader();
        for (index, value) in urls.iter().enumerate() {
            let line = Line { index: index as u64, number: index as u64 + 1 };
            let task = reader.read_json(line, value.to_string().as_bytes());
            if let Err(error) = task.target() {
                let message = error.message.trim_start_matches(&format!("line {}: ", index + 1));
                let path = format!("input.urls[{index}]");
                // The same URL without the line's parameters tells which of them is to blame.
                let url = Task::new(0, task.url().unwrap_or_default(), Params::new());
                let code = match url.target() {
                    Ok(_) => RefusalCode::SchemaInvalid,
                    Err(_) => RefusalCode::InvalidUrl,
                };
                return Err(Refusal::at(code, &path, message));
            }
        }
        Ok(())
    }

    fn check_output(&self, limits: &Limits) -> Result<(), Refusal> {
        let output = &self.output;
        if output.format.needs_schema() && self.defaults.extract.is_none() {
            let message = "csv and parquet need columns: name fields in defaults.extract";
            return Err(conflict(["output.format", "defaults.extract"], message));
        }
        let is_gzip = |compression| compression == OutputCompression::Gzip;
        if let (Some(gzip), Some(compression)) = (output.gzip, output.compression)
            && gzip != is_gzip(compression)
        {
            return Err(conflict(["output.gzip", "output.compression"], "say the same in both"));
        }
        let bytes = output.max_part_bytes.unwrap_or(limits.part_bytes);
        in_range("output.max_part_bytes", bytes, MIN_PART_BYTES, limits.part_bytes)?;
        let expires = output.expires_in_s.unwrap_or(limits.default_link_s);
        in_range("output.expires_in_s", expires, *limits.link_s.start(), *limits.link_s.end())?;
        if let Some(uri) = &output.s3_uri {
            check_uri("output.s3_uri", uri, "s3://")?;
        } else if output.role_arn.is_some() {
            return Err(conflict(["output.role_arn", "output.s3_uri"], "a role needs a bucket"));
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let is_packed = self.output.gzip == Some(true)
            || self.output.compression.is_some_and(|packed| packed == OutputCompression::Gzip);
        let mut warnings = Vec::new();
        if self.output.format == OutputFormat::Parquet && is_packed {
            warnings.push("output.gzip: Parquet is packed inside already; left out".to_owned());
        }
        warnings
    }
}

impl InputBody {
    fn of_urls(urls: Urls) -> Self {
        Self {
            urls: Some(urls),
            upload_id: None,
            s3_uri: None,
            gcs_uri: None,
            role_arn: None,
            external_id: None,
            region: None,
            format: None,
        }
    }

    fn into_input(self) -> Result<Input, Refusal> {
        let given = [
            ("input.urls", self.urls.is_some()),
            ("input.upload_id", self.upload_id.is_some()),
            ("input.s3_uri", self.s3_uri.is_some()),
            ("input.gcs_uri", self.gcs_uri.is_some()),
        ];
        let given: Vec<_> =
            given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() != 1 {
            let message = "give exactly one of urls, upload_id, s3_uri, gcs_uri";
            return Err(Refusal::new(RefusalCode::ConflictParams, message)
                .with_fields(if given.is_empty() { vec!["input"] } else { given }));
        }
        let with_bucket = [
            ("input.role_arn", self.role_arn.is_some()),
            ("input.external_id", self.external_id.is_some()),
            ("input.region", self.region.is_some()),
        ];
        if self.s3_uri.is_none()
            && let Some((name, _)) = with_bucket.iter().find(|(_, given)| *given)
        {
            return Err(conflict([*name, "input.s3_uri"], "goes with an s3_uri only"));
        }
        if let Some(Urls(urls)) = self.urls {
            return Ok(Input::Urls(urls));
        }
        if let Some(id) = self.upload_id {
            return Ok(Input::Upload(id));
        }
        let (path, uri, scheme) = match (self.s3_uri, self.gcs_uri) {
            (Some(uri), _) => ("input.s3_uri", uri, "s3://"),
            (None, uri) => ("input.gcs_uri", uri.unwrap_or_default(), "gs://"),
        };
        check_uri(path, &uri, scheme)?;
        Ok(Input::Object {
            uri,
            role_arn: self.role_arn,
            external_id: self.external_id,
            region: self.region,
            format: self.format,
        })
    }
}

fn check_uri(path: &str, uri: &str, scheme: &str) -> Result<(), Refusal> {
    let rest = uri.strip_prefix(scheme).unwrap_or_default();
    let bucket = rest.split('/').next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let has_key = path.starts_with("output") || rest.len() > bucket.len() + 1;
    if bucket.is_empty() || !bucket.chars().all(is_name) || !has_key || uri.len() > MAX_URI_BYTES {
        return Err(invalid(path, format!("write it as {scheme}bucket/path")));
    }
    Ok(())
}

fn check_webhook(webhook: &WebhookSpec) -> Result<(), Refusal> {
    if !matches!(webhook.url.scheme(), "http" | "https") || webhook.url.host().is_none() {
        return Err(invalid("webhook.url", "must be http or https"));
    }
    if webhook.events.is_empty() {
        return Err(invalid("webhook.events", "is empty; leave it out for all events"));
    }
    if webhook.headers.len() > MAX_WEBHOOK_HEADERS {
        return Err(exceeded("webhook.headers", format!("at most {MAX_WEBHOOK_HEADERS} headers")));
    }
    if let Some(secret) = &webhook.secret {
        webhook::Secret::parse(secret).map_err(|error| invalid("webhook.secret", error))?;
    }
    let headers = webhook::check_headers(&webhook.headers);
    headers.map(drop).map_err(|error| invalid("webhook.headers", error))
}

fn in_range(path: &str, value: u64, least: u64, most: u64) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(exceeded(path, format!("must be {least} to {most}, not {value}")))
}

fn exceeded(path: &str, message: impl std::fmt::Display) -> Refusal {
    Refusal::at(RefusalCode::LimitExceeded, path, message)
}

fn invalid(path: &str, message: impl std::fmt::Display) -> Refusal {
    Refusal::at(RefusalCode::SchemaInvalid, path, message)
}

fn conflict<const N: usize>(fields: [&str; N], message: &str) -> Refusal {
    let message = format!("{}: {message}", fields.join(", "));
    Refusal::new(RefusalCode::ConflictParams, message).with_fields(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Submission, Refusal> {
        JobSpec::read(body.to_string().as_bytes(), &Limits::default())
    }

    #[test]
    fn the_seeds_own_example_reads() {
        let body = json!({
            "name": "nightly-catalog-2026-05-12",
            "input": {"upload_id": "upl_8K2nB7"},
            "defaults": {
                "render": true,
                "proxy_type": "residential",
                "extract": {"name": "string", "price": "number"}
            },
            "concurrency": 32,
            "output": {"format": "ndjson", "gzip": true},
            "webhook": "https://your-app.com/hooks/jobs"
        });
        let Submission { spec, dry_run, warnings } = read(&body).unwrap();
        assert_eq!(spec.input, Input::Upload("upl_8K2nB7".parse().unwrap()));
        assert_eq!(spec.output.effective_compression(), OutputCompression::Gzip);
        assert_eq!(spec.webhook.unwrap().url.as_str(), "https://your-app.com/hooks/jobs");
        assert_eq!((spec.defaults.render, dry_run), (Some(true), false));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_named_by_code_and_path() {
        use RefusalCode as C;
        let urls = |count| vec![json!("https://a.test/"); count];
        let table = [
            (json!({"urls": urls(1), "concurency": 3}), C::SchemaInvalid, "`concurency`"),
            (json!({"urls": urls(1), "output": {"formt": "csv"}}), C::SchemaInvalid, "output"),
            (json!({"urls": urls(1), "defaults": {"timout_ms": 5}}), C::SchemaInvalid, "timout_ms"),
            (
                json!({"urls": urls(1), "defaults": {"extract": {"a": "h1"}}}),
                C::SchemaInvalid,
                "extract.a",
            ),
            (json!({"urls": urls(1), "concurrency": 257}), C::LimitExceeded, "concurrency"),
            (json!({"urls": urls(1), "concurrency": 0}), C::LimitExceeded, "concurrency"),
            (json!({"urls": urls(1), "concurrency": -1}), C::SchemaInvalid, "concurrency"),
            (json!({"urls": urls(1_001)}), C::LimitExceeded, "input.urls"),
            (json!({"urls": []}), C::SchemaInvalid, "input.urls"),
            (json!({"urls": ["https://a.test/", "nonsense"]}), C::InvalidUrl, "input.urls[1]"),
            (
                json!({"urls": [{"url": "https://a.test/", "webhook": "x"}]}),
                C::SchemaInvalid,
                "[0]",
            ),
            (json!({}), C::ConflictParams, "input"),
            (json!({"input": {}}), C::ConflictParams, "exactly one"),
            (json!({"urls": urls(1), "input": {"urls": urls(1)}}), C::ConflictParams, "urls"),
            (
                json!({"input": {"urls": urls(1), "s3_uri": "s3://a/b"}}),
                C::ConflictParams,
                "exactly",
            ),
            (
                json!({"input": {"upload_id": "upl_1", "role_arn": "x"}}),
                C::ConflictParams,
                "role_arn",
            ),
            (json!({"input": {"s3_uri": "https://a/b"}}), C::SchemaInvalid, "s3://bucket/path"),
            (json!({"input": {"upload_id": "../x"}}), C::SchemaInvalid, "input.upload_id"),
            (json!({"input": {"file": {"path": "/etc/passwd"}}}), C::SchemaInvalid, "file"),
            (json!({"urls": urls(1), "output": {"format": "csv"}}), C::ConflictParams, "extract"),
            (
                json!({"urls": urls(1), "output": {"gzip": true, "compression": "zstd"}}),
                C::ConflictParams,
                "gzip",
            ),
            (
                json!({"urls": urls(1), "output": {"max_part_bytes": 5}}),
                C::LimitExceeded,
                "max_part_bytes",
            ),
            (
                json!({"urls": urls(1), "output": {"expires_in_s": 60}}),
                C::LimitExceeded,
                "expires_in_s",
            ),
            (json!({"urls": urls(1), "webhook": "ftp://a/"}), C::SchemaInvalid, "webhook.url"),
            (json!({"urls": urls(1), "webhook": "nonsense"}), C::SchemaInvalid, "webhook"),
            (
                json!({"urls": urls(1), "webhook": {"url": "http://a/", "secret": "x"}}),
                C::SchemaInvalid,
                "webhook.secret",
            ),
            (
                json!({"urls": urls(1), "webhook": {"url": "http://a/", "headers": {"host": "x"}}}),
                C::SchemaInvalid,
                "headers",
            ),
            (
                json!({"urls": urls(1), "fail_if": {"error_rate": 2}}),
                C::SchemaInvalid,
                "error_rate",
            ),
            (json!({"urls": urls(1), "deadline_s": 90_000}), C::LimitExceeded, "deadline_s"),
            (json!({"urls": urls(1), "name": "a\nb"}), C::SchemaInvalid, "name"),
        ];
        for (body, code, part) in table {
            let refusal = read(&body).unwrap_err();
            assert_eq!(
                refusal.code,
                code,
                "{refusal} of {}",
                &body.to_string()[..80.min(body.to_string().len())]
            );
            assert!(refusal.message.contains(part), "{refusal} lacks {part}");
        }
    }

    #[test]
    fn the_limits_themselves_pass() {
        let body = json!({"urls": vec![json!("https://a.test/"); 1_000], "concurrency": 256});
        assert_eq!(read(&body).unwrap().spec.concurrency, 256);
    }

    #[test]
    fn parquet_with_gzip_is_a_warning() {
        let body = json!({
            "urls": ["https://a.test/"],
            "defaults": {"extract": {"a": "string"}},
            "output": {"format": "parquet", "gzip": true}
        });
        let submission = read(&body).unwrap();
        assert_eq!(submission.warnings.len(), 1);
        assert_eq!(submission.spec.output.effective_compression(), OutputCompression::None);
    }

    #[test]
    fn a_retry_keeps_what_it_does_not_say() {
        let body = json!({
            "name": "first", "urls": ["https://a.test/"], "concurrency": 8,
            "defaults": {"timeout_ms": 5_000, "country": "de"},
        });
        let original = read(&body).unwrap().spec;
        let job = JobId::random();
        let limits = Limits::default();
        let same = JobSpec::read_retry(b"", &job, &original, &limits).unwrap();
        assert_eq!((same.name.as_deref(), same.concurrency), (Some("first"), 8));
        let json = br#"{"only": {"codes": ["timeout"]}, "defaults": {"timeout_ms": 60000, "country": null}}"#;
        let other = JobSpec::read_retry(json, &job, &original, &limits).unwrap();
        assert_eq!(other.defaults.timeout().as_secs(), 60);
        assert_eq!(other.defaults.country, None);
        let Input::Errored { only, .. } = &other.input else { panic!("{other:?}") };
        assert_eq!(only.codes, [crate::Code::Timeout]);
        let wrong = JobSpec::read_retry(br#"{"onyl": {}}"#, &job, &original, &limits);
        assert!(wrong.unwrap_err().message.contains("onyl"));
    }
}
