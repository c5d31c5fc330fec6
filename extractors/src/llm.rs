//! Fields that are still missing, by a language model: asked last, believed only with a quotation.
//!
//! The model gets the page's text and says of each missing field what on the page its value is, word for
//! word. What it quotes must stand in that text, and our own normalisers make the value of it: a model
//! that invents, or obeys a page that gives it orders, can at most pick the wrong words of the page.

mod answer;
mod client;
mod page;
mod question;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use url::Url;

use self::{answer::Answer, client::Client};
pub(crate) use self::{answer::take_in, page::reduced};
use crate::plan::FieldPlan;

/// How sure a value of the model is: it stands on the page, and that is all that is known of it.
pub(crate) const CONFIDENCE: f64 = 0.5;
/// How many bytes a token has at least, in what is sent.
const BYTES_PER_TOKEN: u64 = 3;

/// Where a language model is, and how much of it may be used.
///
/// ```
/// use harvestman_extractors::LlmConfig;
///
/// let config = LlmConfig::new("http://127.0.0.1:11434/v1".parse().unwrap(), "qwen3:8b")
///     .with_key("secret")
///     .with_max_total_tokens(2_000_000);
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct LlmConfig {
    base: Url,
    model: String,
    key: Option<String>,
    timeout: Duration,
    max_page_tokens: u32,
    max_answer_tokens: u32,
    max_total_tokens: u64,
    max_concurrency: usize,
}

impl LlmConfig {
    /// A model behind an endpoint that speaks as `OpenAI`'s does, e.g. `https://api.openai.com/v1`.
    pub fn new(base: Url, model: impl Into<String>) -> Self {
        Self {
            base,
            model: model.into(),
            key: None,
            timeout: Duration::from_secs(30),
            max_page_tokens: 6_000,
            max_answer_tokens: 1_500,
            max_total_tokens: 10_000_000,
            max_concurrency: 8,
        }
    }

    /// Sets the key that is sent as bearer; it is never shown.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets how long one answer may take; 30 s by default.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many tokens of a page are sent at most, at three bytes each; 6,000 by default.
    #[must_use]
    pub fn with_max_page_tokens(mut self, tokens: u32) -> Self {
        self.max_page_tokens = tokens;
        self
    }

    /// Sets how many tokens an answer may have; 1,500 by default.
    #[must_use]
    pub fn with_max_answer_tokens(mut self, tokens: u32) -> Self {
        self.max_answer_tokens = tokens;
        self
    }

    /// Sets how many tokens one extractor, and thus one job on one engine, may use until its end;
    /// 10,000,000 by default. Then fields stay missing.
    #[must_use]
    pub fn with_max_total_tokens(mut self, tokens: u64) -> Self {
        self.max_total_tokens = tokens;
        self
    }

    /// Sets how many questions are under way at a time; 8 by default.
    #[must_use]
    pub fn with_max_concurrency(mut self, questions: usize) -> Self {
        self.max_concurrency = questions.max(1);
        self
    }
}

impl std::fmt::Debug for LlmConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("LlmConfig");
        shown.field("host", &self.base.host_str()).field("model", &self.model);
        shown.field("max_total_tokens", &self.max_total_tokens).finish_non_exhaustive()
    }
}

/// A language model to ask.
#[derive(Debug)]
pub(crate) struct Llm {
    client: Client,
    config: LlmConfig,
    /// Tokens that are used or set aside for questions under way.
    used: AtomicU64,
    turns: tokio::sync::Semaphore,
}

impl Llm {
    /// Fails when the key can't stand in a header.
    pub(crate) fn new(config: LlmConfig) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(&config)?,
            used: AtomicU64::new(0),
            turns: tokio::sync::Semaphore::new(config.max_concurrency),
            config,
        })
    }

    /// The most bytes of a page's text that are sent.
    pub(crate) fn max_page_bytes(&self) -> usize {
        usize::try_from(u64::from(self.config.max_page_tokens) * BYTES_PER_TOKEN)
            .unwrap_or(usize::MAX)
    }

    /// What the model says of these fields, or why it says nothing. An answer that can't be read is asked
    /// for once more.
    pub(crate) async fn ask(&self, fields: &[&FieldPlan], page: &str) -> Result<Answer, String> {
        let _turn = self.turns.acquire().await.map_err(|_| "the model is gone".to_owned())?;
        let mut question = question::of(&self.config, fields, page);
        let first = self.exchange(&question).await?;
        let complaint = match answer::read(&first) {
            Ok(answer) => return Ok(answer),
            Err(complaint) => complaint,
        };
        question::complain(&mut question, &first, &complaint);
        let second = self.exchange(&question).await?;
        answer::read(&second).map_err(|complaint| format!("the model's answer {complaint}"))
    }

    /// One question and what is said to it, within the budget.
    async fn exchange(&self, question: &serde_json::Value) -> Result<String, String> {
        let body = question.to_string();
        let most = body.len() as u64 / BYTES_PER_TOKEN + u64::from(self.config.max_answer_tokens);
        let before = self.used.fetch_add(most, Ordering::Relaxed);
        if before.saturating_add(most) > self.config.max_total_tokens {
            self.used.fetch_sub(most, Ordering::Relaxed);
            return Err("the budget of tokens for the language model is spent".to_owned());
        }
        let said = self.client.send(body).await?;
        if let Some(tokens) = said.tokens {
            self.used.fetch_sub(most, Ordering::Relaxed);
            self.used.fetch_add(tokens, Ordering::Relaxed);
        }
        Ok(said.text)
    }
}
