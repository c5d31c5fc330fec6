//! What a job is to do, in a form that can be kept: the contract's job body.

mod distinct;
mod input;
mod json;
mod limits;
mod output;
mod read;
mod webhook;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    input::{Input, InputCompression, InputFormat, RetryFilter},
    limits::{Limits, MAX_INLINE_URLS, MAX_METADATA_BYTES, MAX_NAME_CHARS, MIN_PART_BYTES},
    output::{OutputCompression, OutputFormat, OutputSpec},
    read::Submission,
    webhook::{WebhookEvent, WebhookSpec},
};
use crate::{LineReader, Params, Schema};

/// How many URLs of a job are fetched at a time when it doesn't say.
pub const DEFAULT_CONCURRENCY: usize = 32;
/// How long attempts under way may go on after a cancel when the job doesn't say.
pub const DEFAULT_CANCEL_GRACE: Duration = Duration::from_mins(1);

/// What a job is to do: its input, its parameters, its output, and when to stop.
///
/// A program builds one; the hosted service [reads](JobSpec::read) one from a request, where every
/// unknown key and every limit is checked. An engine keeps it in its store, so it is serde: that
/// form is the engine's own, and it may name things that a request may not (a file of the machine).
///
/// ```
/// use harvestman_engine::{JobSpec, Schema, spec::{Input, OutputSpec}};
///
/// let schema = Schema::from_pairs([("name", "string"), ("price", "number")])?;
/// let spec = JobSpec::new(Input::file("urls.ndjson"))
///     .with_name("nightly-catalog")
///     .with_extract(schema)
///     .with_output(OutputSpec::parquet())
///     .with_concurrency(64);
/// assert_eq!(spec.concurrency, 64);
/// # Ok::<(), harvestman_engine::schema::SchemaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobSpec {
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the URLs come from.
    pub input: Input,
    /// The Scrape parameters that a line may override.
    #[serde(default)]
    pub defaults: Params,
    /// How many attempts are under way at a time, at most; [`DEFAULT_CONCURRENCY`].
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// What the result looks like.
    #[serde(default)]
    pub output: OutputSpec,
    /// Who is told of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// The most that the job may cost; it is stopped before the first record beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_credits: Option<u64>,
    /// When so many URLs fail that the rest is not worth fetching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_if: Option<FailIf>,
    /// Fetch a URL that is listed several times once only, and count it once.
    #[serde(default)]
    pub dedupe: bool,
    /// What a line does that can't be used.
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// The user's own data, echoed by status and webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// How long the job may run in all its lives, in seconds; [`Limits::lifetime`] when not said.
    /// Then it is cancelled, and what is done is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u64>,
    /// How long attempts under way may go on after a cancel, in seconds; [`DEFAULT_CANCEL_GRACE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_grace_s: Option<u64>,
}

/// Ends a job early when too many of its URLs fail: it is `failed` then, with what is done kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailIf {
    /// The share of failed records that is too much, above 0 and up to 1.
    pub error_rate: f64,
    /// Not judged before this many records.
    #[serde(default = "default_min_done")]
    pub min_done: u64,
}

impl FailIf {
    /// Whether these figures are too bad to go on.
    pub fn holds(&self, errored: u64, done: u64) -> bool {
        done >= self.min_done.max(1) && errored as f64 >= self.error_rate * done as f64
    }
}

/// What a line of the input does that can't be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It becomes an error record with its line number, and costs nothing.
    #[default]
    Record,
    /// It fails the job before the first page is fetched.
    Fail,
}

fn default_concurrency() -> usize {
    DEFAULT_CONCURRENCY
}

fn default_min_done() -> u64 {
    100
}

impl JobSpec {
    /// Whether a role is to be taken on for the input or for the output.
    pub fn names_role(&self) -> bool {
        let input = matches!(&self.input, Input::Object { role_arn: Some(_), .. });
        input || self.output.role_arn.is_some()
    }

