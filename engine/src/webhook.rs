//! Tells endpoints of a job's end: signed, on a schedule, through restarts.

mod dispatcher;
mod event;
mod schedule;
mod signature;

pub(crate) use self::dispatcher::Dispatcher;
pub use self::{
    event::Event,
    schedule::Schedule,
    signature::{Secret, SignatureHeaders, check_headers},
};
