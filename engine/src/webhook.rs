//! Tells endpoints of a job's end: signed, on a schedule, through restarts.

mod event;
mod schedule;
mod signature;

pub use self::{
    event::Event,
    schedule::Schedule,
    signature::{Secret, SignatureHeaders, check_headers},
};
