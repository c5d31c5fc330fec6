//! An endpoint of a language model that answers by a script, over real HTTP. The tests of the program
//! use it too.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};

/// An endpoint that answers by a script, and remembers what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<(StatusCode, String)>>,
    asked: Mutex<Vec<(Option<String>, Value)>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = (u16, String)>) -> Arc<Self> {
        let answers = answers.into_iter();
        let answers = answers.map(|(status, text)| (StatusCode::from_u16(status).unwrap(), text));
        Arc::new(Self { answers: Mutex::new(answers.collect()), ..Self::default() })
    }

    /// One answer of the model for each of these texts.
    pub(crate) fn says(texts: impl IntoIterator<Item = String>) -> Arc<Self> {
        Self::new(texts.into_iter().map(|text| (200, completion(&text))))
    }

    /// The questions so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// The headers that the questions had for a key.
    pub(crate) fn keys(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }

    /// Answers on this machine until the test ends; the base of the endpoint's address.
    pub(crate) async fn serve(self: &Arc<Self>) -> String {
        let app =
            Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(self));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        format!("http://{address}/v1")
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let key = headers.get("authorization").map(|key| key.to_str().unwrap().to_owned());
    script.asked.lock().unwrap().push((key, serde_json::from_str(&body).unwrap()));
    let next = script.answers.lock().unwrap().pop_front();
    next.unwrap_or((StatusCode::GONE, String::new()))
}

/// The body of an answer that says this.
pub(crate) fn completion(text: &str) -> String {
    json!({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": {"total_tokens": 700}})
        .to_string()
}
