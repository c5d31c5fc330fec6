//! How far a job is.

use std::time::Duration;

use serde::Serialize;

use crate::checkpoint::Counters;

/// How many hosts [`Progress::slowest_hosts`] has at most.
pub const MAX_SLOWEST_HOSTS: usize = 5;
/// Seconds per page and slot before there is a figure of the job's own.
const FIRST_GUESS: f64 = 0.673;

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// What the job is doing.
    pub phase: Phase,
    /// How many tasks there are, as soon as that is known.
    pub total: Option<u64>,
    /// The figures over the committed records: those that no crash can take back.
    pub counters: Counters,
    /// How many of those records an earlier life of the job has written.
    pub resumed: u64,
    /// How many parts of the output are complete; they can be read.
    pub parts: usize,
    /// Attempts under way.
    pub in_flight: usize,
    /// Tasks read from the source that wait for their turn, their host or their retry.
    pub waiting: usize,
    /// Hosts with a task read.
    pub hosts: usize,
    /// Records a second of late; `None` before the first.
    pub rate: Option<f64>,
    /// The time still needed, where it can be told: by the job's rate, or by that of its slowest host
    /// if that takes longer.
    pub eta: Option<Duration>,
    /// The hosts that hold the job up, the slowest first: at most [`MAX_SLOWEST_HOSTS`] of those with a
    /// task read. Of very many hosts some are looked at each time, so that one may show up late.
    pub slowest_hosts: Vec<HostProgress>,
}

/// How far a job is at one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostProgress {
    /// The host, with its port unless that is the default one.
    pub host: String,
    /// Tasks read from the source that have no record yet.
    pub remaining: usize,
    /// The job's attempts under way.
    pub in_flight: usize,
    /// The job's records a second of late; `None` before the first.
    pub per_second: Option<f64>,
    /// For how long the host has asked to be left alone.
    pub paused_for: Option<Duration>,
    /// The time that `remaining` still needs at this rate, the pause included.
    pub eta: Option<Duration>,
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Looking through the input.
    Validating,
    /// Fetching pages.
    #[default]
    Fetching,
    /// Waiting for the pages under way; no further ones are begun.
    Draining,
    /// Completing the output.
    Finalizing,
}

/// The time that `remaining` tasks need, as long as nothing is known of them.
pub(crate) fn first_guess(remaining: u64, concurrency: usize) -> Option<Duration> {
    let seconds = remaining as f64 * FIRST_GUESS / concurrency.max(1) as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The time that `remaining` tasks need: at the job's rate, or as long as its slowest host.
pub(crate) fn eta(
    remaining: u64,
    concurrency: usize,
    rate: Option<f64>,
    slowest: Option<Duration>,
) -> Option<Duration> {
    let overall = match rate {
        Some(rate) => Duration::try_from_secs_f64(remaining as f64 / rate).ok()?,
        None => first_guess(remaining, concurrency)?,
    };
    Some(overall.max(slowest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_host_decides() {
        let seconds = Duration::from_secs;
        assert_eq!(eta(1_000, 8, Some(10.0), None), Some(seconds(100)));
        assert_eq!(eta(1_000, 8, Some(10.0), Some(seconds(90))), Some(seconds(100)));
        assert_eq!(eta(1_000, 8, Some(10.0), Some(seconds(900))), Some(seconds(900)));
        assert_eq!(eta(128_400, 32, None, None).unwrap().as_secs(), 2_700);
    }
}
