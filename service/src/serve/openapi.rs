//! The routes and their document, made together.

use std::sync::Arc;

use axum::Router;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, ContentBuilder, OpenApi as Document, RefOr, ResponseBuilder,
        path::Operation,
        schema::Ref,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    app::App,
    error::{ErrorBody, ErrorCode},
    routes::{deliveries, events, exports, jobs, operations, preview, uploads, workspace},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Harvestman",
        description = "A list of URLs in, one file of records out. Every URL ends in exactly one record.",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(ErrorBody)),
    modifiers(&BearerKey),
    security(("key" = [])),
    tags(
        (name = "jobs", description = "Jobs: made, watched, cancelled, tried again."),
        (name = "uploads", description = "Lists that are sent once and read by jobs."),
        (name = "exports", description = "Results, by signed links."),
        (name = "webhooks", description = "What became of the webhooks."),
        (name = "workspace", description = "The caller's own workspace."),
        (name = "operations", description = "For the operator."),
    ),
)]
struct Api;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The routes that need a key, those that need none, and the document of both.
pub(crate) fn collect() -> (Router<Arc<App>>, Router<Arc<App>>, Document) {
    let (guarded, mut document) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(jobs::create, jobs::list))
        .routes(routes!(jobs::status, jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::errors))
        .routes(routes!(events::events))
        .routes(routes!(jobs::download_url))
        .routes(routes!(jobs::delete_output))
        .routes(routes!(preview::preview))
        .routes(routes!(uploads::create))
        .routes(routes!(uploads::show, uploads::delete))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::replay))
        .routes(routes!(workspace::show))
        .split_for_parts();
    for item in document.paths.paths.values_mut() {
        add_errors(&mut item.get, GUARDED);
        add_errors(&mut item.delete, &[GUARDED, &[ErrorCode::JobNotFinished]].concat());
        add_errors(&mut item.post, &[GUARDED, POSTED].concat());
    }
    let (open, other) = OpenApiRouter::new()
        .routes(routes!(exports::download))
        .routes(routes!(operations::health))
        .routes(routes!(operations::ready))
        .routes(routes!(operations::metrics))
        .split_for_parts();
    let mut other: Document = other;
    for item in other.paths.paths.values_mut() {
        add_errors(
            &mut item.get,
            &[ErrorCode::LinkInvalid, ErrorCode::NotFound, ErrorCode::Internal],
        );
    }
    document.merge(other);
    (guarded, open, document)
}

/// What any request with a key may be answered with.
const GUARDED: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::MissingCredentials,
    ErrorCode::InsufficientScope,
    ErrorCode::NotFound,
    ErrorCode::ResultExpired,
    ErrorCode::RateLimited,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
];
/// And what a request with a body besides.
const POSTED: &[ErrorCode] = &[
    ErrorCode::RequestTimeout,
    ErrorCode::IdempotencyConflict,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::SchemaInvalid,
];

/// Adds the statuses of these codes to an operation, all in the envelope.
fn add_errors(operation: &mut Option<Operation>, codes: &[ErrorCode]) {
    let Some(operation) = operation else { return };
    for status in codes.iter().map(|code| code.status()) {
        let names = ErrorCode::ALL.iter().filter(|code| code.status() == status);
        let names: Vec<_> = names.map(|code| format!("`{}`", code.as_str())).collect();
        let content: Content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response = ResponseBuilder::new()
            .description(names.join(", "))
            .content("application/json", content)
            .build();
        let responses = &mut operation.responses.responses;
        responses.entry(status.as_str().to_owned()).or_insert(RefOr::T(response));
    }
}