    /// A job over this input, with everything else by default: NDJSON, [`DEFAULT_CONCURRENCY`].
    pub fn new(input: Input) -> Self {
        Self {
            name: None,
            input,
            defaults: Params::new(),
            concurrency: DEFAULT_CONCURRENCY,
            output: OutputSpec::default(),
            webhook: None,
            max_credits: None,
            fail_if: None,
            dedupe: false,
            on_invalid: OnInvalid::default(),
            metadata: None,
            deadline_s: None,
            cancel_grace_s: None,
        }
    }

    /// Sets the user's own name for it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the Scrape parameters that a line may override.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Params) -> Self {
        self.defaults = defaults;
        self
    }

    /// Sets the fields to find, `defaults.extract`.
    #[must_use]
    pub fn with_extract(mut self, schema: impl Into<Arc<Schema>>) -> Self {
        self.defaults = self.defaults.with_extract(schema);
        self
    }

    /// Sets how many attempts are under way at a time, at most.
    #[must_use]
    pub fn with_concurrency(mut self, attempts: usize) -> Self {
        self.concurrency = attempts;
        self
    }

    /// Sets what the result looks like.
    #[must_use]
    pub fn with_output(mut self, output: OutputSpec) -> Self {
        self.output = output;
        self
    }

    /// Sets who is told of the end.
    #[must_use]
    pub fn with_webhook(mut self, webhook: WebhookSpec) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Sets the most that the job may cost.
    #[must_use]
    pub fn with_max_credits(mut self, credits: u64) -> Self {
        self.max_credits = Some(credits);
        self
    }

    /// Sets when so many URLs fail that the rest is not worth fetching.
    #[must_use]
    pub fn with_fail_if(mut self, fail_if: FailIf) -> Self {
        self.fail_if = Some(fail_if);
        self
    }

    /// Sets whether a URL that is listed several times is fetched once only.
    #[must_use]
    pub fn with_dedupe(mut self, dedupe: bool) -> Self {
        self.dedupe = dedupe;
        self
    }

    /// Sets what a line does that can't be used.
    #[must_use]
    pub fn with_on_invalid(mut self, on_invalid: OnInvalid) -> Self {
        self.on_invalid = on_invalid;
        self
    }

    /// Sets the user's own data.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets how long the job may run; whole seconds count.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline_s = Some(deadline.as_secs());
        self
    }

    /// Sets how long attempts under way may go on after a cancel; whole seconds count.
    #[must_use]
    pub fn with_cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace_s = Some(grace.as_secs());
        self
    }

    /// What reads the job's lines: as overrides of its defaults, within its columns if it has some.
    pub fn line_reader(&self) -> LineReader {
        let reader = LineReader::new(self.defaults.clone());
        match &self.defaults.extract {
            Some(columns) if self.output.format.needs_schema() => {
                reader.with_columns(Arc::clone(columns))
            }
            _ => reader,
        }
    }

    /// How long attempts under way may go on after a cancel.
    pub fn cancel_grace(&self) -> Duration {
        self.cancel_grace_s.map_or(DEFAULT_CANCEL_GRACE, Duration::from_secs)
    }

    /// How long the job may run in all its lives.
    pub fn deadline(&self, limits: &Limits) -> Duration {
        self.deadline_s.map_or(limits.lifetime, Duration::from_secs).min(limits.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_survives_being_kept() {
        let schema = Schema::from_pairs([("name", "string")]).unwrap();
        let spec = JobSpec::new(Input::urls(["https://a.test/"]))
            .with_name("n")
            .with_extract(schema)
            .with_output(OutputSpec::csv().with_gzip(true))
            .with_webhook(WebhookSpec::new("https://hooks.test/".parse().unwrap()))
            .with_max_credits(9)
            .with_fail_if(FailIf { error_rate: 0.5, min_done: 10 })
            .with_deadline(Duration::from_secs(90));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<JobSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn it_fails_at_the_rate_and_not_before_there_are_enough() {
        let fail_if = FailIf { error_rate: 0.5, min_done: 10 };
        assert!(!fail_if.holds(9, 9));
        assert!(!fail_if.holds(4, 10));
        assert!(fail_if.holds(5, 10));
        assert!(!FailIf { error_rate: 1.0, min_done: 0 }.holds(0, 0));
    }
}
