//! Who asks, and what they may do.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use harvestman::{
    Workspace,
    engine::DEFAULT_WORKSPACE,
    store::{Scope, Store},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use tokio::time::sleep;

use super::{
    app::App,
    declared::{DeclaredKey, DeclaredKeys},
    error::{ApiError, ErrorCode},
    key::hash,
};

/// How often a stream makes sure that its key was not revoked.
const RECHECK: Duration = Duration::from_secs(15);
/// How a browser names the relation of a request to the page that makes it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The keys that are known: those of the store, and those that were declared.
#[derive(Debug)]
pub(crate) struct Keys {
    declared: HashMap<String, DeclaredKey>,
    store: Arc<dyn Store>,
    /// Keys are revoked, and stay: where there was one, there always is.
    is_locked: AtomicBool,
}

/// Somebody with a key, or anybody on a service without keys.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) workspace: Workspace,
    pub(crate) scopes: Vec<Scope>,
    /// The hash of the key.
    key: Option<String>,
}

impl Caller {
    /// Ends when the key is no longer good for what it was: looks every [`RECHECK`].
    pub(crate) async fn locked_out(self, app: Arc<App>) {
        let is_in = async || match &self.key {
            Some(key) => app.keys.find(key).await.is_ok(),
            None => app.keys.is_empty().await.unwrap_or(true),
        };
        while is_in().await {
            sleep(RECHECK).await;
        }
    }
}

impl Keys {
    pub(crate) fn new(declared: DeclaredKeys, store: Arc<dyn Store>) -> Self {
        let declared = declared.0.into_iter().map(|key| (key.hash.clone(), key)).collect();
        Self { declared, store, is_locked: AtomicBool::new(false) }
    }

    /// Whether there is no key at all, so that everybody on this machine is let in.
    pub(crate) async fn is_empty(&self) -> harvestman::Result<bool> {
        if !self.declared.is_empty() || self.is_locked.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let is_empty = self.store.keys(None).await?.is_empty();
        self.is_locked.store(!is_empty, Ordering::Relaxed);
        Ok(is_empty)
    }

    /// The workspace and the scopes of the key with this hash.
    async fn find(&self, hash: &str) -> Result<(String, Vec<Scope>), ApiError> {
        let unknown = || refused(ErrorCode::UnknownKey, "this key is none of this service");
        if let Some(key) = self.declared.get(hash) {
            return Ok((key.workspace.clone(), key.scopes.clone()));
        }
        let key = self.store.key_by_hash(hash).await?.ok_or_else(unknown)?;
        if key.revoked_at.is_some() {
            return Err(refused(ErrorCode::Revoked, format!("key {} was revoked", key.id)));
        }
        Ok((key.workspace, key.scopes))
    }
}

/// Finds out who asks; counts the request; refuses who isn't known.
pub(crate) async fn authenticate(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let key = bearer(request.headers())?.map(hash);
    let (name, scopes) = match &key {
        Some(key) => app.keys.find(key).await?,
        None if app.keys.is_empty().await? => {
            check_origin(&app, &request)?;
            (DEFAULT_WORKSPACE.to_owned(), vec![Scope::Read, Scope::Write])
        }
        None => {
            let message = "send `Authorization: Bearer <key>`";
            return Err(refused(ErrorCode::MissingCredentials, message));
        }
    };
    let remaining = app.rates.take(&name)?;
    tracing::debug!(workspace = name, "authenticated");
    let caller = Caller { workspace: app.engine.workspace(&name), scopes, key };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    remaining.mark(&mut response);
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let key = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = key.map(|(_, key)| key.trim()).filter(|key| !key.is_empty());
    let malformed = || {
        let message = "the Authorization header must be `Bearer <key>`";
        refused(ErrorCode::MissingCredentials, message)
    };
    key.ok_or_else(malformed).map(Some)
}

fn refused(code: ErrorCode, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// Without keys any page that a browser on this machine shows could ask too: by its own scripts and
/// forms, or by a name of its own that leads here.
fn check_origin(app: &App, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    let is_own_site = site.is_none_or(|site| matches!(site, b"same-origin" | b"none"));
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own_origin = origin.is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, host)| app.is_own_host(host))
    });
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let is_own_host =
        matches!(&*hosts, [host] if host.to_str().is_ok_and(|host| app.is_own_host(host)));
    if is_own_site && is_own_origin && is_own_host {
        return Ok(());
    }
    let message = "a service without keys answers to its own machine only";
    Err(ApiError::new(ErrorCode::ForeignOrigin, message))
}

fn need(parts: &Parts, scope: Scope, name: &str) -> Result<Workspace, ApiError> {
    let caller = parts.extensions.get::<Caller>();
    let caller = caller.ok_or_else(|| refused(ErrorCode::MissingCredentials, "no key"))?;
    if !caller.scopes.contains(&scope) {
        let message = format!("this key lacks the scope `{name}`");
        return Err(ApiError::new(ErrorCode::InsufficientScope, message));
    }
    Ok(caller.workspace.clone())
}

/// The workspace of somebody who may look at it.
pub(crate) struct Reader(pub(crate) Workspace);

/// The workspace of somebody who may change it.
pub(crate) struct Writer(pub(crate) Workspace);

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        need(parts, Scope::Read, "read").map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        need(parts, Scope::Write, "write").map(Self)
    }
}
