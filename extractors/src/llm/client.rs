//! The endpoint: one request, one bounded answer.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::LlmConfig;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    address: String,
}

/// What the model has said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) text: String,
    /// How many tokens question and answer had, if the endpoint tells.
    pub(super) tokens: Option<u64>,
}

impl Client {
    pub(super) fn new(config: &LlmConfig) -> Result<Self, String> {
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(key) = &config.key {
            let value = HeaderValue::try_from(format!("Bearer {key}"));
            let mut value = value.map_err(|_| "the key can't stand in a header".to_owned())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("the language model can't be asked: {error}"))?;
        let address = format!("{}/chat/completions", config.base.as_str().trim_end_matches('/'));
        Ok(Self { http, address })
    }

    /// Sends a question. Errors name neither the address nor what it holds.
    pub(super) async fn send(&self, body: String) -> Result<Said, String> {
        let failed = |error: reqwest::Error| {
            let why = if error.is_timeout() { "in time" } else { "at all" };
            format!("the language model gave no answer {why}")
        };
        let mut response = self.http.post(&self.address).body(body).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the language model answered {}", status.as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(format!("the model's answer is larger than {MAX_ANSWER_BYTES} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        read(&bytes).ok_or_else(|| "the endpoint's answer is no chat completion".to_owned())
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<u64>,
}

fn read(bytes: &[u8]) -> Option<Said> {
    let completion: Completion = serde_json::from_slice(bytes).ok()?;
    let text = completion.choices.into_iter().next()?.message.content.unwrap_or_default();
    let tokens = completion.usage.and_then(|usage| usage.total_tokens);
    Some(Said { text, tokens })
}
