//! The reference of the API, as a document and as pages that need nothing from elsewhere.

use std::fmt::Write;

use axum::{
    Router,
    extract::{Path, rejection::PathRejection},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::serve::error::{ApiError, ErrorCode};

/// Scripts and styles come from here only; the reference sets styles of single elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// `/openapi.json`, `/docs/` and `/docs/errors`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json = document.to_pretty_json().unwrap_or_default();
    let document = move || {
        let json = json.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], json) }
    };
    Router::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/errors", get(errors))
        .route("/docs/", get(|| page(Ok(Path("index.html".to_owned())))))
        .route("/docs/{*file}", get(page))
}

async fn page(file: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let file = file.map_or_else(|_| String::new(), |Path(file)| file);
    let config = std::sync::Arc::new(Config::from("/openapi.json").try_it_out_enabled(false));
    let missing = || ApiError::not_found("there is no such page");
    let found =
        utoipa_swagger_ui::serve(&file, config).map_err(|_| missing())?.ok_or_else(missing)?;
    let media = HeaderValue::try_from(found.content_type).map_err(|_| missing())?;
    let policy = HeaderValue::from_static(POLICY);
    let headers = [(header::CONTENT_TYPE, media), (header::CONTENT_SECURITY_POLICY, policy)];
    Ok((StatusCode::OK, headers, found.bytes.into_owned()).into_response())
}

/// What each code of an error means, and what to do about it.
async fn errors() -> Response {
    let mut rows = String::new();
    for code in ErrorCode::ALL {
        let (name, status) = (code.as_str(), code.status().as_u16());
        let (meaning, remedy) = (code.meaning(), code.remedy());
        // These are our own words, without anything that means something in HTML but the quotes.
        let _ = write!(
            rows,
            "<section id=\"{name}\"><h2><code>{name}</code> <small>{status}</small></h2>\
             <p>{}</p><p>{}</p></section>",
            escaped(meaning),
            escaped(remedy)
        );
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Errors</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\
         <h1>Errors</h1><p>Every answer that is no success has this form: <code>{{status, code, \
         message, docs_url, retryable, retry_after_s, trace_id, detail}}</code>.</p>{rows}</html>"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, page).into_response()
}

const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
                     body{max-width:44rem;margin:2rem auto;padding:0 1rem}\
                     h2{margin:2rem 0 0;font-size:1.1rem}p{margin:.3rem 0}\
                     small{opacity:.6;font-weight:400}:target{outline:2px solid Highlight}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
