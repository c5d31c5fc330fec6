//! The bodies of the HTTP API. They are known here only.

mod delivery;
mod job;
mod list;
mod upload;
mod workspace;

pub(crate) use self::{
    delivery::DeliveryBody,
    job::{CreatedBody, DryRunBody, ErroredBody, JobBody, PartBody},
    list::{Page, number_of},
    upload::UploadBody,
    workspace::WorkspaceBody,
};
