//! The caller's workspace, and what this installation can do.

use harvestman::{
    params::ProxyType,
    spec::Limits,
    store::{Scope, WorkspaceEntry},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The caller's workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkspaceBody {
    /// Its name.
    name: String,
    /// What this key may do: read, write.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// What the trust policy of a role may ask for that the service takes on for this workspace.
    external_id: String,
    /// What may be asked for.
    limits: LimitsBody,
    /// What there is to fetch pages with.
    capabilities: CapabilitiesBody,
}

/// What may be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    /// The most URLs given inline.
    inline_urls: usize,
    /// The most URLs of a job.
    urls: u64,
    /// The largest upload in bytes, sent and decoded.
    upload_bytes: u64,
    /// The most pages of a job under way.
    concurrency: usize,
    /// The largest JSON body in bytes.
    body_bytes: usize,
}

/// What there is to fetch pages with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapabilitiesBody {
    /// Whether pages can be rendered in a browser.
    render: bool,
    /// The classes of proxies that there are.
    #[schema(value_type = Vec<String>)]
    proxy_types: Vec<ProxyType>,
}

impl WorkspaceBody {
    pub(crate) fn new(
        workspace: WorkspaceEntry,
        scopes: Vec<Scope>,
        limits: &Limits,
        render: bool,
        proxy_types: Vec<ProxyType>,
    ) -> Self {
        Self {
            name: workspace.name,
            scopes,
            external_id: workspace.external_id,
            limits: LimitsBody {
                inline_urls: limits.inline_urls,
                urls: limits.urls,
                upload_bytes: limits.upload_bytes,
                concurrency: limits.concurrency,
                body_bytes: limits.body_bytes,
            },
            capabilities: CapabilitiesBody { render, proxy_types },
        }
    }
}
